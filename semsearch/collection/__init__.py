"""One collection as one caller may see it: ingest, search, ask, list and remove. Gets its backends passed in.

Plain methods wait for their result. `asearch`, `aask` and `astream` are for an event loop: slow work runs on the search
thread. What only ingestion or answers need is imported late: it takes as long to load as all that a search needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..core.errors import ForbiddenError, InvalidError, NotFoundError, Remedy
from ..core.short_repr import format_repr, shorten
from ..core.types.answers import (
    DEFAULT_OPTIONS,
    Answer,
    AnswerEvent,
    AnswerRequest,
    Citation,
    GenerationOptions,
    make_answer_request,
)
from ..core.types.documents import CollectionInfo, DocumentInfo, IngestReport, Source, StoredDocument
from ..core.types.filters import Filter, RawFilter
from ..core.types.search import DEFAULT_K, Hit, SearchMode, SearchRequest, make_search_request
from ..core.types.sessions import CitationChange, Session
from ..core.types.usage import LOCAL_CALLER, Caller, Purpose, RequestContext
from ..ingest.sources import SourceInput, read_sources, validate_source
from ..search.filters import and_filters, parse_filter
from ..search.requests import build_search
from ..search.retrieval import Search
from .backends import CollectionBackends

if TYPE_CHECKING:
    from ..answers.answer_log import AnswerLog
    from ..ingest.loading import IngestResult

MAX_PAGE_SIZE = 1_000
REFRESH_WAIT_SECONDS = 60.0
"""Seconds that an ingestion waits for another process that builds an index, before it builds one itself."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The documents of one collection that one caller may see, and what that caller may do with them.

    >>> handbook = library.create("handbook")
    >>> handbook
    Collection('handbook')
    """

    name: str
    backends: CollectionBackends
    caller: Caller = LOCAL_CALLER

    def __repr__(self) -> str:
        """Return its name, and the caller if that is not the user of this process."""
        is_local = self.caller is LOCAL_CALLER
        return format_repr(self, shorten(self.name), *([] if is_local else [f"caller={self.caller!r}"]))

    def info(self) -> CollectionInfo:
        """Return name, embedder, and how many documents and chunks the caller may see.

        >>> handbook.info()
        CollectionInfo(name='handbook', embedder='local', documents=1, chunks=1)
        """
        return self.backends.store.info(self._visible_filter(None))

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
        from ..ingest.pipeline import IngestPipeline

        self._check_writable()
        results: list[IngestResult] = []
        context, backends = self._request_context("ingest", deadline=deadline), self.backends
        pipeline = IngestPipeline(
            backends.store, backends.embedder, backends.loop, context, IngestReport(), results.append
        )
        pipeline.run(map(validate_source, sources))
        self.backends.refresh_index_later(self.name)
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
            raise NotFoundError(
                f"{self.name} has no document {uri[:200]!r}; list them", remedy=Remedy("list_documents", self.name)
            )
        return document

    def search(
        self,
        query: str | SearchRequest,
        k: int = DEFAULT_K,
        *,
        filter: RawFilter | None = None,  # the name that users of such an API expect
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> list[Hit]:
        """Return the k best chunks for a query, or for a SearchRequest with these fields, best first.

        `history` has the questions before this one, oldest first. `diversity` from 0 to 1 makes hits differ more from
        each other; `explain` adds to each how it was ranked.

        >>> [hit.uri for hit in handbook.search("parental leave", k=3, filter={"media_type": "text/markdown"})]
        ['docs/leave.md']
        """
        request = make_search_request(query, k, filter, mode, history, diversity, explain)
        embedding = self.backends.embed_search(self._build_search(request), self._request_context())
        (hits,) = self.backends.search_batcher.search([self.backends.loop.wait(embedding)])
        return hits

    async def asearch(
        self,
        query: str | SearchRequest,
        k: int = DEFAULT_K,
        *,
        filter: RawFilter | None = None,
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
        deadline: float | None = None,
    ) -> list[Hit]:
        """`search` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> [hit.uri for hit in asyncio.run(handbook.asearch("parental leave", k=3))]
        ['docs/leave.md']
        """
        request = make_search_request(query, k, filter, mode, history, diversity, explain)
        search, context = self._build_search(request), self._request_context(deadline=deadline)
        # embedded before it joins a batch, so that no other search waits for this vector
        if self.backends.embedder.concurrency > 1 or not self.embeds_locally(request.query):
            search = await self.backends.embed_search(search, context)
        return await self.backends.search_batcher.submit(search, partial(self.backends.embed_search, context=context))

    async def aembed_queries(self, requests: Iterable[SearchRequest], *, deadline: float | None = None) -> None:
        """Embed the queries of several searches together; `asearch` then finds their vectors in the cache.

        InvalidError if one of the searches is not valid; then none is embedded.

        >>> asyncio.run(handbook.aembed_queries([semsearch.SearchRequest("parental leave")]))
        """
        queries = [query for request in requests for query in self._build_search(request).queries]
        await self.backends.embed_search(Search(queries, DEFAULT_K), self._request_context(deadline=deadline))

    def ask(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Answer:
        """Answer a question, or an AnswerRequest with these fields; every citation is checked.

        `answered` is False where the documents hold no answer. In a session, which `create_session` begins, a question
        may refer to the turns before it.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> answer.text, answer.citations[0].uri
        ('Parental leave is 26 weeks at full pay. [1]', 'docs/leave.md')
        """
        *_, answer = self.stream(question, k=k, filter=filter, options=options, session=session)
        assert isinstance(answer, Answer)
        return answer

    async def aask(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
        deadline: float | None = None,
    ) -> Answer:
        """`ask` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> asyncio.run(handbook.aask("How long is parental leave?")).answered
        True
        """
        request = make_answer_request(question, k, filter, options, session)
        async with aclosing(self.astream(request, deadline=deadline)) as events:
            async for event in events:
                last_event = event
        assert isinstance(last_event, Answer)
        return last_event

    def stream(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """`ask` as a stream: one SourcesEvent, one PassagesEvent, then Deltas, then the Answer.

        >>> for event in handbook.stream("How long is parental leave?"):
        ...     if isinstance(event, semsearch.Delta):
        ...         print(event.text, end="")
        Parental leave is 26 weeks at full pay. [1]
        """
        request = make_answer_request(question, k, filter, options, session)
        return self.backends.loop.iterate(self.astream(request))

    async def astream(
        self,
        question: str | AnswerRequest,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
        deadline: float | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """`stream` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> async def print_answer(question: str) -> None:
        ...     async for event in handbook.astream(question):
        ...         print(type(event).__name__)
        >>> asyncio.run(print_answer("How long is parental leave?"))
        SourcesEvent
        PassagesEvent
        Delta
        Answer
        """
        from ..answers.requests import validate_answer_request
        from .answering import stream_recorded_answer

        request = validate_answer_request(make_answer_request(question, k, filter, options, session))
        visible_filter, answer_log = self._visible_filter(request.filter), self._answer_log()
        context = self._request_context(session=request.session, deadline=deadline)
        stream = stream_recorded_answer(request, visible_filter, self.backends, answer_log, context)
        async with aclosing(stream) as events:
            async for event in events:
                yield event

    def embeds_locally(self, query: str) -> bool:
        """Return whether a search for `query` needs no request to a model server.

        >>> handbook.embeds_locally("parental leave")
        True
        """
        return not self.backends.embedder.plan_requests([query])

    def create_session(self, profile: str | None = None) -> Session:
        """Begin a session of the caller with this collection.

        >>> session = handbook.create_session()
        >>> answer = handbook.ask("How long is parental leave?", session=session.id)
        >>> handbook.ask("And at which pay?", session=session.id).session_id == session.id
        True
        """
        from ..answers.requests import choose_answer_config

        # raises InvalidError if there is no such profile
        choose_answer_config(DEFAULT_OPTIONS, profile, self.backends.embedder, self.backends.answerer_deps)
        return self._answer_log().create_session(profile)

    def citation_changes(self, citations: Iterable[Citation]) -> list[CitationChange]:
        """Return the citations whose quote is no longer at its offsets, each with the kind of change.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> handbook.remove(["docs/leave.md"])
        ['docs/leave.md']
        >>> handbook.citation_changes(answer.citations)
        [CitationChange(marker=1, uri='docs/leave.md', change='gone')]
        """
        return self._answer_log().detect_citation_changes(citations, self._visible_filter(None))

    def reindex(self) -> None:
        """Rebuild everything derived from the stored documents. Sends no request to a model server.

        >>> handbook.reindex()
        """
        self._check_writable()
        with self.backends.store.job_lock("reindex"):
            self.backends.store.reindex()

    def _iter_documents(self) -> Iterator[DocumentInfo]:
        page = self.get_document_page(MAX_PAGE_SIZE)
        while page:
            yield from page
            page = self.get_document_page(MAX_PAGE_SIZE, page[-1].uri)

    def _build_search(self, request: SearchRequest) -> Search:
        """Return the validated search of a request, without vectors."""
        backends = self.backends
        return build_search(request, self._visible_filter(request.filter), backends.embedder, backends.result_options)

    def _answer_log(self) -> AnswerLog:
        from ..answers.answer_log import AnswerLog

        return AnswerLog(self.backends.ledger, self.backends.store, self.caller.owner, self.name)

    def _request_context(
        self, purpose: Purpose = "query", *, session: str | None = None, deadline: float | None = None
    ) -> RequestContext:
        return RequestContext(purpose, self.caller.owner, self.caller.key, self.name, session, deadline)

    def _visible_filter(self, raw_filter: RawFilter | None) -> Filter | None:
        """Return the filter of a request ANDed with that of the caller. Every read passes here."""
        self.backends.loop.check_open()
        requested = None if raw_filter is None else parse_filter(raw_filter)
        return and_filters(requested, None if self.caller.filter is None else parse_filter(self.caller.filter))

    def _check_writable(self) -> None:
        self.backends.loop.check_open()
        if self.caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of the collection {self.name}, so you may not change it")
