"""Addresses of documents and passages on the page of the service, and results with these addresses."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from ..core.types.answers import Answer, AnswerEvent, Citation, ClosestPassage, PassagesEvent, SourcesEvent
from ..core.types.search import Hit
from ..core.view_urls import make_view_url

_Item = TypeVar("_Item", Hit, Citation, ClosestPassage)


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Makes the addresses of one collection; `base_url` is that of the service, without a slash at its end."""

    base_url: str
    collection: str

    def make_document_url(self, uri: str) -> str:
        """Return the address of a document.

        >>> PageLinks("https://search.example.org", "handbook").make_document_url("docs/leave.md")
        'https://search.example.org/view/handbook/docs%2Fleave.md'
        """
        return make_view_url(self.base_url, self.collection, uri)

    def make_url(self, uri: str, start: int, end: int) -> str:
        """Return the address of a span of a document."""
        return make_view_url(self.base_url, self.collection, uri, start, end)

    def set_urls(self, hits: Iterable[Hit]) -> None:
        """Set the address of each hit of a search, in place: copies would take longer than all the rest."""
        for hit in hits:
            hit.url = self.make_url(hit.uri, hit.start, hit.end)

    def link_event(self, event: AnswerEvent) -> AnswerEvent:
        """Return a copy of an event of an answer with the address of each hit, citation and passage."""
        if isinstance(event, Answer):
            return self.link_answer(event)
        if isinstance(event, SourcesEvent):
            return SourcesEvent(self._link(event.hits))
        return PassagesEvent(self._link(event.passages)) if isinstance(event, PassagesEvent) else event

    def link_answer(self, answer: Answer) -> Answer:
        """Return a copy of an answer with the address of each hit, citation and passage."""
        return replace(
            answer,
            citations=self._link(answer.citations),
            hits=self._link(answer.hits),
            passages=self._link(answer.passages),
        )

    def link_citations(self, citations: Iterable[Citation]) -> tuple[Citation, ...]:
        """Return copies of citations with their addresses."""
        return self._link(citations)

    def _link(self, items: Iterable[_Item]) -> tuple[_Item, ...]:
        return tuple(replace(item, url=self.make_url(item.uri, item.start, item.end)) for item in items)
