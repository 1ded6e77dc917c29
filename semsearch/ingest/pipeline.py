"""The way of sources into a collection: read and cut → embed → put. Does not walk folders and does not read files.

Where embedding is waiting for a server, the next batch is read and the last one written in the meantime. A batch is
committed in a few transactions, and a document is counted when the one that holds it is on disk.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

from ..core.errors import ForbiddenError, UpstreamError
from ..core.event_loop import EventLoopThread
from ..core.ports import Embedder, PartialEmbeddingError, Store
from ..core.types.documents import ChunkedDocument, Failure, IngestReport, PutResult, Source, Vectors
from ..core.types.usage import RequestContext
from .loading import IngestResult, open_loader
from .uris import UriMapper

BATCH_DOCUMENTS = 64
CHUNKS_PER_DOCUMENT = 4
"""Documents of fewer chunks do not fill a batch: many of them would wait in memory for it."""

MAX_COMMIT_DOCUMENTS = 64
MAX_COMMIT_CHUNKS = 512
"""What one commit holds, at most, unless a single document is longer: other writers wait for it."""

MAX_UNCONFIRMED_PRUNE_SHARE = 0.5
MAX_UNCONFIRMED_PRUNE_DOCUMENTS = 3
"""Removing so few documents is never asked about."""

OLD_VERSION_KEPT = "what was stored of it before is still found, until it is read again or removed"
"""Of an input that cannot be read, be it that it was emptied: it may be half written, or broken by mistake."""

IngestBatch = Sequence[ChunkedDocument | IngestResult]

_EmbeddingResult = tuple[Mapping[str, Vectors], Mapping[str, str]]
"""Vectors by the hash of their text, and why some texts were refused, by theirs."""


@dataclass(frozen=True, slots=True)
class IngestPipeline:
    """One run. `report` counts what is on disk, also when the run is interrupted."""

    store: Store
    embedder: Embedder
    loop: EventLoopThread
    context: RequestContext
    report: IngestReport
    on_document: Callable[[IngestResult], None] | None = None
    dry_run: bool = False
    on_texts: Callable[[list[str]], None] = lambda texts: None
    """Told, in a dry run, the texts that would be embedded together."""
    _planned_hashes: set[str] = field(default_factory=set)
    """Hashes of those texts: by now they would be stored."""
    _unreported_results: deque[IngestResult] = field(default_factory=deque)
    """What is on disk, or never will be, and was not told yet."""

    def run(self, sources: Iterable[Source | Failure], *, prune: bool = False, allow_large_prune: bool = False) -> None:
        """Take everything in; an input that cannot be read is a Failure in the report and harms no other."""
        began = time.monotonic()
        uri_mapper = UriMapper(self.store.roots())
        try:
            with ThreadPoolExecutor(1, "semsearch-batch") as helper, open_loader(self.store.stored_versions) as read:
                helper.submit(int).result()  # a thread that Ctrl-C met at its start would write unknown to anybody
                batches = _group_into_batches(
                    read.load(self._register_roots(uri_mapper, sources)), self.embedder.batch_size
                )
                self._process_batches(batches, helper)
            if prune:
                self._prune(uri_mapper, allow_large_prune)
        finally:
            self.report.usage = self.context.usage_counter.usage
            self.report.seconds = round(time.monotonic() - began, 3)

    def _register_roots(self, uri_mapper: UriMapper, sources: Iterable[Source | Failure]) -> Iterator[Source | Failure]:
        """Register each new folder before its first file is stored."""
        known = 0
        for source in uri_mapper.map_uris(sources):
            while known < len(uri_mapper.new_roots) and not self.dry_run:
                self.store.add_root(uri_mapper.new_roots[known])
                known += 1
            yield source

    def _can_overlap(self) -> bool:
        """Whether embedding waits for others meanwhile.

        Then one thread reads and writes in turns: beside one that computes, another would only take turns with it, and
        all of it would take longer.
        """
        return self.embedder.concurrency > 1

    def _process_batches(self, batches: Iterator[IngestBatch], executor: Executor) -> None:
        """Embed each batch; where that takes others, the one before it is written meanwhile, and the next one read.

        Always the helper writes and counts: Ctrl-C reaches this thread only, and parts no commit from its count. It
        gets its work when the texts are on their way: these would else wait for it, as two that compute take turns.
        """
        vectors: Mapping[str, Vectors] = {}  # of the batch that is being written, which the store may not have yet
        embedded: tuple[IngestBatch, Mapping[str, Vectors], Mapping[str, str]] | None = None
        writing: Future[None] | None = None
        batches = chain(batches, [()])  # while none is embedded, the last one is written
        batch, coming = next(batches, None), None
        try:
            while batch is not None:
                waits = self._can_overlap()
                with self._start_embedding(batch, vectors) as found:
                    if embedded:
                        due, embedded = embedded, None  # first: what Ctrl-C meets while it is handed over is not twice
                        writing = executor.submit(self._write, *due)
                    coming = executor.submit(next, batches, None) if waits else None
                    vectors, refused = found()
                embedded = batch, vectors, refused
                self._report_results(writing)
                if coming is None:
                    due, embedded = embedded, None
                    writing = executor.submit(self._write, *due)
                    self._report_results(writing)
                batch = coming.result() if coming else next(batches, None)
        finally:
            if embedded:
                writing = executor.submit(self._write, *embedded)
            self._report_results(writing)  # again: it may be this that Ctrl-C broke off

    @contextmanager
    def _start_embedding(
        self, batch: IngestBatch, previous_vectors: Mapping[str, Vectors]
    ) -> Iterator[Callable[[], _EmbeddingResult]]:
        """Embed what is new in these documents, with few calls, while the block goes on; yield what waits for it."""
        texts = {
            chunk.text_hash: chunk.embedding_text for chunked in _select_documents(batch) for chunk in chunked.chunks
        }
        vectors = {name: previous_vectors[name] for name in texts if name in previous_vectors}
        vectors |= self.store.vectors(name for name in texts if name not in vectors)
        missing = {
            name: text for name, text in texts.items() if name not in vectors and name not in self._planned_hashes
        }
        if self.dry_run:
            self._planned_hashes.update(missing)
            self.on_texts(list(missing.values()))
            self.report.embedded_chunks += len(missing)
        if self.dry_run or not missing:
            yield lambda: (vectors, {})
            return
        with self.loop.running(self.embedder.embed(list(missing.values()), self.context)) as task:
            yield lambda: self._collect_vectors(vectors, list(missing), task)

    def _collect_vectors(
        self, stored_vectors: Mapping[str, Vectors], hashes: Sequence[str], task: Future[Vectors]
    ) -> _EmbeddingResult:
        """Wait for the vectors of the texts of these hashes."""
        refused: dict[str, str] = {}
        try:
            rows = task.result()
        except PartialEmbeddingError as exc:
            rows, refused = exc.vectors, {hashes[row]: why for row, why in exc.rejections.items()}
        new = {name: row for name, row in zip(hashes, rows, strict=True) if name not in refused}
        self.report.embedded_chunks += len(new)
        return {**stored_vectors, **new}, refused

    def _write(self, batch: IngestBatch, vectors: Mapping[str, Vectors], refused: Mapping[str, str]) -> None:
        """Store the documents of a batch, each whole, or not at all where the server minds a part of it; count them."""
        for item in batch:
            outcome = _find_rejection(item, refused) if isinstance(item, ChunkedDocument) else item
            if isinstance(outcome, Failure) and self.store.stored_versions([outcome.uri]):
                outcome = replace(outcome, error=f"{outcome.error}; {OLD_VERSION_KEPT}")
            if outcome:
                self._record_result(outcome)
        for documents in _group_into_commits(
            [chunked for chunked in _select_documents(batch) if not _find_rejection(chunked, refused)]
        ):
            for stored in self._simulate_put(documents) if self.dry_run else self.store.put(documents, vectors):
                self._record_result(stored)

    def _simulate_put(self, documents: Sequence[ChunkedDocument]) -> Iterator[PutResult]:
        there = self.store.stored_versions([cut.document.uri for cut in documents])
        for chunked in documents:
            yield PutResult(
                chunked.document.uri, "updated" if chunked.document.uri in there else "added", len(chunked.chunks)
            )

    def _report_results(self, write_task: Future[None] | None) -> None:
        """Wait for what is being written, and tell all that became of it, also if it was broken off."""
        try:
            if write_task:
                write_task.result()
        finally:
            while self._unreported_results:
                outcome = self._unreported_results.popleft()
                if self.on_document:
                    self.on_document(outcome)

    def _prune(self, uri_mapper: UriMapper, allow_large_prune: bool) -> None:
        stored = {uri for prefix in uri_mapper.list_prune_prefixes() for uri in self.store.file_uris(prefix)}
        missing_uris = uri_mapper.find_missing_uris(sorted(stored))
        total = self.store.info().documents
        if not allow_large_prune and len(missing_uris) > max(
            MAX_UNCONFIRMED_PRUNE_DOCUMENTS, MAX_UNCONFIRMED_PRUNE_SHARE * total
        ):
            raise ForbiddenError(
                f"--prune would remove {len(missing_uris)} of {total} documents, and removed none;"
                " if that is what you want, say it again with --yes"
            )
        for at in range(0, len(missing_uris), MAX_COMMIT_DOCUMENTS):
            some = missing_uris[at : at + MAX_COMMIT_DOCUMENTS]
            self.report.removed += len(some if self.dry_run else self.store.remove(some))

    def _record_result(self, result: IngestResult) -> None:
        report = self.report
        if isinstance(result, Failure):
            report.failures.append(result)
        else:
            report.added += result.status == "added"
            report.updated += result.status == "updated"
            report.unchanged += result.status == "unchanged"
            report.chunks += result.chunks
        self._unreported_results.append(result)


def _group_into_batches(items: Iterable[ChunkedDocument | IngestResult], batch_chunks: int) -> Iterator[IngestBatch]:
    """Documents together until they have so many chunks; a few more, if the last of them is long."""
    batch: list[ChunkedDocument | IngestResult] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.chunks) if isinstance(item, ChunkedDocument) else 0
        if size >= batch_chunks or len(batch) >= max(BATCH_DOCUMENTS, batch_chunks // CHUNKS_PER_DOCUMENT):
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _group_into_commits(documents: Sequence[ChunkedDocument]) -> Iterator[list[ChunkedDocument]]:
    """Documents that are committed together."""
    some: list[ChunkedDocument] = []
    size = 0
    for chunked in documents:
        if some and (len(some) == MAX_COMMIT_DOCUMENTS or size + len(chunked.chunks) > MAX_COMMIT_CHUNKS):
            yield some
            some, size = [], 0
        some.append(chunked)
        size += len(chunked.chunks)
    if some:
        yield some


def _select_documents(batch: IngestBatch) -> Iterator[ChunkedDocument]:
    return (item for item in batch if isinstance(item, ChunkedDocument))


def _find_rejection(chunked: ChunkedDocument, refused: Mapping[str, str]) -> Failure | None:
    """Why a document is not stored, where its server minds some of its chunks."""
    why = [refused[chunk.text_hash] for chunk in chunked.chunks if chunk.text_hash in refused] if refused else []
    if not why:
        return None
    return Failure(
        chunked.document.uri, f"{len(why)} of its {len(chunked.chunks)} chunks: {why[0]}", UpstreamError.name
    )
