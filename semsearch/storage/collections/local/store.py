"""The Store port for one collection in one folder: joins the catalogue with the derived index files.

Does not read sources, embed or rank.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ....core.errors import ConflictError, LockedError, Remedy
from ....core.file_locks import hold_lock
from ....core.types.documents import ChunkedDocument, PutResult, SourceRoot, Vectors
from ....core.types.filters import Filter
from ....core.types.originals import StoredOriginal
from ....core.types.search import FacetValue
from ....core.types.stored_documents import (
    CollectionInfo,
    DocumentInfo,
    DocumentPart,
    IndexState,
    StoredDocument,
    StoredVersion,
)
from ....text.analyzer import ANALYZER_VERSION
from . import catalog
from .commit_cache import CommitCache
from .index.checked_files import DamagedFileError
from .index.generations import DEFAULT_INDEX_THRESHOLDS, Generations, IndexThresholds, needs_rebuild
from .originals import DEFAULT_MAX_ORIGINAL_BYTES, Originals
from .rows import document_parts, documents, embeddings, facets, header, page_maps, writes
from .rows import originals as original_rows
from .rows.damage import DamagedDocumentError
from .rows.filter_sql import SqlCondition, build_condition
from .snapshot import LocalSnapshot, filter_cache_key
from .view import View, refresh_view

log = logging.getLogger(__name__)


class LocalStore:
    """ports.Store on SQLite and FAISS."""

    def __init__(
        self,
        folder: Path,
        thresholds: tuple[int, int] | None = None,
        max_original_bytes: int = DEFAULT_MAX_ORIGINAL_BYTES,
    ) -> None:
        self.folder = folder
        self._catalog = catalog.Catalog(folder)
        self._originals = Originals(self._catalog, max_original_bytes)
        self._generations = Generations(folder, IndexThresholds(*(thresholds or DEFAULT_INDEX_THRESHOLDS)))
        self._view: View | None = None
        self._view_lock = threading.Lock()
        self._listeners: list[Callable[[Sequence[str]], None]] = []
        self._facet_cache = CommitCache[list[FacetValue]]()
        self._field_cache = CommitCache[list[str]]()
        if self._catalog.was_migrated:
            self.refresh_index()

    @classmethod
    def create(cls, folder: Path, *, space: str, dim: int, spec: str) -> None:
        """Create an empty collection in `folder`, which must exist and be empty."""
        catalog.create(folder, space=space, dim=dim, spec=spec, analyzer_version=ANALYZER_VERSION)

    def info(self, filter: Filter | None = None) -> CollectionInfo:
        """Return name, embedder, and the number of documents and chunks, of all or of those that match the filter."""
        with self._catalog.read() as db:
            spec, state = header.load_space(db).spec, header.load_state(db)
            document_count, chunk_count = state.documents, state.chunks
            if filter is not None:
                document_count, chunk_count = documents.count_documents(db, build_condition(filter))
        return CollectionInfo(self.folder.name, spec, document_count, chunk_count)

    def is_current(self) -> bool:
        """Return whether the folder still contains the collection that was opened, and not another one."""
        return self._catalog.is_current()

    def created_at(self) -> str:
        """Return when the collection was created: the time of the first migration, ISO 8601."""
        with self._catalog.read() as db:
            return str(db.execute("SELECT min(applied_at) FROM _sqlite_migrations").fetchone()[0])

    def vector_space(self) -> tuple[str, int]:
        """Return name and dimension of the vector space that is searched."""
        with self._catalog.read() as db:
            space = header.load_space(db)
        return space.name, space.dim

    def roots(self) -> list[SourceRoot]:
        """Return the registered folders, by name."""
        with self._catalog.read() as db:
            return [
                SourceRoot(name, Path(path)) for name, path in db.execute("SELECT name, path FROM root ORDER BY name")
            ]

    def add_root(self, root: SourceRoot) -> None:
        """Register a folder; ConflictError if its name is that of another one."""
        with self._catalog.write("register a folder") as db:
            row = db.execute("SELECT path FROM root WHERE name = ?", (root.name,)).fetchone()
            if row and row[0] != str(root.path):
                raise ConflictError(
                    f"the root {root.name!r} is another folder already; give this one another name with --root NAME"
                )
            db.execute("INSERT OR IGNORE INTO root (name, path) VALUES (?, ?)", (root.name, str(root.path)))

    def file_uris(self, prefix: str) -> list[str]:
        """Return the uris with this prefix that are files of a registered folder, not names that a caller chose."""
        with self._catalog.read() as db:
            return documents.list_file_uris(db, prefix)

    def stored_versions(self, uris: Sequence[str]) -> Mapping[str, StoredVersion]:
        """Return the stored version of each of these uris that is stored and intact."""
        with self._catalog.read() as db:
            return documents.load_versions(db, uris)

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, Vectors]:
        """Return the stored embeddings of these text hashes, of any document."""
        with self._catalog.read() as db:
            return embeddings.load_by_text_hash(db, hashes)

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call `listener` with the uris of documents that were stored or removed, after each commit."""
        self._listeners.append(listener)

    def put(self, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        """Store documents, all or none, and replace those with the same uris; unchanged chunks keep their ids."""
        with self._originals.stage(documents) as staged, self._catalog.write("store documents") as db:
            self._check_analyzer_version(db)
            replaced = original_rows.find_kept_of(db, list(staged.documents))
            results = writes.put(db, documents, vectors)
            staged.publish(db)
            unused = original_rows.delete_unused(db, replaced)
        self._originals.delete(unused)
        self._notify([result.uri for result in results])
        return results

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove these documents, all or none; return the uris that were stored."""
        with self._catalog.write("remove documents") as db:
            removed, unused = _remove(db, uris)
        self._originals.delete(unused)
        self._notify(removed)
        return removed

    def remove_matching(self, filter: Filter) -> list[str]:
        """Remove the documents that match the filter, all or none; return their uris, in order."""
        with self._catalog.write("remove documents") as db:
            removed, unused = _remove(db, documents.list_uris(db, build_condition(filter)))
        self._originals.delete(unused)
        self._notify(removed)
        return removed

    def documents(self, filter: Filter | None, limit: int, after: str = "") -> list[DocumentInfo]:
        """Return up to `limit` documents that match the filter, by uri, with uris after `after`."""
        with self._catalog.read() as db:
            return documents.list_documents(db, _build_where(filter), limit, after)

    def document(self, uri: str, filter: Filter | None = None) -> StoredDocument | None:
        """Return a document with its text, or None if it is absent or does not match the filter."""
        with self._catalog.read() as db:
            return documents.load_document(db, uri, _build_where(filter))

    def facets(self, fields: Sequence[str], filter: Filter | None, limit: int) -> Mapping[str, list[FacetValue]]:
        """Return the `limit` most frequent values of each field over the documents that match, with their counts."""
        where, key = _build_where(filter), filter_cache_key(filter)
        with self._catalog.read() as db:
            seq = header.load_state(db).seq
            return {
                field: self._facet_cache.get(
                    seq, (field, key, limit), partial(facets.count_values, db, field, where, limit)
                )
                for field in fields
            }

    def facet_fields(self, filter: Filter | None, limit: int, max_values: int) -> list[str]:
        """Return the `limit` most frequent metadata fields that have at most `max_values` values."""
        key = filter_cache_key(filter), limit, max_values
        with self._catalog.read() as db:
            find = partial(facets.find_fields, db, _build_where(filter), limit, max_values)
            return self._field_cache.get(header.load_state(db).seq, key, find)

    def has_chunk(self, chunk_id: int, filter: Filter | None = None) -> bool:
        """Return whether there is a chunk of this id in a document that matches the filter."""
        with self._catalog.read() as db:
            return documents.has_chunk(db, chunk_id, build_condition(filter) if filter else ("1", []))

    def original(self, uri: str, filter: Filter | None = None) -> StoredOriginal | None:
        """Return the record of the source of a document, with its bytes if they are kept."""
        seen: StoredOriginal | None = None
        while True:
            with self._catalog.read() as db:
                stored = documents.load_original(db, uri, build_condition(filter) if filter else ("1", []))
            if stored is None or stored.state != "kept":
                return stored
            if (data := self._originals.files.read(stored.sha256)) is not None:
                return replace(stored, data=data)
            if stored == seen:  # otherwise another write may have replaced the document since it was looked up
                raise DamagedDocumentError(uri, "original")
            seen = stored

    def has_space_for_original(self, size: int) -> bool:
        """Return whether an original of this size would be kept."""
        return self._originals.has_space(size)

    def page_map(self, uri: str, filter: Filter | None = None) -> bytes:
        """Return the map of the pages of a document; empty if it has none, is absent or does not match the filter."""
        with self._catalog.read() as db:
            return page_maps.load(db, uri, build_condition(filter) if filter else ("1", []))

    def document_part(self, uri: str, start: int, end: int, filter: Filter | None = None) -> DocumentPart | None:
        """Return the blocks of a document around a span, or None if it is absent or does not match the filter."""
        with self._catalog.read() as db:
            return document_parts.load_part(db, uri, build_condition(filter) if filter else ("1", []), start, end)

    @contextmanager
    def snapshot(self) -> Iterator[LocalSnapshot]:
        """Open a snapshot: all its reads see one commit."""
        with ExitStack() as stack:
            with self._view_lock:  # a thread that waits gets the view that the other one has made
                db = stack.enter_context(self._catalog.read())
                view = self._refresh_view(db)
            yield LocalSnapshot(db, view, partial(self._fall_back, db))

    @contextmanager
    def try_snapshot(self) -> Iterator[LocalSnapshot | None]:
        """Open a snapshot if its view is current already, else yield None."""
        with self._catalog.read() as db:
            view = self._view
            yield (
                None
                if view is None or not view.is_latest(db)
                else LocalSnapshot(db, view, partial(self._fall_back, db))
            )

    def is_filter_cached(self, filter: Filter) -> bool:
        """Return whether the ids that match this filter are cached in the current view."""
        view = self._view
        return view is not None and filter_cache_key(filter) in view.filter_cache

    def refresh_index(self, wait_seconds: float = 0.0) -> bool:
        """Publish a new generation if the index needs one; wait up to `wait_seconds` for another process that does.

        Return whether this call published one.
        """
        if self._needs_rebuild():
            with suppress(LockedError), self._publish_lock(wait_seconds), _log_damage():
                if self._needs_rebuild():  # another process may have published one meanwhile
                    self._publish()
                    return True
        return False

    def reindex(self) -> None:
        """Build all terms and index files again from the stored documents; on an error nothing changes."""
        with self._publish_lock(catalog.PUBLISH_WAIT_SECONDS):
            with self._catalog.write("reindex") as db:
                documents.reanalyze(db)
                db.execute("UPDATE meta SET analysis = ?", (ANALYZER_VERSION,))
                self._generations.publish(db, self._generations.build(db, from_scratch=True))
            self._generations.delete_unused(
                self._catalog
            )  # under the lock: a folder that is being published has no name yet
        self._view = None

    def index_state(self) -> IndexState:
        """Return how many chunks the index covers, and whether it needs a rebuild."""
        with self._catalog.read() as db:
            return self._generations.load_state(db)

    @contextmanager
    def job_lock(self, operation: str) -> Iterator[None]:
        """Hold the lock of long jobs; LockedError names its holder."""
        with hold_lock(self.folder / catalog.JOB_LOCK, wait_seconds=0, operation=operation):
            yield

    def close(self) -> None:
        """Close the files."""
        self._view = None
        self._catalog.close()

    def _notify(self, uris: Sequence[str]) -> None:
        if uris:
            for listener in self._listeners:
                listener(uris)

    def _needs_rebuild(self) -> bool:
        with self._catalog.read() as db:
            return needs_rebuild(db) or self._generations.is_damaged(db)

    @contextmanager
    def _publish_lock(self, wait: float) -> Iterator[None]:
        """Hold the lock of publishing an index; jobs and single writes are not blocked."""
        with hold_lock(self.folder / catalog.PUBLISH_LOCK, wait_seconds=wait, operation="publish an index"):
            yield

    def _publish(self) -> None:
        """Build a generation from one commit and name it in a later one; changes in between stay in the log."""
        with self._catalog.read() as db:
            generation = self._generations.build(db)
        with self._catalog.write("publish an index") as db:
            self._generations.publish(db, generation)
        self._generations.delete_unused(self._catalog)
        self._view = None

    def _refresh_view(self, db: sqlite3.Connection) -> View:
        try:
            view = refresh_view(db, self._view, self._generations.load)
        except DamagedFileError as exc:  # removed chunks are looked up in the files
            view = self._fall_back(db, exc)
        if view is not self._view:  # reindex changes the version, and gives a new view
            self._check_analyzer_version(db)
        self._view = view
        return view

    def _fall_back(self, db: sqlite3.Connection, error: DamagedFileError) -> View:
        """Return a view without the damaged generation."""
        self._generations.mark_damaged(db, error)
        self._view = view = refresh_view(db, None, self._generations.load)
        return view

    def _check_analyzer_version(self, db: sqlite3.Connection) -> None:
        version = db.execute("SELECT analysis FROM meta").fetchone()[0]
        if version != ANALYZER_VERSION:
            raise ConflictError(
                f"{self.folder.name} was indexed by analyser {version}, this semsearch has {ANALYZER_VERSION};"
                " rebuild its index",
                remedy=Remedy("reindex", self.folder.name),
            )


def _build_where(filter: Filter | None) -> SqlCondition:
    """Return the condition of a filter, or one that every document meets."""
    return build_condition(filter) if filter else ("1", [])


def _remove(db: sqlite3.Connection, uris: Sequence[str]) -> tuple[list[str], list[str]]:
    """Delete documents; return the uris that were stored, and the hashes of originals that nothing refers to now."""
    kept = original_rows.find_kept_of(db, uris)
    return writes.remove(db, uris), original_rows.delete_unused(db, kept)


@contextmanager
def _log_damage() -> Iterator[None]:
    """Log a damaged document that prevents a new index: the write that was made is stored all the same."""
    try:
        yield
    except DamagedDocumentError as exc:
        log.warning("the index is not updated, and search gets slower: %s", exc)
