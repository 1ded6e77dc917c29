"""An inverted index over a set of chunks: which of them hold a term, and how often. Does not weigh and knows no disk.

Terms are kept as 64-bit hashes, so that indexes are merged without a look at any text; among ten million terms two
share one with a probability of 3 in a million.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, count, pairwise

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids
from .....text.analyzer import FUNCTION_WORDS, MIN_CHUNK_FUNCTION_WORD_SHARE, STOP_WORDS, character_trigrams
from .....text.characters import has_digit, has_letter
from ..rows.terms import TermRow
from .arrays import Array, InMemoryArray, LazyArray, SliceableArray, isin_sorted
from .term_stream import TermPositions, TermStream, batch_rows, read_terms

TITLE_WEIGHT = 2
"""Title and headings against the body, as measured on both judged collections."""

MAX_TERM_COUNT = 255
"""A term that a chunk holds more often counts as if it held it so often: its weight has long stopped growing."""

Rows = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.uint8]

_MAX_COPIED_ROWS = 1 << 20
"""Rows of terms, with a few more: of a large index all at once would take ten times its memory."""

_COMMON_WORDS = frozenset(word for word in STOP_WORDS if len(word) > 1)
"""Words of the language that stand beside a number everywhere, but not the "a" of "A-4"."""


@dataclass(frozen=True, slots=True)
class Postings:
    """The rows of each term stand together, ascending; those of term i from `starts[i]` to `starts[i + 1]`."""

    ids: LazyArray
    """Chunk id of each row, 64-bit, ascending."""
    lengths: Rows
    """How many terms each row holds."""
    hashes: LazyArray
    """Of the terms, 64-bit, ascending."""
    starts: SliceableArray
    rows: SliceableArray
    counts: SliceableArray

    def __len__(self) -> int:
        """Rows."""
        return len(self.lengths)

    def to_columns(self) -> dict[str, Array]:
        """All of it by name."""
        hashes = self.hashes.read_all()
        starts = self.starts[0 : len(hashes) + 1]
        end = int(starts[-1])
        return {
            "ids": self.ids.read_all(),
            "lengths": self.lengths,
            "hashes": hashes,
            "starts": starts,
            "rows": self.rows[0:end],
            "counts": self.counts[0:end],
        }

    def lookup(self, key: int) -> tuple[Rows, Counts]:
        """The rows that hold the term of this key, and how often each holds it."""
        part = self._locate(key)
        return self.rows[part], self.counts[part]

    def document_frequencies(self, keys: Sequence[int]) -> npt.NDArray[np.int64]:
        """How many rows hold the term of each of these keys."""
        hashes, wanted = self.hashes.read_all(), np.array(keys, np.uint64)
        places = hashes.searchsorted(wanted)
        holding = np.zeros(len(keys), np.int64)
        for at in (hashes.take(places, mode="clip") == wanted).nonzero()[0].tolist() if len(hashes) else ():
            start, end = self.starts[places[at] : places[at] + 2].tolist()
            holding[at] = end - start
        return holding

    def _locate(self, key: int) -> slice:
        hashes = self.hashes.read_all()
        place = int(hashes.searchsorted(np.uint64(key)))
        if place == len(hashes) or int(hashes[place]) != key:
            return slice(0, 0)
        start, end = self.starts[place : place + 2].tolist()
        return slice(start, end)


_NO_ROWS = np.empty(0, np.uint32)
_NO_COUNTS = np.empty(0, np.uint8)
_NO_POSITIONS = np.empty(0, np.int64)
EMPTY_POSTINGS = Postings(
    InMemoryArray(np.empty(0, np.int64)),
    _NO_ROWS,
    InMemoryArray(np.empty(0, np.uint64)),
    np.zeros(1, np.int64),
    _NO_ROWS,
    _NO_COUNTS,
)


@lru_cache(65_536)
def hash_term(term: str) -> int:
    """Return the number by which a term, or two that stand side by side with a space between them, is found."""
    return int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")


@lru_cache(16_384)
def hash_phrase(phrase: str) -> tuple[int, ...]:
    """Return the keys of which a row must hold each: parts of a phrase that are kept side by side, and single ones.

    Kept side by side is what names are made of: a term with a digit beside one with a letter.
    """
    parts = phrase.split()
    pairs = [(one, other) for one, other in pairwise(parts) if _is_name_pair(one, other)]
    single = [part for part in parts if not any(part in pair for pair in pairs)]
    return tuple(dict.fromkeys([*(hash_term(f"{one} {other}") for one, other in pairs), *map(hash_term, single)]))


def index_rows(rows: Iterable[TermRow]) -> tuple[Postings, Postings]:
    """Index rows by their terms, and those that are not in English by the characters of these; rows come by their ids.

    Neighbours that may be a name are found together too.
    """
    parts = [build_indexes(read_terms(some)[0]) for some in batch_rows(rows)]
    return merge([by_terms for by_terms, _ in parts]), merge([spelled for _, spelled in parts])


def build_indexes(stream: TermStream) -> tuple[Postings, Postings]:
    """Both indexes of some rows."""
    return _build_index(stream, True), _build_index(_to_trigram_stream(stream), False)


def merge(parts: Iterable[Postings]) -> Postings:
    """Join indexes of which each has higher ids than the one before."""
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY_POSTINGS
    terms = [part.hashes.read_all() for part in parts]
    begins = [part.starts[0 : len(hashes) + 1] for part, hashes in zip(parts, terms, strict=True)]
    hashes, places = np.unique(np.concatenate(terms), return_inverse=True)
    sizes = np.concatenate([np.diff(begin) for begin in begins])
    starts = np.concatenate([[0], np.cumsum(np.bincount(places, sizes, len(hashes)))]).astype(np.int64)
    rows, counts = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.uint8)
    free, term, row = starts[:-1].copy(), 0, 0
    for part, begin in zip(parts, begins, strict=True):
        place = places[term : term + len(begin) - 1]
        size = np.diff(begin)
        for some in _batch_terms(begin):
            first, end = int(begin[some.start]), int(begin[some.stop])
            to = np.repeat(free[place[some]] - begin[some], size[some]) + np.arange(first, end)
            rows[to] = part.rows[first:end] + np.uint32(row)
            counts[to] = part.counts[first:end]
        free[place] += size
        term, row = term + len(place), row + len(part)
    ids = np.concatenate([part.ids.read_all() for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    return Postings(InMemoryArray(ids), lengths, InMemoryArray(hashes), starts, rows, counts)


def _batch_terms(starts: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Terms by the few that are copied at once."""
    bounds = starts.searchsorted(np.arange(0, starts[-1], _MAX_COPIED_ROWS), "right") - 1
    return (slice(*pair) for pair in pairwise([*np.unique(bounds).tolist(), len(starts) - 1]))


