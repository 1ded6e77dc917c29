"""One collection at one moment, behind the Snapshot port: one read transaction and one view. Does not outlive it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...analysis import Language
from ...filters import Filter
from ...packed import PackedSpans, PackedTerms
from ...types import Ids, Scored, StoredChunk, Vectors
from .blocks import Damaged
from .documents import SEGMENT, span, vectors_of
from .view import View, matched
from .where import condition

REMEMBERED = 16_384
"""Chunks that are kept as long as nothing is written: some 50 MB. Then the older half of them goes."""

REMEMBERED_TERMS = 32_768
"""Terms of questions whose weights are kept as long: some 4 MB."""

REMEMBERED_FILTERS = 64
REMEMBERED_ALLOWED = 1_000_000
"""Filters whose chunks are kept as long, and how many ids together: 8 MB. To ask SQLite takes 6 µs a document."""

_CHUNK = (
    "SELECT c.id, c.document_id, c.ordinal, d.uri, d.title, c.heading, c.page, c.start, c.end, c.sentences, w.body,"
    " d.text_sha256, d.metadata, s.text"
    " FROM chunk AS c JOIN document AS d ON d.id = c.document_id JOIN word AS w ON w.chunk_id = c.id"
    f" JOIN segment AS s ON s.document_id = c.document_id AND s.ordinal = c.start / {SEGMENT}"
)

_T = TypeVar("_T")


def known_as(where: Filter) -> str:
    """The name under which a view keeps what passes a filter: for Python 1 equals True, which SQLite tells apart."""
    return repr(where)


@dataclass(slots=True)
class LocalSnapshot:
    """ports.Snapshot on a read transaction."""

    db: sqlite3.Connection
    view: View
    without: Callable[[Damaged], View]
    """The same view without the files of which one is damaged."""

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self.view.points)

    def allowed(self, where: Filter) -> Ids:
        """Ids of the chunks whose documents pass the filter, ascending."""
        known, key = self.view.allowed, known_as(where)
        found = known.get(key)
        if found is None:
            sql, values = condition(where)
            rows = self.db.execute(
                f"SELECT c.id FROM document AS d JOIN chunk AS c ON c.document_id = d.id WHERE {sql} ORDER BY c.id",
                values,
            )
            found = np.fromiter((row[0] for row in rows), np.int64)
            if (
                len(found) + sum(map(len, list(known.values()))) > REMEMBERED_ALLOWED
                or len(known) >= REMEMBERED_FILTERS
            ):
                known.clear()
            known[key] = found
        return found

    def nearest(self, vector: Vectors, k: int, allowed: Ids | None = None) -> Scored:
        """The k chunks of highest inner product with `vector`, and those equal to the last of them."""
        return self._sound(lambda view: view.points.nearest(vector, k, allowed))

    def match(self, terms: Sequence[str], k: int, allowed: Ids | None = None, *, language: Language = "en") -> Scored:
        """The k chunks of highest BM25 for any of the analysed terms, and those equal to the last of them."""
        return self._sound(lambda view: matched(view, terms, k, allowed, language))

    def weights(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term."""
        known = self.view.weights
        found = {term: known.get(term) for term in terms}
        if new := [term for term, weight in found.items() if weight is None]:
            fresh = self._sound(lambda view: view.words.weights(new))
            if len(known) > REMEMBERED_TERMS:
                known.clear()
            known.update(fresh)
            found |= fresh
        return {term: weight for term, weight in found.items() if weight is not None}

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks of these ids, in this order."""
        known = self.view.chunks
        loaded = {chunk_id: chunk for chunk_id in ids if (chunk := known.get(chunk_id)) is not None}
        if missing := [chunk_id for chunk_id in ids if chunk_id not in loaded]:
            marks = ",".join("?" * len(missing))
            rows = self.db.execute(f"{_CHUNK} WHERE c.id IN ({marks})", missing).fetchall()
            ready = self._sound(lambda view: view.sentences.of(missing) if view.sentences else {})
            new = {row[0]: self._chunk(row, ready.get(row[0])) for row in rows}
            if len(known) + len(new) > REMEMBERED:
                self.view.documents.clear()
                for chunk_id in list(known)[: REMEMBERED // 2]:
                    known.pop(chunk_id, None)  # another search may be at it too
            known.update(new)
            loaded |= new
        return [loaded[chunk_id] for chunk_id in ids]

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """The embeddings of these chunks."""
        ascending, order = np.unique(np.array(ids, np.int64), return_inverse=True)
        found: Vectors = vectors_of(self.db, ascending)[1][order]
        return found

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """The chunks of a document by ordinal, both ends included, as far as they exist."""
        sql = f"{_CHUNK} WHERE c.document_id = ? AND c.ordinal BETWEEN ? AND ? ORDER BY c.ordinal"
        return [self._chunk(row) for row in self.db.execute(sql, (document_id, first, last)).fetchall()]

    def _sound(self, look: Callable[[View], _T]) -> _T:
        """What a look at the view gives; where that meets damage, a look at one that needs no file."""
        try:
            return look(self.view)
        except Damaged as exc:
            self.view = self.without(exc)
            return look(self.view)

    def _chunk(self, row: tuple[Any, ...], numbers: npt.NDArray[np.uint32] | None = None) -> StoredChunk:
        chunk_id, document_id, ordinal, uri, title, heading, page, start, end, sentences, body, sha256, metadata, of = (
            row
        )
        spans = PackedSpans(json.loads(sentences))
        text = of[start % SEGMENT : start % SEGMENT + end - start]
        if (about := self.view.documents.get(document_id)) is None:
            about = self.view.documents[document_id] = uri, title, sha256, json.loads(metadata)
        return StoredChunk(
            id=chunk_id,
            document_id=document_id,
            ordinal=ordinal,
            uri=about[0],
            title=about[1],
            heading=heading,
            page=page,
            start=start,
            end=end,
            text=text if len(text) == end - start else span(self.db, document_id, start, end),
            sentences=spans,
            terms=PackedTerms(body, len(spans), numbers),
            content_sha256=about[2],
            metadata=about[3],
        )

    def order(self, found: Scored, k: int) -> Scored:
        """The best k of scores that fall, equal ones in the order of uri and start."""
        ids, scores = found.ids, found.scores
        if len(ids) > k:
            kept = int((scores >= scores[k - 1]).sum())
            ids, scores = ids[:kept], scores[:kept]
        equal = scores[1:] == scores[:-1]
        if not equal.any():
            return Scored(ids, scores)
        tied = np.append(equal, False) | np.append(False, equal)
        place = self._places(ids[tied])
        best = sorted(range(len(ids)), key=lambda at: (-scores[at], place.get(int(ids[at]))))[:k]
        return Scored(ids[best], scores[best])

    def _places(self, ids: Ids) -> dict[int, tuple[str, int]]:
        rows = self.db.execute(
            "SELECT c.id, d.uri, c.start FROM chunk AS c JOIN document AS d ON d.id = c.document_id"
            f" WHERE c.id IN ({','.join(map(str, ids.tolist()))})"
        )
        return {chunk_id: (uri, start) for chunk_id, uri, start in rows}
