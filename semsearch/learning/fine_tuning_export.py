"""Export recorded answers and feedback as training files: collect, drop duplicates, screen, split, write."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..answers.prompt_files import Prompt, read_prompt
from ..collection import Collection
from ..core.errors import InvalidError
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.answers import Turn
from ..core.types.rated_answers import RatedAnswer
from ..core.types.usage import NANOUSD_PER_USD, TokenEstimate
from ..library import Library
from ..usage.pricing import PriceTable
from ..usage.training_costs import choose_epochs, estimate_training
from .chat_examples import build_chat_example, choose_reason
from .gaps import open_for_reports
from .recorded_sources import iter_rated_answers
from .splitting import SplitBy, split_examples
from .training_examples import Example, ExampleKind, drop_duplicates, limit_rated_examples, screen
from .training_files import (
    MIN_EXAMPLES,
    estimate_example_tokens,
    find_chat_problem,
    sum_tokens,
    write_training_files,
)
from .triplets import build_triplets


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export."""

    folder: Path
    collection: str
    kinds: tuple[ExampleKind, ...] = ("chat", "embedding")
    held_out: float = 0.1
    """Largest share of held-out examples, from 0 to 0.5."""
    since: float = 0.0
    """Answers from this time on, in seconds since 1970."""
    all_owners: bool = False
    masks: bool = False
    """Whether secrets and personal data are masked; else an example with any is left out."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file that was written."""

    path: str
    kind: ExampleKind
    examples: int
    tokens: int
    """Estimate."""


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """What a job with the chat file costs with the configured chat model."""

    model: str | None
    epochs: int
    tokens: int
    """Of all epochs."""
    usd: float | None
    """None if the price of training is unknown."""


@dataclass(slots=True)
class ExportReport:
    """What was written, and what was left out."""

    answers: int = 0
    """Recorded answers that were read."""
    files: list[ExportedFile] = field(default_factory=list)
    split_by: SplitBy = "question and document"
    duplicates: int = 0
    limited: int = 0
    """Left out because one owner had rated too many."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Answers that are no chat examples, by reason."""
    screened: dict[str, int] = field(default_factory=dict)
    """Examples with a secret or personal data, by pattern."""
    masked: bool = False
    training: TrainingEstimate | None = None
    problems: list[str] = field(default_factory=list)
    """Why a file cannot be used for a job."""


@dataclass(frozen=True, slots=True)
class _Sources:
    """What all examples of one export share."""

    library: Library
    collection: Collection
    approved_texts: Mapping[str, str]
    """By the id of the answer."""
    prompt: Prompt | None
    """Of the prompt file in the settings; None is the built-in prompt."""


def export_training_data(
    library: Library,
    options: ExportOptions,
    *,
    caller: Caller = LOCAL_CALLER,
) -> ExportReport:
    """Write the training and held-out files and return what they hold.

    Only answers of the caller are used, unless the options say all owners; ForbiddenError then without the scope
    `admin`, or if the caller has a filter. Which of them are approved is known to a caller with this scope.
    UnavailableError if chat examples need the prompt file of the settings, and it cannot be used.
    """
    if not 0 <= options.held_out <= 0.5:
        raise InvalidError(f"the share of held-out examples is between 0 and 0.5, not {options.held_out:g}")
    report = ExportReport(masked=options.masks)
    name = options.collection
    collection = open_for_reports(library, name, caller) if options.all_owners else library.open(name, caller=caller)
    prompt_file = library.settings.prompt_file
    prompt = read_prompt(prompt_file) if prompt_file is not None and "chat" in options.kinds else None
    sources = _Sources(library, collection, _load_approved_texts(collection), prompt)
    built = [
        example
        for rated in _iter_rated_answers(library, collection, options, caller)
        for example in _build_examples(sources, rated, options, report)
    ]
    unique = drop_duplicates(built)
    is_of_several = options.all_owners and library.ledger.has_several_owners()
    limited = limit_rated_examples(unique) if is_of_several else unique
    examples, screened = screen(limited, masks=options.masks)
    report.duplicates, report.limited = len(built) - len(unique), len(unique) - len(limited)
    report.screened = dict(screened)
    _write(library, examples, options, report)
    return report


