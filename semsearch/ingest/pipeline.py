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

from ..core.errors import Forbidden, Upstream
from ..core.event_loop import Loop
from ..core.ports import Embedder, PartlyEmbedded, Store
from ..core.types.documents import Cut, Failure, Report, Source, Stored, Vectors
from ..core.types.usage import Errand
from .loading import Outcome, reading
from .uris import Placing

BATCH_DOCUMENTS = 64
CHUNKS_PER_DOCUMENT = 4
"""Documents of fewer chunks do not fill a batch: many of them would wait in memory for it."""

COMMIT_DOCUMENTS = 64
COMMIT_CHUNKS = 512
"""What one commit holds, at most, unless a single document is longer: other writers wait for it."""

PRUNE_SHARE = 0.5
PRUNE_FEW = 3
"""Removing so few documents is never asked about."""

STAYS = "what was stored of it before is still found, until it is read again or removed"
"""Of an input that cannot be read, be it that it was emptied: it may be half written, or broken by mistake."""

Batch = Sequence[Cut | Outcome]

_Found = tuple[Mapping[str, Vectors], Mapping[str, str]]
"""Vectors by the hash of their text, and why some texts were refused, by theirs."""


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
    _planned: set[str] = field(default_factory=set)
    """Hashes of those texts: by now they would be stored."""
    _done: deque[Outcome] = field(default_factory=deque)
    """What is on disk, or never will be, and was not told yet."""

    def run(self, found: Iterable[Source | Failure], *, prune: bool = False, confirmed: bool = False) -> None:
        """Take everything in; an input that cannot be read is a Failure in the report and harms no other."""
        began = time.monotonic()
        placing = Placing(self.store.roots())
        try:
            with ThreadPoolExecutor(1, "semsearch-batch") as helper, reading(self.store.versions) as read:
                helper.submit(int).result()  # a thread that Ctrl-C met at its start would write unknown to anybody
                batches = _batches(read.each(self._registered(placing, found)), self.embedder.at_once)
                self._keep_all(batches, helper)
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

    def _waits(self) -> bool:
        """Whether embedding waits for others meanwhile.

        Then one thread reads and writes in turns: beside one that computes, another would only take turns with it, and
        all of it would take longer.
        """
        return self.embedder.concurrency > 1

    def _keep_all(self, batches: Iterator[Batch], helper: Executor) -> None:
        """Embed each batch; where that takes others, the one before it is written meanwhile, and the next one read.

        Always the helper writes and counts: Ctrl-C reaches this thread only, and parts no commit from its count. It
        gets its work when the texts are on their way: these would else wait for it, as two that compute take turns.
        """
        vectors: Mapping[str, Vectors] = {}  # of the batch that is being written, which the store may not have yet
        embedded: tuple[Batch, Mapping[str, Vectors], Mapping[str, str]] | None = None
        writing: Future[None] | None = None
        batches = chain(batches, [()])  # while none is embedded, the last one is written
        batch, coming = next(batches, None), None
        try:
            while batch is not None:
                waits = self._waits()
                with self._embedding(batch, vectors) as found:
                    if embedded:
                        due, embedded = embedded, None  # first: what Ctrl-C meets while it is handed over is not twice
                        writing = helper.submit(self._write, *due)
                    coming = helper.submit(next, batches, None) if waits else None
                    vectors, refused = found()
                embedded = batch, vectors, refused
                self._tell_written(writing)
                if coming is None:
                    due, embedded = embedded, None
                    writing = helper.submit(self._write, *due)
                    self._tell_written(writing)
                batch = coming.result() if coming else next(batches, None)
        finally:
            if embedded:
                writing = helper.submit(self._write, *embedded)
            self._tell_written(writing)  # again: it may be this that Ctrl-C broke off

    @contextmanager
    def _embedding(self, batch: Batch, known: Mapping[str, Vectors]) -> Iterator[Callable[[], _Found]]:
        """Embed what is new in these documents, with few calls, while the block goes on; yield what waits for it."""
        texts = {chunk.text_hash: chunk.embedded for cut in _cuts(batch) for chunk in cut.chunks}
        vectors = {name: known[name] for name in texts if name in known}
        vectors |= self.store.vectors(name for name in texts if name not in vectors)
        missing = {name: text for name, text in texts.items() if name not in vectors and name not in self._planned}
        if self.dry_run:
            self._planned.update(missing)
            self.planned(list(missing.values()))
            self.report.embedded_chunks += len(missing)
        if self.dry_run or not missing:
            yield lambda: (vectors, {})
            return
        with self.loop.under_way(self.embedder.embed(list(missing.values()), self.errand)) as task:
            yield lambda: self._found(vectors, list(missing), task)

    def _found(self, known: Mapping[str, Vectors], hashes: Sequence[str], task: Future[Vectors]) -> _Found:
        """Wait for the vectors of the texts of these hashes."""
        refused: dict[str, str] = {}
        try:
            rows = task.result()
        except PartlyEmbedded as exc:
            rows, refused = exc.vectors, {hashes[row]: why for row, why in exc.refused.items()}
        new = {name: row for name, row in zip(hashes, rows, strict=True) if name not in refused}
        self.report.embedded_chunks += len(new)
        return {**known, **new}, refused

    def _write(self, batch: Batch, vectors: Mapping[str, Vectors], refused: Mapping[str, str]) -> None:
        """Store the documents of a batch, each whole, or not at all where the server minds a part of it; count them."""
        for item in batch:
            outcome = _minded(item, refused) if isinstance(item, Cut) else item
            if isinstance(outcome, Failure) and self.store.versions([outcome.uri]):
                outcome = replace(outcome, error=f"{outcome.error}; {STAYS}")
            if outcome:
                self._count(outcome)
        for cuts in _commits([cut for cut in _cuts(batch) if not _minded(cut, refused)]):
            for stored in self._would_put(cuts) if self.dry_run else self.store.put(cuts, vectors):
                self._count(stored)

    def _would_put(self, cuts: Sequence[Cut]) -> Iterator[Stored]:
        there = self.store.versions([cut.document.uri for cut in cuts])
        for cut in cuts:
            yield Stored(cut.document.uri, "updated" if cut.document.uri in there else "added", len(cut.chunks))

    def _tell_written(self, writing: Future[None] | None) -> None:
        """Wait for what is being written, and tell all that became of it, also if it was broken off."""
        try:
            if writing:
                writing.result()
        finally:
            while self._done:
                outcome = self._done.popleft()
                if self.on_done:
                    self.on_done(outcome)

    def _prune(self, placing: Placing, confirmed: bool) -> None:
        stored = {uri for prefix in placing.prefixes() for uri in self.store.files(prefix)}
        gone = placing.gone(sorted(stored))
        total = self.store.info().documents
        if not confirmed and len(gone) > max(PRUNE_FEW, PRUNE_SHARE * total):
            raise Forbidden(
                f"--prune would remove {len(gone)} of {total} documents, and removed none;"
                " if that is what you want, say it again with --yes"
            )
        for at in range(0, len(gone), COMMIT_DOCUMENTS):
            some = gone[at : at + COMMIT_DOCUMENTS]
            self.report.removed += len(some if self.dry_run else self.store.remove(some))

    def _count(self, outcome: Outcome) -> None:
        report = self.report
        if isinstance(outcome, Failure):
            report.failures.append(outcome)
        else:
            report.added += outcome.status == "added"
            report.updated += outcome.status == "updated"
            report.unchanged += outcome.status == "unchanged"
            report.chunks += outcome.chunks
        self._done.append(outcome)


