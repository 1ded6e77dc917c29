"""Q17: topics that are missing in three manuals and that the gap report finds, and gaps that are closed later."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Container, Iterator, Mapping
from itertools import cycle, islice

from semsearch import Caller, Library, Source, bytes_source
from semsearch.core.types.gaps import Gap
from semsearch.learning.gaps import MAX_GAPS, find_gaps

from . import machine
from .judged_collections import read_json_lines
from .real_manuals import COLLECTION_FOLDERS
from .results import Bound, Figure, Result
from .scale import Scale

OWNERS = ("support", "engineering", "sales")
NAME = "manuals"

MISSING_TOPICS: Mapping[str, tuple[str, str, str]] = {
    r"\bFMLA\b": (
        "How long must I have worked for the government before FMLA applies to me?",
        "Am I eligible for FMLA in my first year?",
        "When do employees qualify for family and medical leave under FMLA?",
    ),
    r"leave transfer|donated? (annual )?leave": (
        "What conditions must I meet before colleagues can give me some of their leave?",
        "Can I donate my leave to a colleague?",
        "How does donating annual leave to coworkers work?",
    ),
    r"\bzoom\b": (
        "May I use Zoom with my personal meeting ID for a GSA meeting?",
        "How do I set up a Zoom meeting?",
        "Am I allowed to record Zoom meetings?",
    ),
    r"employment verification|verification of employment": (
        "A bank wants proof of my income for a mortgage. Where do I send them?",
        "Where can I get an employment verification letter?",
        "My landlord asks for verification of employment and income, who provides that?",
    ),
    r"\bCORS\b": (
        "For how long do browsers cache CORS responses by default?",
        "How do I enable CORS?",
        "Why does my browser say blocked by CORS policy?",
    ),
    r"background tasks?": (
        "How do I send a mail after the response has already gone out?",
        "How do I run a background task after returning the response?",
        "Are background tasks executed after the response is sent?",
    ),
    r"graphql": (
        "Which GraphQL library do they recommend?",
        "Does FastAPI support GraphQL?",
        "How do I add a GraphQL endpoint?",
    ),
    r"\byank|cargo publish": (
        "I published a broken crate version. How do I keep people from using it?",
        "How do I publish a crate to crates.io?",
        "How can I yank a published crate version?",
    ),
    r"mutex": (
        "What is a mutex for?",
        "How do I lock a mutex?",
        "How do several threads share a mutex?",
    ),
    r"web ?sockets?": (
        "How do I add a WebSocket endpoint?",
        "Are WebSockets supported?",
        "How can the server push messages to the browser over a WebSocket?",
    ),
}
"""Patterns of the documents that are left out, each with what three owners ask about the topic."""

_MISSING = re.compile("|".join(MISSING_TOPICS), re.IGNORECASE)


def q17(scale: Scale) -> Result:
    """Missing topics of three manuals that the gap report finds (2 minutes)"""
    texts = _read_manuals(scale)
    missing = {uri for uri, text in texts.items() if _MISSING.search(text)}
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = library.create(NAME)
        collection.ingest(_make_source(uri, text) for uri, text in texts.items() if uri not in missing)
        ask_missing_topics(library)
        answerable = list(islice(_list_answerable(scale, missing), scale.limit))
        for owner, question in zip(cycle(OWNERS), answerable, strict=False):
            library.open(NAME, caller=Caller(owner)).ask(question)
        gaps = find_gaps(library, NAME, limit=MAX_GAPS)
        collection.ingest(_make_source(uri, texts[uri]) for uri in missing)
        closed = sum(
            bool(gap.closed) for gap in find_gaps(library, NAME, limit=MAX_GAPS, verify=True) if find_topic(gap)
        )
    topics = {topic for gap in gaps if (topic := find_topic(gap))}
    figures = [
        Figure("missing topics found, of 10", "", len(topics), bound=Bound(">=", 9)),
        Figure("gaps shown", "", len(gaps)),
        Figure("gaps on a missing topic", "", sum(find_topic(gap) is not None for gap in gaps)),
        Figure("of these, closed after the documents were added", "", closed),
    ]
    notes = [
        f"{len(missing)} of {len(texts)} documents of three manuals, all that mention one of ten topics, are left out."
        f" Three owners ask about each topic in their own words, and {len(answerable)} questions that the other"
        " documents answer are asked once. No chat model, no feedback",
        f"not found: {', '.join(sorted(MISSING_TOPICS.keys() - topics)) or 'none'}",
    ]
    return Result("Q17", "Content gaps", machine.describe_machine(), figures, notes, short=scale.short)


def ask_missing_topics(library: Library) -> None:
    """Let each owner ask one question about each missing topic."""
    for questions in MISSING_TOPICS.values():
        for owner, question in zip(OWNERS, questions, strict=True):
            library.open(NAME, caller=Caller(owner)).ask(question)


def find_topic(gap: Gap) -> str | None:
    """Return the missing topic that a gap is about; None if it is none of them."""
    return next((topic for topic, questions in MISSING_TOPICS.items() if gap.question in questions), None)


def _read_manuals(scale: Scale) -> dict[str, str]:
    """Return the text of each document of the manuals by its uri."""
    return {
        f"{name}/{path.relative_to(scale.data / folder).as_posix()}": path.read_text(encoding="utf-8")
        for name, folder in COLLECTION_FOLDERS.items()
        for path in sorted((scale.data / folder).rglob("*.md"))
    }


def _make_source(uri: str, text: str) -> Source:
    return bytes_source(uri, text.encode(), "text/markdown")


def _list_answerable(scale: Scale, missing: Container[str]) -> Iterator[str]:
    """Yield the judged questions whose documents are all there."""
    for entry in read_json_lines(scale.data / "realdocs" / "questions.jsonl"):
        uris = {f"{entry['collection']}/{each['uri']}" for each in entry["relevant"]}
        if entry["answerable"] and not entry.get("history") and not any(uri in missing for uri in uris):
            yield entry["query"]
