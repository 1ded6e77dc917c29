"""Which generations of derived files a collection has: when one is due, how it gets its name, when an old one goes.

A generation covers the chunks up to one id: an index of their words, their vectors in a mapped file, and codes if they
are many. It counts only once the catalogue names it, and the one before stays until the next, for searches still under
way.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .....core.errors import StorageError
from .....core.types.documents import Ids, Vectors
from ..rows import damage, documents, embeddings, header, terms
from ..rows.checksums import of_row
from ..rows.records import is_sound
from . import checked_files as blocks
from . import sign_codes as signs
from .build_processes import build_in_processes
from .postings import Postings
from .segment_builder import INDEX_VERSION, IndexPart, PartMerger, reuse_previous_parts
from .sentence_terms import SentenceTerms, align_to_blocks
from .vector_index import VectorSegment, build_row_table

if TYPE_CHECKING:
    from ..catalog import Catalog

log = logging.getLogger(__name__)

MAX_STALE_ROWS = 500
MAX_STALE_SHARE = 0.05
MAX_LOG_ROWS = 50_000

_PIECE_ROWS = 16 * blocks.BLOCK_BYTES
_POSTINGS_COLUMNS = ("ids", "lengths", "hashes", "starts", "rows", "counts")
"""Columns of an index of words. Its ids and hashes are read whole when words are first asked for, and of all others but
the lengths only what a question touches."""

_SIGN_COLUMNS = ("bits", "ones", "factors")
_SELECT_IDS_IN_ORDER = (  # so that equal collections give equal files
    "SELECT c.id FROM document AS d JOIN chunk AS c ON c.document_id = d.id ORDER BY d.uri, c.start, c.id"
)
_SELECT_LATEST = (
    "SELECT kind, space_id, generation.seq, last_id, folder, files, rows, generation.checksum"
    " FROM generation JOIN meta ON space_id = live_space WHERE kind = 'all' ORDER BY generation.id DESC LIMIT 1"
)


DEFAULT_INDEX_THRESHOLDS = (2_000_000, 150_000)
"""Measured with 256 dimensions, CPU ms of a query and recall@10. An exact scan takes .10 for 2,500 chunks, .33 for
7,500 and .42 for 10,000; codes and rerank .06, .08 and .09 (.999). Up to 8,000 chunks the scan is taken all the same:
it misses nothing, and FAISS need not be loaded, which takes a quarter of a second. By all codes 50,000 chunks take .28
(.999), 100,000 .52 (.999) and 150,000 .91 (.996), by lists .29 (.992), .39 (.990) and .58 (.984): lists cost less from
50,000 on, and are taken where that is worth what they miss."""


@dataclass(frozen=True, slots=True)
class IndexThresholds:
    """Where another way of searching vectors is worth it; see the settings for what was measured."""

    min_floats_for_codes: int
    """Below this many floats all are scanned; from there on there are codes, of which the best are ranked exactly."""
    min_chunks_for_lists: int
    """From this many chunks on only the nearest lists of codes are looked at."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Opened files over the chunks up to `last_id`."""

    last_id: int
    vector_segment: VectorSegment
    postings: Postings
    trigram_postings: Postings | None
    sentence_terms: SentenceTerms


@dataclass(frozen=True, slots=True)
class UnpublishedGeneration:
    """A generation that was built but is not named yet."""

    seq: int
    last_id: int
    row_count: int
    folder: str | None
    manifest: str


def is_due(db: sqlite3.Connection) -> bool:
    """Whether the tail and the dead rows have outgrown the latest generation."""
    rows = header.state(db).chunks
    latest = _latest(db)
    since, last_id, covered = (latest[0], latest[1], latest[4]) if latest else (0, 0, 0)
    dead = db.execute(
        "SELECT count(*) FROM change WHERE op < 0 AND seq > ? AND chunk_id <= ?", (since, last_id)
    ).fetchone()[0]
    tail = rows - (covered - dead)
    logged = db.execute("SELECT count(*) FROM change").fetchone()[0]
    return bool(tail + dead > max(MAX_STALE_ROWS, MAX_STALE_SHARE * covered) or logged > MAX_LOG_ROWS)


def _latest(db: sqlite3.Connection) -> tuple[Any, ...] | None:
    """Seq, last id, folder, files and rows of the latest generation; None without one whose row is sound."""
    found = damage.fetch(db, _SELECT_LATEST)
    return found[0][2:-1] if found and is_sound(found[0]) else None