def _batches(items: Iterable[Cut | Outcome], chunks: int) -> Iterator[Batch]:
    """Documents together until they have so many chunks; a few more, if the last of them is long."""
    batch: list[Cut | Outcome] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.chunks) if isinstance(item, Cut) else 0
        if size >= chunks or len(batch) >= max(BATCH_DOCUMENTS, chunks // CHUNKS_PER_DOCUMENT):
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _commits(cuts: Sequence[Cut]) -> Iterator[list[Cut]]:
    """Documents that are committed together."""
    some: list[Cut] = []
    size = 0
    for cut in cuts:
        if some and (len(some) == COMMIT_DOCUMENTS or size + len(cut.chunks) > COMMIT_CHUNKS):
            yield some
            some, size = [], 0
        some.append(cut)
        size += len(cut.chunks)
    if some:
        yield some


def _cuts(batch: Batch) -> Iterator[Cut]:
    return (item for item in batch if isinstance(item, Cut))


def _minded(cut: Cut, refused: Mapping[str, str]) -> Failure | None:
    """Why a document is not stored, where its server minds some of its chunks."""
    why = [refused[chunk.text_hash] for chunk in cut.chunks if chunk.text_hash in refused] if refused else []
    if not why:
        return None
    return Failure(cut.document.uri, f"{len(why)} of its {len(cut.chunks)} chunks: {why[0]}", Upstream.name)
