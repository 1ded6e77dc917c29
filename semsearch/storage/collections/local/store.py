"""One collection in one folder, behind the Store port: joins the catalogue, the words and the vectors.

Does not read sources, embed or rank; it keeps what it is given, whole or not at all.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ....core.errors import ConflictError, LockedError
from ....core.file_locks import hold_lock
from ....core.types.documents import (
    ChunkedDocument,
    CollectionInfo,
    DocumentInfo,
    PutResult,
    SourceRoot,
    StoredDocument,
    StoredVersion,
    Vectors,
)
from ....core.types.filters import Filter
from ....text.analyzer import ANALYZER_VERSION as ANALYSIS
from . import catalog
from .index.checked_files import DamagedFileError
from .index.generations import DEFAULT_INDEX_THRESHOLDS, Generations, IndexThresholds, is_due
from .rows import documents, embeddings, header, writes
from .rows.damage import DamagedDocument
from .rows.filter_sql import build_condition
from .snapshot import LocalSnapshot, filter_cache_key
from .view import View, refresh_view

log = logging.getLogger(__name__)


class LocalStore:
    """ports.Store on SQLite and FAISS."""

    def __init__(self, folder: Path, thresholds: tuple[int, int] | None = None) -> None:
        self.folder = folder
        self._catalog = catalog.Catalog(folder)
        self._generations = Generations(folder, IndexThresholds(*(thresholds or DEFAULT_INDEX_THRESHOLDS)))
        self._view: View | None = None
        if self._catalog.was_migrated:
            self.refresh_index()

    @classmethod
    def create(cls, folder: Path, *, space: str, dim: int, spec: str) -> None:
        """Make an empty collection in `folder`, which must exist and be empty."""
        catalog.create(folder, space=space, dim=dim, spec=spec, analyzer_version=ANALYSIS)

    def info(self, filter: Filter | None = None) -> CollectionInfo:
        """Name, embedder, and how many documents and chunks there are, or pass the filter."""
        with self._catalog.read() as db:
            spec, state = header.space(db).spec, header.state(db)
            count, chunks = state.documents, state.chunks
            if filter is not None:
                count, chunks = documents.count_documents(db, build_condition(filter))
        return CollectionInfo(self.folder.name, spec, count, chunks)

    def is_current(self) -> bool:
        """Whether the folder still holds the collection that was opened, and not another in its place."""
        return self._catalog.is_current()

    def created_at(self) -> str:
        """When its tables were, which is on record since the first version."""
        with self._catalog.read() as db:
            return str(db.execute("SELECT min(applied_at) FROM _sqlite_migrations").fetchone()[0])

    def vector_space(self) -> tuple[str, int]:
        """Name and dimension of the vector space that is searched."""
        with self._catalog.read() as db:
            space = header.space(db)
        return space.name, space.dim

    def roots(self) -> list[SourceRoot]:
        """The folders that were ingested."""
        with self._catalog.read() as db:
            return [
                SourceRoot(name, Path(path)) for name, path in db.execute("SELECT name, path FROM root ORDER BY name")
            ]

    def add_root(self, root: SourceRoot) -> None:
        """Register a folder; Conflict if its name stands for another one."""
        with self._catalog.write("register a folder") as db:
            found = db.execute("SELECT path FROM root WHERE name = ?", (root.name,)).fetchone()
            if found and found[0] != str(root.path):
                raise ConflictError(
                    f"the root {root.name!r} already stands for another folder; give this one a name with --root NAME"
                )
            db.execute("INSERT OR IGNORE INTO root (name, path) VALUES (?, ?)", (root.name, str(root.path)))

    def file_uris(self, prefix: str) -> list[str]:
        """The uris that begin so and are names of files below a registered folder, not names given by hand."""
        with self._catalog.read() as db:
            return documents.list_file_uris(db, prefix)

    def stored_versions(self, uris: Sequence[str]) -> Mapping[str, StoredVersion]:
        """What is stored for each of these uris, where something is."""
        with self._catalog.read() as db:
            return documents.load_versions(db, uris)

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, Vectors]:
        """The embedding of each of these texts that is stored already, whatever document it belongs to."""
        with self._catalog.read() as db:
            return embeddings.by_text(db, hashes)

    def put(self, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        """Store documents in place of what their uris held, all or none; chunks of the same text keep their ids."""
        with self._catalog.write("store documents") as db:
            self._check_analyzer_version(db)
            return writes.put(db, documents, vectors)

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove these documents, all or none; return those that were there."""
        with self._catalog.write("remove documents") as db:
            return writes.remove(db, uris)

    def documents(self, filter: Filter | None, limit: int, after: str = "") -> list[DocumentInfo]:
        """Stored documents that pass the filter, by uri, from the first one behind `after`."""
        with self._catalog.read() as db:
            return documents.list_documents(db, build_condition(filter) if filter else ("1", []), limit, after)

    def document(self, uri: str, filter: Filter | None = None) -> StoredDocument | None:
        """One document with its text, or None if it is absent or does not pass the filter."""
        with self._catalog.read() as db:
            return documents.load_document(db, uri, build_condition(filter) if filter else ("1", []))

    @contextmanager
    def snapshot(self) -> Iterator[LocalSnapshot]:
        """Everything asked within the block belongs to one commit."""
        with self._catalog.read() as db:
            try:
                view = refresh_view(db, self._view, self._generations.load)
            except DamagedFileError as exc:  # met where what was removed is looked up
                view = self._fall_back(db, exc)
            if view is not self._view:  # who analyses anew makes a new generation, and with it a new view
                self._check_analyzer_version(db)
            self._view = view
            yield LocalSnapshot(db, view, partial(self._fall_back, db))

    @contextmanager
    def try_snapshot(self) -> Iterator[LocalSnapshot | None]:
        """`snapshot` where its view is there already, else None."""
        with self._catalog.read() as db:
            view = self._view
            yield (
                None
                if view is None or not view.is_latest(db)
                else LocalSnapshot(db, view, partial(self._fall_back, db))
            )

    def is_filter_cached(self, filter: Filter) -> bool:
        """Whether what passes this filter was looked up since the last write that a search has seen."""
        view = self._view
        return view is not None and filter_cache_key(filter) in view.filter_cache

    def refresh_index(self, wait_seconds: float = 0.0) -> None:
        """Build a new generation if too much has changed since the last; wait so long for who is at it."""
        if self._is_due():
            with suppress(LockedError), self._publish_lock(wait_seconds), _named_in_log():
                if self._is_due():  # still
                    self._publish()

    def reindex(self) -> None:
        """Make everything derived again from the truth: the terms, and the files that are searched; or nothing."""
        with self._publish_lock(catalog.PUBLISH_WAIT_SECONDS):
            with self._catalog.write("reindex") as db:
                documents.reanalyze(db)
                db.execute("UPDATE meta SET analysis = ?", (ANALYSIS,))
                self._generations.publish(db, self._generations.build(db, from_scratch=True))
            self._generations.delete_unused(self._catalog)  # what another publishes has no name yet
        self._view = None

    @contextmanager
    def job_lock(self, operation: str) -> Iterator[None]:
        """Hold the lock of long jobs; Locked names the one that has it."""
        with hold_lock(self.folder / catalog.JOB_LOCK, wait_seconds=0, operation=operation):
            yield

    def close(self) -> None:
        """Close the files."""
        self._view = None
        self._catalog.close()

    def _is_due(self) -> bool:
        with self._catalog.read() as db:
            return is_due(db) or self._generations.is_damaged(db)

    @contextmanager
    def _publish_lock(self, wait: float) -> Iterator[None]:
        """One at a time; a job goes on beside it, and so do single writes."""
        with hold_lock(self.folder / catalog.PUBLISH_LOCK, wait_seconds=wait, operation="publish an index"):
            yield

    def _publish(self) -> None:
        """Build aside from one commit, then name it in another; what changed in between stays in the log."""
        with self._catalog.read() as db:
            draft = self._generations.build(db)
        with self._catalog.write("publish an index") as db:
            self._generations.publish(db, draft)
        self._generations.delete_unused(self._catalog)
        self._view = None

    def _fall_back(self, db: sqlite3.Connection, error: DamagedFileError) -> View:
        """What a search goes on with when it meets a damaged file."""
        self._generations.mark_damaged(db, error)
        self._view = view = refresh_view(db, None, self._generations.load)
        return view

    def _check_analyzer_version(self, db: sqlite3.Connection) -> None:
        found = db.execute("SELECT analysis FROM meta").fetchone()[0]
        if found != ANALYSIS:
            raise ConflictError(
                f"{self.folder.name} was indexed by analyser {found}, this semsearch has {ANALYSIS};"
                f" run: semsearch reindex -c {self.folder.name}"
            )


@contextmanager
def _named_in_log() -> Iterator[None]:
    """Go on without a new index where a damaged document keeps it from being made: what was written is stored."""
    try:
        yield
    except DamagedDocument as exc:
        log.warning("the index is not renewed, and search gets slower: %s", exc)
