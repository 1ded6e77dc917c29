"""The documents of a collection: ingest, store, list, read and remove them.

What only ingestion needs is imported late: it takes as long to load as all that a search needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..core.errors import InvalidError
from ..core.types.documents import IngestReport, PutResult, Source
from ..core.types.filters import RawFilter
from ..core.types.stored_documents import CollectionInfo, DocumentInfo, DocumentPart, IndexState, StoredDocument
from ..ingest.sources import SourceInput, read_sources, validate_source
from ..search.filters import parse_filter
from .access import CollectionAccess

if TYPE_CHECKING:
    from ..answers.approved_evidence import BreakagePreview
    from ..ingest.loading import IngestResult

MAX_PAGE_SIZE = 1_000
MAX_CHUNK_ID = 2**63 - 1
REFRESH_WAIT_SECONDS = 60.0
"""Seconds that an ingestion waits for another process that builds an index, before it builds one itself."""


class DocumentOperations(CollectionAccess):
    """The operations on the documents of a collection."""

    __slots__ = ()

    def info(self) -> CollectionInfo:
        """Return name, embedder, and how many documents and chunks the caller may see.

        >>> handbook.info()
        CollectionInfo(name='handbook', embedder='local', documents=1, chunks=1)
        """
        return self.backends.store.info(self._visible_filter(None))

    def index_state(self) -> IndexState | None:
        """Return how much of the collection its index covers; None for a caller who may see only a part of it.

        >>> handbook.index_state()
        IndexState(state='none', indexed_chunks=0, pending_chunks=1)
        """
        is_whole = self._visible_filter(None) is None
        return self.backends.store.index_state() if is_whole else None

    def ingest(
        self,
        sources: SourceInput | Iterable[SourceInput],
        *,
        prune: bool = False,
        allow_large_prune: bool = False,
        dry_run: bool = False,
        batch: bool = False,
        report: IngestReport | None = None,
        on_document: Callable[[IngestResult], None] | None = None,
        on_message: Callable[[str], None] = lambda line: None,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
    ) -> IngestReport:
        """Ingest a path, several paths, or sources. Unchanged documents cost nothing; unreadable ones are reported.

        `include` and `exclude` choose files below the paths, as in `semsearch.read`. `prune` removes documents whose
        files are gone from the ingested folders, or left out now; ForbiddenError if these are most of the collection,
        unless `allow_large_prune` is set. `batch` embeds through the server's Batch API, at half the
        price and within a day; `on_message` gets its progress. A `report` of your own has the counts of an interrupted
        run.

        >>> handbook.ingest("docs/").unchanged
        1
        >>> handbook.ingest(semsearch.read("docs/", metadata={"team": "hr"})).updated
        1
        """
        from .ingestion import Ingestion

        self._check_writable()
        backends, report = self.backends, IngestReport() if report is None else report
        ingestion = Ingestion(
            backends.store,
            backends.embedder,
            backends.loop,
            backends.ledger,
            backends.get_meter,
            self._request_context("ingest"),
            report,
            on_document,
            on_message,
            self._make_breakage_preview(report),
        )
        ingestion.run(
            read_sources(sources, include=include, exclude=exclude),
            prune=prune,
            allow_large_prune=allow_large_prune,
            dry_run=dry_run,
            batch=batch,
        )
        if not dry_run:
            backends.store.refresh_index(REFRESH_WAIT_SECONDS)
        return report

    def upsert(self, sources: Iterable[Source], *, deadline: float | None = None) -> list[IngestResult]:
        """Store single documents without waiting for a running job; return the result of each, in completion order.

        `deadline` is a time of `time.monotonic()`.

        >>> handbook.upsert([semsearch.text_source("note", "The lamp was mended.")])
        [PutResult(uri='note', status='added', chunks=1)]
        """
        from ..ingest.limits import MAX_IN_PROCESS_REQUEST_BYTES
        from ..ingest.pipeline import IngestPipeline
        from ..models.embedders import open_bulk_embedder

        self._check_writable()
        results: list[IngestResult] = []
        context, backends = self._request_context("ingest", deadline=deadline), self.backends
        with open_bulk_embedder(backends.embedder) as embedder:  # embeds in a process of its own if there is much
            pipeline = IngestPipeline(
                backends.store,
                embedder,
                backends.loop,
                context,
                IngestReport(),
                results.append,
                max_in_process_bytes=MAX_IN_PROCESS_REQUEST_BYTES,
            )
            pipeline.run(map(validate_source, sources))
        new_chunks = (
            result.chunks for result in results if isinstance(result, PutResult) and result.status != "unchanged"
        )
        backends.refresh_index_after(self.name, sum(new_chunks), deadline)
        return results

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove documents, all of them or none; return the uris that existed.

        >>> handbook.remove(["docs/leave.md", "no/such.md"])
        ['docs/leave.md']
        """
        self._check_writable()
        if isinstance(uris, str):  # its single characters could be uris
            raise InvalidError(f"remove takes a list of uris, not one text: [{uris[:200]!r}]")
        removed = self.backends.store.remove(uris)
        self.backends.refresh_index_later(self.name)
        return removed

    def remove_matching(self, filter: RawFilter) -> list[str]:
        """Remove the documents that match a filter, all of them or none; return their uris, in order.

        >>> handbook.remove_matching({"team": "none"})
        []
        """
        self._check_writable()
        if not filter:
            raise InvalidError("an empty filter matches every document; to remove them all, delete the collection")
        removed = self.backends.store.remove_matching(parse_filter(filter))
        self.backends.refresh_index_later(self.name)
        return removed

    def documents(self) -> Iterator[DocumentInfo]:
        """Iterate over all documents, by uri, without their texts.

        >>> [document.uri for document in handbook.documents()]
        ['docs/leave.md']
        """
        self.backends.loop.check_open()
        return self._iter_documents()

    def get_document_page(
        self, limit: int = 100, after: str = "", *, filter: RawFilter | None = None
    ) -> list[DocumentInfo]:
        """Return at most `limit` documents that match the filter, by uri, from the first one behind `after`.

        >>> handbook.get_document_page(limit=10, after="docs/leave.md")
        []
        """
        if not 1 <= limit <= MAX_PAGE_SIZE:
            raise InvalidError(f"limit is between 1 and {MAX_PAGE_SIZE}, not {limit}")
        return self.backends.store.documents(self._visible_filter(filter), limit, after)

    def count_documents(self, filter: RawFilter | None = None) -> int:
        """Return how many documents match the filter.

        >>> handbook.count_documents()
        1
        """
        return self.backends.store.info(self._visible_filter(filter)).documents

    def document(self, uri: str) -> StoredDocument:
        """Return one document with its stored text; NotFoundError if there is none that the caller may see.

        >>> handbook.document("docs/leave.md").title
        'Leave'
        """
        document = self.backends.store.document(uri, self._visible_filter(None))
        if document is None:
            raise self._document_not_found(uri)
        return document

    def has_chunk(self, chunk_id: int) -> bool:
        """Return whether there is a chunk of this id in a document that the caller may see.

        >>> handbook.has_chunk(handbook.search("parental leave")[0].chunk_id), handbook.has_chunk(99)
        (True, False)
        """
        visible_filter = self._visible_filter(None)
        return 0 < chunk_id <= MAX_CHUNK_ID and self.backends.store.has_chunk(chunk_id, visible_filter)

    def get_blocks(self, uri: str, start: int, end: int) -> DocumentPart:
        """Return the blocks of a document that overlap a span of its stored text, and its table of contents.

        At least one block is returned. Of a block of more than 8,000 characters at either end of the span, only whole
        lines inside the span are returned. NotFoundError as in `document`.

        >>> [(block.kind, block.text) for block in handbook.get_blocks("docs/leave.md", 0, 6).blocks]
        [('heading', 'Leave')]
        """
        if not 0 <= start <= end:
            raise InvalidError(f"start and end are offsets in the text, 0 <= start <= end, not {start} and {end}")
        part = self.backends.store.document_part(uri, start, end, self._visible_filter(None))
        if part is None:
            raise self._document_not_found(uri)
        return part

    def reindex(self) -> None:
        """Rebuild everything derived from the stored documents. Sends no request to a model server.

        >>> handbook.reindex()
        """
        self._check_writable()
        with self.backends.store.job_lock("reindex"):
            self.backends.store.reindex()

    def _make_breakage_preview(self, report: IngestReport) -> BreakagePreview | None:
        """Return what reports the approved answers that an ingestion breaks, to callers who may list them."""
        from ..answers.approved_evidence import ApprovedEvidence, BreakagePreview

        if "admin" not in self.caller.scopes:
            return None
        evidence = ApprovedEvidence(self.backends.approvals, self.backends.store, self.name)
        return BreakagePreview(evidence, report.broken_answers)

    def _iter_documents(self) -> Iterator[DocumentInfo]:
        page = self.get_document_page(MAX_PAGE_SIZE)
        while page:
            yield from page
            page = self.get_document_page(MAX_PAGE_SIZE, page[-1].uri)
