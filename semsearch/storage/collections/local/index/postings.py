"""An inverted index over a set of chunks: which of them contain a term, and how often. Does not score, does no I/O.

Terms are stored as 64-bit hashes, so that indexes are merged without their texts. Among ten million terms two have the
same hash with a probability of 3 in a million.
"""

from __future__ import annotations

from array import array
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
from .term_stream import SERVING_BATCH_ROWS, TermPositions, TermStream, batch_rows, read_terms

TITLE_WEIGHT = 2
"""Weight of title and headings against the body, measured on both judged collections."""

MAX_TERM_COUNT = 255
"""Higher counts of a term in a chunk are stored as this one: its BM25 score hardly grows beyond it."""

Rows = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.uint8]

_MAX_COPIED_ROWS = 1 << 20
"""Postings that are copied at once, approximately: a large index at once would take ten times its memory."""

_COMMON_WORDS = frozenset(word for word in STOP_WORDS if len(word) > 1)
"""Stop words, which are next to numbers in any text; not single letters, because of names such as "A-4"."""


@dataclass(frozen=True, slots=True)
class Postings:
    """The rows of term i are `rows[starts[i] : starts[i + 1]]`, ascending, with their `counts`."""

    ids: LazyArray
    """Chunk id of each row, 64-bit, ascending."""
    lengths: Rows
    """Terms of each row, repeated ones included."""
    hashes: LazyArray
    """Hash of each term, 64-bit, ascending."""
    starts: SliceableArray
    rows: SliceableArray
    counts: SliceableArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def to_columns(self) -> dict[str, Array]:
        """Return all arrays by name."""
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
        """Return the rows that contain the term with this hash, and how often each contains it."""
        span = self._locate(key)
        return self.rows[span], self.counts[span]

    def document_frequencies(self, keys: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return how many rows contain the term with each of these hashes, shape (len(keys),)."""
        hashes, sorted_keys = self.hashes.read_all(), np.array(keys, np.uint64)
        positions = hashes.searchsorted(sorted_keys)
        frequencies = np.zeros(len(keys), np.int64)
        for index in (hashes.take(positions, mode="clip") == sorted_keys).nonzero()[0].tolist() if len(hashes) else ():
            start, end = self.starts[positions[index] : positions[index] + 2].tolist()
            frequencies[index] = end - start
        return frequencies

    def _locate(self, key: int) -> slice:
        hashes = self.hashes.read_all()
        position = int(hashes.searchsorted(np.uint64(key)))
        if position == len(hashes) or int(hashes[position]) != key:
            return slice(0, 0)
        start, end = self.starts[position : position + 2].tolist()
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
    """Return the 64-bit hash of a term, or of two adjacent terms joined by a space."""
    return int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")


@lru_cache(16_384)
def hash_phrase(phrase: str) -> tuple[int, ...]:
    """Return the hashes that a row must all contain to match a phrase: of adjacent pairs, and of single terms.

    Pairs are indexed where they may be a name: a term with a digit next to one with a letter.
    """
    parts = phrase.split()
    pairs = [(first, second) for first, second in pairwise(parts) if _is_name_pair(first, second)]
    single_parts = [part for part in parts if not any(part in pair for pair in pairs)]
    return tuple(
        dict.fromkeys([*(hash_term(f"{first} {second}") for first, second in pairs), *map(hash_term, single_parts)])
    )


def index_rows(rows: Iterable[TermRow]) -> tuple[Postings, Postings]:
    """Return the postings of rows, and the trigram postings of those that are not in English; rows are in id order."""
    parts = [build_indexes(read_terms(batch)[0]) for batch in batch_rows(rows, SERVING_BATCH_ROWS)]
    return merge([postings for postings, _ in parts]), merge([trigram_postings for _, trigram_postings in parts])


def build_indexes(stream: TermStream) -> tuple[Postings, Postings]:
    """Return the postings and the trigram postings of a batch of rows."""
    return _build_index(stream, True), _build_index(_to_trigram_stream(stream), False)


def merge(parts: Iterable[Postings]) -> Postings:
    """Merge indexes; each has higher chunk ids than the one before."""
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY_POSTINGS
    hashes_by_part = [part.hashes.read_all() for part in parts]
    starts_by_part = [part.starts[0 : len(hashes) + 1] for part, hashes in zip(parts, hashes_by_part, strict=True)]
    hashes, term_numbers = np.unique(np.concatenate(hashes_by_part), return_inverse=True)
    sizes = np.concatenate([np.diff(part_starts) for part_starts in starts_by_part])
    starts = np.concatenate([[0], np.cumsum(np.bincount(term_numbers, sizes, len(hashes)))]).astype(np.int64)
    rows, counts = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.uint8)
    next_free, term_offset, row_offset = starts[:-1].copy(), 0, 0
    for part, part_starts in zip(parts, starts_by_part, strict=True):
        numbers = term_numbers[term_offset : term_offset + len(part_starts) - 1]
        size = np.diff(part_starts)
        for batch in _batch_terms(part_starts):
            first, end = int(part_starts[batch.start]), int(part_starts[batch.stop])
            targets = np.repeat(next_free[numbers[batch]] - part_starts[batch], size[batch]) + np.arange(first, end)
            rows[targets] = part.rows[first:end] + np.uint32(row_offset)
            counts[targets] = part.counts[first:end]
        next_free[numbers] += size
        term_offset, row_offset = term_offset + len(numbers), row_offset + len(part)
    ids = np.concatenate([part.ids.read_all() for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    return Postings(InMemoryArray(ids), lengths, InMemoryArray(hashes), starts, rows, counts)


def _batch_terms(starts: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield slices of terms with about `_MAX_COPIED_ROWS` postings each."""
    bounds = starts.searchsorted(np.arange(0, starts[-1], _MAX_COPIED_ROWS), "right") - 1
    return (slice(*pair) for pair in pairwise([*np.unique(bounds).tolist(), len(starts) - 1]))


def drop_chunks(index: Postings, removed_ids: Ids) -> Postings:
    """Return the index without these chunks, equal to one built without them; `removed_ids` is ascending."""
    columns = index.to_columns()
    is_kept = ~isin_sorted(columns["ids"], removed_ids)
    if is_kept.all():
        return index
    old_starts, new_rows = columns["starts"], np.cumsum(is_kept, dtype=np.uint32) - np.uint32(1)
    sizes, rows, counts = [np.zeros(0, np.int64)], [_NO_ROWS], [_NO_COUNTS]
    for batch in _batch_terms(old_starts):
        first, end = int(old_starts[batch.start]), int(old_starts[batch.stop])
        old_rows = columns["rows"][first:end]
        mask = is_kept[old_rows]
        sizes.append(np.add.reduceat(mask, old_starts[batch] - first, dtype=np.int64))
        rows.append(new_rows[old_rows[mask]])
        counts.append(columns["counts"][first:end][mask])
    size = np.concatenate(sizes)
    is_used = size > 0
    return Postings(
        ids=InMemoryArray(columns["ids"][is_kept]),
        lengths=columns["lengths"][is_kept],
        hashes=InMemoryArray(columns["hashes"][is_used]),
        starts=np.concatenate([[0], np.cumsum(size[is_used])]),
        rows=np.concatenate(rows),
        counts=np.concatenate(counts),
    )


def _build_index(stream: TermStream, with_names: bool) -> Postings:
    """Build an index by sorting all pairs of (term, row)."""
    titles, bodies = stream.titles, stream.bodies
    pairs, pair_positions = _find_name_pairs([titles, bodies] if with_names else [], stream.terms)
    hashes = _hash_terms([*stream.terms, *pairs])
    order = np.argsort(hashes)
    rank = np.empty(len(hashes), np.uint64)
    rank[order] = np.arange(len(hashes), dtype=np.uint64)
    term_numbers = np.concatenate([*TITLE_WEIGHT * [titles[0]], bodies[0], pair_positions[0] + len(stream.terms)])
    term_rows = np.concatenate([*TITLE_WEIGHT * [titles[1]], bodies[1], pair_positions[1]])
    entries, counts = np.unique(rank[term_numbers] << np.uint64(32) | term_rows.astype(np.uint64), return_counts=True)
    starts = np.searchsorted(entries, np.arange(len(hashes) + 1, dtype=np.uint64) << np.uint64(32))
    return Postings(
        ids=InMemoryArray(stream.ids),
        lengths=np.bincount(np.concatenate([titles[1], bodies[1]]), minlength=len(stream.ids)).astype(np.uint32),
        hashes=InMemoryArray(hashes[order]),
        starts=starts.astype(np.int64),
        rows=entries.astype(np.uint32),
        counts=np.minimum(counts, MAX_TERM_COUNT).astype(np.uint8),
    )


def _hash_terms(terms: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return `hash_term` of each term, shape (len(terms),)."""
    return np.frombuffer(b"".join([blake2b(term.encode(), digest_size=8).digest() for term in terms]), "<u8")


def _to_trigram_stream(stream: TermStream) -> TermStream:
    """Return the stream of the rows that are not in English, with the character trigrams of their terms."""
    row_mask = _find_non_english_rows(stream)
    titles, bodies = (_select_rows(positions, row_mask) for positions in (stream.titles, stream.bodies))
    is_used = np.zeros(len(stream.terms), np.bool_)
    is_used[titles[0]] = is_used[bodies[0]] = True
    used_numbers = np.flatnonzero(is_used).tolist()
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    sizes = np.zeros(len(stream.terms), np.int64)
    piece_sizes = array("q")

    def iter_pieces() -> Iterator[list[str]]:  # one term at a time: all pieces would take 100 bytes each
        for number in used_numbers:
            pieces = character_trigrams((stream.terms[number],))
            piece_sizes.append(len(pieces))
            yield pieces

    trigram_numbers = np.fromiter(map(numbers.__getitem__, chain.from_iterable(iter_pieces())), np.int64)
    sizes[is_used] = piece_sizes
    expanded = [_expand_terms(positions, trigram_numbers, sizes) for positions in (titles, bodies)]
    return TermStream(stream.ids[row_mask], list(numbers), *expanded)


def _find_non_english_rows(stream: TermStream) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows whose text is not English, by the rule of `analyzer.is_english`."""
    is_function_word = np.fromiter(map(FUNCTION_WORDS.__contains__, stream.terms), np.bool_, len(stream.terms))
    term_numbers, term_rows = stream.bodies
    function_words, all_terms = (
        np.bincount(rows, minlength=len(stream.ids)) for rows in (term_rows[is_function_word[term_numbers]], term_rows)
    )
    is_non_english: npt.NDArray[np.bool_] = function_words < MIN_CHUNK_FUNCTION_WORD_SHARE * all_terms
    return is_non_english


def _select_rows(positions: TermPositions, row_mask: npt.NDArray[np.bool_]) -> TermPositions:
    """Return the positions in the selected rows, renumbered from 0."""
    term_numbers, rows = positions
    mask = row_mask[rows]
    return TermPositions(term_numbers[mask], (np.cumsum(row_mask) - 1)[rows[mask]])


def _expand_terms(
    positions: TermPositions, pieces: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> TermPositions:
    """Replace each term by its pieces; term i has the next `sizes[i]` of `pieces`."""
    term_numbers, rows = positions
    piece_counts = sizes[term_numbers]
    firsts = (np.cumsum(sizes) - sizes)[term_numbers] - (np.cumsum(piece_counts) - piece_counts)
    return TermPositions(
        pieces[np.repeat(firsts, piece_counts) + np.arange(piece_counts.sum())], np.repeat(rows, piece_counts)
    )


def _find_name_pairs(texts: Sequence[TermPositions], terms: Sequence[str]) -> tuple[list[str], TermPositions]:
    """Return the adjacent pairs of terms that may be a name, and their positions by pair number."""
    has_letters, is_common = (
        np.fromiter(map(test, terms), np.bool_, len(terms)) for test in (str.isalpha, _COMMON_WORDS.__contains__)
    )
    has_digits = np.zeros(len(terms), np.bool_)
    non_alphabetic = np.flatnonzero(~has_letters)  # few: nearly all terms are alphabetic
    for test, flags in ((has_digit, has_digits), (has_letter, has_letters)):
        flags[non_alphabetic] = [test(terms[number]) for number in non_alphabetic.tolist()]
    pairs, rows = [_NO_POSITIONS], [_NO_POSITIONS]
    for term_numbers, term_rows in texts:
        left, right = term_numbers[:-1], term_numbers[1:]
        is_name = (
            (has_digits[left] | has_digits[right])
            & (has_letters[left] | has_letters[right])
            & ~(is_common[left] | is_common[right])
        )
        is_name &= term_rows[:-1] == term_rows[1:]
        pairs.append(left[is_name] * len(terms) + right[is_name])
        rows.append(term_rows[1:][is_name])
    distinct_pairs, positions = np.unique(np.concatenate(pairs), return_inverse=True)
    names = [f"{terms[pair // len(terms)]} {terms[pair % len(terms)]}" for pair in distinct_pairs.tolist()]
    return names, TermPositions(positions, np.concatenate(rows))


def _is_name_pair(first: str, second: str) -> bool:
    digits, letters = has_digit(first) or has_digit(second), has_letter(first) or has_letter(second)
    return digits and letters and _COMMON_WORDS.isdisjoint((first, second))
