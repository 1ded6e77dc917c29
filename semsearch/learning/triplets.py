"""Build embedding triplets from feedback: a query, a passage that answers it, and one that does not."""

from collections.abc import Iterator, Sequence

from ..collection import Collection
from ..core.types.documents import HEADING_SEPARATOR
from ..core.types.rated_answers import RatedAnswer
from ..core.types.search import StoredChunk
from .recorded_sources import load_chunks, load_hits
from .training_examples import Example, normalize

MAX_NEGATIVES = 3
"""For each positive passage."""

SKIPPED_HITS = 3
"""The best hits of a search often hold the answer too, also those that an answer does not cite."""

SEARCHED_NEGATIVES = 20
"""Hits of the search for negatives, where the answer's own hits hold none."""


def build_triplets(collection: Collection, rated: RatedAnswer) -> list[Example]:
    """Return the triplets of a rated answer; none if the feedback names no passage that answers the question.

    Positive is the passage that the owner called right, else those that a helpful answer cites. Negative is the
    passage of a citation that the owner called wrong, then hits of the search that the answer does not cite.
    """
    record = rated.record
    positives = list(load_chunks(collection, _list_positive_ids(rated)).values())
    negatives = _choose_negatives(collection, rated, positives) if positives else []
    return [
        Example(
            "embedding",
            {"query": record.search_question, "positive": format_chunk(positive), "negative": format_chunk(negative)},
            record.search_question,
            positive.text,
            (f"{record.collection}/{positive.uri}",),
            record.owner,
            "helpful",
            record.created,
        )
        for positive in positives
        for negative in negatives
    ]


def format_chunk(chunk: StoredChunk) -> str:
    """Return a chunk with its title and headings in front of it, as it is embedded."""
    headings = dict.fromkeys(filter(None, [chunk.title, *chunk.heading.split(HEADING_SEPARATOR)]))
    context = HEADING_SEPARATOR.join(headings)
    return f"{context}\n{chunk.text}" if context else chunk.text


def _list_positive_ids(rated: RatedAnswer) -> list[int]:
    feedback, answer = rated.feedback, rated.record.answer
    if feedback is None:
        return []
    if feedback.right_chunk_id is not None:
        return [feedback.right_chunk_id]
    if not feedback.helpful:
        return []
    return [citation.chunk_id for citation in answer.citations if citation.marker != feedback.wrong_marker]


def _choose_negatives(
    collection: Collection, rated: RatedAnswer, positives: Sequence[StoredChunk]
) -> list[StoredChunk]:
    answer = rated.record.answer
    cited_ids = {citation.chunk_id for citation in answer.citations}
    quotes = [normalize(citation.quote) for citation in answer.citations if citation.marker != _wrong_marker(rated)]
    negatives: dict[str, StoredChunk] = {}
    for chunk, is_called_wrong in _iter_candidates(collection, rated):
        is_cited = chunk.id in cited_ids or any(quote in normalize(chunk.text) for quote in quotes)
        if (is_called_wrong or not is_cited) and not any(_overlaps(chunk, positive) for positive in positives):
            negatives.setdefault(normalize(chunk.text), chunk)
        if len(negatives) == MAX_NEGATIVES:
            break
    return list(negatives.values())


def _iter_candidates(collection: Collection, rated: RatedAnswer) -> Iterator[tuple[StoredChunk, bool]]:
    """Yield possible negatives, the likeliest first, each with whether the owner called it wrong."""
    record = rated.record
    wrong_ids = [c.chunk_id for c in record.answer.citations if c.marker == _wrong_marker(rated)]
    yield from ((chunk, True) for chunk in load_chunks(collection, wrong_ids).values())
    hits = [chunk for chunk, _ in load_hits(collection, record)]
    yield from ((chunk, False) for chunk in hits[SKIPPED_HITS:])
    # Lexical: it sends no request to a model server.
    lexical_hits = collection.search(record.search_question, SEARCHED_NEGATIVES, mode="lexical")
    candidate_ids = [hit.chunk_id for hit in lexical_hits[SKIPPED_HITS:]]
    yield from ((chunk, False) for chunk in load_chunks(collection, candidate_ids).values())


def _wrong_marker(rated: RatedAnswer) -> int | None:
    return None if rated.feedback is None else rated.feedback.wrong_marker


def _overlaps(chunk: StoredChunk, positive: StoredChunk) -> bool:
    """Return whether two chunks share text: consecutive chunks overlap, and copies have the same text."""
    is_same_place = chunk.uri == positive.uri and chunk.start < positive.end and positive.start < chunk.end
    return is_same_place or normalize(chunk.text) == normalize(positive.text)
