"""The command line: what each command prints on stdout and stderr, and its exit code."""

import errno
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from support.command_line import run_command
from support.upstream import run_upstream

from semsearch.core.types.answer_requests import NO_ANSWER_TEXT
from semsearch.core.types.answers import NoAnswerReason
from semsearch.core.types.documents import IngestReport
from semsearch.core.types.usage import IngestEstimate, TokenEstimate
from semsearch.interfaces.cli import output
from semsearch.interfaces.cli.commands import cli
from semsearch.interfaces.cli.exit_codes import EXIT
from semsearch.interfaces.cli.help import VERB_HELP
from semsearch.interfaces.cli.main import main
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.usefixtures("shared_readers")

Run = Callable[..., "Result"]


class Result:
    """Exit code and output of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The output, parsed as JSON."""
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `semsearch ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return Result(exit_info.value.code, out, err)

    return command


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with two short documents."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    (folder / "travel.md").write_text("# Travel\n\nA hotel room is paid up to 140 euros a night.\n")
    return folder


def test_ingest_and_ask(run: Run, docs: Path) -> None:
    """After `ingest`, `ask` prints an answer with a citation; the collection is in ./indexes."""
    ingested = run("ingest", "docs/")
    assert (ingested.code, ingested.err) == (0, "")
    assert re.fullmatch(r"2 added; embedded 2 of 2 chunks in \d+\.\d s\n", ingested.out)
    answer = run("ask", "How long is parental leave?")
    assert answer.code == 0
    assert answer.out.startswith(
        "Best excerpt\nParental leave is 26 weeks at full pay for each parent.\n\n[1] docs/leave.md › Leave"
    )
    assert ", characters 7–62\n\nClosest passages\ndocs/travel.md › Travel" in answer.out
    assert (docs.parent / "indexes" / "default" / "catalog.db").is_file()


def list_commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    """Yield the names of all commands and subcommands, such as `collections create`."""
    for name, command in group.commands.items():
        yield f"{prefix}{name}"
        if isinstance(command, click.Group):
            yield from list_commands(command, f"{prefix}{name} ")


REPORT = set("added updated unchanged removed chunks embedded_chunks failures usage seconds plan".split())
HIT = set("chunk_id uri title heading page start end text score metadata sentence explanation".split())
ANSWER = set("id kind answer answered confidence passages reason sentences citations hits usage model warnings".split())
LEAVE = "docs/leave.md"
ANSWER_ID = "the id of the answer"
"""Stands for the id in the output of `ask`."""
KEY_ID = "the id of the key"
"""Stands for the id in the output of `keys create`."""

COMMANDS: list[tuple[str, list[str], Callable[[Any], object], object]] = [
    ("ingest", ["docs", "--metadata", "team=hr", "--metadata", "year=2025"], lambda out: set(out) >= REPORT, True),
    ("search", ["parental leave"], lambda out: (set(out), set(out["hits"][0])), ({"hits", "took_ms"}, HIT)),
    ("recommend", [LEAVE], lambda out: [(hit["uri"], set(hit)) for hit in out["hits"]], [("docs/travel.md", HIT)]),
    ("similar", [LEAVE], lambda out: [hit["uri"] for hit in out["hits"]], ["docs/travel.md"]),
    ("ask", ["How long is parental leave?"], lambda out: set(out) >= ANSWER, True),
    ("doctor", ["--offline"], lambda out: (out["problems"], "findings" in out), (0, True)),
    ("keys", [], lambda out: out, []),
    ("keys create", ["box"], lambda out: (out["name"], out["key"][:3]), ("box", "sk_")),
    ("keys list", [], lambda out: [set(key) >= {"id", "owner", "scopes"} for key in out], [True]),
    ("keys rotate", [KEY_ID], lambda out: out["key"][:3], "sk_"),
    ("keys revoke", [KEY_ID], lambda out: out["revoked"][-1], "Z"),
    ("feedback", [ANSWER_ID, "--helpful"], lambda out: (out["helpful"], out["created"][-1]), (True, "Z")),
    ("feedback add", [ANSWER_ID, "--wrong-marker", "1"], lambda out: out["wrong_marker"], 1),
    ("feedback add", [ANSWER_ID, "--right-chunk", "1"], lambda out: out["right_chunk_id"], 1),
    ("feedback export", ["judged.jsonl"], lambda out: (out["questions"], out["training"] + out["held_out"]), (1, 1)),
    ("feedback review", ["judged.jsonl", "--accept", "all"], lambda out: (out["reviewed"], out["left"]), (1, 0)),
    ("gaps", [], lambda out: [(gap["reason"], gap["first"][-1]) for gap in out["gaps"]], [("wrong_citation", "Z")]),
    ("gaps report", [], lambda out: [(row["topic"], row["answered"]) for row in out["rows"]], [("docs", 1)]),
    ("finetune", [], lambda out: out, []),
    ("finetune export", ["out", "--kind", "embedding"], lambda out: (out["answers"], len(out["files"])), (1, 2)),
    ("finetune status", [], lambda out: out, []),
    ("approve answer", [ANSWER_ID], lambda out: (out["stale"], out["approved"][-1]), (False, "Z")),
    ("approve", [], lambda out: [approved["owner"] for approved in out["approved"]], ["local"]),
    ("approve list", [], lambda out: [approved["reason"] for approved in out["approved"]], [None]),
    ("verify-answers", [], lambda out: out, {"collection": "default", "checked": 1, "stale": []}),
    ("approve remove", [ANSWER_ID], lambda out: out["removed"][:4], "ans_"),
    ("documents", [], lambda out: [row["uri"] for row in out], [LEAVE, "docs/travel.md"]),
    ("show", [LEAVE], lambda out: (out["uri"], out["metadata"]), (LEAVE, {"team": "hr", "year": 2025})),
    ("collections", [], lambda out: out, [{"name": "default", "embedder": "local", "documents": 2, "chunks": 2}]),
    ("collections create", ["new"], lambda out: (out["name"], out["documents"]), ("new", 0)),
    ("collections delete", ["new", "--yes"], lambda out: out, {"deleted": "new"}),
    ("reindex", [], lambda out: out["chunks"], 2),
    ("eval", ["questions.jsonl"], lambda out: (out["means"]["ndcg"], len(out["outcomes"])), (1.0, 1)),
    ("config trust", ["my.toml"], lambda out: out["settings"], {"chat.base_url": "http://127.0.0.1:9/v1"}),
    ("config", [], lambda out: set(out[0]), {"name", "variable", "value", "source", "origin", "is_used"}),
    ("config plugins", [], lambda out: out, []),
    ("config prompt", [], lambda out: out["version"].partition("@")[0], "default-3"),
    ("init", ["--server", "none"], lambda out: (out["written"], out["embedder"]), (True, "local")),
    (
        "finetune use",
        ["ft:m", "--profile", "support", "--yes"],
        lambda out: (out["model"], out["is_used"]),
        ("ft:m", 1),
    ),
    ("usage", [], lambda out: out, {"by": "day", "rows": [], "budget": [], "rate_limits": []}),
    ("remove", [LEAVE], lambda out: out, {"removed": [LEAVE], "missing": []}),
]
"""Each command with its arguments, a function of its JSON output, and the expected value of that function."""


def keep_own_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `init`, `finetune use` and `config trust` write below a folder of the test."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(folder))


@pytest.mark.slow
def test_every_command_prints_json(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json a command prints one JSON value with the documented fields; `serve` prints no result."""
    keep_own_settings(docs.parent / "own", monkeypatch)
    (docs.parent / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    (docs.parent / "my.toml").write_text("[chat]\nbase_url = 'http://127.0.0.1:9/v1'\n")
    ids = {ANSWER_ID: "", KEY_ID: ""}
    for command, arguments, get_value, expected in COMMANDS:
        result = run(*command.split(), *(ids.get(each, each) for each in arguments), "--json")
        if command in ("ask", "keys create"):
            ids[ANSWER_ID if command == "ask" else KEY_ID] = result.json["id"]
        assert (result.code, command, get_value(result.json)) == (0, command, expected)
    needs_server = {"finetune submit", "finetune cancel"}  # in test_finetune.py
    assert {command for command, *_ in COMMANDS} == {*list_commands(cli)} - {"serve"} - needs_server


def test_json_flag_before_and_after_the_command(run: Run, docs: Path) -> None:
    """--json works in both places; filters are JSON or pairs; citation offsets count the characters of `show`."""
    run("ingest", "docs", "--metadata", "team=hr", "--metadata", "year=2025")
    result = run("--json", "search", "leave", "--filter", "team=hr", "--filter", '{"year": {"$gte": 2024}}')
    assert result.json["hits"][0]["metadata"] == {"team": "hr", "year": 2025}
    citation = run("--json", "ask", "How long is parental leave?").json["citations"][0]
    text = run("show", "--json", citation["uri"]).json["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"]


HINT = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"


def test_ask_warns_once_about_a_key_without_a_chat_model(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning is on stderr with text and with JSON; the JSON contains it too. `search` does not warn."""
    run("ingest", "docs")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    as_text = run("ask", "How long is parental leave?")
    assert (as_text.code, as_text.err) == (0, f"semsearch: {HINT}\n")
    assert "OPENAI_API_KEY" not in as_text.out
    as_json = run("ask", "How long is parental leave?", "--json")
    assert (as_json.json["warnings"], as_json.err) == ([HINT], f"semsearch: {HINT}\n")
    (docs.parent / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    assert run("search", "hotel").err == run("eval", "questions.jsonl").err == ""
    assert run("eval", "questions.jsonl", "--ask").err == f"semsearch: {HINT}\n"


def test_answer_that_cites_nothing_says_so_with_a_remedy(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never says that the documents hold no answer; every reason has a message."""
    assert output._NO_ANSWER_MESSAGES.keys() == set(get_args(NoAnswerReason)) - {"low_score"}  # the heading says it
    run("ingest", str(docs))
    with run_upstream() as upstream:
        upstream.answer = lambda messages: "Many employers grant around half a year, depending on local law."
        monkeypatch.setenv("SEMSEARCH_CHAT__BASE_URL", upstream.url)
        monkeypatch.setenv("SEMSEARCH_CHAT__MODEL", "small")
        out = run("ask", "How long is parental leave?").out
    assert "did not cite in the required form" in out
    assert "--policy off" in out
    assert "found no answer" not in out


def test_ask_with_a_chat_model_does_not_warn(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chat model can come from --model or from the settings."""
    run("ingest", "docs")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with_option = run("ask", "How long is parental leave?", "--model", "m", "--json")
    assert (with_option.err, len(with_option.json["warnings"])) == ("", 1)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # gets no request: no document matches
    monkeypatch.setenv("SEMSEARCH_CHAT__MODEL", "m")
    with_setting = run("ask", "Which galaxy is nearest?", "--json")
    assert (with_setting.err, with_setting.json["model"], with_setting.json["warnings"]) == ("", "m", [])


def test_text_output(run: Run, docs: Path) -> None:
    """Without --json the commands print tables and lines of text."""
    run("ingest", "docs")
    assert run("documents").out.splitlines()[0].split() == ["document", "type", "chunks", "characters"]
    assert run("collections").out.splitlines()[1].split() == ["default", "local", "2", "2"]
    assert "140 euros" in run("search", "hotel").out
    assert run("show", "docs/travel.md").out == "Travel\n\nA hotel room is paid up to 140 euros a night.\n"
    assert run("remove", "docs/travel.md").out == "removed 1 document\n"
    assert run("ask", "Which galaxy is nearest?").out.startswith(
        "Closest passages; none clearly answers this\ndocs/leave.md"
    )


def test_an_excerpt_is_printed_as_it_is_stored(run: Run, docs: Path) -> None:
    """Below it are the place it is copied from, and the closest other passages."""
    code = "for lamp in lamps:\n    if lamp.is_lit:\n        lamp.put_out()"
    (docs / "lamp.md").write_text(f"# Lamps\n\nTo put out every lamp in the morning, run this:\n\n```\n{code}\n```\n")
    run("ingest", "docs")
    printed = run("ask", "How do I put out every lamp in the morning?").out
    assert printed.startswith(
        f"Best excerpt\nTo put out every lamp in the morning, run this:\n\n{code}\n\n[1] docs/lamp.md"
    )
    assert "\n\nClosest passages\ndocs/" in printed
    assert "\n    »" in printed


QUESTIONS_AND_CODES = [("How long is parental leave?", 0), ("Which galaxy is nearest?", 3)]


@pytest.mark.parametrize("flags", [[], ["--json"], ["--profile", "assistant"]])
@pytest.mark.parametrize(("question", "code"), QUESTIONS_AND_CODES)
def test_required_answer_is_an_exit_code(run: Run, docs: Path, question: str, code: int, flags: list[str]) -> None:
    """The output is the same, with an answer or without; without the flag the code is 0."""
    run("ingest", "docs")
    usual, required = (run("ask", question, *flags, *more) for more in ([], ["--require-answer"]))
    assert (usual.code, required.code) == (0, code)
    if "--json" not in flags:
        assert usual.out == required.out


def test_profile_text_is_printed_before_the_closest_passages(run: Run, docs: Path) -> None:
    """It is printed once."""
    run("ingest", "docs")
    printed = run("ask", "Which galaxy is nearest?", "--profile", "assistant").out
    assert printed.startswith(f"{NO_ANSWER_TEXT}\n\nClosest passages; none clearly answers this\ndocs/")
    assert printed.count(NO_ANSWER_TEXT) == 1


def test_collections_are_created_listed_and_deleted(run: Run) -> None:
    """A created collection is listed until it is deleted."""
    assert run("collections", "create", "notes").code == 0
    assert "notes" in run("collections").out
    assert run("collections", "delete", "notes", "--yes", "--json").json == {"deleted": "notes"}
    assert run("collections", "--json").json == []


def test_a_damaged_collection_is_reported_and_the_others_are_listed(run: Run, tmp_path: Path) -> None:
    """The exit code is 1, and stderr names the damaged collection."""
    run("collections", "create", "damaged")
    run("collections", "create", "notes")
    (tmp_path / "indexes" / "damaged" / "catalog.db").write_bytes(b"not a database, but as long as one" * 100)
    result = run("collections", "--json")
    assert (result.code, [row["name"] for row in result.json]) == (1, ["notes"])
    assert result.err.startswith("failed: damaged: ")
    assert run("collections", "create", "more").code == 0


def test_dash_reads_stdin(run: Run, docs: Path) -> None:
    """`-` reads a document, a question or a query; a document needs --uri, and no other path."""
    assert run("ingest", "-", "--uri", "notes/today.md", stdin=b"# Today\n\nThe lamp was mended.").code == 0
    assert "mended" in run("search", "-", stdin=b"lamp").out
    assert "mended" in run("ask", "-", stdin=b"What was mended with the lamp?\n").out
    assert run("ingest", "-", stdin=b"x").code == 2
    assert run("ingest", "-", "docs", "--uri", "x", stdin=b"x").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ask", "x"], 3, "there is no collection 'default'; make one: semsearch ingest PATH"),
        (["search", "x", "-c", "nowhere"], 3, "semsearch ingest PATH"),
        (["ingest", "nowhere"], 3, "nowhere does not exist"),
        (["ingest", "docs", "-c", "Bad Name"], 2, "cannot name a collection"),
        (["ingest", "docs", "--embedder", "bert"], 2, "unknown embedder 'bert'"),
        (["ingest", "docs", "--metadata", "novalue"], 2, "key=value"),
        (["ingest", "docs", "--metadata", "=x"], 2, "the name of a field must have 1 to"),
        (["ingest", "docs", "--metadata", 'x={"a": 1}'], 2, "metadata 'x'"),
        (["ingest", "docs", "--metadata", "x=NaN"], 2, "NaN is not JSON"),
        (["ingest", ""], 2, "a path is empty"),
        (["ingest", "docs", "--batch"], 2, "--batch needs an embedder of the OpenAI API"),
        (["collections", "create", "x", "--embedder", "onnx:nowhere"], 3, "nowhere does not exist"),
        (["ingest"], 2, "Missing argument"),
        (["frobnicate"], 2, "No such command"),
        (["serve", "--host", "0.0.0.0"], 6, "127.0.0.1"),
        (["serve", "--host", "0.0.0.0", "--allowed-host", "a.example"], 6, "semsearch keys create NAME"),
        (["serve", "--allowed-host", "https://a.example"], 2, "--allowed-host: 'https://a.example' is not the name"),
        (["serve", "--port", "x"], 2, "not a valid integer"),
    ],
)
def test_errors_have_a_message_and_an_exit_code(
    run: Run, docs: Path, arguments: list[str], code: int, message: str
) -> None:
    """Stdout is empty; stderr has one message with the remedy and no traceback."""
    result = run(*arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_errors_of_an_existing_collection(run: Run, docs: Path) -> None:
    """Missing documents, invalid queries and filters, and another embedder are refused."""
    run("ingest", "docs")
    assert run("show", "docs/nothing.md").code == 3
    assert "list them: semsearch documents" in run("show", "docs/nothing.md").err
    assert run("remove", "docs/nothing.md").code == 3
    assert "list them: semsearch documents -c default" in run("remove", "docs/nothing.md").err
    assert run("search", " ").code == 2
    assert run("search", "x", "-k", "0").code == 2
    assert run("search", "x", "--filter", "{bad").code == 2
    assert run("search", "x", "--filter", '{"year": 2024, "year": 1}').code == 2
    assert run("search", "x", "--filter", '{"year": NaN}').code == 2
    assert run("search", "x", "--filter", '{"a": {"$bad": 1}}').code == 2
    assert run("ingest", "docs", "--embedder", "openai:text-embedding-3-small").code == 4


def test_misspelled_names_get_a_suggestion(run: Run, docs: Path) -> None:
    """Names of collections, verbs and options; a name that no other resembles gets the command that makes it."""
    run("ingest", "docs", "-c", "python")
    for arguments, suggestion in (
        (["search", "x", "-c", "pyhton"], "there is no collection 'pyhton'; did you mean 'python'?"),
        (["serach", "x"], "Did you mean 'search'?"),
        (["search", "x", "--mdoe", "dense"], "Did you mean '--mode'?"),
        (["search", "x", "-c", "handbook"], "make one: semsearch ingest PATH -c handbook"),
    ):
        assert suggestion in run(*arguments).err


def test_messages_at_the_shell_name_no_routes(run: Run, docs: Path) -> None:
    """Each error names the command that helps."""
    run("ingest", "docs")
    for arguments, command in (
        (["ask", "x", "--session", "ses_0"], "semsearch ask QUESTION --session new"),
        (["show", "nothing"], "semsearch documents -c default"),
        (["search", "x", "-c", "none"], "semsearch ingest PATH -c none"),
    ):
        message = run(*arguments).err
        assert command in message
        assert "/v1" not in message


def test_failed_inputs_are_named_and_the_others_are_stored(run: Run, docs: Path) -> None:
    """Stderr names each failure, and the exit code is 1."""
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (docs / "empty.md").write_bytes(b"")
    result = run("ingest", "docs")
    assert result.code == 1
    assert "2 added" in result.out
    assert "2 failed" in result.out
    assert "failed: docs/broken.pdf: " in result.err
    assert "failed: docs/empty.md: " in result.err


def test_the_report_states_that_nothing_was_stored(run: Run, docs: Path) -> None:
    """If all inputs failed, the report begins with `nothing was stored`."""
    (docs / "empty.md").write_bytes(b"")
    assert run("ingest", "docs/empty.md", "--dry-run").out.startswith(
        "nothing would be stored; would embed 0 of 0 chunks"
    )
    result = run("ingest", "docs/empty.md")
    assert result.code == 1
    assert re.fullmatch(r"nothing was stored; embedded 0 of 0 chunks in \d+\.\d s; 1 failed\n", result.out)


@pytest.mark.parametrize(
    ("texts", "usd", "line"),
    [
        (1, None, "1 text in 1 request: likely 9 tokens, at most 20; cost unknown: add the price of the model to"),
        (2, 0.5, "2 texts in 1 request: likely 9 tokens, at most 20; likely 0.5 USD, at most 0.5 USD; time 3 s"),
    ],
)
def test_an_estimate_as_text(texts: int, usd: float | None, line: str) -> None:
    """An unknown cost comes with the remedy."""
    plan = IngestEstimate(texts, 1, TokenEstimate(9, 20), usd, usd, 3.0)
    assert output.format_report(IngestReport(plan=plan), dry_run=True).splitlines()[-1].startswith(line)


def test_a_refused_ingest_creates_no_collection(run: Run, docs: Path) -> None:
    """The embedder of a collection cannot be changed, so a refused one must not create it."""
    assert run("ingest", "docs", "--batch").code == 2
    assert run("collections", "--json").json == []


def test_the_data_directory_is_not_ingested(run: Run, docs: Path) -> None:
    """If a folder above the data directory is ingested, the files of the library are skipped."""
    run("collections", "create", "notes")
    for _ in range(2):
        result = run("ingest", ".", "--root", "all")
        assert (result.code, result.err) == (0, "")
    assert [row["uri"] for row in run("documents", "--json").json] == ["all/docs/leave.md", "all/docs/travel.md"]


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
@pytest.mark.parametrize(
    "command",
    [
        name
        for name in list_commands(cli)
        if name.split()[0] not in ("config", "doctor", "init")
        # needs no data directory, or first a server
        and name not in ("feedback review", "finetune submit", "finetune cancel")
    ],
)
def test_a_data_directory_that_is_a_file_is_an_error(
    run: Run, docs: Path, tmp_path: Path, command: str, data_dir: str
) -> None:
    """Every command names it and does nothing else; for `doctor` it is a finding."""
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    arguments_by_command = {name: arguments for name, arguments, *_ in COMMANDS}
    result = run("--data-dir", data_dir, *command.split(), *arguments_by_command.get(command, []))
    assert (result.code, result.out) == (7, "")
    assert f"the data directory {tmp_path / data_dir}" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("file", ["ledger.db", "default/catalog.db"])
def test_data_of_a_newer_version_ends_with_an_exit_code_of_the_help(
    run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """Each verb that reads the file exits with 4, and its help says that it may."""
    keep_own_settings(docs.parent / "own", monkeypatch)
    (docs.parent / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    (docs.parent / "my.toml").write_text("")
    run("ingest", "docs")
    run("ask", "How long is parental leave?")
    with closing(sqlite3.connect(docs.parent / "indexes" / file)) as db:
        db.execute("PRAGMA user_version = 99")
    codes = {}
    for command, arguments, *_ in COMMANDS:
        result = run(*command.split(), *arguments)
        codes[command] = result.code
        assert result.code in VERB_HELP[command].exit_codes, (command, result.err)
    assert sum(code == 4 for code in codes.values()) >= 10, codes


def test_a_very_narrow_terminal(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands also print with four columns."""
    monkeypatch.setenv("COLUMNS", "4")
    run("ingest", "docs")
    for arguments in (["search", "hotel"], ["ask", "How much is a hotel room?"], ["usage"]):
        assert run(*arguments).code == 0


def test_prune_and_dry_run(run: Run, docs: Path) -> None:
    """--dry-run reports and creates nothing, not even a folder; --prune of most documents needs --yes."""
    assert "would embed 2 of 2" in run("ingest", "docs", "--dry-run").out
    assert not (docs.parent / "indexes").exists()
    for n in range(6):
        (docs / f"{n}.txt").write_text(f"Note {n} on lamps.")
    run("ingest", "docs")
    for path in docs.glob("*.txt"):
        path.unlink()
    refused = run("ingest", "docs", "--prune")
    assert refused.code == 6
    assert "--yes" in refused.err
    assert "6 removed" in run("ingest", "docs", "--prune", "--yes").out


def test_a_second_ingest_names_the_process_that_holds_the_lock(run: Run, docs: Path) -> None:
    """While one process ingests, another exits with 4 and prints the process id of the first."""
    from semsearch.core.file_locks import hold_lock

    run("ingest", "docs")
    with hold_lock(docs.parent / "indexes" / "default" / "job.lock", wait_seconds=0, operation="test"):
        result = run("ingest", "docs")
    assert result.code == 4
    assert str(os.getpid()) in result.err


def test_a_port_in_use_is_a_conflict(run: Run) -> None:
    """`serve` exits with 4 and names the port; it has warned before that every name is accepted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = str(listening.getsockname()[1])
        result = run("serve", "--port", port, "--allowed-host", "*")
    assert result.code == 4
    assert port in result.err
    assert "warning: the allowed host '*' accepts every name" in result.err


def test_every_error_has_an_exit_code() -> None:
    """The table has exactly the names of the error classes."""
    from semsearch.core import errors

    names = {cls.name for cls in errors.SemsearchError.__subclasses__()}
    assert names == set(EXIT)


def test_no_progress_bar_and_no_colour_without_a_terminal(run: Run, docs: Path) -> None:
    """Piped output contains no escape sequence."""
    result = run("ingest", "docs")
    assert "\x1b" not in result.out + result.err


@pytest.mark.slow
def test_a_progress_bar_on_a_terminal(docs: Path) -> None:
    """If stderr is a terminal, the bar is on stderr, and stdout has the report only."""
    import pty

    master, slave = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(docs.parent / "ix"), "ingest", str(docs)]
    completed = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, env=environ, check=True, timeout=60)
    os.close(slave)
    terminal_output = os.read(master, 65536).decode()
    os.close(master)
    assert "ingesting" in terminal_output
    assert b"2 added" in completed.stdout


def test_escape_sequences_of_a_document_are_not_printed(run: Run, docs: Path) -> None:
    """A document cannot control the terminal."""
    (docs / "evil.txt").write_bytes(b"The lamp \x1b]0;title\x07\x1b[31m is red.")
    run("ingest", "docs")
    for arguments in (["search", "lamp red"], ["show", "docs/evil.txt"], ["ask", "Which colour is the lamp?"]):
        assert "\x1b" not in run(*arguments).out


@pytest.mark.slow
def test_the_ingest_script_is_the_ingest_command(docs: Path) -> None:
    """scripts/ingest.py takes the arguments of `semsearch ingest`."""
    script = Path(__file__).parents[3] / "scripts" / "ingest.py"
    command = [sys.executable, str(script), str(docs), "--data-dir", str(docs.parent / "ix"), "--json"]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["added"] == 2


def test_the_default_number_of_hits_is_that_of_the_help(run: Run, tmp_path: Path) -> None:
    """Without -k and profile an answer uses as many hits as `ask --help` states; -k overrides it."""
    lamps = tmp_path / "lamps"
    lamps.mkdir()
    for number in range(30):
        (lamps / f"{number}.txt").write_text(
            f"The lamp of tower {number} burns {number + 3} litres of oil in a night.\n"
        )
    assert run("ingest", "lamps").code == 0
    (default_k,) = re.findall(r"of the profile, else (\d+)\)", " ".join(run("ask", "--help").out.split()))
    assert len(run("ask", "How much oil does a lamp burn?", "--json").json["hits"]) == int(default_k)
    assert len(run("ask", "How much oil does a lamp burn?", "-k", "3", "--json").json["hits"]) == 3


@pytest.fixture(scope="module")
def big_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a collection of one long document."""
    folder = tmp_path_factory.mktemp("big")
    (folder / "big.txt").write_text("The lamp is in the tower.\n" * 8_000)
    assert run_command(["ingest", "big.txt"], folder=folder, environ=os.environ).returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["search lamp", "ask lamp?", "show big.txt", "documents", "ingest big.txt"])
def test_a_full_output_is_an_error_and_a_closed_pipe_is_not(big_folder: Path, arguments: str) -> None:
    """A full device gives one line and exit code 7; a pipe that the reader has closed gives exit code 0."""
    command, pipe = [sys.executable, "-m", "semsearch", *arguments.split()], subprocess.PIPE
    with open("/dev/full", "wb") as full:
        completed = subprocess.run(
            command, stdout=full, stderr=pipe, text=True, cwd=big_folder, timeout=30, check=False
        )
    assert completed.returncode == 7
    assert completed.stderr == "semsearch: the output cannot be written: No space left on device\n"
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=big_folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_a_lost_wal_file_is_an_error_until_the_loss_is_accepted(run: Run, docs: Path) -> None:
    """`reindex --accept-loss` sets the commit number and rebuilds the index of the remaining documents."""
    assert run("ingest", "docs/").code == 0
    folder = docs.parent / "indexes" / "default"
    with closing(LocalStore(folder)) as store:
        store.remove(["docs/leave.md"])
        shutil.copytree(folder, folder.with_name("killed"))
    (folder.with_name("killed") / "catalog.db-wal").unlink()
    for arguments in (["documents"], ["search", "leave"], ["reindex"], ["ingest", "docs/"]):
        result = run(*arguments, "-c", "killed")
        assert (result.code, result.out) == (7, "")
        assert re.search(
            r"at commit \d+, but commit\.seq is at \d+: .*semsearch reindex --accept-loss -c killed", result.err
        )
    assert run("reindex", "--accept-loss", "-c", "killed").code == 0
    assert "docs/leave.md" in run("documents", "-c", "killed").out


def test_a_failed_sync_of_the_data_directory_is_an_error(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that sync a crash could lose the folder of a new collection: the first ingest exits with 7."""
    fsync = os.fsync

    def fail_for_data_directory(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) == docs.parent / "indexes":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_data_directory)
    result = run("ingest", "docs/")
    assert result.code == 7
    assert "added" not in result.out


@pytest.mark.parametrize(("sync", "file"), [("fdatasync", "commit.seq"), ("fsync", "default")])
def test_the_report_is_true_if_a_sync_fails_after_the_commit(
    run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch, sync: str, file: str
) -> None:
    """It names neither the document as added nor that nothing was stored: `documents` lists it."""
    run("ingest", "docs/")
    (docs / "remote.md").write_text("Remote work is allowed on two days a week.")
    real_sync = getattr(os, sync)

    def fail_for_file(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).name == file:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real_sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, sync, fail_for_file)
        result = run("ingest", "docs/")
    assert result.code == 7
    assert re.fullmatch(
        r"2 unchanged; the last documents may be stored: run the command again; embedded 1 chunk in \d+\.\d s\n",
        result.out,
    )
    assert os.strerror(errno.EIO) in result.err
    assert "docs/remote.md" in run("documents").out
    assert "3 unchanged" in run("ingest", "docs/").out
