"""Results as text for people; programs use --json. Only formats and prints."""

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TextIO

import click

from ...answers.answerers import UNUSED_KEY_WARNING
from ...core.errors import StorageError
from ...core.escapes import escape_name, escape_text
from ...core.types.answers import Answer, AnswerEvent, Citation, Delta
from ...core.types.documents import Failure, IngestReport
from ...core.types.stored_documents import CollectionInfo, DocumentInfo
from ...core.types.usage import IngestEstimate
from ..links import PageLinks
from .answer_text import (
    NO_ANSWER_HEADING,
    PASSAGES_HEADING,
    compute_text_width,
    format_excerpt,
    format_passages,
    format_place,
    style_markers,
)
from .approval_text import format_broken
from .skips import format_skip_summary
from .tables import format_table
from .terminal import uses_color
from .word_wrap import WordWrapper, wrap_words

_NO_ANSWER_MESSAGES = {
    "empty_collection": "The collection is empty: fill it with semsearch ingest PATH.",
    "no_match": "Nothing in the collection matches the question.",
    "unsupported": "The model found no answer in the documents.",
    "forbidden_topic": "Questions about this topic are not answered.",
    "person_requested": "You asked for a person.",
    "not_cited": (
        "The model did not cite in the required form, so its text could not be checked. Use another chat model"
        " (SEMSEARCH_CHAT__MODEL), or see its unchecked text with --policy off."
    ),
}
"""By the reason of an answer; the heading of the closest passages says that the best excerpt is not good enough."""


def print_out(text: str, *, nl: bool = True) -> bool:
    """Print a result; return False if the reader closed the pipe. StorageError if the output cannot be written."""
    try:
        click.echo(text, nl=nl, color=uses_color())
    except OSError as exc:
        with open(os.devnull, "wb") as devnull:  # else the buffered text fails again when the process exits
            os.dup2(devnull.fileno(), sys.stdout.fileno())
        if exc.errno != errno.EPIPE:
            raise StorageError(f"the output cannot be written: {exc.strerror}") from exc
        return False
    return True


def print_err(text: str, *, nl: bool = True) -> None:
    """Print a message on stderr, with unsafe characters of names escaped; ignore a closed or full stderr."""
    text = escape_text(text)
    with suppress(OSError):
        click.echo(fit_terminal(text, sys.stderr) if nl else text, nl=nl, err=True, color=uses_color(sys.stderr))


def fit_terminal(text: str, stream: TextIO | None = None) -> str:
    """Return text wrapped at words where a stream, by default stdout, is a terminal, else the text as it is."""
    return wrap_words(text) if (sys.stdout if stream is None else stream).isatty() else text


