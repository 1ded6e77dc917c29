"""What one search sees of the words: an immutable view of one commit, which ranks chunks by BM25. Knows no disk.

A few indexes, each of newer chunks than the one before, count as one: the number of chunks, their mean length and how
many of them hold a term are those of all that are alive, so that scores are the same after any history. BM25 is that of
Robertson & Zaragoza, "The Probabilistic Relevance Framework" (2009), with an inverse document frequency above 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids
from .....core.types.search import Scored
from .arrays import among
from .postings import Counts, Postings, Rows, merge, phrase_keys

K1 = 1.2
B = 0.75

MAX_TERMS = 256
"""Different terms of one question that are looked up; the first ones count."""

TIE_ROOM = 300

_MERGED = 4
"""An index is merged with the one before unless that one is so many times larger: few remain, and little is copied."""

_TELLING = 2
"""Terms whose rows are looked at for the least score of the best."""

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """An index, and which of its rows are gone; None where all are alive."""

    postings: Postings
    dead: _Mask | None = None

    def find(self, term: str) -> tuple[Rows, Counts]:
        """The rows that hold a term, or all of a phrase, and how often."""
        found = [self.postings.of(key) for key in phrase_keys(term)]
        rows, counts = found[0] if len(found) == 1 else _common(found)
        if self.dead is None:
            return rows, counts
        alive = ~self.dead[rows]
        return rows[alive], counts[alive]

    def holding(self, terms: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many rows hold each term, or all of each phrase."""
        keys = [phrase_keys(term) for term in terms]
        if self.dead is not None:
            return np.array([len(self.find(term)[0]) for term in terms], np.int64)
        holding = self.postings.holding([first for first, *_ in keys])
        for at, parts in enumerate(keys):
            if len(parts) > 1:
                holding[at] = len(self.find(terms[at])[0])
        return holding

    def without(self, removed: Ids) -> Part:
        """The part when these chunks are gone too."""
        gone = np.isin(self.postings.ids.whole(), removed)
        if not gone.any():
            return self
        return Part(self.postings, gone if self.dead is None else self.dead | gone)

    def size(self) -> tuple[int, int]:
        """How many chunks are alive, and how many terms they hold together."""
        lengths = self.postings.lengths if self.dead is None else self.postings.lengths[~self.dead]
        return len(lengths), int(lengths.sum(dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one collection as of one commit."""

    parts: tuple[Part, ...]
    chunks: int
    """That are alive."""
    norms: tuple[npt.NDArray[np.float32], ...]
    """Of each part: what the length of each row takes from a term's gain."""

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Words:
        """Indexes of which each has higher ids than the one before."""
        sized = [(part, *part.size()) for part in parts]
        alive = [(part, chunks, length) for part, chunks, length in sized if chunks]
        count, length = sum(one[1] for one in alive), sum(one[2] for one in alive)
        norms = [_norms(part.postings.lengths, count / max(1, length)) for part, *_ in alive]
        return cls(tuple(part for part, *_ in alive), count, tuple(norms))

    def advance(self, added: Postings, removed: Ids) -> Words:
        """The words after these changes; the ids of what is added are higher than all before."""
        parts = [part.without(removed) for part in self.parts] if len(removed) else list(self.parts)
        new = Part(added)
        while len(parts) > 1 and len(parts[-1].postings) < _MERGED * len(new.postings):
            new = _merged(parts.pop(), new)
        return Words.of([*parts, new])

    def weights(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term, above 0; one that nothing holds weighs most."""
        distinct = list(dict.fromkeys(terms))[:MAX_TERMS]
        holding = sum([part.holding(distinct) for part in self.parts], np.zeros(len(distinct), np.int64))
        return dict(zip(distinct, map(self._weight, holding.tolist()), strict=True))

    def match(self, terms: Sequence[str], k: int, allowed: Ids | None) -> Scored:
        """The best k chunks for any of the terms, and a few more where scores are equal at the end."""
        wanted = Counter(terms[: 2 * MAX_TERMS])
        for term in list(wanted)[MAX_TERMS:]:
            del wanted[term]
        found = [[part.find(term) for part in self.parts] for term in wanted]
        weights = [
            times * self._weight(sum(len(rows) for rows, _ in places))
            for times, places in zip(wanted.values(), found, strict=True)
        ]
        best = [
            _best(
                part, norms, [(*places[at], weight) for places, weight in zip(found, weights, strict=True)], k, allowed
            )
            for at, (part, norms) in enumerate(zip(self.parts, self.norms, strict=True))
        ]
        ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in best)])
        scores = np.concatenate([np.empty(0), *(scores for _, scores in best)])
        order = np.lexsort((ids, -scores))
        kept = min(_kept(scores[order], k), k + TIE_ROOM)
        return Scored(ids[order[:kept]], scores[order[:kept]])

    def _weight(self, holding: int) -> float:
        return math.log1p((self.chunks - holding + 0.5) / (holding + 0.5))


def _common(found: Sequence[tuple[Rows, Counts]]) -> tuple[Rows, Counts]:
    """The rows that hold all parts of a phrase, each once."""
    (rows, _), *others = sorted(found, key=lambda one: len(one[0]))
    for other, _ in others:
        rows = rows[among(rows, other)]
    return rows, np.ones(len(rows), np.uint8)


def _best(
    part: Part,
    norms: npt.NDArray[np.float32],
    found: Sequence[tuple[Rows, Counts, float]],
    k: int,
    allowed: Ids | None,
) -> tuple[Ids, npt.NDArray[np.float64]]:
    """The best k rows of one index, and all that are as good as the last of them."""
    ids = part.postings.ids.whole()
    permitted = None if allowed is None else np.isin(ids, allowed, assume_unique=True)
    scores = np.zeros(len(ids), np.float32)
    met = []
    for found_rows, counts, weight in found:
        rows = found_rows.astype(np.intp)  # else numpy does it each time that they are used
        if permitted is not None:
            inside = permitted[rows]
            rows, counts = rows[inside], counts[inside]
        np.add.at(scores, rows, _gains(counts, norms.take(rows, mode="clip"), weight))  # half the time of `+=`
        met.append(rows)
    best = _at_least(scores, met, k)
    return ids[best], scores[best].astype(np.float64)


def _norms(lengths: Rows, chunks_of_a_term: float) -> npt.NDArray[np.float32]:
    norms: npt.NDArray[np.float32] = lengths.astype(np.float32)
    norms *= np.float32(K1 * B * chunks_of_a_term)
    norms += np.float32(K1 * (1 - B))
    return norms


def _gains(counts: Counts, norms: npt.NDArray[np.float32], weight: float) -> npt.NDArray[np.float32]:
    """What one term gives to each row that holds it; `norms` are those rows' own."""
    gains = counts.astype(np.float32)
    norms += gains
    gains /= norms
    gains *= np.float32(weight * (K1 + 1))
    return gains


def _at_least(scores: npt.NDArray[np.float32], met: Sequence[npt.NDArray[np.intp]], k: int) -> npt.NDArray[np.int64]:
    """The best k rows and all as good as the last of them; `met` has the rows of each term."""
    # the best of one term's rows tell how good the best must be: those of a rare term tell more, and sooner
    telling = sorted((rows for rows in met if len(rows) >= k), key=len)[:_TELLING]
    least = max((_kth(scores[rows], k) for rows in telling), default=0.0)
    rows = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    kept = scores[rows]
    return rows[kept >= _kth(kept, k)] if len(rows) > k else rows


def _kth(scores: npt.NDArray[np.float32], k: int) -> float:
    """The k-th best of at least k scores."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])


def _kept(scores: npt.NDArray[np.float64], k: int) -> int:
    """How many of these falling scores are among the first k or equal to the last of them."""
    return len(scores) if len(scores) <= k else int(np.searchsorted(-scores, -scores[k - 1], "right"))


def _merged(one: Part, other: Part) -> Part:
    masks = [np.zeros(len(part.postings), np.bool_) if part.dead is None else part.dead for part in (one, other)]
    dead = None if one.dead is None and other.dead is None else np.concatenate(masks)
    return Part(merge([one.postings, other.postings]), dead)