def drop_chunks(index: Postings, removed_ids: Ids) -> Postings:
    """The index of all other rows, as if these chunks had never been; their ids are ascending."""
    columns = index.to_columns()
    alive = ~isin_sorted(columns["ids"], removed_ids)
    if alive.all():
        return index
    begin, place = columns["starts"], np.cumsum(alive, dtype=np.uint32) - np.uint32(1)
    sizes, rows, counts = [np.zeros(0, np.int64)], [_NO_ROWS], [_NO_COUNTS]
    for some in _batch_terms(begin):
        first, end = int(begin[some.start]), int(begin[some.stop])
        old = columns["rows"][first:end]
        inside = alive[old]
        sizes.append(np.add.reduceat(inside, begin[some] - first, dtype=np.int64))
        rows.append(place[old[inside]])
        counts.append(columns["counts"][first:end][inside])
    size = np.concatenate(sizes)
    held = size > 0
    return Postings(
        ids=InMemoryArray(columns["ids"][alive]),
        lengths=columns["lengths"][alive],
        hashes=InMemoryArray(columns["hashes"][held]),
        starts=np.concatenate([[0], np.cumsum(size[held])]),
        rows=np.concatenate(rows),
        counts=np.concatenate(counts),
    )


def _build_index(stream: TermStream, with_names: bool) -> Postings:
    """Sort all pairs of (term, row) at once."""
    titles, bodies = stream.titles, stream.bodies
    names, in_rows = _find_name_pairs([titles, bodies] if with_names else [], stream.terms)
    hashes = _hash_terms([*stream.terms, *names])
    order = np.argsort(hashes)
    rank = np.empty(len(hashes), np.uint64)
    rank[order] = np.arange(len(hashes), dtype=np.uint64)
    terms = np.concatenate([*TITLE_WEIGHT * [titles[0]], bodies[0], in_rows[0] + len(stream.terms)])
    row = np.concatenate([*TITLE_WEIGHT * [titles[1]], bodies[1], in_rows[1]])
    found, counts = np.unique(rank[terms] << np.uint64(32) | row.astype(np.uint64), return_counts=True)
    starts = np.searchsorted(found, np.arange(len(hashes) + 1, dtype=np.uint64) << np.uint64(32))
    return Postings(
        ids=InMemoryArray(stream.ids),
        lengths=np.bincount(np.concatenate([titles[1], bodies[1]]), minlength=len(stream.ids)).astype(np.uint32),
        hashes=InMemoryArray(hashes[order]),
        starts=starts.astype(np.int64),
        rows=found.astype(np.uint32),
        counts=np.minimum(counts, MAX_TERM_COUNT).astype(np.uint8),
    )