class Generations:
    """The generations in one collection's folder."""

    def __init__(self, folder: Path, thresholds: IndexThresholds) -> None:
        self.folder = folder
        self._thresholds = thresholds
        self._loaded: tuple[str, Generation] | None = None
        self._damaged_folder: str | None = None

    def load(self, db: sqlite3.Connection) -> Generation | None:
        """The latest generation, if there is one that can be trusted."""
        row = _latest(db)
        if row is None or row[2] is None or row[2] == self._damaged_folder:
            return None
        _, last_id, folder, files, _ = row
        loaded = self._loaded  # which another thread may replace
        if loaded is None or loaded[0] != folder:
            try:
                self._loaded = loaded = folder, _open_generation(self.folder / folder, files, last_id)
            except blocks.DamagedFileError as exc:
                self.mark_damaged(db, exc)
                return None
        return loaded[1]

    def is_damaged(self, db: sqlite3.Connection) -> bool:
        """Whether the latest generation could not be trusted, so that another is due."""
        row = _latest(db)
        return row is not None and row[2] is not None and row[2] == self._damaged_folder

    def mark_damaged(self, db: sqlite3.Connection, error: blocks.DamagedFileError) -> None:
        """Search without the latest generation from now on, until another is built."""
        log.warning("%s; search is exact, and slower, until the next write or semsearch reindex", error)
        self._stop_using_latest(db)

    def build(self, db: sqlite3.Connection, *, from_scratch: bool = False) -> UnpublishedGeneration:
        """Write a generation of all that `db`'s transaction sees.

        What the latest one holds of it is taken from there, in a fraction of the time: but not if all is to be made
        `anew`, nor if it is damaged.
        """
        state = header.state(db)
        seq, rows, last_id = state.seq, state.chunks, db.execute("SELECT max(id) FROM chunk").fetchone()[0]
        if not rows:
            return UnpublishedGeneration(seq, 0, 0, None, "{}")
        base = None if from_scratch else self._load_reusable(db)
        try:
            folder, files = self._write(db, base, rows)
        except blocks.DamagedFileError as exc:
            if base is None:
                raise
            self._rebuild_without(db, exc)
            folder, files = self._write(db, None, rows)
        return UnpublishedGeneration(seq, last_id, rows, folder, files)

    def publish(self, db: sqlite3.Connection, generation: UnpublishedGeneration) -> None:
        """Make the draft the one that counts, and cut the log up to it."""
        row = (
            "all",
            header.space(db).id,
            generation.seq,
            generation.last_id,
            generation.folder,
            generation.manifest,
            generation.row_count,
        )
        db.execute(
            "INSERT INTO generation (kind, space_id, seq, last_id, folder, files, rows, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, of_row(*row)),
        )
        db.execute("DELETE FROM change WHERE seq <= ?", (generation.seq,))
        db.execute("UPDATE meta SET log_start = ?", (generation.seq,))
        db.execute("DELETE FROM generation WHERE id NOT IN (SELECT id FROM generation ORDER BY id DESC LIMIT 2)")

    def delete_unused(self, catalog: Catalog) -> None:
        """Delete the folders that the catalogue names no longer, and what builds left that never came to their end."""
        with catalog.read() as db:
            named = {row[0] for row in db.execute("SELECT folder FROM generation")}
        for path in [*self.folder.glob("ann.*"), *self.folder.glob("index.*"), *self.folder.glob(".building-*")]:
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _load_reusable(self, db: sqlite3.Connection) -> Generation | None:
        """The latest generation, if it may be taken over.

        It is opened anew: what was checked for a search may have been damaged since.
        """
        row = _latest(db)
        if (
            row is None
            or row[2] is None
            or row[2] == self._damaged_folder
            or blocks.read_version(row[3]) != INDEX_VERSION
        ):
            return None
        _, last_id, folder, files, _ = row
        try:
            return _open_generation(self.folder / folder, files, last_id, with_codes=False)
        except blocks.DamagedFileError as exc:
            self._rebuild_without(db, exc)
            return None

    def _rebuild_without(self, db: sqlite3.Connection, error: blocks.DamagedFileError) -> None:
        """Build without the latest generation."""
        log.warning("%s; the next index is made from the stored documents", error)
        self._stop_using_latest(db)

    def _stop_using_latest(self, db: sqlite3.Connection) -> None:
        if (row := _latest(db)) is not None:
            self._damaged_folder = row[2]
        self._loaded = None

    def _write(self, db: sqlite3.Connection, previous: Generation | None, row_count: int) -> tuple[str, str]:
        """Write one, and return its folder and what it is to be trusted by."""
        number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM generation").fetchone()[0]
        try:
            writer = blocks.ArrayWriter(self.folder)
            try:
                _write_term_indexes(db, writer, previous, row_count)
                self._write_vectors(db, writer, previous, row_count)
                return writer.commit(f"index.{number}", INDEX_VERSION)
            finally:
                writer.discard()
        except OSError as exc:
            raise StorageError(
                f"the index in {self.folder} cannot be written: {exc.strerror}; search goes on without it"
            ) from exc

    def _write_vectors(
        self, db: sqlite3.Connection, writer: blocks.ArrayWriter, previous: Generation | None, row_count: int
    ) -> None:
        ids = np.fromiter((row[0] for row in db.execute(_SELECT_IDS_IN_ORDER)), np.int64)
        if len(ids) != row_count:
            raise damage.of_collection(f"{len(ids)} of {row_count} chunks can be read")
        writer.add("ids", [ids])
        writer.add("order", [np.argsort(ids)])
        if (places := build_row_table(ids)) is not None:
            writer.add("by_id", [places])
        floats = writer.add("floats", _iter_vectors(db, previous, ids))
        if floats.size >= self._thresholds.min_floats_for_codes:
            from .pq_codes import build_codes  # late: FAISS takes a quarter of a second to import

            for name, array in build_codes(
                floats, with_lists=row_count >= self._thresholds.min_chunks_for_lists
            ).items():
                writer.add(name, [array])
            looked = signs.encode_signs(floats)
            for name in _SIGN_COLUMNS:
                writer.add(name, [getattr(looked, name).read_all()])


