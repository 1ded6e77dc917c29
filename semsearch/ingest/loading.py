"""Sources read and cut into chunks, in the order in which they were found. Stores nothing.

Files are fetched on a few threads. Plain text is then cut by whoever takes it, one after the other, because threads
that compute only take turns, at twice the cost. All else is read in child processes, which a hostile file may crash.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeVar

from ..core.errors import SemsearchError, Storage, TooLarge
from ..core.types.documents import Content, Cut, Document, Failure, Source, Stored, Version
from ..text.cleaning import clean
from ..text.metadata import checked_metadata
from .chunking import VERSION as CHUNKER_VERSION
from .chunking import chunk
from .readers import IN_PROCESS, MAX_SOURCE_BYTES, parsed
from .readers import VERSION as READERS_VERSION
from .readers import read as read_here
from .readers.worker_pool import Children

READER_VERSION = f"{READERS_VERSION}.{CHUNKER_VERSION}"
"""Stored with a document, and with it the charset that was named: a change means that its source is read again."""

MAX_TITLE_CHARACTERS = 300

PARALLEL = 2
TOGETHER = 4
"""Sources that one thread fetches in a row: handing each of them on would take longer than reading it."""
AHEAD = 3
"""Such rows that are fetched, or wait behind one that takes long."""

LOOKED_UP = 64
"""Sources that are looked up together among what is stored: one by one that takes a quarter of the time of reading."""

IN_PROCESS_BYTES = 1 << 20
"""Plain text up to this size is read without a child process."""

Outcome = Stored | Failure
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reading:
    """Threads that read, and the children they read with."""

    stored: Callable[[Sequence[str]], Mapping[str, Version]]
    pool: ThreadPoolExecutor
    children: Children
    _begun: set[str] = field(default_factory=set)

    def each(self, found: Iterable[Source | Failure]) -> Iterator[Cut | Outcome]:
        """Read a few sources ahead; what is unchanged, or cannot be read, comes as what became of it."""
        waiting: deque[Future[list[_Plain | Cut | Outcome]]] = deque()
        looked_up = self._with_versions(found)
        while some := list(islice(looked_up, TOGETHER)):
            if len(waiting) >= AHEAD:
                yield from map(_cut_here, waiting.popleft().result())
            waiting.append(self.pool.submit(self._fetched, some))
        while waiting:
            yield from map(_cut_here, waiting.popleft().result())

    def _with_versions(self, found: Iterable[Source | Failure]) -> Iterator[tuple[Source | Failure, Version | None]]:
        """What is stored of each; of a uri that comes again nobody knows what will be by then."""
        iterator = iter(found)
        while some := list(islice(iterator, LOOKED_UP)):
            stored = self.stored([source.uri for source in some])
            for source in some:
                yield source, None if source.uri in self._begun else stored.get(source.uri)
                self._begun.add(source.uri)

    def _fetched(self, some: Iterable[tuple[Source | Failure, Version | None]]) -> list["_Plain | Cut | Outcome"]:
        return [_tried(source, partial(self._fetch, stored)) for source, stored in some]

    def _fetch(self, stored: Version | None, source: Source) -> "_Plain | Cut | Outcome":
        source = replace(source, metadata=checked_metadata(source.metadata))
        data = _bytes(source)
        sha256 = hashlib.sha256(data).hexdigest()
        if _unchanged(source, sha256, stored):
            return Stored(source.uri, "unchanged", 0)
        if source.media_type.partition(";")[0] in IN_PROCESS and len(data) <= IN_PROCESS_BYTES:
            return _Plain(source, data, sha256)
        return _cut(source, self.children.read(data, source.media_type), sha256)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A text that is fetched and not yet read."""

    source: Source
    data: bytes
    sha256: str


@contextmanager
def reading(stored: Callable[[Sequence[str]], Mapping[str, Version]]) -> Iterator[Reading]:
    """Read what is not `stored` in this version; when a run ends early, nobody waits for a file."""
    pool = ThreadPoolExecutor(PARALLEL, "semsearch-read")
    with Children(PARALLEL) as children:
        try:
            yield Reading(stored, pool, children)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    pool.shutdown()


def _cut_here(item: "_Plain | Cut | Outcome") -> Cut | Outcome:
    if not isinstance(item, _Plain):
        return item
    return _tried(item.source, lambda source: _cut(source, read_here(item.data, source.media_type), item.sha256))


def _tried(source: Source | Failure, read: Callable[[Source], _T]) -> _T | Failure:
    """What reading a source gives, or why it cannot be read."""
    if isinstance(source, Failure):
        return source
    try:
        return read(source)
    except SemsearchError as exc:
        return Failure(source.uri, str(exc), exc.name)
    except OSError as exc:
        return Failure(source.uri, f"it cannot be read: {exc.strerror or exc}", Storage.name)


def _cut(source: Source, content: Content, sha256: str) -> Cut:
    document = _document(source, content, sha256)
    return Cut(document, chunk(document))


def _unchanged(source: Source, sha256: str, stored: Version | None) -> bool:
    if stored is None or (stored.sha256, stored.metadata) != (sha256, source.metadata):
        return False
    if (stored.media_type, stored.reader, stored.root) != (_media_type(source), _reader(source), _root(source)):
        return False
    return not source.title or _title(source.title) == stored.title


def _media_type(source: Source) -> str:
    return parsed(source.media_type)[0]


def _reader(source: Source) -> str:
    """What reads it, and how: `1.2`, or `1.2 iso-8859-2` where a charset is named."""
    return " ".join(filter(None, (READER_VERSION, parsed(source.media_type)[1])))


def _root(source: Source) -> str | None:
    return source.root.name if source.root else None


def _title(text: str) -> str:
    return " ".join(clean(text).split())[:MAX_TITLE_CHARACTERS]


def _bytes(source: Source) -> bytes:
    with source.open() as file:
        data = file.read(MAX_SOURCE_BYTES + 1)
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLarge(f"it is larger than the {MAX_SOURCE_BYTES >> 20} MiB that are read; split it")
    return data


def _document(source: Source, content: Content, sha256: str) -> Document:
    return Document(
        uri=source.uri,
        title=_title(source.title or content.title or PurePosixPath(source.uri).name),
        media_type=_media_type(source),
        blocks=content.blocks,
        sha256=sha256,
        reader=_reader(source),
        metadata=source.metadata,
        root=_root(source),
    )
