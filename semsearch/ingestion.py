"""The way of a source into a collection: hash → skip if unchanged → read → chunk → embed → put. Does not walk folders.

Sources are read on a few threads, what is not plain text in child processes; embedding and writing happen on the
caller's thread, one transaction for each document, so that whatever was counted is on disk.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .accounts import Errand
from .chunking import VERSION as CHUNKER_VERSION
from .chunking import chunk
from .cleaning import clean
from .errors import Forbidden, SemsearchError, Storage, TooLarge, Upstream
from .filters import check_metadata
from .loops import Loop
from .placing import Placing
from .ports import Embedder, PartlyEmbedded, Store
from .readers import IN_PROCESS, MAX_SOURCE_BYTES
from .readers import VERSION as READERS_VERSION
from .readers import read as read_here
from .readers.children import Children
from .types import Chunk, Content, Document, Failure, Report, Source, Stored, Vectors

READER_VERSION = f"{READERS_VERSION}.{CHUNKER_VERSION}"
"""Stored with a document: a change means that its source is read again."""

BATCH_DOCUMENTS = 64
CHUNKS_PER_DOCUMENT = 4
"""Documents of fewer chunks do not fill a batch: many of them would wait in memory for it."""

PARALLEL = 2
AHEAD = 8
"""Sources that are read, or wait behind one that takes long."""

IN_PROCESS_BYTES = 1 << 20
"""Plain text up to this size is read without a child process."""

PRUNE_SHARE = 0.5
PRUNE_FEW = 3
"""Removing so few documents is never asked about."""

Outcome = Stored | Failure


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: Document
    chunks: list[Chunk]


@dataclass(frozen=True, slots=True)
class Ingestion:
    """One run. `report` counts what is on disk, also when the run is interrupted."""

    store: Store
    embedder: Embedder
    loop: Loop
    errand: Errand
    report: Report
    on_done: Callable[[Outcome], None] | None = None
    dry_run: bool = False
    planned: Callable[[list[str]], None] = lambda texts: None
    """Told, in a dry run, the texts that would be embedded together."""
    _seen: set[str] = field(default_factory=set)
    """Hashes of those that would be stored by now."""

    def run(self, found: Iterable[Source | Failure], *, prune: bool = False, confirmed: bool = False) -> None:
        """Take everything in; an input that cannot be read is a Failure in the report and harms no other."""
        began = time.monotonic()
        placing = Placing(self.store.roots())
        try:
            for batch in _batches(self._prepared(self._registered(placing, found)), self.embedder.at_once):
                self._keep(batch)
            if prune:
                self._prune(placing, confirmed)
        finally:
            self.report.usage = self.errand.tally.usage
            self.report.seconds = round(time.monotonic() - began, 3)

    def _registered(self, placing: Placing, found: Iterable[Source | Failure]) -> Iterator[Source | Failure]:
        """Register each new folder before its first file is stored."""
        known = 0
        for source in placing.each(found):
            while known < len(placing.new) and not self.dry_run:
                self.store.add_root(placing.new[known])
                known += 1
            yield source

    def _prepared(self, found: Iterable[Source | Failure]) -> Iterator[_Prepared]:
        """Read in parallel, a few sources ahead, and hand on what has changed in the order in which it was found.

        The order decides which texts share a request, and a plan must come to the same.
        """
        waiting: deque[Future[_Prepared | Outcome]] = deque()
        with _pool() as (pool, children):
            for source in found:
                if len(waiting) >= AHEAD:
                    yield from self._ready(waiting.popleft())
                waiting.append(pool.submit(self._prepare, source, children))
            while waiting:
                yield from self._ready(waiting.popleft())

    def _ready(self, future: "Future[_Prepared | Outcome]") -> Iterator[_Prepared]:
        outcome = future.result()
        if isinstance(outcome, _Prepared):
            yield outcome
        else:
            self._count(outcome)

    def _prepare(self, source: Source | Failure, children: Children) -> _Prepared | Outcome:
        if isinstance(source, Failure):
            return source
        try:
            return self._read(source, children)
        except SemsearchError as exc:
            return Failure(source.uri, str(exc), exc.name)
        except OSError as exc:
            return Failure(source.uri, f"it cannot be read: {exc.strerror or exc}", Storage.name)

    def _read(self, source: Source, children: Children) -> _Prepared | Outcome:
        check_metadata(source.metadata)
        data = _bytes(source)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._unchanged(source, sha256):
            return Stored(source.uri, "unchanged", 0)
        plain = source.media_type.partition(";")[0] in IN_PROCESS and len(data) <= IN_PROCESS_BYTES
        content = read_here(data, source.media_type) if plain else children.read(data, source.media_type)
        document = _document(source, content, sha256)
        return _Prepared(document, chunk(document))

    def _unchanged(self, source: Source, sha256: str) -> bool:
        stored = self.store.versions([source.uri]).get(source.uri)
        if stored is None or (stored.sha256, stored.reader) != (sha256, READER_VERSION):
            return False
        return stored.metadata == source.metadata and source.title in (None, stored.title)

    def _keep(self, batch: list[_Prepared]) -> None:
        """Embed what is new in these documents with as few calls as possible, then put them one by one."""
        texts = {chunk.text_hash: chunk.embedded for prepared in batch for chunk in prepared.chunks}
        vectors = dict(self.store.vectors(texts))
        missing = {name: text for name, text in texts.items() if name not in vectors and name not in self._seen}
        refused: Mapping[str, str] = {}
        if self.dry_run:
            self._seen.update(missing)
            self.planned(list(missing.values()))
        elif missing:
            found, refused = self._embedded(missing)
            vectors |= found
        self.report.embedded_chunks += len(missing) - len(refused)
        for prepared in batch:
            self._count(self._would_put(prepared) if self.dry_run else self._put(prepared, vectors, refused))

    def _embedded(self, missing: Mapping[str, str]) -> tuple[dict[str, Vectors], dict[str, str]]:
        """Vectors by the hash of their text, and why some were refused."""
        hashes = list(missing)
        try:
            rows = self.loop.wait(self.embedder.embed(list(missing.values()), self.errand))
        except PartlyEmbedded as exc:
            refused = {hashes[row]: why for row, why in exc.refused.items()}
            kept = {name: row for name, row in zip(hashes, exc.vectors, strict=True) if name not in refused}
            return kept, refused
        return dict(zip(hashes, rows, strict=True)), {}

    def _put(self, prepared: _Prepared, vectors: Mapping[str, Vectors], refused: Mapping[str, str]) -> Outcome:
        """Store a document whole, or not at all where the server minds a part of it."""
        minded = [refused[chunk.text_hash] for chunk in prepared.chunks if chunk.text_hash in refused]
        if minded:
            uri = prepared.document.uri
            return Failure(uri, f"{len(minded)} of its {len(prepared.chunks)} chunks: {minded[0]}", Upstream.name)
        return self.store.put(prepared.document, prepared.chunks, vectors)

    def _would_put(self, prepared: _Prepared) -> Stored:
        uri = prepared.document.uri
        return Stored(uri, "updated" if self.store.versions([uri]) else "added", len(prepared.chunks))

    def _prune(self, placing: Placing, confirmed: bool) -> None:
        stored = {uri for prefix in placing.prefixes() for uri in self._stored(prefix)}
        gone = placing.gone(sorted(stored))
        total = self.store.info().documents
        if not confirmed and len(gone) > max(PRUNE_FEW, PRUNE_SHARE * total):
            raise Forbidden(
                f"--prune would remove {len(gone)} of {total} documents, and removed none;"
                " if that is what you want, say it again with --yes"
            )
        for at in range(0, len(gone), BATCH_DOCUMENTS):
            some = gone[at : at + BATCH_DOCUMENTS]
            self.report.removed += len(some if self.dry_run else self.store.remove(some))

    def _stored(self, prefix: str) -> Iterator[str]:
        after = prefix
        while page := self.store.documents(None, 500, after):
            for info in page:
                if not info.uri.startswith(prefix):
                    return
                yield info.uri
            after = page[-1].uri

    def _count(self, outcome: Outcome) -> None:
        report = self.report
        if isinstance(outcome, Failure):
            report.failures.append(outcome)
        else:
            report.added += outcome.status == "added"
            report.updated += outcome.status == "updated"
            report.unchanged += outcome.status == "unchanged"
            report.chunks += outcome.chunks
        if self.on_done:
            self.on_done(outcome)


@contextmanager
def _pool() -> Iterator[tuple[ThreadPoolExecutor, Children]]:
    """Threads that read, and the children they read with; when a run ends early, nobody waits for a file."""
    pool = ThreadPoolExecutor(PARALLEL, "semsearch-read")
    with Children(PARALLEL) as children:
        try:
            yield pool, children
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    pool.shutdown()


def _batches(prepared: Iterable[_Prepared], chunks: int) -> Iterator[list[_Prepared]]:
    """Documents together until they have so many chunks; a few more, if the last of them is long."""
    batch: list[_Prepared] = []
    size = 0
    for item in prepared:
        batch.append(item)
        size += len(item.chunks)
        if size >= chunks or len(batch) >= max(BATCH_DOCUMENTS, chunks // CHUNKS_PER_DOCUMENT):
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _bytes(source: Source) -> bytes:
    with source.open() as file:
        data = file.read(MAX_SOURCE_BYTES + 1)
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLarge(f"it is larger than the {MAX_SOURCE_BYTES >> 20} MiB that are read; split it")
    return data


def _document(source: Source, content: Content, sha256: str) -> Document:
    title = clean(source.title or content.title or PurePosixPath(source.uri).name).strip()
    return Document(
        uri=source.uri,
        title=" ".join(title.split())[:300],
        media_type=source.media_type.partition(";")[0].strip().lower(),
        blocks=content.blocks,
        sha256=sha256,
        reader=READER_VERSION,
        metadata=source.metadata,
    )
