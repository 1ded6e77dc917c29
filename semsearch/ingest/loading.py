"""Load sources: read and chunk them, in the order in which they were found. Stores nothing.

A few threads fetch the files. The calling thread parses and chunks plain text, because the GIL lets only one thread
compute and switching between them doubles the cost. Child processes read all other formats, because a hostile file may
crash its parser.
"""

import hashlib
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from math import inf
from typing import BinaryIO, TypeVar

from ..core.cancellation import Cancellation
from ..core.errors import NothingToIndexError, SemsearchError, StorageError, TooLargeError
from ..core.plugins import Plugin
from ..core.types.documents import ChunkedDocument, Document, Failure, PutResult, Skip, Source
from ..core.types.originals import OriginalFile
from ..core.types.stored_documents import StoredVersion
from ..text.metadata import validate_metadata
from .chunked_content import chunk_document, clean_title, make_document
from .chunking import VERSION as CHUNKER_VERSION
from .limits import MAX_IN_PROCESS_BYTES, MAX_SOURCE_BYTES
from .reader_plugins import find_reader_plugin
from .readers import IN_PROCESS_MEDIA_TYPES, TYPE_VERSIONS, parse_media_type
from .readers import VERSION as READERS_VERSION
from .readers import read as read_in_process
from .readers.worker_pool import ReaderPool, refusing_invalid_response
from .source_roles import VERSION as ROLES_VERSION
from .sources import FoundSource
from .spooled_document import FrameSpool, assemble_document

READER_VERSION = f"{READERS_VERSION}.{CHUNKER_VERSION}.{ROLES_VERSION}"
"""Stored with each document, together with its plugin and the stated charset: when one changes, it is read again."""

READER_THREADS = 2
FETCH_BATCH_SIZE = 4
"""Sources that one task fetches: a task for each source would cost more than the read itself."""
LARGE_SOURCE_BYTES = 16 << 20
"""Larger files are read one after the other: their bytes are in memory until a reader process has read them."""
PREFETCH_BATCHES = 3
"""Batches that are being fetched, or wait behind a slow one."""

LOOKUP_BATCH_SIZE = 64
"""Sources per lookup of stored versions: single lookups take a quarter of the read time."""

