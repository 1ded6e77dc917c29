"""Makes passages of ranked chunks: what a model reads and what an answer may cite. Does not rank and does not write."""

import secrets
from collections.abc import Iterator, Sequence

from ..core.ports import Snapshot
from ..core.types.answers import Passage, Sentence
from ..core.types.search import Ranked, StoredChunk
from ..text.analyzer import words

MAX_WORDS = 1_500
"""Of all passages of one answer together."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 6


def passages(snapshot: Snapshot, ranked: Sequence[Ranked], reach: int) -> list[Passage]:
    """The ranked chunks, best first, consecutive ones of a section as one passage, as far as there is room.

    What room is left then goes to `reach` neighbours on each side, those of the best first. A passage never crosses a
    page or a heading, so that its page and its heading are those of each of its sentences.
    """
    tray = _Tray()
    scores = {(chunk.document_id, chunk.ordinal): score for chunk, score in ranked if tray.takes(chunk)}
    for chunk, _ in ranked if reach else ():
        if (chunk.document_id, chunk.ordinal) in scores:
            for near in snapshot.neighbours(chunk.document_id, chunk.ordinal - reach, chunk.ordinal + reach):
                tray.takes(near)
    found = [_passage(run, scores) for run in _runs(tray.taken)]
    return sorted(found, key=lambda passage: (-passage.score, passage.uri, passage.start))


class _Tray:
    """Chunks that together have at most `MAX_WORDS`; a sentence that stands in two of them counts once."""

    def __init__(self) -> None:
        self.taken: dict[tuple[int, int], StoredChunk] = {}
        self._sentences: set[tuple[int, int]] = set()
        """By document and where they start."""
        self._room = MAX_WORDS

    def takes(self, chunk: StoredChunk) -> bool:
        """Take a chunk if there is room for what is new in it; the first one in any case."""
        starts = {(chunk.document_id, chunk.start + start): (start, end) for start, end in chunk.sentences}
        new = starts.keys() - self._sentences
        size = sum(words(chunk.text[starts[place][0] : starts[place][1]]) for place in new)
        if size > self._room and self.taken:
            return False
        self._room -= size
        self._sentences |= new
        self.taken[chunk.document_id, chunk.ordinal] = chunk
        return True


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
