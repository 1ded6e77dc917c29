"""Makes passages of ranked chunks: what a model reads and what an answer may cite. Does not rank and does not write."""

import secrets
from collections.abc import Iterator, Sequence

from ..core.ports import ReadSnapshot
from ..core.types.answers import Passage, Sentence
from ..core.types.search import ScoredChunk, StoredChunk
from ..text.analyzer import count_words

MAX_PASSAGE_WORDS = 1_500
"""Of all passages of one answer together."""

_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 6


def build_passages(snapshot: ReadSnapshot, ranked: Sequence[ScoredChunk], neighbour_chunks: int) -> list[Passage]:
    """The ranked chunks, best first, consecutive ones of a section as one passage, as far as there is room.

    What room is left then goes to `reach` neighbours on each side, those of the best first. A passage never crosses a
    page or a heading, so that its page and its heading are those of each of its sentences.
    """
    budget = _WordBudget()
    scores = {(chunk.document_id, chunk.ordinal): score for chunk, score in ranked if budget.add_if_fits(chunk)}
    for chunk, _ in ranked if neighbour_chunks else ():
        if (chunk.document_id, chunk.ordinal) in scores:
            for neighbour in snapshot.neighbours(
                chunk.document_id, chunk.ordinal - neighbour_chunks, chunk.ordinal + neighbour_chunks
            ):
                budget.add_if_fits(neighbour)
    built = [_build_passage(run, scores) for run in _group_consecutive(budget.chunks)]
    return sorted(built, key=lambda passage: (-passage.score, passage.uri, passage.start))


class _WordBudget:
    """Chunks that together have at most `MAX_WORDS`; a sentence that stands in two of them counts once."""

    def __init__(self) -> None:
        self.chunks: dict[tuple[int, int], StoredChunk] = {}
        self._seen_sentences: set[tuple[int, int]] = set()
        """By document and where they start."""
        self._remaining_words = MAX_PASSAGE_WORDS

    def add_if_fits(self, chunk: StoredChunk) -> bool:
        """Take a chunk if there is room for what is new in it; the first one in any case."""
        starts = {(chunk.document_id, chunk.start + start): (start, end) for start, end in chunk.sentences}
        new = starts.keys() - self._seen_sentences
        size = sum(count_words(chunk.text[starts[place][0] : starts[place][1]]) for place in new)
        if size > self._remaining_words and self.chunks:
            return False
        self._remaining_words -= size
        self._seen_sentences |= new
        self.chunks[chunk.document_id, chunk.ordinal] = chunk
        return True


def _group_consecutive(chunks: dict[tuple[int, int], StoredChunk]) -> Iterator[list[StoredChunk]]:
    run: list[StoredChunk] = []
    for _, chunk in sorted(chunks.items()):
        if run and not _is_consecutive(run[-1], chunk):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def _is_consecutive(previous: StoredChunk, chunk: StoredChunk) -> bool:
    section = (previous.document_id, previous.ordinal + 1, previous.heading, previous.page)
    return section == (chunk.document_id, chunk.ordinal, chunk.heading, chunk.page)


def _build_passage(run: Sequence[StoredChunk], scores: dict[tuple[int, int], float]) -> Passage:
    sentences = {(sentence.start, sentence.end): sentence for chunk in run for sentence in _iter_sentences(chunk)}
    first = run[0]
    return Passage(
        id="".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH)),
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


def _iter_sentences(chunk: StoredChunk) -> Iterator[Sentence]:
    for (start, end), terms in zip(chunk.sentences, chunk.terms, strict=True):
        yield Sentence(chunk.start + start, chunk.start + end, chunk.text[start:end], terms, chunk.id)
