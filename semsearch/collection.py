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

from .answers.history import check_belongs, recent, together, turn
from .answers.profiles import HITS_OF_ANSWER
from .core.errors import Forbidden, Invalid, Locked, NotFound, Storage
from .core.event_loop import Loop
from .core.ports import Embedder, Ledger, Meter, Store
from .core.types.answers import Answer, Citation, Event, Turn, Wishes
from .core.types.documents import CollectionInfo, DocumentInfo, Failure, Report, Source, StoredDocument
from .core.types.filters import Filter
from .core.types.search import Hit, Mode, Shape
from .core.types.sessions import Change, Record, Session
from .core.types.usage import LOCAL, Caller, Errand, Purpose
from .ingest.sources import checked_source
from .search.batching import Searches
from .search.filters import both, parse
from .search.query_cache import Questions
from .search.retrieval import Query, Search, checked_k, checked_mode, dense_weight
from .text.cleaning import MAX_QUERY_CHARACTERS
from .text.cleaning import question as checked

if TYPE_CHECKING:
    from .answers.pipeline import Manner
    from .ingest.loading import Outcome

MAX_PAGE = 1_000
SETTLED_WITHIN = 60.0
"""Seconds that an ingestion waits for another process that makes an index, before it makes one of all."""

RawFilter = Mapping[str, Any]
NO_WISHES = Wishes()
SHAPE = Shape()
_T = TypeVar("_T")
_log = logging.getLogger("semsearch.collection")