def _hash_terms(terms: Sequence[str]) -> npt.NDArray[np.uint64]:
    """What `key` returns for each."""
    return np.frombuffer(b"".join([blake2b(term.encode(), digest_size=8).digest() for term in terms]), "<u8")


def _to_trigram_stream(stream: TermStream) -> TermStream:
    """The rows that are not in English, by the characters of their terms."""
    chosen = _find_non_english_rows(stream)
    titles, bodies = (_select_rows(occurrences, chosen) for occurrences in (stream.titles, stream.bodies))
    there = np.zeros(len(stream.terms), np.bool_)
    there[titles[0]] = there[bodies[0]] = True
    pieces = [character_trigrams((stream.terms[number],)) for number in np.flatnonzero(there).tolist()]
    sizes = np.zeros(len(stream.terms), np.int64)
    sizes[there] = np.fromiter(map(len, pieces), np.int64, len(pieces))
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    numbered = np.fromiter(map(numbers.__getitem__, chain.from_iterable(pieces)), np.int64)
    spread = [_expand_terms(occurrences, numbered, sizes) for occurrences in (titles, bodies)]
    return TermStream(stream.ids[chosen], list(numbers), *spread)


def _find_non_english_rows(stream: TermStream) -> npt.NDArray[np.bool_]:
    """Which rows `analysis.reads_english` says no to."""
    function = np.fromiter(map(FUNCTION_WORDS.__contains__, stream.terms), np.bool_, len(stream.terms))
    number, row = stream.bodies
    common, all_terms = (np.bincount(rows, minlength=len(stream.ids)) for rows in (row[function[number]], row))
    foreign: npt.NDArray[np.bool_] = common < MIN_CHUNK_FUNCTION_WORD_SHARE * all_terms
    return foreign


def _select_rows(positions: TermPositions, row_mask: npt.NDArray[np.bool_]) -> TermPositions:
    """What stands in some of the rows, by their place among these."""
    number, row = positions
    inside = row_mask[row]
    return TermPositions(number[inside], (np.cumsum(row_mask) - 1)[row[inside]])


def _expand_terms(
    positions: TermPositions, pieces: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> TermPositions:
    """The pieces of terms in place of the terms; those of term i are the `sizes[i]` next ones."""
    number, row = positions
    size = sizes[number]
    firsts = (np.cumsum(sizes) - sizes)[number] - (np.cumsum(size) - size)
    return TermPositions(pieces[np.repeat(firsts, size) + np.arange(size.sum())], np.repeat(row, size))


def _find_name_pairs(texts: Sequence[TermPositions], terms: Sequence[str]) -> tuple[list[str], TermPositions]:
    """Each two neighbours that may be a name, and where each of them stands, by its place among them."""
    letter, common = (
        np.fromiter(map(test, terms), np.bool_, len(terms)) for test in (str.isalpha, _COMMON_WORDS.__contains__)
    )
    digit, mixed = np.zeros(len(terms), np.bool_), np.flatnonzero(~letter)  # of nearly all terms nothing more is asked
    for test, which in ((has_digit, digit), (has_letter, letter)):
        which[mixed] = [test(terms[number]) for number in mixed.tolist()]
    found, rows = [_NO_POSITIONS], [_NO_POSITIONS]
    for number, row in texts:
        one, other = number[:-1], number[1:]
        named = (digit[one] | digit[other]) & (letter[one] | letter[other]) & ~(common[one] | common[other])
        named &= row[:-1] == row[1:]
        found.append(one[named] * len(terms) + other[named])
        rows.append(row[1:][named])
    distinct, place = np.unique(np.concatenate(found), return_inverse=True)
    names = [f"{terms[pair // len(terms)]} {terms[pair % len(terms)]}" for pair in distinct.tolist()]
    return names, TermPositions(place, np.concatenate(rows))


def _is_name_pair(one: str, other: str) -> bool:
    digit, letter = has_digit(one) or has_digit(other), has_letter(one) or has_letter(other)
    return digit and letter and _COMMON_WORDS.isdisjoint((one, other))