def load_removed_ids(db: sqlite3.Connection, last_id: int) -> Ids:
    """The chunks up to this id that were removed since the latest generation, ascending."""
    found = db.execute(  # what is there was not removed, whatever a damaged row says
        "SELECT DISTINCT CAST(chunk_id AS INTEGER) FROM change WHERE op < 0 AND chunk_id <= ?"
        " AND NOT EXISTS (SELECT 1 FROM chunk WHERE id = chunk_id) ORDER BY chunk_id",
        (last_id,),
    )
    return np.array([row[0] for row in found], np.int64)


def _write_term_indexes(
    db: sqlite3.Connection, writer: blocks.ArrayWriter, previous: Generation | None, row_count: int
) -> None:
    last_id, total = 0, row_count
    known: Iterable[IndexPart] = ()
    if previous is not None:
        gone = load_removed_ids(db, previous.last_id)
        row_count -= len(previous.vector_segment.ids) - len(gone)
        last_id, known = (
            previous.last_id,
            reuse_previous_parts(previous.postings, previous.trigram_postings, previous.sentence_terms, gone),
        )
    mend = partial(documents.analysed, db)
    with build_in_processes(terms.load_after(db, last_id, mend), row_count) as new:
        made = PartMerger(chain(known, new))
        writer.add("sentences.numbers", align_to_blocks(made.iter_sentence_terms()))
    writer.add("sentences.starts", [made.compute_sentence_starts()])
    words = made.merge_postings()
    if len(words) != total:
        raise damage.of_collection(f"the words of {len(words)} of {total} chunks can be read")
    for kind, index in (("words", words), ("grams", made.merge_trigram_postings())):
        for name, column in index.to_columns().items() if len(index) else ():
            writer.add(f"{kind}.{name}", [column])


def _iter_vectors(db: sqlite3.Connection, previous: Generation | None, ids: Ids) -> Iterator[Vectors]:
    """The vectors of these chunks, in pieces."""
    for at in range(0, len(ids), _PIECE_ROWS):
        piece = ids[at : at + _PIECE_ROWS]
        known = np.zeros(len(piece), np.bool_) if previous is None else piece <= previous.last_id
        found = np.sort(piece[~known])
        new = embeddings.of(db, found)
        vectors = np.empty((len(piece), new.shape[1]), new.dtype)
        vectors[~known] = new[np.searchsorted(found, piece[~known])]
        if previous is not None:
            vectors[known] = previous.vector_segment.vectors.take(previous.vector_segment.find_rows(piece[known]))
        yield vectors


def _open_generation(folder: Path, manifest: str, last_id: int, *, with_codes: bool = True) -> Generation:
    """Open the files of a generation, as far as they are there; without `codes` only what is taken over."""
    columns = blocks.open_arrays(folder, manifest)
    base = VectorSegment(columns["ids"].read_all(), columns["order"], columns.get("by_id"), columns["floats"])
    if with_codes and "codes" in columns:
        from .pq_codes import load_codes  # late, as above

        roughly = signs.SignCodes(*(columns[name] for name in _SIGN_COLUMNS))
        base = replace(base, codes=load_codes(columns), sign_codes=roughly)
    grams = _open_postings(columns, "grams") if "grams.ids" in columns else None
    held = SentenceTerms(columns["words.ids"], columns["sentences.starts"], columns["sentences.numbers"])
    return Generation(last_id, base, _open_postings(columns, "words"), grams, held)


def _open_postings(columns: Mapping[str, blocks.MappedArray], kind: str) -> Postings:
    ids, lengths, hashes, starts, rows, counts = (columns[f"{kind}.{name}"] for name in _POSTINGS_COLUMNS)
    return Postings(ids, lengths.read_all(), hashes, starts, rows, counts)
