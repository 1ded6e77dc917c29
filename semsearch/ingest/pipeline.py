"""Ingest sources into a collection: load and chunk → embed → put. Does not walk folders or read files.

While the embedder waits for a server, the pipeline reads the next batch and writes the previous one. A batch is
committed in a few transactions; a document is counted once its transaction is on disk.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from math import inf

from ..core.cancellation import Cancellation
from ..core.errors import ForbiddenError, UpstreamError
from ..core.event_loop import EventLoopThread
from ..core.ports import Embedder, PartialEmbeddingError, Store
from ..core.types.documents import (
    Chunk,
    ChunkedDocument,
    Document,
    Failure,
    IngestReport,
    PutResult,
    Skip,
    Vectors,
)
from ..core.types.usage import RequestContext
from ..core.vector_spool import VectorSpool
from .limits import SLICE_CHUNKS
from .loading import IngestResult, LoaderOptions, open_loader
from .sources import FoundSource
from .spooled_document import SpooledDocument
from .uris import UriMapper

BATCH_DOCUMENTS = 64
CHUNKS_PER_DOCUMENT = 4
"""A batch whose documents have fewer chunks on average closes early, so that few documents wait in memory."""

MAX_BATCH_ORIGINAL_BYTES = 64 << 20
"""Size of the originals after which a batch closes: those that come as bytes wait in memory."""

MAX_COMMIT_DOCUMENTS = 64
MAX_COMMIT_CHUNKS = 512
"""Maximum size of one commit, unless a single document is larger: other writers wait for the commit."""

MAX_UNCONFIRMED_PRUNE_SHARE = 0.5
MAX_UNCONFIRMED_PRUNE_DOCUMENTS = 3
"""Removing up to this many documents needs no confirmation."""

OLD_VERSION_KEPT = "its stored version is still found, until the document is read again or removed"
"""Added to the error of an unreadable or empty input: it may be half written, or damaged by mistake."""

MAX_LISTED_SKIPS = 100
"""Number of skipped inputs of each kind that the report lists: a folder may hold thousands of images."""

SKIPPED_VERSION_KEPT = "its stored version is still found, until it is removed or pruned"

IngestBatch = Sequence[ChunkedDocument | IngestResult]

_EmbeddingResult = tuple[Mapping[str, Vectors], Mapping[str, str]]
"""Vectors by text hash, and the reasons of rejected texts by text hash."""


@dataclass(frozen=True, slots=True)
class IngestPipeline:
    """One run of an ingestion. `report` counts what is on disk, also when the run is interrupted."""

    store: Store
    embedder: Embedder
    loop: EventLoopThread
    context: RequestContext
    report: IngestReport
    on_document: Callable[[IngestResult], None] | None = None
    dry_run: bool = False
    on_texts: Callable[[list[str]], None] = lambda texts: None
    """Called in a dry run with each batch of texts that would be embedded."""
    before_put: Callable[[Sequence[Document]], None] = lambda documents: None
    """Called with the documents of each commit, also in a dry run."""
    before_removal: Callable[[Sequence[str]], None] = lambda uris: None
    """Called with the uris of the documents that are pruned, also in a dry run."""
    max_in_process_bytes: float = inf
    """Plain text that this process reads itself; reader processes read the rest."""
    _cancellation: Cancellation = field(init=False)
    _planned_hashes: set[str] = field(default_factory=set)
    """Hashes of these texts: a real run would have stored them by now."""
    _skipped_uris: set[str] = field(default_factory=set)
    """Inputs that were read and have nothing to index."""
    _unreported_results: deque[IngestResult] = field(default_factory=deque)
    """Final results that were not yet passed to `on_document`."""

    def __post_init__(self) -> None:
        """Take the deadline of the run from its context."""
        object.__setattr__(self, "_cancellation", Cancellation(self.context.deadline))

    def run(self, sources: Iterable[FoundSource], *, prune: bool = False, allow_large_prune: bool = False) -> None:
        """Ingest all sources; an input that cannot be read becomes a Failure in the report and affects no other."""
        started = time.monotonic()
        uri_mapper = UriMapper(self.store.roots())
        try:
            with (
                ThreadPoolExecutor(1, "semsearch-batch") as executor,
                self.loop.calling_on_cancel(self._cancellation.cancel),
                open_loader(
                    self.store.stored_versions,
                    self.store.has_space_for_original,
                    LoaderOptions(self._cancellation, self.max_in_process_bytes),
                ) as loader,
            ):
                # starts the thread: if Ctrl-C came during a later start, a write could go on unnoticed
                executor.submit(int).result()
                batches = _group_into_batches(
                    loader.load(self._register_roots(uri_mapper, sources)), self.embedder.batch_size
                )
                self._process_batches(batches, executor)
            if prune:
                self._prune(uri_mapper, allow_large_prune)
        finally:
            self.report.usage = self.context.usage_counter.usage
            self.report.seconds = round(time.monotonic() - started, 3)

    def _register_roots(self, uri_mapper: UriMapper, sources: Iterable[FoundSource]) -> Iterator[FoundSource]:
        """Register each new folder before its first file is stored."""
        registered = 0
        for source in uri_mapper.map_uris(sources):
            while registered < len(uri_mapper.new_roots) and not self.dry_run:
                self.store.add_root(uri_mapper.new_roots[registered])
                registered += 1
            yield source

    def _can_overlap(self) -> bool:
        """Return whether embedding waits for a server, so that reading and writing can run meanwhile.

        An embedder that computes in this process competes with a second thread for the GIL, and both take longer.
        """
        return self.embedder.concurrency > 1

    def _process_batches(self, batches: Iterator[IngestBatch], executor: Executor) -> None:
        """Embed each batch; where these overlap, write the previous batch and read the next one meanwhile.

        Only the executor writes and counts: Ctrl-C interrupts this thread only, so it never separates a commit from
        its count. The executor gets its work after the texts are sent: otherwise its computing would delay them.
        """
        vectors: Mapping[str, Vectors] = {}  # of the batch that is being written; the store may not have them yet
        embedded_batch: tuple[IngestBatch, Mapping[str, Vectors], Mapping[str, str]] | None = None
        write_task: Future[None] | None = None
        batches = chain(batches, [()])  # the empty batch at the end lets the last one be written
        batch, next_batch = next(batches, None), None
        try:
            while batch is not None:
                can_overlap = self._can_overlap()
                with self._start_embedding(batch, vectors) as get_vectors:
                    if embedded_batch:
                        # cleared before submit: Ctrl-C must not let it be submitted twice
                        pending_write, embedded_batch = embedded_batch, None
                        write_task = executor.submit(self._write, *pending_write)
                    next_batch = executor.submit(next, batches, None) if can_overlap else None
                    vectors, rejections = get_vectors()
                embedded_batch = batch, vectors, rejections
                self._report_results(write_task)
                if next_batch is None:
                    pending_write, embedded_batch = embedded_batch, None
                    write_task = executor.submit(self._write, *pending_write)
                    self._report_results(write_task)
                batch = next_batch.result() if next_batch else next(batches, None)
        finally:
            if embedded_batch:
                write_task = executor.submit(self._write, *embedded_batch)
            self._report_results(write_task)  # again: Ctrl-C may have interrupted the first call

    @contextmanager
    def _start_embedding(
        self, batch: IngestBatch, previous_vectors: Mapping[str, Vectors]
    ) -> Iterator[Callable[[], _EmbeddingResult]]:
        """Start to embed the new texts of a batch while the `with` block runs; yield a function that awaits them.

        Those of a document that is not in memory are embedded in slices when the function is called.
        """
        documents = list(_select_documents(batch))
        if any(map(_is_spooled, documents)):
            yield partial(self._embed_in_slices, documents, previous_vectors)
            return
        chunks = (chunk for chunked in documents for chunk in chunked.chunks)
        with self._start_embedding_chunks(chunks, previous_vectors) as get_vectors:
            yield get_vectors

    def _embed_in_slices(
        self, documents: Sequence[ChunkedDocument], previous_vectors: Mapping[str, Vectors]
    ) -> _EmbeddingResult:
        """Embed the chunks slice by slice, and return vectors that wait in a file."""
        spool, all_rejections = VectorSpool(), dict[str, str]()
        chunks = (chunk for chunked in documents for chunk in chunked.chunks)
        while part := list(islice(chunks, SLICE_CHUNKS)):
            self._cancellation.check()
            with self._start_embedding_chunks(
                (chunk for chunk in part if chunk.text_hash not in spool), previous_vectors
            ) as get_vectors:
                vectors, rejections = get_vectors()
            spool.add(list(vectors), list(vectors.values()))
            all_rejections |= rejections
        return spool, all_rejections

    @contextmanager
    def _start_embedding_chunks(
        self, chunks: Iterable[Chunk], previous_vectors: Mapping[str, Vectors]
    ) -> Iterator[Callable[[], _EmbeddingResult]]:
        texts_by_hash = {chunk.text_hash: chunk.embedding_text for chunk in chunks}
        vectors = {
            text_hash: previous_vectors[text_hash] for text_hash in texts_by_hash if text_hash in previous_vectors
        }
        vectors |= self.store.vectors(text_hash for text_hash in texts_by_hash if text_hash not in vectors)
        missing = {
            text_hash: text
            for text_hash, text in texts_by_hash.items()
            if text_hash not in vectors and text_hash not in self._planned_hashes
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
        """Wait for the new vectors and return them together with the stored ones; `hashes` are in request order."""
        rejections: dict[str, str] = {}
        try:
            rows = task.result()
        except PartialEmbeddingError as exc:
            rows, rejections = exc.vectors, {hashes[row]: reason for row, reason in exc.rejections.items()}
        new_vectors = {
            text_hash: row for text_hash, row in zip(hashes, rows, strict=True) if text_hash not in rejections
        }
        self.report.embedded_chunks += len(new_vectors)
        return {**stored_vectors, **new_vectors}, rejections

    def _write(self, batch: IngestBatch, vectors: Mapping[str, Vectors], rejections: Mapping[str, str]) -> None:
        """Store and count the documents of a batch; a document with a rejected chunk is not stored at all."""
        for item in batch:
            result = _find_rejection(item, rejections) if isinstance(item, ChunkedDocument) else item
            if isinstance(result, Failure) and self.store.stored_versions([result.uri]):
                result = replace(result, error=f"{result.error}; {OLD_VERSION_KEPT}")
            elif isinstance(result, Skip) and result.kind == "empty" and self.store.stored_versions([result.uri]):
                result = replace(result, reason=f"{result.reason}; {SKIPPED_VERSION_KEPT}")
            if result:
                self._record_result(result)
        for documents in _group_into_commits(
            [chunked for chunked in _select_documents(batch) if not _find_rejection(chunked, rejections)]
        ):
            self.before_put([chunked.document for chunked in documents])
            for put_result in self._simulate_put(documents) if self.dry_run else self.store.put(documents, vectors):
                self._record_result(put_result)
            self._count_missing_originals(documents)

    def _simulate_put(self, documents: Sequence[ChunkedDocument]) -> Iterator[PutResult]:
        stored = self.store.stored_versions([chunked.document.uri for chunked in documents])
        for chunked in documents:
            yield PutResult(
                chunked.document.uri, "updated" if chunked.document.uri in stored else "added", len(chunked.chunks)
            )

    def _count_missing_originals(self, documents: Sequence[ChunkedDocument]) -> None:
        uris = [chunked.document.uri for chunked in documents if chunked.document.original is not None]
        if uris and not self.dry_run:
            states = [version.original for version in self.store.stored_versions(uris).values()]
            self.report.originals_not_kept += states.count("no_space")

    def _report_results(self, write_task: Future[None] | None) -> None:
        """Wait for the write task, then pass all its results to `on_document`, even if it failed."""
        try:
            if write_task:
                write_task.result()
        finally:
            while self._unreported_results:
                result = self._unreported_results.popleft()
                if self.on_document:
                    self.on_document(result)

    def _prune(self, uri_mapper: UriMapper, allow_large_prune: bool) -> None:
        stored_uris = {uri for prefix in uri_mapper.list_prune_prefixes() for uri in self.store.file_uris(prefix)}
        missing_uris = sorted({*uri_mapper.find_missing_uris(stored_uris), *(stored_uris & self._skipped_uris)})
        total = self.store.info().documents
        if not allow_large_prune and len(missing_uris) > max(
            MAX_UNCONFIRMED_PRUNE_DOCUMENTS, MAX_UNCONFIRMED_PRUNE_SHARE * total
        ):
            raise ForbiddenError(
                f"--prune would remove {len(missing_uris)} of {total} documents; nothing was removed;"
                " to remove them, repeat the command with --yes"
            )
        for start in range(0, len(missing_uris), MAX_COMMIT_DOCUMENTS):
            batch = missing_uris[start : start + MAX_COMMIT_DOCUMENTS]
            self.before_removal(batch)
            self.report.removed += len(batch if self.dry_run else self.store.remove(batch))

    def _record_result(self, result: IngestResult) -> None:
        report = self.report
        if isinstance(result, Failure):
            report.failures.append(result)
        elif isinstance(result, Skip):
            self._record_skip(result)
        else:
            report.added += result.status == "added"
            report.updated += result.status == "updated"
            report.unchanged += result.status == "unchanged"
            report.chunks += result.chunks
        self._unreported_results.append(result)

    def _record_skip(self, skip: Skip) -> None:
        report = self.report
        if skip.kind == "empty":
            self._skipped_uris.add(skip.uri)
        report.skipped += 1
        report.skipped_by_kind[skip.kind] = count = report.skipped_by_kind.get(skip.kind, 0) + 1
        if count <= MAX_LISTED_SKIPS:
            report.skips.append(skip)
        else:
            report.skips_omitted += 1


def _group_into_batches(items: Iterable[ChunkedDocument | IngestResult], batch_chunks: int) -> Iterator[IngestBatch]:
    """Yield batches of `batch_chunks` chunks or a few more; one of many small or of large documents closes earlier."""
    max_documents = max(BATCH_DOCUMENTS, batch_chunks // CHUNKS_PER_DOCUMENT)
    batch: list[ChunkedDocument | IngestResult] = []
    size = original_bytes = 0
    for item in items:
        batch.append(item)
        if isinstance(item, ChunkedDocument):
            if _is_spooled(item):  # in a batch of its own
                if len(batch) > 1:
                    yield batch[:-1]
                yield [item]
                batch, size, original_bytes = [], 0, 0
                continue
            size += len(item.chunks)
            original_bytes += item.document.original.size if item.document.original else 0
        if size >= batch_chunks or len(batch) >= max_documents or original_bytes >= MAX_BATCH_ORIGINAL_BYTES:
            yield batch
            batch, size, original_bytes = [], 0, 0
    if batch:
        yield batch


def _group_into_commits(documents: Sequence[ChunkedDocument]) -> Iterator[list[ChunkedDocument]]:
    """Yield the documents of each commit."""
    group: list[ChunkedDocument] = []
    size = 0
    for chunked in documents:
        if group and (len(group) == MAX_COMMIT_DOCUMENTS or size + len(chunked.chunks) > MAX_COMMIT_CHUNKS):
            yield group
            group, size = [], 0
        group.append(chunked)
        size += len(chunked.chunks)
    if group:
        yield group


def _select_documents(batch: IngestBatch) -> Iterator[ChunkedDocument]:
    return (item for item in batch if isinstance(item, ChunkedDocument))


def _is_spooled(chunked: ChunkedDocument) -> bool:
    return isinstance(chunked.document, SpooledDocument)


def _find_rejection(chunked: ChunkedDocument, rejections: Mapping[str, str]) -> Failure | None:
    """Return the Failure of a document with rejected chunks; None if all were embedded."""
    reasons = (
        [rejections[chunk.text_hash] for chunk in chunked.chunks if chunk.text_hash in rejections] if rejections else []
    )
    if not reasons:
        return None
    return Failure(
        chunked.document.uri, f"{len(reasons)} of its {len(chunked.chunks)} chunks: {reasons[0]}", UpstreamError.name
    )