IngestResult = PutResult | Failure | Skip
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SourceLoader:
    """Fetch, read and chunk sources with a thread pool and reader processes."""

    look_up_versions: Callable[[Sequence[str]], Mapping[str, StoredVersion]]
    has_space_for_original: Callable[[int], bool]
    executor: ThreadPoolExecutor
    reader_pool: ReaderPool
    options: "LoaderOptions"
    _in_process_bytes: list[int] = field(default_factory=list)
    """Sizes of the texts that this process has read."""
    _seen_uris: set[str] = field(default_factory=set)
    _large_source_lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, sources: Iterable[FoundSource]) -> Iterator[ChunkedDocument | IngestResult]:
        """Yield the chunked documents, or the results of unchanged and unreadable sources; prefetch a few batches."""
        pending: deque[Future[list[_FetchedText | ChunkedDocument | IngestResult]]] = deque()
        versioned_sources = self._attach_versions(sources)
        while batch := list(islice(versioned_sources, FETCH_BATCH_SIZE)):
            if len(pending) >= PREFETCH_BATCHES:
                yield from map(_chunk_in_process, pending.popleft().result())
            pending.append(self.executor.submit(self._fetch_batch, batch))
        while pending:
            yield from map(_chunk_in_process, pending.popleft().result())

    def _attach_versions(self, sources: Iterable[FoundSource]) -> Iterator[tuple[FoundSource, StoredVersion | None]]:
        """Yield each source with its stored version; None if its URI repeats, as the run may change that version."""
        iterator = iter(sources)
        while batch := list(islice(iterator, LOOKUP_BATCH_SIZE)):
            stored = self.look_up_versions([source.uri for source in batch])
            for source in batch:
                yield source, None if source.uri in self._seen_uris else stored.get(source.uri)
                self._seen_uris.add(source.uri)

    def _fetch_batch(
        self, batch: Iterable[tuple[FoundSource, StoredVersion | None]]
    ) -> list["_FetchedText | ChunkedDocument | IngestResult"]:
        return [_read_or_failure(source, partial(self._fetch, stored)) for source, stored in batch]

    def _fetch(
        self, stored_version: StoredVersion | None, source: Source
    ) -> "_FetchedText | ChunkedDocument | IngestResult":
        source = replace(source, metadata=validate_metadata(source.metadata))
        with ExitStack() as turn:
            data = _read_bytes(source, lambda: turn.enter_context(self._large_source_lock))
            return self._load(source, data, stored_version)

    def _load(
        self, source: Source, data: bytes, stored_version: StoredVersion | None
    ) -> "_FetchedText | ChunkedDocument | IngestResult":
        sha256 = hashlib.sha256(data).hexdigest()
        if _is_unchanged(source, sha256, stored_version) and not self._misses_original(source, data, stored_version):
            return PutResult(source.uri, "unchanged", 0)
        plugin = _find_plugin(source)
        if plugin is None and _is_plain_text(source) and self._fits_in_process(len(data)):
            self._in_process_bytes.append(len(data))
            return _FetchedText(source, data, sha256)
        return self._read_in_worker(source, plugin, data, sha256)

    def _fits_in_process(self, size: int) -> bool:
        used = sum(self._in_process_bytes) if self.options.max_in_process_bytes < inf else 0
        return size <= MAX_IN_PROCESS_BYTES and used + size <= self.options.max_in_process_bytes

    def _read_in_worker(self, source: Source, plugin: Plugin | None, data: bytes, sha256: str) -> ChunkedDocument:
        spool = FrameSpool()
        header = self.reader_pool.read_document(
            data,
            source.media_type,
            plugin,
            uri=source.uri,
            title=source.title,
            add_part=spool.add,
            cancellation=self.options.cancellation,
        )
        document = replace(_describe_document(source, sha256, len(data)), title=header.title, page_map=header.page_map)
        with refusing_invalid_response():
            return assemble_document(document, spool, header)

    def _misses_original(self, source: Source, data: bytes, stored_version: StoredVersion | None) -> bool:
        """Return whether storing the source again would keep its bytes, which the store has not."""
        if stored_version is None or stored_version.original == "kept" or not _has_original(source):
            return False
        return self.has_space_for_original(len(data))


