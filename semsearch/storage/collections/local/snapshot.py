"""One collection at one moment, behind the Snapshot port: one read transaction and one view. Does not outlive it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ....core.types.documents import Ids, Vectors
from ....core.types.filters import Filter
from ....core.types.packed_terms import PackedSpans, PackedTerms
from ....core.types.search import ScoredIds, StoredChunk
from .index.checked_files import DamagedFileError
from .rows import damage, documents, embeddings, terms
from .rows.documents import SEGMENT_CHARACTERS
from .rows.filter_sql import build_condition
from .rows.records import (
    CHUNK,
    DOCUMENT,
    WORD,
    ChunkRow,
    DocumentRow,
    WordRow,
    check_chunk,
    check_document,
    is_sound,
    metadata_of,
)
from .view import DocumentFields, View

MAX_CACHED_CHUNKS = 16_384
"""Chunks that are kept as long as nothing is written: some 50 MB. Then the older half of them goes."""

MAX_CACHED_TERMS = 32_768
"""Terms of questions whose weights are kept as long: some 4 MB."""

MAX_CACHED_FILTERS = 64
MAX_CACHED_FILTER_IDS = 1_000_000
"""Filters whose chunks are kept as long, and how many ids together: 8 MB. To ask SQLite takes 6 µs a document."""

_SELECT_CHUNKS = (
    f"SELECT {CHUNK}, {WORD}, s.text, {DOCUMENT}"
    " FROM chunk AS c LEFT JOIN document AS d ON d.id = c.document_id LEFT JOIN word AS w ON w.chunk_id = c.id"
    f" LEFT JOIN segment AS s ON s.document_id = c.document_id AND s.ordinal = c.start / {SEGMENT_CHARACTERS}"
)
_TEXT = len(ChunkRow._fields) + len(WordRow._fields)

_T = TypeVar("_T")


class _Loaded(NamedTuple):
    """What is read of a chunk; what is missing has None in its columns."""

    chunk: ChunkRow
    words: WordRow
    segment: str | None
    document: DocumentRow

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Loaded:
        words = len(ChunkRow._fields)
        return cls(ChunkRow(*row[:words]), WordRow(*row[words:_TEXT]), row[_TEXT], DocumentRow(*row[_TEXT + 1 :]))


def filter_cache_key(filter: Filter) -> str:
    """The name under which a view keeps what passes a filter: for Python 1 equals True, which SQLite tells apart."""
    return repr(filter)


@dataclass(slots=True)
class LocalSnapshot:
    """ports.Snapshot on a read transaction."""

    db: sqlite3.Connection
    view: View
    fallback_view: Callable[[DamagedFileError], View]
    """The same view without the files of which one is damaged."""

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self.view.vectors)

    def matching_ids(self, filter: Filter) -> Ids:
        """Ids of the chunks whose documents pass the filter, ascending."""
        known, key = self.view.filter_cache, filter_cache_key(filter)
        found = known.get(key)
        if found is None:
            sql, values = build_condition(filter)
            rows = damage.fetch(
                self.db,
                f"SELECT c.id FROM document AS d JOIN chunk AS c ON c.document_id = d.id WHERE {sql} ORDER BY c.id",
                values,
            )
            found = np.fromiter((row[0] for row in rows), np.int64)
            if (
                len(found) + sum(map(len, list(known.values()))) > MAX_CACHED_FILTER_IDS
                or len(known) >= MAX_CACHED_FILTERS
            ):
                known.clear()
            known[key] = found
        return found

    def vector_search(self, vector: Vectors, k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """The k chunks of highest inner product with `vector`, and those equal to the last of them."""
        _refuse(self.view.lost.vectors, allowed_ids)
        return self._with_fallback(lambda view: view.vectors.nearest(vector, k, allowed_ids))

    @property
    def trigram_chunk_count(self) -> int:
        """How many chunks `trigram_search` can find: those whose text is not English."""
        return self.view.trigram_index.chunk_count

    def lexical_search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the terms or phrases, and those tied with the last."""
        _refuse(self.view.lost.words, allowed_ids)
        return self._with_fallback(lambda view: view.term_index.search(terms, k, allowed_ids))

    def trigram_search(self, trigrams: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the character trigrams, and those tied with the last."""
        _refuse(self.view.lost.words, allowed_ids)
        return self._with_fallback(lambda view: view.trigram_index.search(trigrams, k, allowed_ids))

    def idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term."""
        known = self.view.idf_cache
        found = {term: known.get(term) for term in terms}
        if new := [term for term, weight in found.items() if weight is None]:
            fresh = self._with_fallback(lambda view: view.term_index.compute_idf(new))
            if len(known) > MAX_CACHED_TERMS:
                known.clear()
            known.update(fresh)
            found |= fresh
        return {term: weight for term, weight in found.items() if weight is not None}

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks of these ids, in this order."""
        known = self.view.chunk_cache
        loaded = {chunk_id: chunk for chunk_id in ids if (chunk := known.get(chunk_id)) is not None}
        if missing := [chunk_id for chunk_id in ids if chunk_id not in loaded]:
            marks = ",".join("?" * len(missing))
            rows = {row[0]: row for row in damage.fetch(self.db, f"{_SELECT_CHUNKS} WHERE c.id IN ({marks})", missing)}
            ready = self._with_fallback(lambda view: view.sentence_terms.lookup(missing) if view.sentence_terms else {})
            new = {chunk_id: self._loaded(chunk_id, rows.get(chunk_id), ready.get(chunk_id)) for chunk_id in missing}
            if len(known) + len(new) > MAX_CACHED_CHUNKS:
                self.view.document_cache.clear()
                for chunk_id in list(known)[: MAX_CACHED_CHUNKS // 2]:
                    known.pop(chunk_id, None)  # another search may be at it too
            known.update(new)
            loaded |= new
        return [loaded[chunk_id] for chunk_id in ids]

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """The embeddings of these chunks."""
        ascending, order = np.unique(np.array(ids, np.int64), return_inverse=True)
        found: Vectors = embeddings.of(self.db, ascending)[order]
        return found

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """The chunks of a document by ordinal, both ends included, as far as they exist."""
        sql = f"{_SELECT_CHUNKS} WHERE c.document_id = ? AND c.ordinal BETWEEN ? AND ? ORDER BY c.ordinal"
        rows = damage.fetch(self.db, sql, (document_id, first, last))
        chunks = "SELECT CAST(coalesce(chunks, 0) AS INTEGER) FROM document WHERE id = ?"
        count = self.db.execute(chunks, (document_id,)).fetchone()
        if count and len(rows) != max(0, min(last + 1, count[0]) - max(first, 0)):
            raise damage.of_document(self.db, document_id, "list of chunks")
        return [self._to_chunk(_Loaded.of(row)) for row in rows]

    def _with_fallback(self, query: Callable[[View], _T]) -> _T:
        """What a look at the view gives; where that meets damage, a look at one that needs no file."""
        try:
            return query(self.view)
        except DamagedFileError as exc:
            self.view = self.fallback_view(exc)
            return query(self.view)

    def _loaded(
        self, chunk_id: int, found: Sequence[Any] | None, numbers: npt.NDArray[np.uint32] | None
    ) -> StoredChunk:
        """A chunk to be ranked; one that cannot be shown says why."""
        row = None if found is None else _Loaded.of(found)
        try:
            if row is None:
                raise damage.of_chunk(self.db, chunk_id, "chunk")
            return self._to_chunk(row, numbers)
        except damage.DamagedDocument as exc:
            # where the words are damaged too, its rank is not known, and this is raised again
            ((_, _, body),) = terms.load(self.db, [chunk_id], partial(documents.analysed, self.db))
            return _damaged(chunk_id, exc, body, numbers)

    def _to_chunk(self, row: _Loaded, encoded_terms: npt.NDArray[np.uint32] | None = None) -> StoredChunk:
        """A chunk that can be shown; DamagedDocument if anything of it is not as it was written."""
        chunk = row.chunk
        text = self._text(row)
        spans = check_chunk(self.db, chunk, text)
        uri, title, content_sha256, metadata = self._about(row)
        body = row.words.body if is_sound(row.words) else documents.analysed(self.db, chunk.id)[2]
        return StoredChunk(
            id=chunk.id,
            document_id=chunk.document_id,
            ordinal=chunk.ordinal,
            uri=uri,
            title=title,
            heading=chunk.heading,
            page=chunk.page,
            start=chunk.start,
            end=chunk.end,
            text=text,
            sentences=spans,
            terms=PackedTerms(body, len(spans), encoded_terms),
            content_sha256=content_sha256,
            metadata=metadata,
        )

    def _text(self, row: _Loaded) -> str:
        """What the segments say; it is not known yet whether it is as it was written."""
        chunk = row.chunk
        if not isinstance(row.segment, str) or not is_sound(chunk):
            raise damage.of_chunk(self.db, chunk.id, "text")
        text = row.segment[
            chunk.start % SEGMENT_CHARACTERS : chunk.start % SEGMENT_CHARACTERS + chunk.end - chunk.start
        ]
        if len(text) == chunk.end - chunk.start:
            return text
        return documents.load_text_span(self.db, chunk.document_id, chunk.start, chunk.end)

    def _about(self, row: _Loaded) -> DocumentFields:
        known = self.view.document_cache
        if (about := known.get(row.chunk.document_id)) is None:
            if row.document.id is None:
                raise damage.of_document(self.db, row.chunk.document_id, "entry")
            of = check_document(self.db, row.document)
            about = known[of.id] = of.uri, of.title, of.text_sha256, metadata_of(of)
        return about

    def top_k(self, scored: ScoredIds, k: int) -> ScoredIds:
        """The best k of scores that fall, equal ones in the order of uri and start."""
        ids, scores = scored.ids, scored.scores
        if len(ids) > k:
            kept = int((scores >= scores[k - 1]).sum())
            ids, scores = ids[:kept], scores[:kept]
        equal = scores[1:] == scores[:-1]
        if not equal.any():
            return ScoredIds(ids, scores)
        tied = np.append(equal, False) | np.append(False, equal)
        place = self._load_sort_keys(ids[tied])
        best = sorted(range(len(ids)), key=lambda at: (-scores[at], place.get(int(ids[at]))))[:k]
        return ScoredIds(ids[best], scores[best])

    def _load_sort_keys(self, ids: Ids) -> dict[int, tuple[str, int]]:
        rows = damage.fetch(
            self.db,
            "SELECT c.id, d.uri, CAST(c.start AS INTEGER)"
            " FROM chunk AS c LEFT JOIN document AS d ON d.id = c.document_id"
            f" WHERE c.id IN ({','.join(map(str, ids.tolist()))})",
        )
        found = {chunk_id: (str(uri), start) for chunk_id, uri, start in rows}
        return {chunk_id: found.get(chunk_id, ("", 0)) for chunk_id in ids.tolist()}


def _damaged(
    chunk_id: int, why: damage.DamagedDocument, body: str, numbers: npt.NDArray[np.uint32] | None
) -> StoredChunk:
    """A chunk that is ranked by the words of its sentences, and may not be shown."""
    held = PackedTerms(body, body.count("\n"), numbers)
    spans = PackedSpans([])
    return StoredChunk(chunk_id, 0, 0, why.about[0], "", "", None, 0, 0, "", spans, held, "", {}, str(why))


def _refuse(lost: Mapping[int, tuple[str, str]], allowed: Ids | None) -> None:
    """DamagedDocument if a chunk that may be found cannot be ranked."""
    for chunk_id, why in lost.items():
        if allowed is None or np.isin(chunk_id, allowed):
            raise damage.DamagedDocument(*why)
