"""Results as text for people. Decides nothing; programs take --json."""

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress

import click

from ...answers.answerers import UNUSED_KEY
from ...core.errors import Storage
from ...core.types.answers import Answer, Citation, Delta, Event
from ...core.types.documents import CollectionInfo, DocumentInfo, Failure, Report
from ...core.types.search import Hit
from ...core.types.usage import Plan

WIDEST = 100
NARROWEST = 20

_WHY = {
    "empty_collection": "The collection is empty: fill it with semsearch ingest PATH.",
    "no_match": "Nothing in the collection fits the question.",
    "low_score": "The documents do not seem to hold the answer.",
    "unsupported": "The model found no answer in the documents.",
}


def out(text: str, *, nl: bool = True) -> bool:
    """Print a result, and say whether anybody reads on: a closed pipe is no failure. Storage where there is no room."""
    try:
        click.echo(text, nl=nl)
    except OSError as exc:
        with open(os.devnull, "wb") as nowhere:  # what is buffered would fail once more when the process ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if exc.errno != errno.EPIPE:
            raise Storage(f"the output cannot be written: {exc.strerror}") from exc
        return False
    return True


def note(text: str, *, nl: bool = True) -> None:
    """Say something besides the result; who has closed or filled stderr is not told."""
    with suppress(OSError):
        click.echo(text, nl=nl, err=True)


def hits(found: Sequence[Hit]) -> str:
    """One paragraph for each hit."""
    if not found:
        return "no hits"
    return "\n\n".join(
        f"{number}. {_place(hit)}  {hit.score:.3f}\n{_found(hit)}" for number, hit in enumerate(found, 1)
    )


def _found(hit: Hit) -> str:
    """The sentence that people look for first, and how the hit was ranked."""
    lines = [_quoted(hit.sentence.text if hit.sentence else hit.text, 3)]
    for way in hit.explanation or ():
        legs = [
            f"{name} {place.rank}. with {place.score:.3f}"
            for name, place in (("vectors", way.dense), ("words", way.lexical))
            if place
        ]
        fused = [] if way.fused is None else [f"together {way.fused:.3f}"]
        lines.append(f"    {'; '.join([*legs, *fused, f'best sentence {way.sentence:.3f}'])}")
    return "\n".join(lines)


def answer(events: Iterable[Event]) -> None:
    """Print an answer as it comes, and then what it rests on."""
    for event in events:
        if isinstance(event, Delta) and not out(event.text, nl=False):
            return
        if isinstance(event, Answer):
            out(_rest(event))
            hint(event)


def hint(last: Event) -> None:
    """Print on stderr what the person at the shell may want to set."""
    if isinstance(last, Answer) and UNUSED_KEY in last.warnings:
        note(f"semsearch: {UNUSED_KEY}")


def documents(rows: Sequence[DocumentInfo]) -> str:
    """A table of documents."""
    return table(
        ("document", "type", "chunks", "characters"),
        [(row.uri, row.media_type, row.chunks, row.characters) for row in rows],
    )


def collections(rows: Sequence[CollectionInfo]) -> str:
    """A table of collections."""
    return table(
        ("collection", "embedder", "documents", "chunks"),
        [(row.name, row.embedder, row.documents, row.chunks) for row in rows],
    )


def removed(uris: Sequence[str]) -> str:
    """What was removed."""
    return f"removed {counted(len(uris), 'document')}"


def report(done: Report, *, dry_run: bool) -> str:
    """What an ingestion did, or would do, in a few lines."""
    parts = [
        f"{getattr(done, name)} {name}" for name in ("added", "updated", "unchanged", "removed") if getattr(done, name)
    ]
    would = "would embed" if dry_run else "embedded"
    nothing = "nothing would be stored" if dry_run else "nothing was stored"
    line = (
        f"{', '.join(parts) or nothing}; {would} {done.embedded_chunks} of {done.chunks} chunks"
        f" in {done.seconds:.1f} s" + (f"; {len(done.failures)} failed" if done.failures else "")
    )
    spent = done.usage.embedding_tokens
    return "\n".join(
        [
            line,
            *([f"{spent:,} tokens, {_dollars(done.usage.cost_usd)}"] if spent else []),
            *([_plan(done.plan)] if done.plan and done.plan.requests else []),
        ]
    )


def _plan(plan: Plan) -> str:
    time = "unknown" if plan.seconds is None else f"{plan.seconds:.0f} s"
    cost = f"likely {_dollars(plan.usd)}, at most {_dollars(plan.usd_at_most)}"
    if plan.usd is None or plan.usd_at_most is None:
        cost = "cost unknown, until the model's price stands in semsearch.toml"
    return (
        f"{counted(plan.texts, 'text')} in {counted(plan.requests, 'request')}: likely {plan.tokens.likely:,} tokens,"
        f" at most {plan.tokens.at_most:,}; {cost}; time {time}"
    )


def counted(number: int, what: str) -> str:
    """So many of them."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _dollars(usd: float | None) -> str:
    return "unknown cost" if usd is None else f"{usd:.6f}".rstrip("0").rstrip(".") + " USD"


def failure(failed: Failure) -> str:
    """One input that failed, by name."""
    return f"failed: {failed.uri}: {failed.error}"


def _rest(done: Answer) -> str:
    notes = [f"Note: {warning}." for warning in done.warnings if warning != UNUSED_KEY]  # stderr has that one
    if done.answered:
        return "\n".join(["", "", *map(_citation, done.citations), *_doubtful(done), *notes]).rstrip()
    nearest = [f"  {_place(hit)}" for hit in done.hits[:3]]
    why = [] if done.answer else [_WHY[done.reason or "no_match"]]
    return "\n".join([*([""] if done.answer else []), *why, *(["Nearest:", *nearest] if nearest else []), *notes])


def _doubtful(done: Answer) -> list[str]:
    """The sentences that a reader should not take on trust."""
    said = {"unsupported": "Not supported by what it cites", "partial": "Supported in part only"}
    return [f"{said[each.support]}: “{each.text}”" for each in done.sentences if each.support in said]


def _citation(citation: Citation) -> str:
    return f"[{citation.marker}] {_place(citation)}\n{_quoted(f'“{citation.quote}”', 4)}"


def _place(found: Hit | Citation) -> str:
    heading = f" › {found.heading}" if found.heading else ""
    page = f", page {found.page}" if found.page else ""
    return f"{found.uri}{heading}{page}, characters {found.start}–{found.end}"


def _quoted(text: str, lines: int) -> str:
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns)) - 4
    wrapped = textwrap.wrap(text, width, max_lines=lines, placeholder=" …")
    return textwrap.indent("\n".join(wrapped), "    ")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
