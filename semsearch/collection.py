"""One collection as one caller may see it: ingest, search, ask, look and tidy. Gets its backends passed in.

Plain methods wait for their result. `asearch` and `stream` are for an event loop: what is local runs on the search
thread.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .accounts import LOCAL, Caller, Errand, Purpose
from .answering import answer, gather
from .cleaning import clean
from .errors import Forbidden, Invalid, NotFound
from .filters import Filter, both, parse
from .ingestion import Ingestion, Outcome
from .loops import Loop
from .ports import Answerer, Embedder, Store
from .retrieval import MAX_K, Query, analyse, dense_weight, hit, retrieve
from .types import (
    Answer,
    CollectionInfo,
    DocumentInfo,
    Event,
    Failure,
    Hit,
    Mode,
    Report,
    Source,
    StoredDocument,
    Wishes,
)

MAX_QUERY_CHARACTERS = 4_000
MAX_PAGE = 1_000

RawFilter = Mapping[str, Any]
NO_WISHES = Wishes()
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Collection:
    """A store, the embedder that belongs to it, and the caller in whose name everything is done."""

    name: str
    store: Store
    embedder: Embedder
    answerer: Callable[[Wishes], tuple[Answerer, tuple[str, ...]]]
    """Who writes, given what a request wishes for, and warnings about wishes that nobody can fulfil."""
    loop: Loop
    searching: Executor
    caller: Caller = LOCAL

    def info(self) -> CollectionInfo:
        """Name, embedder and counts."""
        return self.store.info()

    def ingest(
        self,
        sources: Iterable[Source | Failure],
        *,
        prune: bool = False,
        confirmed: bool = False,
        dry_run: bool = False,
        report: Report | None = None,
        on_done: Callable[[Outcome], None] | None = None,
    ) -> Report:
        """Take sources in; what is unchanged costs nothing, and what cannot be read is a Failure in the report.

        With `prune`, documents whose files are gone from the ingested folders are removed; Forbidden if that is most of
        the collection and not `confirmed`. A `report` of your own tells what was done when the run is interrupted.
        """
        self._may_write()
        report = Report() if report is None else report
        with self.store.job("ingest"):
            run = Ingestion(self.store, self.embedder, self.loop, self._errand("ingest"), report, on_done, dry_run)
            run.run(sources, prune=prune, confirmed=confirmed)
        self.store.settle()
        return report

    def put(self, sources: Iterable[Source]) -> list[Outcome]:
        """Store single documents without waiting for a long job; return what became of each, as it got ready."""
        self._may_write()
        outcomes: list[Outcome] = []
        Ingestion(self.store, self.embedder, self.loop, self._errand("ingest"), Report(), outcomes.append).run(sources)
        self.store.settle()
        return outcomes

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove documents, all of them or none; return those that were there."""
        self._may_write()
        removed = self.store.remove(uris)
        self.store.settle()
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
            raise NotFound(f"{self.name} holds no document {uri[:200]!r}")
        return found

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,  # what every user of such an API expects it to be called
        mode: Mode = "hybrid",
    ) -> list[Hit]:
        """The k best chunks for a question, best first."""
        return self._hits(self.loop.wait(self._query(query, filter, mode, self._errand("query"))), _checked_k(k))

    async def asearch(
        self,
        query: str,
        k: int = 10,
        *,
        filter: RawFilter | None = None,
        mode: Mode = "hybrid",
    ) -> list[Hit]:
        """`search` for an event loop."""
        prepared = await self._query(query, filter, mode, self._errand("query"))
        return await self._searching(self._hits, prepared, _checked_k(k))

    def ask(
        self,
        question: str,
        *,
        k: int = 8,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Answer:
        """Answer a question from the collection, each citation checked; `answered` is False where it does not know."""
        *_, last = self.events(question, k=k, filter=filter, wishes=wishes)
        assert isinstance(last, Answer)
        return last

    def events(
        self,
        question: str,
        *,
        k: int = 8,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Iterator[Event]:
        """`ask` as it happens: Sources, then the answer in Deltas, then the Answer."""
        return self.loop.each(self.stream(question, k=k, filter=filter, wishes=wishes))

    async def stream(
        self,
        question: str,
        *,
        k: int = 8,
        filter: RawFilter | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> AsyncGenerator[Event, None]:
        """`events` for an event loop."""
        writer, warnings = self.answerer(wishes)
        errand = self._errand("query")
        query = await self._query(question, filter, "hybrid", errand)
        evidence = await self._searching(gather, self.store, query, _checked_k(k), writer.reach)
        async with aclosing(answer(evidence, writer, errand.to("answer"), warnings)) as events:
            async for event in events:
                yield event

    def reindex(self) -> None:
        """Make everything derived again from the stored documents; asks no upstream."""
        self._may_write()
        with self.store.job("reindex"):
            self.store.reindex()

    async def _query(self, text: str, raw: RawFilter | None, mode: Mode, errand: Errand) -> Query:
        question = _checked_query(text)
        where = self._where(raw)
        vector = None if mode == "lexical" else (await self.embedder.embed([question], errand, query=True))[0]
        return Query(question, vector, where, mode, dense_weight(self.embedder, question))

    def _errand(self, purpose: Purpose) -> Errand:
        return Errand(purpose, self.caller.owner, self.caller.key, self.name)

    def _hits(self, query: Query, k: int) -> list[Hit]:
        with self.store.snapshot() as snapshot:
            return [hit(chunk, score) for chunk, score in retrieve(snapshot, query, analyse(snapshot, query.text), k)]

    async def _searching(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.searching, partial(work, *arguments))

    def _where(self, raw: RawFilter | None) -> Filter | None:
        """The request's filter and the caller's own, of which the request knows nothing."""
        asked = None if raw is None else parse(raw)
        return both(asked, None if self.caller.filter is None else parse(self.caller.filter))

    def _may_write(self) -> None:
        if self.caller.filter is not None:
            raise Forbidden(f"you may see only a part of {self.name}, and so not change it")


def _checked_query(text: str) -> str:
    question = clean(text).strip()
    if not question:
        raise Invalid("the question is empty")
    if len(question) > MAX_QUERY_CHARACTERS:
        raise Invalid(f"the question has {len(question)} characters; at most {MAX_QUERY_CHARACTERS} are taken")
    return question


def _checked_k(k: int) -> int:
    if not 1 <= k <= MAX_K:
        raise Invalid(f"k is between 1 and {MAX_K}, not {k}")
    return k
