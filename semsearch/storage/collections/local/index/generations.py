"""Generations of the derived index files: when to rebuild, how to build and publish one, when to delete it.

A generation covers the chunks up to one id: their postings, their vectors in a mapped file, and codes where they are
many. It is used only when the catalogue names it. The previous one is kept until the next is published, for searches
that still read it.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .....core.errors import StorageError
from .....core.types.documents import Ids, Vectors
from .....core.types.stored_documents import IndexState
from ..rows import damage, documents, embeddings, header, terms
from ..rows.checksums import row_checksum
from ..rows.records import is_intact
from . import checked_files, sign_codes
from .build_processes import build_in_processes
from .postings import Postings
from .postings_slices import TermColumns, iter_merged, iter_term_columns
from .segment_builder import INDEX_VERSION, IndexPart, PartMerger, reuse_previous_parts
from .sentence_terms import SentenceTerms
from .vector_index import VectorSegment, build_row_table

if TYPE_CHECKING:
    from ..catalog import Catalog

log = logging.getLogger(__name__)

MAX_STALE_ROWS = 500
MAX_STALE_SHARE = 0.05
"""The index is rebuilt when more chunks than this, and than this share of its chunks, are newer or deleted."""
MAX_LOG_ROWS = 50_000
"""It is also rebuilt when the change log has more rows."""

_PIECE_ROWS = 16 * checked_files.BLOCK_BYTES
_POSTINGS_COLUMNS = ("ids", "lengths", "hashes", "starts", "rows", "counts")
"""Arrays of postings. Lengths are read when they are opened, ids and hashes at the first search, and of the others only
the slices that a query needs."""

_SIGN_CODE_FIELDS = {"bits": "bits", "ones": "popcounts", "factors": "factors"}
"""File names of the sign codes, with the fields of `SignCodes`."""

_SELECT_IDS_IN_ORDER = (  # so that equal collections give equal files
    "SELECT c.id FROM document AS d JOIN chunk AS c ON c.document_id = d.id ORDER BY d.uri, c.start, c.id"
)
_SELECT_LATEST = (
    "SELECT kind, space_id, generation.seq, last_id, folder, files, rows, generation.checksum"
    " FROM generation JOIN meta ON space_id = live_space WHERE kind = 'all' ORDER BY generation.id DESC LIMIT 1"
)


DEFAULT_INDEX_THRESHOLDS = (2_000_000, 150_000)
"""Measured with 256 dimensions: CPU ms per query, and recall@10. An exact scan takes .10 for 2,500 chunks, .33 for
7,500 and .42 for 10,000; codes and rerank take .06, .08 and .09 (.999). Up to 8,000 chunks the exact scan is used all
the same: its recall is 1, and FAISS is not loaded, which takes a quarter of a second. A scan of all codes takes .28 for
50,000 chunks (.999), .52 for 100,000 (.999) and .91 for 150,000 (.996); lists take .29 (.992), .39 (.990) and .58
(.984). Lists are faster from 50,000 chunks on, and are used from 150,000 on, where the time saved outweighs the recall
lost."""


@dataclass(frozen=True, slots=True)
class IndexThresholds:
    """Sizes from which vectors are searched another way; `DEFAULT_INDEX_THRESHOLDS` has the measurements."""

    min_floats_for_codes: int
    """Below this many floats all vectors are scanned; from it on codes select candidates, which are ranked exactly."""
    min_chunks_for_lists: int
    """From this many chunks on only the nearest lists of codes are scanned."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The opened files of the chunks up to `last_id`."""

    last_id: int
    vector_segment: VectorSegment
    postings: Postings
    trigram_postings: Postings | None
    sentence_terms: SentenceTerms


@dataclass(frozen=True, slots=True)
class UnpublishedGeneration:
    """A generation that is built, but not yet named by the catalogue."""

    seq: int
    last_id: int
    row_count: int
    folder: str | None
    manifest: str


def needs_rebuild(db: sqlite3.Connection) -> bool:
    """Return whether newer and deleted chunks, or the change log, exceed the bounds of the latest generation."""
    covered, deleted, tail = _count_covered(db)
    logged = db.execute("SELECT count(*) FROM change").fetchone()[0]
    return bool(tail + deleted > max(MAX_STALE_ROWS, MAX_STALE_SHARE * covered) or logged > MAX_LOG_ROWS)


