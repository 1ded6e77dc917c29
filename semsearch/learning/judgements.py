"""Find what the feedback on one answer says about documents. Reads the documents, not the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ..collection import Collection
from ..core.errors import NotFoundError
from ..core.types.judgements import JudgementSource
from ..core.types.rated_answers import RatedAnswer

GRADES: dict[JudgementSource, int] = {"right_chunk": 2, "helpful": 1, "wrong_marker": 0}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one owner said about one passage, at its place in the present text of the document."""

    owner: str
    uri: str
    start: int
    end: int
    quote: str
    source: JudgementSource


@dataclass(slots=True)
class JudgementFinder:
    """Finds the judgements of answers of one collection; remembers the texts of its documents."""

    collection: Collection
    _texts: dict[str, str | None] = field(default_factory=dict)

    def find(self, rated: RatedAnswer) -> list[Judgement]:
        """Return the judgements of an answer whose quotes are in documents that the caller may see."""
        owner = rated.record.owner
        return [
            Judgement(owner, uri, position, position + len(quote), quote, source)
            for uri, start, quote, source in self._list_quotes(rated)
            if (position := self._find_quote(uri, start, quote)) is not None
        ]

    def _list_quotes(self, rated: RatedAnswer) -> Iterator[tuple[str, int, str, JudgementSource]]:
        """Yield uri, start, quote and source of each passage that the feedback is about."""
        feedback, answer = rated.feedback, rated.record.answer
        if feedback is None:
            return
        wrong_uris = {each.uri for each in answer.citations if each.marker == feedback.wrong_marker}
        right_uris = {each.uri for each in answer.citations if each.marker != feedback.wrong_marker}
        for citation in answer.citations:
            if citation.marker == feedback.wrong_marker and wrong_uris.isdisjoint(right_uris):
                yield citation.uri, citation.start, citation.quote, "wrong_marker"
            elif citation.marker != feedback.wrong_marker and feedback.helpful:
                yield citation.uri, citation.start, citation.quote, "helpful"
        if feedback.right_chunk_id is not None:
            yield from self._load_chunk(rated, feedback.right_chunk_id)

    def _load_chunk(self, rated: RatedAnswer, chunk_id: int) -> Iterator[tuple[str, int, str, JudgementSource]]:
        """Yield the chunk as it is stored, else as it was among the hits of the answer."""
        store = self.collection.backends.store
        is_same_collection = datetime.fromisoformat(store.created_at()).timestamp() <= rated.record.created
        if is_same_collection and self.collection.has_chunk(chunk_id):
            with store.snapshot() as snapshot:
                (chunk,) = snapshot.load([chunk_id])
            yield chunk.uri, chunk.start, chunk.text, "right_chunk"
            return
        for hit in rated.record.answer.hits:
            if hit.chunk_id == chunk_id:
                yield hit.uri, hit.start, hit.text, "right_chunk"

    def _find_quote(self, uri: str, start: int, quote: str) -> int | None:
        """Return where the quote is now: at its offset, else at its first one; None if it is gone."""
        if uri not in self._texts:
            try:
                self._texts[uri] = self.collection.document(uri).text
            except NotFoundError:
                self._texts[uri] = None
        text = self._texts[uri]
        if text is None or not quote:
            return None
        place = start if text.startswith(quote, start) else text.find(quote)
        return None if place < 0 else place
