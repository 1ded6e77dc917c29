"""One collection as one caller may see it: ingest, search, ask, look and tidy. Gets its backends passed in.

Plain methods wait for their result. `asearch` and `stream` are for an event loop: what takes long runs on the search
thread. What only writes or answers is imported when it is first asked for: it takes as long as all that a search needs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .answers.history import join_questions, make_turn, truncate_history, validate_session_collection
from .answers.profiles import DEFAULT_ANSWER_K
from .core.errors import ForbiddenError, InvalidError, LockedError, NotFoundError, StorageError
from .core.event_loop import EventLoopThread
from .core.ports import Embedder, Ledger, Meter, Store
from .core.types.answers import Answer, AnswerEvent, Citation, GenerationOptions, Turn
from .core.types.documents import CollectionInfo, DocumentInfo, Failure, IngestReport, Source, StoredDocument
from .core.types.filters import Filter
from .core.types.search import Hit, ResultOptions, SearchMode
from .core.types.sessions import AnswerRecord, CitationChange, Session
from .core.types.usage import LOCAL_CALLER, Caller, Purpose, RequestContext
from .ingest.sources import validate_source
from .search.batching import SearchBatcher
from .search.filters import and_filters, parse_filter
from .search.query_cache import QueryVectorCache
from .search.retrieval import Query, Search, choose_dense_weight, validate_k, validate_mode
from .text.cleaning import MAX_QUERY_CHARACTERS
from .text.cleaning import validate_query as checked

if TYPE_CHECKING:
    from .answers.pipeline import AnswerConfig
    from .ingest.loading import IngestResult

MAX_PAGE_SIZE = 1_000
REFRESH_WAIT_SECONDS = 60.0
"""Seconds that an ingestion waits for another process that makes an index, before it makes one of all."""

RawFilter = Mapping[str, Any]
DEFAULT_OPTIONS = GenerationOptions()
DEFAULT_RESULT_OPTIONS = ResultOptions()
_T = TypeVar("_T")
_log = logging.getLogger("semsearch.collection")


@dataclass(frozen=True, slots=True)
class Collection:
    """A store, the embedder that belongs to it, and the caller in whose name everything is done."""

    name: str
    store: Store
    embedder: Embedder
    make_answer_config: Callable[[GenerationOptions, str | None], AnswerConfig]
    """Who answers and how, given what a request wishes for and the profile of its session."""
    ledger: Ledger
    get_meter: Callable[[], Meter]
    loop: EventLoopThread
    query_cache: QueryVectorCache
    search_batcher: SearchBatcher
    search_executor: Executor
    index_executor: Executor
    """On which what is derived is renewed while others go on."""
    for_bulk: Callable[[Embedder], AbstractContextManager[Embedder]]
    """The embedder for a run over many texts."""
    result_options: ResultOptions = DEFAULT_RESULT_OPTIONS
    caller: Caller = LOCAL_CALLER

    def info(self) -> CollectionInfo:
        """Name, embedder, and the counts of what the caller may see."""
        return self.store.info(self._visible_filter(None))

    def ingest(
        self,
        sources: Iterable[Source | Failure],
        *,
        prune: bool = False,
        allow_large_prune: bool = False,
        dry_run: bool = False,
        batch: bool = False,
        report: IngestReport | None = None,
        on_document: Callable[[IngestResult], None] | None = None,
        on_message: Callable[[str], None] = lambda line: None,
    ) -> IngestReport:
        """Take sources in; what is unchanged costs nothing, and what cannot be read is a Failure in the report.

        With `prune`, documents whose files are gone from the ingested folders are removed; Forbidden if that is most of
        the collection and not `confirmed`. With `batch` the embeddings come at half the price within a day; `say` is
        told how far they are. A `report` of your own tells what was done when the run is interrupted.
        """
        from .ingest.estimate import CostEstimator
        from .ingest.pipeline import IngestPipeline

        self._check_writable()
        sources = map(validate_source, sources)
        report = IngestReport() if report is None else report
        context = self._request_context("ingest")
        with self.store.job_lock("ingest"), self.for_bulk(self.embedder) as embedder:
            if batch and not dry_run:
                sources = list(sources)
                embedder = self._embed_in_batches(sources, context, on_message)
            run = IngestPipeline(self.store, embedder, self.loop, context, report, on_document)
            if dry_run:
                planner = CostEstimator(embedder, self.get_meter().estimate, self.ledger)
                run = replace(run, dry_run=True, on_texts=planner.add)
            try:
                run.run(sources, prune=prune, allow_large_prune=allow_large_prune)
            finally:
                report.plan = planner.estimate() if dry_run else None
        if not dry_run:
            self.store.refresh_index(REFRESH_WAIT_SECONDS)
        return report

    def upsert(self, sources: Iterable[Source], *, deadline: float | None = None) -> list[IngestResult]:
        """Store single documents without waiting for a long job; return what became of each, as it got ready.

        `deadline` is in the seconds of `time.monotonic()`.
        """
        from .ingest.pipeline import IngestPipeline

        self._check_writable()
        outcomes: list[IngestResult] = []
        context = self._request_context("ingest", deadline=deadline)
        run = IngestPipeline(self.store, self.embedder, self.loop, context, IngestReport(), outcomes.append)
        run.run(map(validate_source, sources))
        self._refresh_index_later()
        return outcomes

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove documents, all of them or none; return those that were there."""
        self._check_writable()
        if isinstance(uris, str):  # its letters may be documents
            raise InvalidError(f"remove takes a list of uris, not one text: [{uris[:200]!r}]")
        removed = self.store.remove(uris)
        self._refresh_index_later()
        return removed

    def documents(self, limit: int = 100, after: str = "") -> list[DocumentInfo]:
        """Documents by uri, at most `limit`, from the first one behind `after`."""
        if not 1 <= limit <= MAX_PAGE_SIZE:
            raise InvalidError(f"limit is between 1 and {MAX_PAGE_SIZE}, not {limit}")
        return self.store.documents(self._visible_filter(None), limit, after)

    def document(self, uri: str) -> StoredDocument:
        """One document with its stored text; NotFound if it is absent, or not the caller's to see."""
        document = self.store.document(uri, self._visible_filter(None))
        if document is None:
            way = f"semsearch documents, or GET /v1/collections/{self.name}/documents"
            raise NotFoundError(f"{self.name} holds no document {uri[:200]!r}; list them: {way}")
        return document

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,  # what every user of such an API expects it to be called
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> list[Hit]:
        """The k best chunks for a question, best first; `history` has the questions before it, oldest first.

        With a `diversity` up to 1 the hits differ more from each other; with `explain` each says how it was ranked.
        """
        search = self._build_search(query, k, filter, mode, history, diversity, explain)
        (hits,) = self.search_batcher.search([self.loop.wait(self._embed_search(search, self._request_context()))])
        return hits

    async def asearch(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
        deadline: float | None = None,
    ) -> list[Hit]:
        """`search` for an event loop; `deadline` in the seconds of `time.monotonic()`."""
        search = self._build_search(query, k, filter, mode, history, diversity, explain)
        context = self._request_context(deadline=deadline)
        if self.embedder.concurrency > 1 or not self.embeds_locally(query):  # others would wait for its vector too
            search = await self._embed_search(search, context)
        return await self.search_batcher.submit(search, partial(self._embed_search, context=context))

    def ask(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Answer:
        """Answer a question from the collection, each citation checked; `answered` is False where it does not know.

        In a session, which `begin` gives, the question may refer to what was said before.
        """
        *_, last = self.stream(question, k=k, filter=filter, options=options, session=session)
        assert isinstance(last, Answer)
        return last

    def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """`ask` as it happens: Sources, then the answer in Deltas, then the Answer."""
        return self.loop.iterate(self.astream(question, k=k, filter=filter, options=options, session=session))

    async def astream(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        options: GenerationOptions = DEFAULT_OPTIONS,
        session: str | None = None,
        deadline: float | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """`events` for an event loop; `deadline` in the seconds of `time.monotonic()`."""
        from .answers.pipeline import retrieve_evidence, stream_answer

        text, loaded_session = checked(question), await self._load_session(session)
        config = self.make_answer_config(options, loaded_session.profile if loaded_session else None)
        k = validate_k(config.profile.k or DEFAULT_ANSWER_K if k is None else k)
        context = self._request_context(session=session, deadline=deadline)
        history = truncate_history(loaded_session.turns) if loaded_session else ()
        queries = await self._queries_for(text, history, filter, config, context)
        search = await self._embed_search(Search(queries, k, self.result_options), context)
        evidence = await self._run_on_search_thread(
            retrieve_evidence, self.store, search, config.answerer.neighbour_chunks
        )
        async with aclosing(stream_answer(evidence.with_history(history), config, context)) as events:
            async for event in events:
                yield (
                    await self._save_answer(event, text, queries[-1].text, session) if type(event) is Answer else event
                )

    def embeds_locally(self, query: str) -> bool:
        """Whether `asearch` answers without waiting for a server."""
        return not self.embedder.plan_requests([query])

    def create_session(self, profile: str | None = None) -> Session:
        """Begin a conversation of the caller's with this collection."""
        self.make_answer_config(DEFAULT_OPTIONS, profile)  # Invalid if there is no such profile
        return self.ledger.create_session(
            self.caller.owner, self.name, profile, collection_created_at=self.store.created_at()
        )

    def citation_changes(self, citations: Iterable[Citation]) -> list[CitationChange]:
        """Which of these citations no longer stand where they stood."""
        from .answers.citations import detect_citation_change

        texts: dict[str, str | None] = {}
        for uri in {cited.uri for cited in citations}:
            document = self.store.document(uri, self._visible_filter(None))
            texts[uri] = None if document is None else document.text
        return [
            CitationChange(cited.marker, cited.uri, change)
            for cited in citations
            if (change := detect_citation_change(cited, texts[cited.uri])) is not None
        ]

    def reindex(self) -> None:
        """Make everything derived again from the stored documents; asks no upstream."""
        self._check_writable()
        with self.store.job_lock("reindex"):
            self.store.reindex()

    def _build_search(
        self,
        query: str,
        k: int,
        raw_filter: RawFilter | None,
        mode: SearchMode,
        history: Sequence[str],
        diversity: float,
        explain: bool,
    ) -> Search:
        """What is looked for, checked; without its vectors."""
        return Search(
            self._build_queries(query, history, raw_filter, mode),
            validate_k(k),
            self._build_result_options(diversity),
            explain,
        )

    def _build_queries(
        self, text: str, history: Sequence[str], raw_filter: RawFilter | None, mode: SearchMode
    ) -> list[Query]:
        """One query, and for a follow-up a second one with what was asked before it."""
        query = checked(text)
        if isinstance(history, str):
            raise InvalidError("history is a list of questions, not one text")
        earlier = [checked(each) for each in history]
        texts = [query, join_questions(earlier, query)[-MAX_QUERY_CHARACTERS:]] if earlier else [query]
        filter = self._visible_filter(raw_filter)
        mode = validate_mode(mode)
        return [Query(each, None, filter, mode, choose_dense_weight(self.embedder, each, mode)) for each in texts]

    async def _embed_search(self, search: Search, context: RequestContext) -> Search:
        """The search with its vectors, as far as its mode needs them."""
        queries = [query for query in search.queries if query.vector is None and query.mode != "lexical"]
        if not queries:
            return search
        vectors = await self.query_cache.embed(self.embedder, [query.text for query in queries], context)
        return replace(
            search, queries=[replace(query, vector=one) for query, one in zip(queries, vectors, strict=True)]
        )

    async def _queries_for(
        self,
        question: str,
        history: Sequence[Turn],
        raw_filter: RawFilter | None,
        config: AnswerConfig,
        context: RequestContext,
    ) -> list[Query]:
        """What to search for: a follow-up is worded to stand alone by a model, or searched for in two ways."""
        worded = (
            await config.answerer.condense(question, history, context.with_purpose("condense")) if history else None
        )
        earlier = [turn.question for turn in history] if worded is None else []
        return self._build_queries(worded or question, earlier, raw_filter, "hybrid")

    async def _load_session(self, session: str | None) -> Session | None:
        """The conversation that goes on."""
        if session is None:
            return None
        loaded = await asyncio.to_thread(self.ledger.get_session, self.caller.owner, session)
        if loaded is None:
            raise NotFoundError(f"there is no session {session[:80]!r}; begin one: --session new, or POST /v1/sessions")
        validate_session_collection(loaded, self.name, await asyncio.to_thread(self.store.created_at))
        return loaded

    async def _save_answer(self, answer: Answer, question: str, search_question: str, session: str | None) -> Answer:
        """The answer when it is on record; a conversation takes in only what is complete."""
        from .answers.prompts import PROMPT_VERSION as PROMPT_VERSION

        answer = replace(answer, session_id=session)
        record = AnswerRecord(
            answer, self.caller.owner, self.name, question, search_question, PROMPT_VERSION, time.time()
        )
        new_turn = make_turn(question, answer) if session is not None and answer.complete else None
        try:
            await asyncio.to_thread(self.ledger.record_answer, record, new_turn)
        except (StorageError, LockedError, NotFoundError) as exc:
            return replace(answer, warnings=(*answer.warnings, f"this answer is not on record: {exc}"))
        return answer

    def _request_context(
        self, purpose: Purpose = "query", *, session: str | None = None, deadline: float | None = None
    ) -> RequestContext:
        return RequestContext(purpose, self.caller.owner, self.caller.key, self.name, session, deadline)

    def _build_result_options(self, diversity: float) -> ResultOptions:
        if not 0 <= diversity <= 1:
            raise InvalidError(f"diversity is between 0 and 1, not {diversity}")
        return (
            self.result_options
            if diversity == self.result_options.diversity
            else replace(self.result_options, diversity=diversity)
        )

    async def _run_on_search_thread(self, function: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.search_executor, partial(function, *arguments))

    def _visible_filter(self, raw_filter: RawFilter | None) -> Filter | None:
        """The request's filter and the caller's own, of which the request knows nothing."""
        self.loop.check_open()  # every search and look comes by here
        requested = None if raw_filter is None else parse_filter(raw_filter)
        return and_filters(requested, None if self.caller.filter is None else parse_filter(self.caller.filter))

    def _embed_in_batches(
        self, sources: Iterable[Source | Failure], context: RequestContext, on_message: Callable[[str], None]
    ) -> Embedder:
        """Have everything that is missing embedded in batches; an embedder that then asks for nothing more."""
        from .ingest.pipeline import IngestPipeline
        from .models.embedders.openai_batch import (  # late: it brings the client of model servers with it
            BatchEmbeddingRun,
            CachedOnlyEmbedder,
            require_openai_embedder,
        )

        embedder = require_openai_embedder(self.embedder)
        texts: list[str] = []
        dry_run = IngestPipeline(
            self.store, embedder, self.loop, context, IngestReport(), dry_run=True, on_texts=texts.extend
        )
        dry_run.run(sources)
        batches = BatchEmbeddingRun(embedder, self.get_meter(), context, on_message)
        self.loop.wait(batches.run(texts))
        return CachedOnlyEmbedder(embedder, batches.refused)

    def _refresh_index_later(self) -> None:
        with suppress(RuntimeError):  # the library is being closed, and the next write renews the index
            self.index_executor.submit(self._refresh_index)

    def _refresh_index(self) -> None:
        """Renew the index if it is due; nobody waits for it, and the next write tries again."""
        try:
            self.store.refresh_index()
        except (StorageError, NotFoundError) as exc:
            _log.warning("the index of %s was not renewed, and search is slower: %s", self.name, exc)

    def _check_writable(self) -> None:
        self.loop.check_open()
        if self.caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of {self.name}, and so not change it")
