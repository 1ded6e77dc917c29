"""The originals of one collection: which files are written, kept and deleted, in which order.

A file is written aside and synced, then renamed under the write lock, before the commit that refers to it. A file that
no document refers to any more is deleted after the commit, under the write lock again. So a crash leaves at most files
that nothing refers to. The first write of a process deletes these, and once more when those that were young are stale:
they may have been of another process that was writing them aside.
"""

import logging
import math
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ....core.errors import LockedError, NotFoundError, StorageError
from ....core.types.documents import ChunkedDocument, Document
from ....core.types.originals import OriginalFile, OriginalState
from .catalog import Catalog
from .original_files import STALE_SECONDS, OriginalFiles
from .rows import originals as rows

DEFAULT_MAX_ORIGINAL_BYTES = 2 << 30
SYNC_THREADS = 8

log = logging.getLogger(__name__)


class Originals:
    """The originals of one collection, at most `max_bytes` of them."""

    def __init__(self, catalog: Catalog, max_bytes: int) -> None:
        self.catalog = catalog
        self.max_bytes = max_bytes
        self.files = OriginalFiles(catalog.folder)
        self._next_sweep = -math.inf
        """Seconds since 1970; infinite when no file can lack its row."""

    def has_space(self, size: int) -> bool:
        """Return whether another original of this size would be kept."""
        if size > self.max_bytes:
            return False
        with self.catalog.read() as db:
            return rows.count_bytes(db) + size <= self.max_bytes

    @contextmanager
    def stage(self, documents: Sequence[ChunkedDocument]) -> Iterator["StagedOriginals"]:
        """Write the originals of these documents aside, without a lock; what is not published is deleted at the end."""
        staged = StagedOriginals(self, {chunked.document.uri: chunked.document for chunked in documents})
        is_stored = False
        try:
            staged.write()
            yield staged
            is_stored = True
        finally:
            if not is_stored:
                self._next_sweep = -math.inf  # a file may have its name, and no row
            self.files.delete(staged.paths.values())

    def delete(self, hashes: Sequence[str]) -> None:
        """Delete the files of rows that a commit has deleted, unless another commit has added them again; sweep if due.

        The commit stands: if deleting fails, that is logged, and a later write deletes them.
        """
        if not hashes and not self._is_sweep_due():
            return
        try:
            with self.catalog.write("delete originals") as db:
                kept = rows.find_kept(db, hashes)
                self.sweep(db)
                self.files.delete_hashes(sha256 for sha256 in hashes if sha256 not in kept)
        except (LockedError, NotFoundError, StorageError) as exc:
            self._next_sweep = -math.inf
            log.warning("originals that are not needed any more are not deleted yet: %s", exc)

    def sweep(self, db: sqlite3.Connection, staged: Collection[Path] = ()) -> None:
        """Delete the files without a row, if that is due; before the transaction adds rows of originals.

        Young files that were written aside stay until they are stale; `staged` are those of this write.
        """
        if not self._is_sweep_due():
            return
        has_young_files = self.files.delete_all_but(rows.list_kept(db), staged)
        self._next_sweep = time.time() + STALE_SECONDS if has_young_files else math.inf

    def _is_sweep_due(self) -> bool:
        return time.time() >= self._next_sweep


@dataclass(frozen=True, slots=True)
class StagedOriginals:
    """The originals of one write: written aside first, then published in its transaction."""

    originals: Originals
    documents: dict[str, Document]
    """By uri."""
    paths: dict[str, Path] = field(default_factory=dict)
    """The files that were written aside and have no name yet, by hash."""
    _changed: set[str] = field(default_factory=set)
    """Hashes of sources that have changed since they were read."""
    _kept_before: set[str] = field(default_factory=set)
    """Hashes of files that were kept when this write began."""

    def write(self) -> None:
        """Write aside what is not kept yet, and fits."""
        wanted = self._list_wanted()
        if not wanted:
            return
        with self.originals.catalog.read() as db:
            kept, used = rows.find_kept(db, wanted), rows.count_bytes(db)
        self._kept_before.update(filter(self.originals.files.exists, kept))
        fitting = {}
        for sha256, original in wanted.items():
            new_bytes = 0 if sha256 in kept else original.size
            if sha256 not in self._kept_before and used + new_bytes <= self.originals.max_bytes:
                used += new_bytes
                fitting[sha256] = original
        self._write_all(fitting)

    def publish(self, db: sqlite3.Connection) -> None:
        """Name the files and record the state of each document, in the transaction that has stored the documents."""
        self.originals.sweep(db, self.paths.values())
        wanted = self._list_wanted()
        kept = rows.find_kept(db, wanted)
        removed_since = self._kept_before - kept  # by another process
        self._write_all({sha256: wanted[sha256] for sha256 in removed_since})
        has_new_names = bool(self.paths)
        rows.update_states(db, {uri: self._publish_one(db, doc, kept) for uri, doc in self.documents.items()})
        if has_new_names:
            self.originals.files.sync()

    def _list_wanted(self) -> dict[str, OriginalFile]:
        return {doc.sha256: doc.original for doc in self.documents.values() if doc.original is not None}

    def _write_all(self, wanted: Mapping[str, OriginalFile]) -> None:
        """Write files aside; on several threads, because a disk syncs several files in the time of one or two."""
        if len(wanted) <= 1:
            for sha256, original in wanted.items():
                self._write_one(sha256, original)
            return
        with ThreadPoolExecutor(SYNC_THREADS, "semsearch-originals") as executor:
            list(executor.map(self._write_one, wanted.keys(), wanted.values()))

    def _write_one(self, sha256: str, original: OriginalFile) -> None:
        """Write a file aside, if it is still the one that was read."""
        path = self.originals.files.write_aside(original, sha256)
        if path is None:
            self._changed.add(sha256)
        else:
            self.paths[sha256] = path

    def _publish_one(self, db: sqlite3.Connection, document: Document, kept: set[str]) -> OriginalState | None:
        """Return the state of a document; name its file if that was written aside, and add the hash to `kept`."""
        original, sha256 = document.original, document.sha256
        if original is None:
            return None if document.root_name else "text"
        if sha256 not in kept:
            if sha256 in self._changed:
                return "changed"
            if sha256 not in self.paths or rows.count_bytes(db) + original.size > self.originals.max_bytes:
                return "no_space"
            rows.add(db, sha256, original.size)
            kept.add(sha256)
        if sha256 in self.paths:
            self.originals.files.publish(self.paths[sha256], sha256)
            del self.paths[sha256]
        return "kept"
