"""One run of an ingestion: as it is, as a dry run that estimates the cost, or through the Batch API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..answers.approved_evidence import BreakagePreview
from ..core.event_loop import EventLoopThread
from ..core.ports import Embedder, Ledger, Meter, Store
from ..core.types.documents import IngestReport
from ..core.types.usage import RequestContext
from ..ingest.estimate import CostEstimator
from ..ingest.loading import IngestResult
from ..ingest.pipeline import IngestPipeline
from ..ingest.sources import FoundSource
from ..models.embedders import open_bulk_embedder


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What a run needs. `report` counts what is on disk, also when the run is interrupted."""

    store: Store
    embedder: Embedder
    loop: EventLoopThread
    ledger: Ledger
    get_meter: Callable[[], Meter]
    context: RequestContext
    report: IngestReport
    on_document: Callable[[IngestResult], None] | None
    on_message: Callable[[str], None]
    preview: BreakagePreview | None
    """Finds the approved answers that the run breaks."""

    def run(
        self, sources: Iterable[FoundSource], *, prune: bool, allow_large_prune: bool, dry_run: bool, batch: bool
    ) -> None:
        """Ingest the sources under the lock of long jobs."""
        with self.store.job_lock("ingest"), open_bulk_embedder(self.embedder) as embedder:
            if batch and not dry_run:
                sources = list(sources)
                embedder = self._embed_in_batches(sources)
            pipeline = IngestPipeline(self.store, embedder, self.loop, self.context, self.report, self.on_document)
            if (preview := self.preview) is not None:
                pipeline = replace(
                    pipeline, before_put=preview.replace_documents, before_removal=preview.remove_documents
                )
            if dry_run:
                estimator = CostEstimator(embedder, self.get_meter().estimate, self.ledger)
                pipeline = replace(pipeline, dry_run=True, on_texts=estimator.add)
            try:
                pipeline.run(sources, prune=prune, allow_large_prune=allow_large_prune)
            finally:
                self.report.plan = estimator.estimate() if dry_run else None

    def _embed_in_batches(self, sources: Iterable[FoundSource]) -> Embedder:
        """Embed all missing texts through the Batch API; return an embedder that reads their vectors from the cache."""
        from ..models.embedders.openai_batch import (  # late: it imports the client of model servers
            BatchEmbeddingRun,
            CachedOnlyEmbedder,
            require_openai_embedder,
        )

        embedder = require_openai_embedder(self.embedder)
        texts: list[str] = []
        dry_run = IngestPipeline(
            self.store, embedder, self.loop, self.context, IngestReport(), dry_run=True, on_texts=texts.extend
        )
        dry_run.run(sources)
        batch_run = BatchEmbeddingRun(embedder, self.get_meter(), self.context, self.on_message)
        self.loop.wait(batch_run.run(texts))
        return CachedOnlyEmbedder(embedder, batch_run.refused)
