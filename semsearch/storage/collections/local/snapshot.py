"""The ReadSnapshot port of the local store: one read transaction with the view of the same commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ....core.types.documents import Ids, Vectors
from ....core.types.filters import Filter
from ....core.types.packed_terms import PackedSpans, PackedTerms
from ....core.types.search import ScoredIds, StoredChunk
from ....core.types.stored_documents import TextBlock
from .index.checked_files import DamagedFileError
from .rows import damage, documents, embeddings, terms
from .rows.blocks import load_blocks
from .rows.documents import SEGMENT_CHARACTERS
from .rows.filter_sql import build_condition
from .rows.records import (
    CHUNK_COLUMNS,
    DOCUMENT_COLUMNS,
    WORD_COLUMNS,
    ChunkRow,
    WordRow,
    check_chunk,
    check_document,
    check_text,
    is_intact,
    parse_metadata,
)
from .view import DocumentFields, View

MAX_CACHED_CHUNKS = 16_384
"""Chunks that are cached per commit, about 50 MB. Beyond that the older half is dropped."""

MAX_CACHED_TERMS = 32_768
"""Query terms whose idf is cached per commit, about 4 MB."""

MAX_CACHED_FILTERS = 64
MAX_CACHED_FILTER_IDS = 1_000_000
"""Filters whose matching ids are cached per commit, and ids in total: 8 MB. SQLite takes 6 µs per document."""

_SELECT_CHUNKS = (
    f"SELECT {CHUNK_COLUMNS}, {WORD_COLUMNS}, s.text, {DOCUMENT_COLUMNS}"
    " FROM chunk AS c LEFT JOIN document AS d ON d.id = c.document_id LEFT JOIN word AS w ON w.chunk_id = c.id"
    f" LEFT JOIN segment AS s ON s.document_id = c.document_id AND s.ordinal = c.start / {SEGMENT_CHARACTERS}"
)
_WORD_COLUMN = len(ChunkRow._fields)
_TEXT_COLUMN = _WORD_COLUMN + len(WordRow._fields)

_T = TypeVar("_T")


class _ChunkRows(NamedTuple):
    """The rows of one chunk, not yet checked; a missing row has None in its columns."""

    chunk: Sequence[Any]
    terms: Sequence[Any]
    segment: object
    document: Sequence[Any]

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> _ChunkRows:
        return cls(row[:_WORD_COLUMN], row[_WORD_COLUMN:_TEXT_COLUMN], row[_TEXT_COLUMN], row[_TEXT_COLUMN + 1 :])


def filter_cache_key(filter: Filter | None) -> str:
    """Return the key of a filter in the cache of a view: Python equates 1 and True, SQLite does not."""
    return repr(filter)


@dataclass(slots=True)
class LocalSnapshot:
    """ports.ReadSnapshot on a read transaction; it must not be used after the transaction."""

    db: sqlite3.Connection
    view: View
    fallback_view: Callable[[DamagedFileError], View]
    """Return the same view without the generation, of which a file is damaged."""

    visible_count: int | None = None
    """Chunks of a restricted snapshot."""

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self.view.vectors) if self.visible_count is None else self.visible_count

    def restrict(self, filter: Filter) -> LocalSnapshot:
        """Return the snapshot whose term statistics are those of the chunks that match a filter of access rights."""
        ids, key = self.matching_ids(filter), filter_cache_key(filter)
        return replace(
            self,
            view=self._with_fallback(lambda view: view.restrict(key, ids)),
            fallback_view=lambda exc: self.fallback_view(exc).restrict(key, ids),
            visible_count=len(ids),
        )

    def matching_ids(self, filter: Filter) -> Ids:
        """Return the ids of the chunks whose documents match the filter, ascending."""
        cache, key = self.view.filter_cache, filter_cache_key(filter)
        ids = cache.get(key)
        if ids is None:
            sql, values = build_condition(filter)
            rows = damage.fetch_all(
                self.db,
                f"SELECT c.id FROM document AS d JOIN chunk AS c ON c.document_id = d.id WHERE {sql} ORDER BY c.id",
                values,
            )
            ids = np.fromiter((row[0] for row in rows), np.int64)
            if (
                len(ids) + sum(map(len, list(cache.values()))) > MAX_CACHED_FILTER_IDS
                or len(cache) >= MAX_CACHED_FILTERS
            ):
                cache.clear()
            cache[key] = ids
        return ids

    def document_chunk_ids(self, uris: Sequence[str], filter: Filter | None = None) -> Mapping[str, Ids]:
        """Return the ids of the chunks of each of these documents, in reading order; others are left out."""
        return documents.load_chunk_ids(self.db, uris, build_condition(filter) if filter else ("1", []))

    def vector_search(self, vector: Vectors, k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest inner product with `vector`, and those tied with the last."""
        _check_rankable(self.view.damaged_chunks.vectors, allowed_ids)
        return self._with_fallback(lambda view: view.vectors.nearest(vector, k, allowed_ids))

    @property
    def trigram_chunk_count(self) -> int:
        """How many chunks `trigram_search` can find: those whose text is not English."""
        return self.view.trigram_index.chunk_count

    def lexical_search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the terms or phrases, and those tied with the last."""
        _check_rankable(self.view.damaged_chunks.terms, allowed_ids)
        return self._with_fallback(lambda view: view.term_index.search(terms, k, allowed_ids))

    def trigram_search(self, trigrams: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the character trigrams, and those tied with the last."""
        _check_rankable(self.view.damaged_chunks.terms, allowed_ids)
        return self._with_fallback(lambda view: view.trigram_index.search(trigrams, k, allowed_ids))

    def idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Return the inverse document frequency of each term."""
        cache = self.view.idf_cache
        weights = {term: cache.get(term) for term in terms}
        if missing := [term for term, weight in weights.items() if weight is None]:
            computed = self._with_fallback(lambda view: view.term_index.compute_idf(missing))
            if len(cache) > MAX_CACHED_TERMS:
                cache.clear()
            cache.update(computed)
            weights |= computed
        return {term: weight for term, weight in weights.items() if weight is not None}

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """Return the chunks with these ids, in this order."""
        cache = self.view.chunk_cache
        loaded = {chunk_id: chunk for chunk_id in ids if (chunk := cache.get(chunk_id)) is not None}
        if missing := [chunk_id for chunk_id in ids if chunk_id not in loaded]:
            placeholders = ",".join("?" * len(missing))
            rows = {
                row[0]: row
                for row in damage.fetch_all(self.db, f"{_SELECT_CHUNKS} WHERE c.id IN ({placeholders})", missing)
            }
            encoded_terms = self._with_fallback(
                lambda view: view.sentence_terms.lookup(missing) if view.sentence_terms else {}
            )
            new_chunks = {
                chunk_id: self._load_for_ranking(chunk_id, rows.get(chunk_id), encoded_terms.get(chunk_id))
                for chunk_id in missing
            }
            if len(cache) + len(new_chunks) > MAX_CACHED_CHUNKS:
                self.view.document_cache.clear()
                for chunk_id in list(cache)[: MAX_CACHED_CHUNKS // 2]:
                    cache.pop(chunk_id, None)  # another thread may evict it too
            cache.update(new_chunks)
            loaded |= new_chunks
        return [loaded[chunk_id] for chunk_id in ids]

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """Return the embeddings of these chunks, shape (len(ids), dim)."""
        sorted_ids, order = np.unique(np.array(ids, np.int64), return_inverse=True)
        vectors: Vectors = embeddings.load(self.db, sorted_ids)[order]
        return vectors

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """Return the existing chunks of a document with ordinals from `first` to `last`, both included."""
        sql = f"{_SELECT_CHUNKS} WHERE c.document_id = ? AND c.ordinal BETWEEN ? AND ? ORDER BY c.ordinal"
        rows = damage.fetch_all(self.db, sql, (document_id, first, last))
        if len(rows) <= last - first:
            count_sql = "SELECT CAST(coalesce(chunks, 0) AS INTEGER) FROM document WHERE id = ?"
            count = self.db.execute(count_sql, (document_id,)).fetchone()
            if count and len(rows) != max(0, min(last + 1, count[0]) - max(first, 0)):
                raise damage.document_error(self.db, document_id, "list of chunks")
        return [self._to_chunk(_ChunkRows.from_row(row)) for row in rows]

    def blocks(self, document_id: int, start: int, end: int) -> list[TextBlock]:
        """Return the blocks of a document that overlap a span of its text, in reading order."""
        return load_blocks(self.db, document_id, start, end)

    def _with_fallback(self, query: Callable[[View], _T]) -> _T:
        """Run a query on the view; where it meets a damaged file, run it on a view without the generation."""
        try:
            return query(self.view)
        except DamagedFileError as exc:
            self.view = self.fallback_view(exc)
            return query(self.view)

    def _load_for_ranking(
        self, chunk_id: int, row: Sequence[Any] | None, encoded_terms: npt.NDArray[np.uint32] | None
    ) -> StoredChunk:
        """Return a chunk for ranking; a damaged one carries the message of its damage."""
        loaded = None if row is None else _ChunkRows.from_row(row)
        try:
            if loaded is None:
                raise damage.chunk_error(self.db, chunk_id, "chunk")
            return self._to_chunk(loaded, encoded_terms)
        except damage.DamagedDocumentError as exc:
            # raises again where the terms cannot be restored either: the chunk cannot be ranked
            ((_, _, body),) = terms.load(self.db, [chunk_id], partial(documents.analyze_chunk, self.db))
            return _to_damaged_chunk(chunk_id, exc, body, encoded_terms)

    def _to_chunk(self, row: _ChunkRows, encoded_terms: npt.NDArray[np.uint32] | None = None) -> StoredChunk:
        """Return a chunk; DamagedDocumentError if any part of it does not match its checksum."""
        chunk = check_chunk(self.db, row.chunk)
        text = self._read_text(chunk, row.segment)
        spans = check_text(self.db, chunk, text)
        uri, title, content_sha256, metadata = self._load_document_fields(chunk.document_id, row.document)
        body = row.terms[2] if is_intact(row.terms) else documents.analyze_chunk(self.db, chunk.id)[2]
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
            role=chunk.role,
        )

    def _read_text(self, chunk: ChunkRow, segment: object) -> str:
        """Return the text of a chunk from the segments, not yet checked against its hash."""
        if not isinstance(segment, str):
            raise damage.chunk_error(self.db, chunk.id, "text")
        start = chunk.start % SEGMENT_CHARACTERS
        text = segment[start : start + chunk.end - chunk.start]
        if len(text) == chunk.end - chunk.start:
            return text
        return documents.load_text_span(self.db, chunk.document_id, chunk.start, chunk.end)

    def _load_document_fields(self, document_id: int, row: Sequence[Any]) -> DocumentFields:
        cache = self.view.document_cache
        if (fields := cache.get(document_id)) is None:
            document = check_document(self.db, document_id, row)
            fields = cache[document.id] = document.uri, document.title, document.text_sha256, parse_metadata(document)
        return fields

    def top_k(self, scored: ScoredIds, k: int) -> ScoredIds:
        """Return the first k of descending scores; ties are in the order of uri and start."""
        ids, scores = scored.ids, scored.scores
        if len(ids) > k:
            kept = int((scores >= scores[k - 1]).sum())
            ids, scores = ids[:kept], scores[:kept]
        is_equal = scores[1:] == scores[:-1]
        if not is_equal.any():
            return ScoredIds(ids, scores)
        is_tied = np.append(is_equal, False) | np.append(False, is_equal)
        sort_keys = self._load_sort_keys(ids[is_tied])
        best = sorted(range(len(ids)), key=lambda index: (-scores[index], sort_keys.get(int(ids[index]))))[:k]
        return ScoredIds(ids[best], scores[best])

    def _load_sort_keys(self, ids: Ids) -> dict[int, tuple[str, int]]:
        rows = damage.fetch_all(
            self.db,
            "SELECT c.id, d.uri, CAST(c.start AS INTEGER)"
            " FROM chunk AS c LEFT JOIN document AS d ON d.id = c.document_id"
            f" WHERE c.id IN ({','.join(map(str, ids.tolist()))})",
        )
        keys = {chunk_id: (str(uri), start) for chunk_id, uri, start in rows}
        return {chunk_id: keys.get(chunk_id, ("", 0)) for chunk_id in ids.tolist()}


def _to_damaged_chunk(
    chunk_id: int, error: damage.DamagedDocumentError, body: str, encoded_terms: npt.NDArray[np.uint32] | None
) -> StoredChunk:
    """Return a chunk that can be ranked by the terms of its sentences, but not shown."""
    terms = PackedTerms(body, body.count("\n"), encoded_terms)
    spans = PackedSpans([])
    return StoredChunk(chunk_id, 0, 0, error.uri, "", "", None, 0, 0, "", spans, terms, "", {}, damage=str(error))


def _check_rankable(damage_by_id: Mapping[int, tuple[str, str]], allowed_ids: Ids | None) -> None:
    """Raise DamagedDocumentError if an allowed chunk cannot be ranked."""
    for chunk_id, (uri, part) in damage_by_id.items():
        if allowed_ids is None or np.isin(chunk_id, allowed_ids):
            raise damage.DamagedDocumentError(uri, part)