@dataclass(frozen=True, slots=True)
class _FetchedText:
    """A plain text that is fetched but not yet parsed."""

    source: Source
    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """What bounds a run."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    max_in_process_bytes: float = inf
    """Plain text that this process reads itself: reading more would delay the searches of a service."""


@contextmanager
def open_loader(
    look_up_versions: Callable[[Sequence[str]], Mapping[str, StoredVersion]],
    has_space_for_original: Callable[[int], bool],
    options: LoaderOptions,
) -> Iterator[SourceLoader]:
    """Open a loader and its workers; a run that ends early does not wait for files that are being read."""
    executor = ThreadPoolExecutor(READER_THREADS, "semsearch-read")
    with ReaderPool(READER_THREADS) as reader_pool:
        try:
            yield SourceLoader(look_up_versions, has_space_for_original, executor, reader_pool, options)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    executor.shutdown()


def _chunk_in_process(item: "_FetchedText | ChunkedDocument | IngestResult") -> ChunkedDocument | IngestResult:
    if not isinstance(item, _FetchedText):
        return item
    return _read_or_failure(item.source, partial(_chunk_text, item))


def _chunk_text(item: "_FetchedText", source: Source) -> ChunkedDocument:
    content = read_in_process(item.data, source.media_type)
    read = make_document(source.uri, source.title, _get_media_type(source), content)
    document = replace(
        _describe_document(source, item.sha256, len(item.data)),
        title=read.title,
        blocks=read.blocks,
        page_map=read.page_map,
    )
    return ChunkedDocument(document, chunk_document(document))


def _read_or_failure(source: FoundSource, read: Callable[[Source], _T]) -> _T | Failure | Skip:
    """Return the result of `read`; a Failure if the source cannot be read, a Skip if it has nothing to index."""
    if isinstance(source, Failure | Skip):
        return source
    try:
        return read(source)
    except NothingToIndexError as exc:
        return Skip(source.uri, str(exc))
    except SemsearchError as exc:
        _clear_frames(exc)
        return Failure(source.uri, str(exc), exc.name)
    except OSError as exc:
        _clear_frames(exc)
        return Failure(source.uri, f"it cannot be read: {exc.strerror or exc}", StorageError.name)


def _clear_frames(exc: BaseException | None) -> None:
    """Clear the variables in the frames of an error: an error that is one of them keeps the bytes of a file alive.

    The cycle would be freed by a later collection, after more files have been read.
    """
    while exc is not None:
        traceback.clear_frames(exc.__traceback__)
        exc = exc.__cause__ or exc.__context__


def _is_unchanged(source: Source, sha256: str, stored_version: StoredVersion | None) -> bool:
    if stored_version is None or (stored_version.sha256, stored_version.metadata) != (sha256, source.metadata):
        return False
    if (stored_version.media_type, stored_version.reader_version, stored_version.root_name) != (
        _get_media_type(source),
        _format_reader_version(source),
        _get_root_name(source),
    ):
        return False
    return not source.title or clean_title(source.title) == stored_version.title


def _has_original(source: Source) -> bool:
    """Return whether the store keeps the bytes of the source: it is a file, and not below a registered folder."""
    return source.root is None and not source.is_text


def _get_media_type(source: Source) -> str:
    return parse_media_type(source.media_type)[0]


def _is_plain_text(source: Source) -> bool:
    return source.media_type.partition(";")[0] in IN_PROCESS_MEDIA_TYPES


def _find_plugin(source: Source) -> Plugin | None:
    return find_reader_plugin(_get_media_type(source))


def _format_reader_version(source: Source) -> str:
    """Return the reader version with plugin and stated charset, if any: `1.2` or `1.2 acme-format 1.0 iso-8859-2`."""
    plugin = _find_plugin(source)
    media_type, charset = parse_media_type(source.media_type)
    reader = plugin.distribution if plugin else TYPE_VERSIONS.get(media_type, "")
    return " ".join(filter(None, (READER_VERSION, reader, charset)))


def _get_root_name(source: Source) -> str | None:
    return source.root.name if source.root else None


def _read_bytes(source: Source, wait_for_turn: Callable[[], object]) -> bytes:
    """Return the bytes of a source; a large file first waits for its turn. TooLargeError above the limit."""
    with source.open() as file:
        if _find_file_size(file) > LARGE_SOURCE_BYTES:
            wait_for_turn()
        data = file.read(MAX_SOURCE_BYTES + 1)
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLargeError(f"it is larger than the limit of {MAX_SOURCE_BYTES >> 20} MiB; split it")
    return data


def _find_file_size(file: BinaryIO) -> int:
    """Return the size of a file; 0 for a stream that is none."""
    try:
        return os.fstat(file.fileno()).st_size
    except (AttributeError, OSError, ValueError):
        return 0


def _describe_document(source: Source, sha256: str, size: int) -> Document:
    """Return a document without its title and blocks."""
    return Document(
        uri=source.uri,
        title="",
        media_type=_get_media_type(source),
        blocks=(),
        sha256=sha256,
        reader_version=_format_reader_version(source),
        metadata=source.metadata,
        root_name=_get_root_name(source),
        original=OriginalFile(source.open, size) if _has_original(source) else None,
    )