def print_answer(events: Iterable[AnswerEvent], *, is_generated: bool) -> bool:
    """Print an answer, its citations and the closest passages; return whether there is an answer.

    Text of a chat model (`is_generated`) is printed while it is written. An excerpt comes at once, below its heading.
    """
    wrapper = WordWrapper(shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    for event in events:
        if isinstance(event, Delta) and is_generated:
            text = style_markers(event.text)
            if not print_out(wrapper.feed(text) if wrapper else text, nl=False):
                return True  # the reader closed the pipe: nobody waits for the answer
        if isinstance(event, Answer):
            text = _format_answer_end(event, has_text=is_generated)
            print_out(wrapper.feed(text) + wrapper.finish() if wrapper else text)
            print_hint(event)
            return event.answered
    return False


def print_hint(event: AnswerEvent) -> None:
    """Print the warning about a key without a chat model on stderr."""
    if isinstance(event, Answer) and UNUSED_KEY_WARNING in event.warnings:
        print_err(f"semsearch: {UNUSED_KEY_WARNING}")


def format_documents(rows: Sequence[DocumentInfo], links: PageLinks | None) -> str:
    """Return a table of documents, each a hyperlink if there are `links`."""
    return format_table(
        ("document", "type", "chunks", "characters"),
        [(row.uri, row.media_type, row.chunks, row.characters) for row in rows],
        [links.make_document_url(row.uri) for row in rows] if links else (),
    )


def format_collections(rows: Sequence[CollectionInfo]) -> str:
    """Return a table of collections."""
    return format_table(
        ("collection", "embedder", "documents", "chunks"),
        [(row.name, row.embedder, row.documents, row.chunks) for row in rows],
    )


def format_removed(uris: Sequence[str]) -> str:
    """Return the number of removed documents."""
    return f"removed {format_count(len(uris), 'document')}"


def format_report(ingest_report: IngestReport, *, dry_run: bool, storage_failed: bool = False) -> str:
    """Return the result of an ingestion in a few lines; with `dry_run`, of a simulated one.

    With `storage_failed` the last commit failed, but may be stored: its documents and chunks are not counted.
    """
    counts = [
        f"{getattr(ingest_report, name):,} {name}"
        for name in ("added", "updated", "unchanged", "removed")
        if getattr(ingest_report, name)
    ]
    parts = [", ".join(counts)] if counts else []
    if storage_failed and not dry_run:
        parts.append("the last documents may be stored: run the command again")
        chunks = f"embedded {format_count(ingest_report.embedded_chunks, 'chunk')}"
    else:
        parts = parts or ["nothing would be stored" if dry_run else "nothing was stored"]
        chunks = _format_chunks(ingest_report, dry_run=dry_run)
    parts.append(f"{chunks} in {ingest_report.seconds:.1f} s")
    if ingest_report.failures:
        parts.append(f"{len(ingest_report.failures):,} failed")
    tokens = ingest_report.usage.embedding_tokens
    return "\n".join(
        [
            "; ".join(parts),
            *format_skip_summary(ingest_report),
            *_format_missing_originals(ingest_report.originals_not_kept),
            *([f"{tokens:,} tokens, {_format_usd(ingest_report.usage.cost_usd)}"] if tokens else []),
            *format_broken(ingest_report.broken_answers, dry_run=dry_run),
            *([_format_estimate(ingest_report.plan)] if ingest_report.plan and ingest_report.plan.requests else []),
        ]
    )


def _format_missing_originals(number: int) -> list[str]:
    if not number:
        return []
    return [f"{format_count(number, 'original')} not kept: SEMSEARCH_ORIGINALS__GIB allows no more space for originals"]


def _format_chunks(ingest_report: IngestReport, *, dry_run: bool) -> str:
    """Return how many chunks were embedded, and why that differs from the chunks of the stored documents."""
    embedded, total = ingest_report.embedded_chunks, ingest_report.chunks
    if embedded > total:  # interrupted, or a document was refused after some of its chunks
        return f"embedded {format_count(embedded, 'chunk')} and stored {total:,} of them"
    text = f"{'would embed' if dry_run else 'embedded'} {embedded:,} of {format_count(total, 'chunk')}"
    if embedded == total:
        return text
    others = f"the other {total - embedded:,}" if embedded else "all" if total > 1 else "it"
    return f"{text} ({others} had been embedded before, or repeat another)"


def _format_estimate(estimate: IngestEstimate) -> str:
    time = "unknown" if estimate.seconds is None else f"{estimate.seconds:.0f} s"
    cost = f"likely {_format_usd(estimate.usd)}, at most {_format_usd(estimate.max_usd)}"
    if estimate.usd is None or estimate.max_usd is None:
        cost = "cost unknown: add the price of the model to [prices] in semsearch.toml"
    return (
        f"{format_count(estimate.texts, 'text')} in {format_count(estimate.requests, 'request')}:"
        f" likely {estimate.tokens.expected:,} tokens,"
        f" at most {estimate.tokens.upper_bound:,}; {cost}; time {time}"
    )


def format_count(number: int, noun: str) -> str:
    """Return a count with its noun, such as `1 chunk` or `2,000 chunks`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _format_usd(usd: float | None) -> str:
    return "unknown cost" if usd is None else f"{usd:.6f}".rstrip("0").rstrip(".") + " USD"


def format_failure(failure: Failure) -> str:
    """Return the name of a failed input and its error."""
    return f"failed: {escape_name(failure.uri)}: {escape_text(failure.error)}"


def _format_answer_end(answer: Answer, *, has_text: bool) -> str:
    """Return what follows the text of the answer; with the text itself unless it is printed already (`has_text`)."""
    # print_hint prints the other warning on stderr
    notes = [f"Note: {warning}." for warning in answer.warnings if warning != UNUSED_KEY_WARNING]
    if answer.approved is not None:
        notes = [f"Approved on {answer.approved.date}.", *notes]
    is_colored = uses_color()
    if answer.kind == "generated" or (answer.approved is not None and has_text):
        text = "" if has_text else style_markers(answer.text)  # without a chat model, an approved text of one
        citations = map(_format_citation, answer.citations)
        return "\n".join([text, "", *citations, *_format_unsupported(answer), *notes]).rstrip()
    if answer.kind == "excerpt":
        others = format_passages(answer.passages[1:], PASSAGES_HEADING, is_colored=is_colored)
        return "\n\n".join(filter(None, [format_excerpt(answer), others, "\n".join(notes)]))
    text = "" if has_text else answer.text
    reason = "" if answer.text else _NO_ANSWER_MESSAGES.get(answer.reason or "no_match", "")
    passages = format_passages(answer.passages, NO_ANSWER_HEADING, is_colored=is_colored)
    lead = "\n\n" if answer.text and has_text and (passages or notes) else ""
    return lead + "\n\n".join(filter(None, [text, reason, passages, "\n".join(notes)]))


def _format_unsupported(answer: Answer) -> list[str]:
    """Return one line for each sentence that its citations do not support completely."""
    labels = {
        "unsupported": "Not supported by its citations",
        "contradicted": "Contradicted by its citations",
        "partial": "Supported only in part",
    }
    return [
        f"{labels[sentence.support]}: “{sentence.text}”" for sentence in answer.sentences if sentence.support in labels
    ]


def _format_citation(citation: Citation) -> str:
    return f"{format_place(citation)}\n{_format_quote(f'“{citation.quote}”', 4)}"


def _format_quote(text: str, max_lines: int) -> str:
    wrapped = textwrap.wrap(text, compute_text_width(), max_lines=max_lines, placeholder=" …")
    return textwrap.indent("\n".join(wrapped), "    ")
