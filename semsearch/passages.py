"""Makes passages of ranked chunks: what a model reads and what an answer may cite. Does not rank and does not write."""

import secrets
from collections.abc import Iterator, Sequence

from .analysis import words
from .ports import Snapshot
from .types import Passage, Ranked, Sentence, StoredChunk

MAX_WORDS = 1_500
"""Of all passages of one answer together."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 6


def passages(snapshot: Snapshot, ranked: Sequence[Ranked], reach: int) -> list[Passage]:
    """The ranked chunks with `reach` neighbours on each side, best first, consecutive ones of a section as one passage.

    A passage never crosses a page or a heading, so that its page and its heading are those of each of its sentences.
    """
    taken: dict[tuple[int, int], StoredChunk] = {}
    scores: dict[tuple[int, int], float] = {}
    room = MAX_WORDS
    for chunk, score in ranked:
        near = (
            snapshot.neighbours(chunk.document_id, chunk.ordinal - reach, chunk.ordinal + reach) if reach else [chunk]
        )
        new = {(each.document_id, each.ordinal): each for each in near}
        room -= sum(words(each.text) for place, each in new.items() if place not in taken)
        if room < 0 and taken:
            break
        taken |= new
        scores[chunk.document_id, chunk.ordinal] = score
    found = [_passage(run, scores) for run in _runs(taken)]
    return sorted(found, key=lambda passage: (-passage.score, passage.uri, passage.start))


def _runs(taken: dict[tuple[int, int], StoredChunk]) -> Iterator[list[StoredChunk]]:
    run: list[StoredChunk] = []
    for _, chunk in sorted(taken.items()):
        if run and not _continues(run[-1], chunk):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def _continues(last: StoredChunk, chunk: StoredChunk) -> bool:
    section = (last.document_id, last.ordinal + 1, last.heading, last.page)
    return section == (chunk.document_id, chunk.ordinal, chunk.heading, chunk.page)


def _passage(run: Sequence[StoredChunk], scores: dict[tuple[int, int], float]) -> Passage:
    sentences = {(sentence.start, sentence.end): sentence for chunk in run for sentence in _sentences(chunk)}
    first = run[0]
    return Passage(
        id="".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)),
        uri=first.uri,
        title=first.title,
        heading=first.heading,
        page=first.page,
        start=first.start,
        end=run[-1].end,
        sentences=tuple(sentences[span] for span in sorted(sentences)),
        content_sha256=first.content_sha256,
        score=max(scores.get((chunk.document_id, chunk.ordinal), 0.0) for chunk in run),
    )


def _sentences(chunk: StoredChunk) -> Iterator[Sentence]:
    for (start, end), terms in zip(chunk.sentences, chunk.terms, strict=True):
        yield Sentence(chunk.start + start, chunk.start + end, chunk.text[start:end], terms, chunk.id)