def _load_approved_texts(collection: Collection) -> dict[str, str]:
    """Return the text of each intact approved answer by the id of the answer; none without the scope `admin`."""
    if "admin" not in collection.caller.scopes:
        return {}
    return {approved.id: approved.text for approved in collection.approved_answers() if not approved.is_stale}


def _iter_rated_answers(
    library: Library, collection: Collection, options: ExportOptions, caller: Caller
) -> Iterator[RatedAnswer]:
    """Yield the recorded answers from this collection, by owner and id, so that the files do not depend on the time."""
    owner = None if options.all_owners else caller.record_owner
    rated_answers = iter_rated_answers(library, collection, options.since, owner)
    yield from sorted(rated_answers, key=lambda rated: (rated.record.owner, rated.record.answer.id))


def _build_examples(
    sources: _Sources, rated: RatedAnswer, options: ExportOptions, report: ExportReport
) -> Iterator[Example]:
    report.answers += 1
    if "chat" in options.kinds:
        example = _build_chat_example(sources, rated)
        if isinstance(example, Example):
            yield example
        else:
            report.skipped[example] = report.skipped.get(example, 0) + 1
    if "embedding" in options.kinds:
        yield from build_triplets(sources.collection, rated)


def _build_chat_example(sources: _Sources, rated: RatedAnswer) -> Example | str:
    reason = choose_reason(rated, sources.approved_texts)
    if reason not in ("approved", "helpful", "supported"):
        return reason
    history = _load_history(sources.library, rated)
    if history is None:
        return "its session was deleted"
    system = sources.library.settings.system
    example = build_chat_example(sources.collection, rated.record, reason, history, system, sources.prompt)
    problem = find_chat_problem(example.data) if isinstance(example, Example) else None
    return "too long" if problem else example


def _load_history(library: Library, rated: RatedAnswer) -> Sequence[Turn] | None:
    """Return the turns before an answer, none outside a session; None if its session does not have it any more."""
    answer = rated.record.answer
    if answer.session_id is None:
        return ()
    session = library.ledger.get_session(rated.stored_owner, answer.session_id)
    ids = [turn.answer_id for turn in session.turns] if session else []
    return session.turns[: ids.index(answer.id)] if session and answer.id in ids else None


def _write(library: Library, examples: Sequence[Example], options: ExportOptions, report: ExportReport) -> None:
    """Split the examples, write a file of each kind and side, and add them to the report."""
    split = split_examples(examples, options.held_out)
    report.split_by = split.by
    files = {}
    for kind in options.kinds:
        for side, members in (("train", split.train), ("held_out", split.held_out)):
            chosen = [example for example in members if example.kind == kind]
            name = f"{kind}.{side}.jsonl"
            files[name] = b"".join(example.encode() for example in chosen)
            tokens = sum_tokens(estimate_example_tokens(example.texts) for example in chosen)
            report.files.append(ExportedFile(str(options.folder / name), kind, len(chosen), tokens.expected))
            if (kind, side) == ("chat", "train"):
                report.training = _estimate_training(library, len(chosen), tokens.expected)
                if len(chosen) < MIN_EXAMPLES:
                    report.problems.append(f"{name} has {len(chosen)} examples; a job needs {MIN_EXAMPLES} at least")
    write_training_files(options.folder, files)


def _estimate_training(library: Library, examples: int, tokens: int) -> TrainingEstimate:
    model, base_url = library.settings.chat_model, library.settings.chat.base_url
    price = PriceTable(library.settings.prices).find(base_url, model, time.time()) if model else None
    epochs = choose_epochs(examples)
    estimate = estimate_training(TokenEstimate(tokens, tokens), epochs, price)
    nanousd = estimate.expected_nanousd
    usd = None if nanousd is None else nanousd / NANOUSD_PER_USD
    return TrainingEstimate(model, epochs, estimate.tokens.expected, usd)
