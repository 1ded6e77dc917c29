"""The end of the help of each verb: examples, settings and exit codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from .exit_codes import EXIT_MEANINGS


@dataclass(frozen=True, slots=True)
class VerbHelp:
    """What the help of one verb ends with."""

    examples: Sequence[str]
    settings: Sequence[str] = ()
    exit_codes: Sequence[int] = (0, 2, 3, 4, 7)


_DATA_DIR = "SEMSEARCH_DATA_DIR"
_KEY = "OPENAI_API_KEY"
_ANSWER = "ans_7c9e6679f2b44f1ea1d0c5b84d3f6a20"
_ALL_CODES = tuple(EXIT_MEANINGS)

VERB_HELP = {
    "": VerbHelp(
        ("semsearch ingest docs/", 'semsearch ask "How long is parental leave?"'),
        (_DATA_DIR, "SEMSEARCH_CONFIG", _KEY, "SEMSEARCH_CHAT__MODEL"),
        _ALL_CODES,
    ),
    "ingest": VerbHelp(
        (
            "semsearch ingest docs/",
            "semsearch ingest docs/ -c handbook --exclude drafts/ --prune",
            "semsearch ingest docs/ --embedder openai:text-embedding-3-small --dry-run",
        ),
        (_DATA_DIR, _KEY, "SEMSEARCH_EMBEDDINGS__BASE_URL", "SEMSEARCH_BUDGET__DAY_USD"),
        _ALL_CODES,
    ),
    "search": VerbHelp(
        ('semsearch search "parental leave"', "semsearch search 'lamp oil' -k 3 --filter team=keepers --explain"),
        (_DATA_DIR, "SEMSEARCH_SEARCH__PER_DOCUMENT", "SEMSEARCH_SEARCH__COLLAPSE"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "ask": VerbHelp(
        (
            'semsearch ask "How long is parental leave?"',
            'semsearch ask "And for fathers?" --session new',
            'semsearch ask "How long is leave?" --require-answer --json',
        ),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__MODEL", "SEMSEARCH_CHAT__BASE_URL", "SEMSEARCH_ANSWERS__THRESHOLD"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "recommend": VerbHelp(
        (
            "semsearch recommend docs/leave.md docs/travel.md",
            "semsearch recommend --text 'time off for parents' --not-like docs/travel.md -k 3",
        ),
        (_DATA_DIR, "SEMSEARCH_SEARCH__COLLAPSE"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "similar": VerbHelp(("semsearch similar docs/leave.md -k 3",), (_DATA_DIR,)),
    "documents": VerbHelp(("semsearch documents -c handbook", "semsearch documents --json"), (_DATA_DIR,)),
    "show": VerbHelp(("semsearch show docs/leave.md",), (_DATA_DIR,)),
    "remove": VerbHelp(("semsearch remove docs/old.md docs/older.md",), (_DATA_DIR,), (0, 2, 3, 4, 7)),
    "collections": VerbHelp(
        (
            "semsearch collections",
            "semsearch collections create handbook",
            "semsearch collections delete handbook --yes",
        ),
        (_DATA_DIR,),
        (0, 1, 2, 3, 4, 5, 6, 7),
    ),
    "collections create": VerbHelp(
        ("semsearch collections create handbook --embedder openai:text-embedding-3-small",),
        (_DATA_DIR, _KEY, "SEMSEARCH_EMBEDDINGS__BASE_URL"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "collections delete": VerbHelp(
        ("semsearch collections delete handbook", "semsearch collections delete handbook --yes"),
        (_DATA_DIR,),
        (0, 2, 3, 4, 6, 7),
    ),
    "reindex": VerbHelp(("semsearch reindex -c handbook",), (_DATA_DIR,), (0, 2, 3, 4, 7)),
    "serve": VerbHelp(
        ("semsearch serve", "semsearch serve --port 9000 --workers 4 --no-access-log"),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__MODEL"),
        (0, 2, 4, 5, 6, 7),
    ),
    "usage": VerbHelp(
        ("semsearch usage", "semsearch usage --by model --since 2026-11-01"),
        (_DATA_DIR, "SEMSEARCH_BUDGET__DAY_USD", "SEMSEARCH_BUDGET__MONTH_USD"),
        (0, 2, 4, 7),
    ),
    "init": VerbHelp(
        (
            "semsearch init",
            "semsearch init --server openai --key-file ~/openai.key --yes",
            "semsearch init --server http://localhost:11434/v1 --chat-model llama3.2",
        ),
        (_KEY,),
        (0, 2, 3, 4, 5, 6, 7, 130),
    ),
    "eval": VerbHelp(
        (
            "semsearch eval questions.jsonl --ask",
            "semsearch eval questions.jsonl --baseline run.json",
            "semsearch eval questions.jsonl --ask --compare default --compare k=5,temperature=0 --budget 1",
            "semsearch eval questions.jsonl --history --chart runs.svg",
        ),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__MODEL"),
        (0, 1, 2, 3, 4, 5, 6, 7),
    ),
    "keys": VerbHelp(("semsearch keys create 'intranet search'", "semsearch keys list"), (_DATA_DIR,), (0, 2, 3, 4, 7)),
    "keys create": VerbHelp(
        (
            "semsearch keys create 'intranet search'",
            'semsearch keys create hr --filter \'{"team": {"$in": ["hr", "all"]}}\' --expires 90d',
        ),
        (_DATA_DIR,),
        (0, 2, 4, 7),
    ),
    "keys list": VerbHelp(("semsearch keys list --json",), (_DATA_DIR,), (0, 4, 7)),
    "keys rotate": VerbHelp(("semsearch keys rotate k3v9x0q2m7ab --overlap 1h",), (_DATA_DIR,), (0, 2, 3, 4, 7)),
    "keys revoke": VerbHelp(("semsearch keys revoke k3v9x0q2m7ab",), (_DATA_DIR,), (0, 3, 4, 7)),
    "feedback": VerbHelp(
        (
            "semsearch feedback ans_7c9e6679f2b44f1ea1d0c5b84d3f6a20 --helpful",
            "semsearch feedback export judged.jsonl",
            "semsearch feedback review judged.jsonl",
        ),
        (_DATA_DIR, "SEMSEARCH_KEEP_DAYS"),
        (0, 2, 3, 4, 7, 130),
    ),
    "feedback add": VerbHelp(
        (
            "semsearch feedback ans_7c9e6679f2b44f1ea1d0c5b84d3f6a20 --helpful",
            "semsearch feedback ans_7c9e6679f2b44f1ea1d0c5b84d3f6a20 --not-helpful --wrong-marker 2 --right-chunk 17",
        ),
        (_DATA_DIR, "SEMSEARCH_KEEP_DAYS"),
        (0, 2, 3, 4, 7),
    ),
    "feedback export": VerbHelp(
        (
            "semsearch feedback export judged.jsonl -c handbook",
            "semsearch feedback export judged.jsonl --all-owners --held-out 0.3",
        ),
        (_DATA_DIR, "SEMSEARCH_KEEP_DAYS"),
        (0, 2, 3, 4, 7),
    ),
    "approve": VerbHelp(
        (
            f"semsearch approve {_ANSWER}",
            f"semsearch approve {_ANSWER} --question 'How long is parental leave?' --answer 'Half a year [1].'",
            "semsearch approve list -c handbook",
        ),
        (_DATA_DIR, "SEMSEARCH_KEEP_DAYS"),
        (0, 2, 3, 4, 7),
    ),
    "feedback review": VerbHelp(
        ("semsearch feedback review judged.jsonl", "semsearch feedback review judged.jsonl --accept agreed"),
        (),
        (0, 2, 3, 7, 130),
    ),
    "gaps": VerbHelp(
        ("semsearch gaps -c handbook", "semsearch gaps --since 2026-11-01 --verify"),
        (_DATA_DIR, "SEMSEARCH_KEEP_DAYS"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "gaps report": VerbHelp(
        ("semsearch gaps report -c handbook --since 2026-11-01",), (_DATA_DIR, "SEMSEARCH_KEEP_DAYS")
    ),
    "finetune": VerbHelp(
        (
            "semsearch finetune export training/",
            "semsearch finetune submit training/chat.train.jsonl --model gpt-4.1-mini",
        ),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__BASE_URL"),
        (0, 1, 2, 3, 4, 5, 6, 7),
    ),
    "finetune export": VerbHelp(
        (
            "semsearch finetune export training/",
            "semsearch finetune export training/ --kind chat --since 2026-10-01 --mask",
        ),
        (_DATA_DIR, "SEMSEARCH_CHAT__MODEL", "SEMSEARCH_CHAT__SYSTEM", "SEMSEARCH_CHAT__PROMPT_FILE"),
        (0, 1, 2, 3, 4, 5, 7),
    ),
    "finetune submit": VerbHelp(
        ("semsearch finetune submit training/chat.train.jsonl --model gpt-4.1-mini --epochs 2",),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__BASE_URL", "SEMSEARCH_BUDGET__DAY_USD"),
        (0, 2, 3, 4, 5, 6, 7),
    ),
    "finetune status": VerbHelp(
        ("semsearch finetune status", "semsearch finetune status ftjob-abc123"),
        (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__BASE_URL"),
        (0, 3, 4, 5, 6, 7),
    ),
    "finetune cancel": VerbHelp(
        ("semsearch finetune cancel ftjob-abc123",), (_DATA_DIR, _KEY, "SEMSEARCH_CHAT__BASE_URL"), (0, 3, 4, 5, 6, 7)
    ),
    "finetune use": VerbHelp(
        ("semsearch finetune use ftjob-abc123 --profile support",), ("SEMSEARCH_CHAT__MODEL",), (0, 2, 3, 4, 6, 7)
    ),
    "approve answer": VerbHelp((f"semsearch approve {_ANSWER}",), (_DATA_DIR,), (0, 2, 3, 4, 7)),
    "approve list": VerbHelp(("semsearch approve list -c handbook --json",), (_DATA_DIR,)),
    "approve remove": VerbHelp((f"semsearch approve remove {_ANSWER}",), (_DATA_DIR,)),
    "verify-answers": VerbHelp(("semsearch verify-answers -c handbook",), (_DATA_DIR,), (0, 1, 2, 3, 4, 7)),
    "config": VerbHelp(("semsearch config", "semsearch config trust"), ("SEMSEARCH_CONFIG",), (0, 2, 6, 7)),
    "config trust": VerbHelp(("semsearch config trust semsearch.toml",), ("SEMSEARCH_CONFIG",), (0, 2, 3, 7)),
    "doctor": VerbHelp(("semsearch doctor", "semsearch doctor --offline --json"), (_DATA_DIR,), (0, 1, 2)),
    "config prompt": VerbHelp(
        ("semsearch config prompt", "semsearch config prompt --profile support --json"),
        ("SEMSEARCH_CHAT__PROMPT_FILE",),
        (0, 2, 5),
    ),
    "config plugins": VerbHelp(("semsearch config plugins --json",), (), (0, 2)),
}


def add_epilogs(command: click.Command, name: str = "") -> None:
    """Set the end of the help of a command and of its subcommands."""
    if (verb_help := VERB_HELP.get(name)) is not None:
        command.epilog = format_epilog(verb_help)
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            add_epilogs(subcommand, f"{name} {subcommand.name}".strip())


def format_epilog(verb_help: VerbHelp) -> str:
    """Return paragraphs for click, which keeps the lines behind a backspace as they are."""
    examples = "\n".join(f"  {example}" for example in verb_help.examples)
    codes = ", ".join(f"{code} {EXIT_MEANINGS[code]}" for code in verb_help.exit_codes)
    settings = f"Settings: {', '.join(verb_help.settings)}" if verb_help.settings else ""
    return "\n\n".join(filter(None, [f"\b\nExamples:\n{examples}", settings, f"Exit codes: {codes}"]))
