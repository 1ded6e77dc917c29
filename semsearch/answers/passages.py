"""Build passages from ranked chunks: the text that a model reads and an answer can cite. Does not rank chunks."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from ..core.errors import StorageError
from ..core.ports import ReadSnapshot
from ..core.types.answers import Passage, Sentence
from ..core.types.search import ScoredChunk, StoredChunk
from ..text.analyzer import count_words
from .evidence import MAX_PASSAGES

MAX_PASSAGE_WORDS = 1_500
"""Total of all passages of one answer."""

MARGIN_CHARACTERS = 1_000
"""Text before and behind a passage that an excerpt may extend into."""

MAX_COPIES = 12
"""Near-duplicates of ranked chunks that are compared with an excerpt."""

_ID_LETTERS, _ID_DIGITS = "bcdfghjkmnpqrstvwxz", "23456789"
"""Without vowels and signs that look alike: no id is a word."""


def build_passages(
    snapshot: ReadSnapshot,
    ranked: Sequence[ScoredChunk],
    neighbour_chunks: int,
    *,
    choose: Callable[[str], str] = secrets.choice,
) -> list[Passage]:
    """Return passages of the ranked chunks, best first; consecutive chunks of a section make one passage.

    The words that `MAX_PASSAGE_WORDS` leaves are filled with `neighbour_chunks` chunks on each side of a ranked chunk,
    those of the best chunk first. A passage never crosses a page, a heading or the end of a role: these hold for each
    of its sentences. `choose` takes a character of a text at random, for the ids.
    """
    budget = _WordBudget()
    scores = {(chunk.document_id, chunk.ordinal): score for chunk, score in ranked if budget.add_if_fits(chunk)}
    for chunk, _ in ranked if neighbour_chunks else ():
        if (chunk.document_id, chunk.ordinal) in scores:
            for neighbour in snapshot.neighbours(
                chunk.document_id, chunk.ordinal - neighbour_chunks, chunk.ordinal + neighbour_chunks
            ):
                budget.add_if_fits(neighbour)
    passages = [(run[0].document_id, _build_passage(run, scores)) for run in _group_consecutive(budget.chunks)]
    passages.sort(key=lambda item: (-item[1].score, item[1].uri, item[1].start))
    prefix = _make_id_prefix(choose)
    numbered = [
        (document_id, replace(passage, id=f"{prefix}{number}"))
        for number, (document_id, passage) in enumerate(passages, 1)
    ]
    near, far = numbered[:MAX_PASSAGES], numbered[MAX_PASSAGES:]
    return [*(_add_blocks(snapshot, *item) for item in near), *(passage for _, passage in far)]


def build_copies(snapshot: ReadSnapshot, chunks: Sequence[StoredChunk]) -> list[Passage]:
    """Return a passage for each near-duplicate of a ranked chunk. Their ids are for no prompt."""
    copies = []
    for number, chunk in enumerate(chunks[:MAX_COPIES], 1):
        with suppress(StorageError):  # the answer does not need a copy that is damaged
            copies.append(
                replace(_add_blocks(snapshot, chunk.document_id, _build_passage([chunk], {})), id=f"copy-{number}")
            )
    return copies


def _add_blocks(snapshot: ReadSnapshot, document_id: int, passage: Passage) -> Passage:
    """Return the passage with the blocks around it, which excerpts are built from."""
    start, end = max(0, passage.start - MARGIN_CHARACTERS), passage.end + MARGIN_CHARACTERS
    return replace(passage, blocks=tuple(snapshot.blocks(document_id, start, end)))


def _make_id_prefix(choose: Callable[[str], str]) -> str:
    """Return the random begin of all passage ids of one request, one of 438,976.

    It is random so that no document can hold an id that cites something, such as itself. It is the same for all
    passages because small models copy a text more reliably that they have read several times, and so that only one
    of many guesses in a document could be right.
    """
    return "".join(map(choose, (_ID_LETTERS, _ID_DIGITS, _ID_LETTERS, _ID_DIGITS, _ID_LETTERS)))


class _WordBudget:
    """Collects chunks up to `MAX_PASSAGE_WORDS` in total; a sentence in two chunks counts once."""

    def __init__(self) -> None:
        self.chunks: dict[tuple[int, int], StoredChunk] = {}
        self._seen_sentences: set[tuple[int, int]] = set()
        """Document id and start offset of each sentence."""
        self._remaining_words = MAX_PASSAGE_WORDS

    def add_if_fits(self, chunk: StoredChunk) -> bool:
        """Add a chunk if its new sentences fit, and return whether it was added; the first chunk always is."""
        spans = {(chunk.document_id, chunk.start + start): (start, end) for start, end in chunk.sentences}
        new_sentences = spans.keys() - self._seen_sentences
        word_count = sum(count_words(chunk.text[spans[key][0] : spans[key][1]]) for key in new_sentences)
        if word_count > self._remaining_words and self.chunks:
            return False
        self._remaining_words -= word_count
        self._seen_sentences |= new_sentences
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
    section = (previous.document_id, previous.ordinal + 1, previous.heading, previous.page, previous.role)
    return section == (chunk.document_id, chunk.ordinal, chunk.heading, chunk.page, chunk.role)


def _build_passage(run: Sequence[StoredChunk], scores: dict[tuple[int, int], float]) -> Passage:
    sentences = {(sentence.start, sentence.end): sentence for chunk in run for sentence in _iter_sentences(chunk)}
    first = run[0]
    return Passage(
        id="",  # set in the order of the prompt
        uri=first.uri,
        title=first.title,
        heading=first.heading,
        page=first.page,
        start=first.start,
        end=run[-1].end,
        sentences=tuple(sentences[span] for span in sorted(sentences)),
        content_sha256=first.content_sha256,
        score=max(scores.get((chunk.document_id, chunk.ordinal), 0.0) for chunk in run),
        role=first.role,
    )


def _iter_sentences(chunk: StoredChunk) -> Iterator[Sentence]:
    for (start, end), terms in zip(chunk.sentences, chunk.terms, strict=True):
        yield Sentence(chunk.start + start, chunk.start + end, chunk.text[start:end], terms, chunk.id)