@dataclass(frozen=True, slots=True)
class Collection:
    """A store, the embedder that belongs to it, and the caller in whose name everything is done."""

    name: str
    store: Store
    embedder: Embedder
    desk: Callable[[Wishes, str | None], Manner]
    """Who answers and how, given what a request wishes for and the profile of its session."""
    ledger: Ledger
    meter: Callable[[], Meter]
    loop: Loop
    questions: Questions
    searches: Searches
    searching: Executor
    behind: Executor
    """On which what is derived is renewed while others go on."""
    for_long: Callable[[Embedder], AbstractContextManager[Embedder]]
    """The embedder for a run over many texts."""
    shape: Shape = SHAPE
    caller: Caller = LOCAL

    def info(self) -> CollectionInfo:
        """Name, embedder, and the counts of what the caller may see."""
        return self.store.info(self._where(None))

    def ingest(
        self,
        sources: Iterable[Source | Failure],
        *,
        prune: bool = False,
        confirmed: bool = False,
        dry_run: bool = False,
        batch: bool = False,
        report: Report | None = None,
        on_done: Callable[[Outcome], None] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> Report:
        """Take sources in; what is unchanged costs nothing, and what cannot be read is a Failure in the report.

        With `prune`, documents whose files are gone from the ingested folders are removed; Forbidden if that is most of
        the collection and not `confirmed`. With `batch` the embeddings come at half the price within a day; `say` is
        told how far they are. A `report` of your own tells what was done when the run is interrupted.
        """
        from .ingest.estimate import Planner
        from .ingest.pipeline import Ingestion

        self._may_write()
        sources = map(checked_source, sources)
        report = Report() if report is None else report
        errand = self._errand("ingest")
        with self.store.job("ingest"), self.for_long(self.embedder) as embedder:
            if batch and not dry_run:
                sources = list(sources)
                embedder = self._batched(sources, errand, say)
            run = Ingestion(self.store, embedder, self.loop, errand, report, on_done)
            if dry_run:
                planner = Planner(embedder, self.meter().quote, self.ledger)
                run = replace(run, dry_run=True, planned=planner.add)
            try:
                run.run(sources, prune=prune, confirmed=confirmed)
            finally:
                report.plan = planner.plan() if dry_run else None
        if not dry_run:
            self.store.settle(SETTLED_WITHIN)
        return report

    def put(self, sources: Iterable[Source], *, deadline: float | None = None) -> list[Outcome]:
        """Store single documents without waiting for a long job; return what became of each, as it got ready.

        `deadline` is in the seconds of `time.monotonic()`.
        """
        from .ingest.pipeline import Ingestion

        self._may_write()
        outcomes: list[Outcome] = []
        errand = self._errand("ingest", deadline=deadline)
        run = Ingestion(self.store, self.embedder, self.loop, errand, Report(), outcomes.append)
        run.run(map(checked_source, sources))
        self._settle_behind()
        return outcomes

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove documents, all of them or none; return those that were there."""
        self._may_write()
        if isinstance(uris, str):  # its letters may be documents
            raise Invalid(f"remove takes a list of uris, not one text: [{uris[:200]!r}]")
        removed = self.store.remove(uris)
        self._settle_behind()
        return removed

    def documents(self, limit: int = 100, after: str = "") -> list[DocumentInfo]:
        """Documents by uri, at most `limit`, from the first one behind `after`."""
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(f"limit is between 1 and {MAX_PAGE}, not {limit}")
        return self.store.documents(self._where(None), limit, after)

    def document(self, uri: str) -> StoredDocument:
        """One document with its stored text; NotFound if it is absent, or not the caller's to see."""
        found = self.store.document(uri, self._where(None))
        if found is None:
            way = f"semsearch documents, or GET /v1/collections/{self.name}/documents"
            raise NotFound(f"{self.name} holds no document {uri[:200]!r}; list them: {way}")
        return found

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,  # what every user of such an API expects it to be called
        mode: Mode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> list[Hit]:
        """The k best chunks for a question, best first; `history` has the questions before it, oldest first.

        With a `diversity` up to 1 the hits differ more from each other; with `explain` each says how it was ranked.
        """
        search = self._search(query, k, filter, mode, history, diversity, explain)
        (found,) = self.searches.hits([self.loop.wait(self._embedded(search, self._errand()))])
        return found

    async def asearch(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,
        mode: Mode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
        deadline: float | None = None,
    ) -> list[Hit]:
        """`search` for an event loop; `deadline` in the seconds of `time.monotonic()`."""
        search = self._search(query, k, filter, mode, history, diversity, explain)
        errand = self._errand(deadline=deadline)
        if self.embedder.concurrency > 1 or not self.is_prompt(query):  # others would wait for its vector too
            search = await self._embedded(search, errand)
        return await self.searches.ahits(search, partial(self._embedded, errand=errand))

    def ask(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
        session: str | None = None,
    ) -> Answer:
        """Answer a question from the collection, each citation checked; `answered` is False where it does not know.

        In a session, which `begin` gives, the question may refer to what was said before.
        """
        *_, last = self.events(question, k=k, filter=filter, wishes=wishes, session=session)
        assert isinstance(last, Answer)
        return last

    def events(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
        session: str | None = None,
    ) -> Generator[Event, None, None]:
        """`ask` as it happens: Sources, then the answer in Deltas, then the Answer."""
        return self.loop.each(self.stream(question, k=k, filter=filter, wishes=wishes, session=session))

    async def stream(
        self,
        question: str,
        *,
        k: int | None = None,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
        session: str | None = None,
        deadline: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """`events` for an event loop; `deadline` in the seconds of `time.monotonic()`."""
        from .answers.pipeline import answer, gather

        text, held = checked(question), await self._held(session)
        manner = self.desk(wishes, held.profile if held else None)
        k = checked_k(manner.profile.k or HITS_OF_ANSWER if k is None else k)
        errand = self._errand(session=session, deadline=deadline)
        history = recent(held.turns) if held else ()
        queries = await self._follow_up(text, history, filter, manner, errand)
        search = await self._embedded(Search(queries, k, self.shape), errand)
        evidence = await self._searching(gather, self.store, search, manner.answerer.reach)
        async with aclosing(answer(evidence.after(history), manner, errand)) as events:
            async for event in events:
                yield await self._recorded(event, text, queries[-1].text, session) if type(event) is Answer else event

    def is_prompt(self, query: str) -> bool:
        """Whether `asearch` answers without waiting for a server."""
        return not self.embedder.orders([query])

    def begin(self, profile: str | None = None) -> Session:
        """Begin a conversation of the caller's with this collection."""
        self.desk(NO_WISHES, profile)  # Invalid if there is no such profile
        return self.ledger.begin(self.caller.owner, self.name, profile, made=self.store.made())

    def changes(self, citations: Iterable[Citation]) -> list[Change]:
        """Which of these citations no longer stand where they stood."""
        from .answers.citations import changed

        texts: dict[str, str | None] = {}
        for uri in {cited.uri for cited in citations}:
            found = self.store.document(uri, self._where(None))
            texts[uri] = None if found is None else found.text
        return [
            Change(cited.marker, cited.uri, change)
            for cited in citations
            if (change := changed(cited, texts[cited.uri])) is not None
        ]

    def reindex(self) -> None:
        """Make everything derived again from the stored documents; asks no upstream."""
        self._may_write()
        with self.store.job("reindex"):
            self.store.reindex()

    def _search(
        self,
        query: str,
        k: int,
        raw: RawFilter | None,
        mode: Mode,
        history: Sequence[str],
        diversity: float,
        explain: bool,
    ) -> Search:
        """What is looked for, checked; without its vectors."""
        return Search(self._queries(query, history, raw, mode), checked_k(k), self._shape(diversity), explain)

    def _queries(self, text: str, history: Sequence[str], raw: RawFilter | None, mode: Mode) -> list[Query]:
        """One query, and for a follow-up a second one with what was asked before it."""
        question = checked(text)
        if isinstance(history, str):
            raise Invalid("history is a list of questions, not one text")
        earlier = [checked(each) for each in history]
        texts = [question, together(earlier, question)[-MAX_QUERY_CHARACTERS:]] if earlier else [question]
        where = self._where(raw)
        mode = checked_mode(mode)
        return [Query(each, None, where, mode, dense_weight(self.embedder, each, mode)) for each in texts]

    async def _embedded(self, search: Search, errand: Errand) -> Search:
        """The search with its vectors, as far as its mode needs them."""
        queries = [query for query in search.queries if query.vector is None and query.mode != "lexical"]
        if not queries:
            return search
        vectors = await self.questions.embed(self.embedder, [query.text for query in queries], errand)
        return replace(
            search, queries=[replace(query, vector=one) for query, one in zip(queries, vectors, strict=True)]
        )

    async def _follow_up(
        self, question: str, history: Sequence[Turn], raw: RawFilter | None, manner: Manner, errand: Errand
    ) -> list[Query]:
        """What to search for: a follow-up is worded to stand alone by a model, or searched for in two ways."""
        worded = await manner.answerer.condense(question, history, errand.to("condense")) if history else None
        earlier = [turn.question for turn in history] if worded is None else []
        return self._queries(worded or question, earlier, raw, "hybrid")

    async def _held(self, session: str | None) -> Session | None:
        """The conversation that goes on."""
        if session is None:
            return None
        found = await asyncio.to_thread(self.ledger.session, self.caller.owner, session)
        if found is None:
            raise NotFound(f"there is no session {session[:80]!r}; begin one: --session new, or POST /v1/sessions")
        check_belongs(found, self.name, await asyncio.to_thread(self.store.made))
        return found

    async def _recorded(self, given: Answer, question: str, asked: str, session: str | None) -> Answer:
        """The answer when it is on record; a conversation takes in only what is complete."""
        from .answers.prompts import VERSION as PROMPT_VERSION

        given = replace(given, session_id=session)
        record = Record(given, self.caller.owner, self.name, question, asked, PROMPT_VERSION, time.time())
        goes_on = turn(question, given) if session is not None and given.complete else None
        try:
            await asyncio.to_thread(self.ledger.record, record, goes_on)
        except (Storage, Locked, NotFound) as exc:
            return replace(given, warnings=(*given.warnings, f"this answer is not on record: {exc}"))
        return given

    def _errand(
        self, purpose: Purpose = "query", *, session: str | None = None, deadline: float | None = None
    ) -> Errand:
        return Errand(purpose, self.caller.owner, self.caller.key, self.name, session, deadline)

    def _shape(self, diversity: float) -> Shape:
        if not 0 <= diversity <= 1:
            raise Invalid(f"diversity is between 0 and 1, not {diversity}")
        return self.shape if diversity == self.shape.diversity else replace(self.shape, diversity=diversity)

    async def _searching(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.searching, partial(work, *arguments))

    def _where(self, raw: RawFilter | None) -> Filter | None:
        """The request's filter and the caller's own, of which the request knows nothing."""
        self.loop.check()  # every search and look comes by here
        asked = None if raw is None else parse(raw)
        return both(asked, None if self.caller.filter is None else parse(self.caller.filter))

    def _batched(self, sources: Iterable[Source | Failure], errand: Errand, say: Callable[[str], None]) -> Embedder:
        """Have everything that is missing embedded in batches; an embedder that then asks for nothing more."""
        from .ingest.pipeline import Ingestion
        from .models.embedders.openai_batch import (  # late: it brings the client of model servers with it
            BatchRun,
            PaidOnly,
            batchable,
        )

        embedder = batchable(self.embedder)
        texts: list[str] = []
        look = Ingestion(self.store, embedder, self.loop, errand, Report(), dry_run=True, planned=texts.extend)
        look.run(sources)
        batches = BatchRun(embedder, self.meter(), errand, say)
        self.loop.wait(batches.run(texts))
        return PaidOnly(embedder, batches.refused)

    def _settle_behind(self) -> None:
        with suppress(RuntimeError):  # the library is being closed, and the next write renews the index
            self.behind.submit(self._settle)

    def _settle(self) -> None:
        """Renew the index if it is due; nobody waits for it, and the next write tries again."""
        try:
            self.store.settle()
        except (Storage, NotFound) as exc:
            _log.warning("the index of %s was not renewed, and search is slower: %s", self.name, exc)

    def _may_write(self) -> None:
        self.loop.check()
        if self.caller.filter is not None:
            raise Forbidden(f"you may see only a part of {self.name}, and so not change it")
