"""Align a claim with a sentence of its evidence word by word, as their longest common subsequence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from .comparison import Comparison
from .statements import Statement, Word

_ARTICLES = frozenset(("a", "an", "the"))
_FORMS_OF_BE = frozenset("is are was were am be been being".split())
_MAX_WORDS = 80
"""Words of a claim, and of a sentence of its evidence, that are aligned."""

_WORDS_BEFORE = 6
_WORDS_AFTER = 4
"""Words of the evidence before and after an aligned word that belong to the gap there."""


@dataclass(frozen=True)
class Gap:
    """The words of a claim and of its evidence between two aligned words."""

    claim: Sequence[Word]
    evidence: Sequence[Word]


@dataclass(frozen=True)
class Alignment:
    """The words of a claim and of a sentence without articles, and the indices of those that are paired."""

    claim: Sequence[Word]
    evidence: Sequence[Word]
    pairs: Sequence[tuple[int, int]]

    @property
    def share(self) -> float:
        """The share of the claim's words that the sentence has in the same order."""
        return len(self.pairs) / max(1, len(self.claim))

    @cached_property
    def unpaired(self) -> list[Word]:
        """The words of the claim without a partner."""
        paired = {index for index, _ in self.pairs}
        return [word for index, word in enumerate(self.claim) if index not in paired]

    def gaps(self) -> Iterator[Gap]:
        """Yield the words between the pairs."""
        points = [(-1, -1), *self.pairs, (len(self.claim), len(self.evidence))]
        for (first, start), (second, end) in pairwise(points):
            after_pair = self.evidence[start + 1 : end][:_WORDS_AFTER] if start >= 0 else []
            before_pair = self.evidence[start + 1 + len(after_pair) : end][-_WORDS_BEFORE:]
            is_last = second == len(self.claim)
            yield Gap(self.claim[first + 1 : second], [*after_pair, *([] if is_last else before_pair)])


def align_with_closest(comparison: Comparison) -> Alignment:
    """Return the alignment with the cited sentence that pairs most words."""
    claim = read_words(comparison.claim)
    keys = list(map(get_key, claim))
    sentences = [read_words(statement) for statement in comparison.evidence]
    best = max(sentences, key=lambda words: count_common(keys, index_words(map(get_key, words))))
    return Alignment(claim, best, _find_pairs(keys, list(map(get_key, best))))


def read_words(statement: Statement) -> list[Word]:
    """Return the words that are aligned: all but articles."""
    return [word for word in statement.words if word.form not in _ARTICLES][:_MAX_WORDS]


def get_key(word: Word) -> str:
    """Return what equal words share: a content word has synonyms, a function word none but the forms of "be"."""
    return word.term if word.is_content else "be" if word.form in _FORMS_OF_BE else word.form


def index_words(keys: Iterable[str]) -> dict[str, int]:
    """Return for each word the set of its positions, as the bits of a number."""
    positions: dict[str, int] = {}
    for index, key in enumerate(keys):
        positions[key] = positions.get(key, 0) | 1 << index
    return positions


def count_common(keys: Sequence[str], positions: dict[str, int]) -> int:
    """Return the length of the longest common subsequence of the keys and an indexed text.

    Computes a row of the usual table as the bits of one number (Hyyrö 2004).
    """
    return _compute_rows(keys, positions)[-1].bit_count()


def _compute_rows(keys: Sequence[str], positions: dict[str, int]) -> list[int]:
    """Return for each number of leading keys the positions at which the length of the subsequence grows."""
    full = (1 << sum(bits.bit_count() for bits in positions.values())) - 1
    row, rows = full, [0]
    for key in keys:
        matches = row & positions.get(key, 0)
        row = ((row + matches) | (row - matches)) & full
        rows.append(full & ~row)
    return rows


def _find_pairs(keys: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    rows = _compute_rows(keys, index_words(others))
    pairs, first, second = [], len(keys), len(others)
    while first and second:
        if not rows[first] >> (second - 1) & 1:
            second -= 1
        elif _count_low_bits(rows[first - 1], second) == _count_low_bits(rows[first], second):
            first -= 1
        else:
            first, second = first - 1, second - 1
            pairs.append((first, second))
    return pairs[::-1]


def _count_low_bits(row: int, count: int) -> int:
    return (row & ((1 << count) - 1)).bit_count()