def _count_covered(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Return how many chunks the latest generation was built from, and how many are deleted and new since."""
    rows = header.load_state(db).chunks
    latest = _load_latest_row(db)
    seq, last_id, covered = (latest[0], latest[1], latest[4]) if latest else (0, 0, 0)
    deleted = db.execute(
        "SELECT count(*) FROM change WHERE op < 0 AND seq > ? AND chunk_id <= ?", (seq, last_id)
    ).fetchone()[0]
    return covered, deleted, rows - (covered - deleted)


def _load_latest_row(db: sqlite3.Connection) -> tuple[Any, ...] | None:
    """Return seq, last id, folder, manifest and rows of the latest generation; None without an intact row."""
    rows = damage.fetch_all(db, _SELECT_LATEST)
    return rows[0][2:-1] if rows and is_intact(rows[0]) else None


class Generations:
    """Build, open and delete the generations in the folder of one collection."""

    def __init__(self, folder: Path, thresholds: IndexThresholds) -> None:
        self.folder = folder
        self._thresholds = thresholds
        self._loaded: tuple[str, Generation] | None = None
        self._damaged_folder: str | None = None

    def load(self, db: sqlite3.Connection) -> Generation | None:
        """Return the latest generation, or None if there is none or it is damaged."""
        row = _load_latest_row(db)
        if row is None or row[2] is None or row[2] == self._damaged_folder:
            return None
        _, last_id, folder, manifest, _ = row
        loaded = self._loaded  # another thread may replace it
        if loaded is None or loaded[0] != folder:
            try:
                self._loaded = loaded = folder, _open_generation(self.folder / folder, manifest, last_id)
            except checked_files.DamagedFileError as exc:
                self.mark_damaged(db, exc)
                return None
        return loaded[1]

    def verify(self, db: sqlite3.Connection) -> None:
        """Read every block of the latest generation; DamagedFileError names the first damaged file."""
        row = _load_latest_row(db)
        if row is not None and row[2] is not None:
            for array in checked_files.open_arrays(self.folder / row[2], row[3]).values():
                array.read_all()

    def is_damaged(self, db: sqlite3.Connection) -> bool:
        """Return whether the latest generation is known to be damaged, so that the index needs a rebuild."""
        row = _load_latest_row(db)
        return row is not None and row[2] is not None and row[2] == self._damaged_folder

    def load_state(self, db: sqlite3.Connection) -> IndexState:
        """Return how many chunks the latest generation covers, and whether it needs a rebuild."""
        covered, deleted, tail = _count_covered(db)
        if self.is_damaged(db):
            return IndexState("damaged", 0, covered - deleted + tail)
        is_behind, is_built = needs_rebuild(db), covered > 0
        return IndexState("behind" if is_behind else "current" if is_built else "none", covered - deleted, tail)

    def mark_damaged(self, db: sqlite3.Connection, error: checked_files.DamagedFileError) -> None:
        """Log the damage, and search without the latest generation until another is built."""
        log.warning("%s; search is exact, and slower, until the next write or reindexing", error)
        self._stop_using_latest(db)

    def build(self, db: sqlite3.Connection, *, from_scratch: bool = False) -> UnpublishedGeneration:
        """Write a generation of all chunks that `db`'s transaction sees, and return it unpublished.

        What the latest generation covers is copied from it, in a fraction of the time, unless it is damaged or
        `from_scratch` is set.
        """
        state = header.load_state(db)
        seq, row_count, last_id = state.seq, state.chunks, db.execute("SELECT max(id) FROM chunk").fetchone()[0]
        if not row_count:
            return UnpublishedGeneration(seq, 0, 0, None, "{}")
        previous = None if from_scratch else self._load_reusable(db)
        try:
            folder, manifest = self._write(db, previous, row_count)
        except checked_files.DamagedFileError as exc:
            if previous is None:
                raise
            self._discard_damaged(db, exc)
            folder, manifest = self._write(db, None, row_count)
        return UnpublishedGeneration(seq, last_id, row_count, folder, manifest)

    def publish(self, db: sqlite3.Connection, generation: UnpublishedGeneration) -> None:
        """Name the generation in the catalogue, and delete the change log up to it."""
        row = (
            "all",
            header.load_space(db).id,
            generation.seq,
            generation.last_id,
            generation.folder,
            generation.manifest,
            generation.row_count,
        )
        db.execute(
            "INSERT INTO generation (kind, space_id, seq, last_id, folder, files, rows, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, row_checksum(*row)),
        )
        db.execute("DELETE FROM change WHERE seq <= ?", (generation.seq,))
        db.execute("UPDATE meta SET log_start = ?", (generation.seq,))
        db.execute("DELETE FROM generation WHERE id NOT IN (SELECT id FROM generation ORDER BY id DESC LIMIT 2)")

    def delete_unused(self, catalog: Catalog) -> None:
        """Delete index folders that the catalogue does not name, and those of interrupted builds."""
        with catalog.read() as db:
            named = {row[0] for row in db.execute("SELECT folder FROM generation")}
        for path in [*self.folder.glob("ann.*"), *self.folder.glob("index.*"), *self.folder.glob(".building-*")]:
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _load_reusable(self, db: sqlite3.Connection) -> Generation | None:
        """Return the latest generation if its files can be copied into the next one.

        It is opened again, because a block that a search verified earlier may have been damaged since.
        """
        row = _load_latest_row(db)
        if (
            row is None
            or row[2] is None
            or row[2] == self._damaged_folder
            or checked_files.read_version(row[3]) != INDEX_VERSION
        ):
            return None
        _, last_id, folder, manifest, _ = row
        try:
            return _open_generation(self.folder / folder, manifest, last_id, with_codes=False)
        except checked_files.DamagedFileError as exc:
            self._discard_damaged(db, exc)
            return None

    def _discard_damaged(self, db: sqlite3.Connection, error: checked_files.DamagedFileError) -> None:
        """Log the damage, and copy nothing more from the latest generation."""
        log.warning("%s; the next index is built from the stored documents", error)
        self._stop_using_latest(db)

    def _stop_using_latest(self, db: sqlite3.Connection) -> None:
        if (row := _load_latest_row(db)) is not None:
            self._damaged_folder = row[2]
        self._loaded = None

    def _write(self, db: sqlite3.Connection, previous: Generation | None, row_count: int) -> tuple[str, str]:
        """Write the files of a generation; return the name of its folder, and its manifest."""
        generation_id = db.execute("SELECT coalesce(max(id), 0) + 1 FROM generation").fetchone()[0]
        try:
            writer = checked_files.ArrayWriter(self.folder)
            try:
                _write_term_indexes(db, writer, previous, row_count)
                self._write_vectors(db, writer, previous, row_count)
                return writer.commit(f"index.{generation_id}", INDEX_VERSION)
            finally:
                writer.discard()
        except OSError as exc:
            raise StorageError(
                f"the index in {self.folder} cannot be written: {exc.strerror}; searches continue without it"
            ) from exc

    def _write_vectors(
        self, db: sqlite3.Connection, writer: checked_files.ArrayWriter, previous: Generation | None, row_count: int
    ) -> None:
        ids = np.fromiter((row[0] for row in db.execute(_SELECT_IDS_IN_ORDER)), np.int64)
        if len(ids) != row_count:
            raise damage.collection_error(f"{len(ids)} of {row_count} chunks can be read")
        writer.add("ids", [ids])
        writer.add("order", [np.argsort(ids)])
        if (row_table := build_row_table(ids)) is not None:
            writer.add("by_id", [row_table])
        floats = writer.add("floats", _iter_vectors(db, previous, ids))
        if floats.size >= self._thresholds.min_floats_for_codes:
            from .pq_codes import build_codes  # late: FAISS takes a quarter of a second to import

            for name, array in build_codes(
                floats, with_lists=row_count >= self._thresholds.min_chunks_for_lists
            ).items():
                writer.add(name, [array])
            codes = sign_codes.encode_signs(floats)
            for name, field in _SIGN_CODE_FIELDS.items():
                writer.add(name, [getattr(codes, field).read_all()])


def load_removed_ids(db: sqlite3.Connection, last_id: int) -> Ids:
    """Return the ids up to `last_id` that were removed since the latest generation, ascending."""
    rows = db.execute(  # a stored chunk was not removed, whatever a damaged row of the log says
        "SELECT DISTINCT CAST(chunk_id AS INTEGER) FROM change WHERE op < 0 AND chunk_id <= ?"
        " AND NOT EXISTS (SELECT 1 FROM chunk WHERE id = chunk_id) ORDER BY chunk_id",
        (last_id,),
    )
    return np.array([row[0] for row in rows], np.int64)


def _write_term_indexes(
    db: sqlite3.Connection, writer: checked_files.ArrayWriter, previous: Generation | None, row_count: int
) -> None:
    last_id, chunk_count = 0, row_count
    previous_parts: Iterable[IndexPart] = ()
    if previous is not None:
        removed_ids = load_removed_ids(db, previous.last_id)
        row_count -= len(previous.vector_segment.ids) - len(removed_ids)
        last_id, previous_parts = (
            previous.last_id,
            reuse_previous_parts(previous.postings, previous.trigram_postings, previous.sentence_terms, removed_ids),
        )
    repair = partial(documents.analyze_chunk, db)
    with build_in_processes(terms.load_after(db, last_id, repair), row_count) as new_parts:
        merger = PartMerger(chain(previous_parts, new_parts))
        writer.add("sentences.numbers", merger.iter_sentence_terms())
    writer.add("sentences.starts", [merger.compute_sentence_starts()])
    postings, trigram_postings = merger.get_postings()
    if (found_count := sum(map(len, postings))) != chunk_count:
        raise damage.collection_error(f"the words of {found_count} of {chunk_count} chunks can be read")
    _write_postings(writer, "words", postings)
    if trigram_postings:
        _write_postings(writer, "grams", trigram_postings)


def _write_postings(writer: checked_files.ArrayWriter, kind: str, parts: Sequence[Postings]) -> None:
    """Write the merged index; each part has higher chunk ids than the one before."""
    writer.add(f"{kind}.ids", (part.ids.read_all() for part in parts))
    writer.add(f"{kind}.lengths", (part.lengths for part in parts))
    columns = (columns for columns, _ in iter_term_columns(iter_merged(parts)))
    writer.add_columns([f"{kind}.{name}" for name in TermColumns._fields], columns)


def _iter_vectors(db: sqlite3.Connection, previous: Generation | None, ids: Ids) -> Iterator[Vectors]:
    """Yield the vectors of these chunks in pieces."""
    for start in range(0, len(ids), _PIECE_ROWS):
        piece = ids[start : start + _PIECE_ROWS]
        is_known = np.zeros(len(piece), np.bool_) if previous is None else piece <= previous.last_id
        new_ids = np.sort(piece[~is_known])
        new_vectors = embeddings.load(db, new_ids)
        vectors = np.empty((len(piece), new_vectors.shape[1]), new_vectors.dtype)
        vectors[~is_known] = new_vectors[np.searchsorted(new_ids, piece[~is_known])]
        if previous is not None:
            vectors[is_known] = previous.vector_segment.vectors.take(previous.vector_segment.find_rows(piece[is_known]))
        yield vectors


def _open_generation(folder: Path, manifest: str, last_id: int, *, with_codes: bool = True) -> Generation:
    """Open the files of a generation; without codes only those that the next generation copies."""
    arrays = checked_files.open_arrays(folder, manifest)
    segment = VectorSegment(arrays["ids"].read_all(), arrays["order"], arrays.get("by_id"), arrays["floats"])
    if with_codes and "codes" in arrays:
        from .pq_codes import load_codes  # late, as above

        codes = sign_codes.SignCodes(*(arrays[name] for name in _SIGN_CODE_FIELDS))
        segment = replace(segment, codes=load_codes(arrays), sign_codes=codes)
    trigram_postings = _open_postings(arrays, "grams") if "grams.ids" in arrays else None
    sentence_terms = SentenceTerms(arrays["words.ids"], arrays["sentences.starts"], arrays["sentences.numbers"])
    return Generation(last_id, segment, _open_postings(arrays, "words"), trigram_postings, sentence_terms)


def _open_postings(arrays: Mapping[str, checked_files.MappedArray], kind: str) -> Postings:
    ids, lengths, hashes, starts, rows, counts = (arrays[f"{kind}.{name}"] for name in _POSTINGS_COLUMNS)
    return Postings(ids, lengths.read_all(), hashes, starts, rows, counts)
