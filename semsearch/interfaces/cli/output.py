"""Results as text for people. Decides nothing; programs take --json."""

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress

import click

from ...answers.answerers import UNUSED_KEY_WARNING
from ...core.errors import StorageError
from ...core.types.answers import Answer, AnswerEvent, Citation, Delta
from ...core.types.documents import CollectionInfo, DocumentInfo, Failure, IngestReport
from ...core.types.search import Hit
from ...core.types.usage import IngestEstimate

MAX_WIDTH = 100
MIN_WIDTH = 20

_NO_ANSWER_MESSAGES = {
    "empty_collection": "The collection is empty: fill it with semsearch ingest PATH.",
    "no_match": "Nothing in the collection fits the question.",
    "low_score": "The documents do not seem to hold the answer.",
    "unsupported": "The model found no answer in the documents.",
}


def print_out(text: str, *, nl: bool = True) -> bool:
    """Print a result, and say whether anybody reads on: a closed pipe is no failure. Storage where there is no room."""
    try:
        click.echo(text, nl=nl)
    except OSError as exc:
        with open(os.devnull, "wb") as nowhere:  # what is buffered would fail once more when the process ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if exc.errno != errno.EPIPE:
            raise StorageError(f"the output cannot be written: {exc.strerror}") from exc
        return False
    return True


def print_err(text: str, *, nl: bool = True) -> None:
    """Say something besides the result; who has closed or filled stderr is not told."""
    with suppress(OSError):
        click.echo(text, nl=nl, err=True)


def format_hits(items: Sequence[Hit]) -> str:
    """One paragraph for each hit."""
    if not items:
        return "no hits"
    return "\n\n".join(
        f"{number}. {_format_location(hit)}  {hit.score:.3f}\n{_format_hit(hit)}" for number, hit in enumerate(items, 1)
    )


def _format_hit(hit: Hit) -> str:
    """The sentence that people look for first, and how the hit was ranked."""
    lines = [_format_quote(hit.sentence.text if hit.sentence else hit.text, 3)]
    for query_explanation in hit.explanation or ():
        legs = [
            f"{name} {leg_rank.rank}. with {leg_rank.score:.3f}"
            for name, leg_rank in (("vectors", query_explanation.dense), ("words", query_explanation.lexical))
            if leg_rank
        ]
        fused = [] if query_explanation.fused is None else [f"together {query_explanation.fused:.3f}"]
        lines.append(f"    {'; '.join([*legs, *fused, f'best sentence {query_explanation.sentence:.3f}'])}")
    return "\n".join(lines)


def print_answer(events: Iterable[AnswerEvent]) -> None:
    """Print an answer as it comes, and then what it rests on."""
    for event in events:
        if isinstance(event, Delta) and not print_out(event.text, nl=False):
            return
        if isinstance(event, Answer):
            print_out(_format_answer_end(event))
            print_hint(event)


def print_hint(event: AnswerEvent) -> None:
    """Print on stderr what the person at the shell may want to set."""
    if isinstance(event, Answer) and UNUSED_KEY_WARNING in event.warnings:
        print_err(f"semsearch: {UNUSED_KEY_WARNING}")


def format_documents(rows: Sequence[DocumentInfo]) -> str:
    """A table of documents."""
    return format_table(
        ("document", "type", "chunks", "characters"),
        [(row.uri, row.media_type, row.chunks, row.characters) for row in rows],
    )


def format_collections(rows: Sequence[CollectionInfo]) -> str:
    """A table of collections."""
    return format_table(
        ("collection", "embedder", "documents", "chunks"),
        [(row.name, row.embedder, row.documents, row.chunks) for row in rows],
    )


def format_removed(uris: Sequence[str]) -> str:
    """What was removed."""
    return f"removed {format_count(len(uris), 'document')}"


def format_report(ingest_report: IngestReport, *, dry_run: bool) -> str:
    """What an ingestion did, or would do, in a few lines."""
    parts = [
        f"{getattr(ingest_report, name)} {name}"
        for name in ("added", "updated", "unchanged", "removed")
        if getattr(ingest_report, name)
    ]
    would = "would embed" if dry_run else "embedded"
    nothing = "nothing would be stored" if dry_run else "nothing was stored"
    line = (
        f"{', '.join(parts) or nothing}; {would} {ingest_report.embedded_chunks} of {ingest_report.chunks} chunks"
        f" in {ingest_report.seconds:.1f} s"
        + (f"; {len(ingest_report.failures)} failed" if ingest_report.failures else "")
    )
    tokens = ingest_report.usage.embedding_tokens
    return "\n".join(
        [
            line,
            *([f"{tokens:,} tokens, {_format_usd(ingest_report.usage.cost_usd)}"] if tokens else []),
            *([_format_estimate(ingest_report.plan)] if ingest_report.plan and ingest_report.plan.requests else []),
        ]
    )


def _format_estimate(estimate: IngestEstimate) -> str:
    time = "unknown" if estimate.seconds is None else f"{estimate.seconds:.0f} s"
    cost = f"likely {_format_usd(estimate.usd)}, at most {_format_usd(estimate.max_usd)}"
    if estimate.usd is None or estimate.max_usd is None:
        cost = "cost unknown, until the model's price stands in semsearch.toml"
    return (
        f"{format_count(estimate.texts, 'text')} in {format_count(estimate.requests, 'request')}: likely {estimate.tokens.expected:,} tokens,"
        f" at most {estimate.tokens.upper_bound:,}; {cost}; time {time}"
    )


def format_count(number: int, noun: str) -> str:
    """So many of them."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _format_usd(usd: float | None) -> str:
    return "unknown cost" if usd is None else f"{usd:.6f}".rstrip("0").rstrip(".") + " USD"


def format_failure(failed_input: Failure) -> str:
    """One input that failed, by name."""
    return f"failed: {failed_input.uri}: {failed_input.error}"


def _format_answer_end(given_answer: Answer) -> str:
    notes = [
        f"Note: {warning}." for warning in given_answer.warnings if warning != UNUSED_KEY_WARNING
    ]  # stderr has that one
    if given_answer.answered:
        return "\n".join(
            ["", "", *map(_format_citation, given_answer.citations), *_format_unsupported(given_answer), *notes]
        ).rstrip()
    nearest = [f"  {_format_location(hit)}" for hit in given_answer.hits[:3]]
    why = [] if given_answer.answer else [_NO_ANSWER_MESSAGES[given_answer.reason or "no_match"]]
    return "\n".join(
        [*([""] if given_answer.answer else []), *why, *(["Nearest:", *nearest] if nearest else []), *notes]
    )


def _format_unsupported(given_answer: Answer) -> list[str]:
    """The sentences that a reader should not take on trust."""
    labels = {"unsupported": "Not supported by what it cites", "partial": "Supported in part only"}
    return [f"{labels[each.support]}: “{each.text}”" for each in given_answer.sentences if each.support in labels]


def _format_citation(citation: Citation) -> str:
    return f"[{citation.marker}] {_format_location(citation)}\n{_format_quote(f'“{citation.quote}”', 4)}"


def _format_location(item: Hit | Citation) -> str:
    heading = f" › {item.heading}" if item.heading else ""
    page = f", page {item.page}" if item.page else ""
    return f"{item.uri}{heading}{page}, characters {item.start}–{item.end}"


def _format_quote(text: str, max_lines: int) -> str:
    width = max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size().columns)) - 4
    wrapped = textwrap.wrap(text, width, max_lines=max_lines, placeholder=" …")
    return textwrap.indent("\n".join(wrapped), "    ")


def format_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
