"""Recommendations of a collection: documents that are like examples, a history, or one document.

`arecommend` is for an event loop. What only recommendations need is imported late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, get_args

from ..core.errors import InvalidError, NotFoundError
from ..core.types.filters import RawFilter
from ..core.types.recommendations import (
    DEFAULT_RECOMMENDATION_DIVERSITY,
    Example,
    RecommendationRequest,
    RecommendationStrategy,
    make_examples,
)
from ..core.types.search import DEFAULT_K, Hit
from ..search.retrieval import validate_k
from ..text.cleaning import validate_query
from .access import CollectionAccess
from .documents import MAX_CHUNK_ID

if TYPE_CHECKING:
    from ..core.ports import ReadSnapshot
    from ..core.types.documents import Vectors
    from ..search.recommendation import Recommendation, ResolvedExample

MAX_EXAMPLES = 100
"""Examples of one request, the negative ones included."""
MAX_EXCLUDED_URIS = 1_000


class RecommendationOperations(CollectionAccess):
    """The recommendations of a collection."""

    __slots__ = ()

    def recommend(
        self,
        positive: Sequence[Example | str] = (),
        *,
        negative: Sequence[Example | str] = (),
        query: str | None = None,
        session: str | None = None,
        strategy: RecommendationStrategy = "average",
        k: int = DEFAULT_K,
        filter: RawFilter | None = None,
        exclude: Sequence[str] = (),
        diversity: float = DEFAULT_RECOMMENDATION_DIVERSITY,
        per_document: int = 1,
    ) -> list[Hit]:
        """Return k passages from the documents most like the positive examples and least like the negative ones.

        An example is a uri, or an `Example` with a uri, a chunk id or a text. `query` is one more text, `session` adds
        the questions of a session of the caller. The documents of examples, and those in `exclude`, are not
        recommended. At most `per_document` passages are of one document, 0 for no limit. NotFoundError if there is no
        such example that the caller may see.

        >>> handbook.upsert([semsearch.text_source("note", "New parents can work part time after their leave.")])
        [PutResult(uri='note', status='added', chunks=1)]
        >>> [hit.uri for hit in handbook.recommend(["docs/leave.md"])]
        ['note']
        """
        request = RecommendationRequest(
            make_examples(positive),
            make_examples(negative),
            query,
            session,
            strategy,
            k,
            filter,
            exclude,
            diversity,
            per_document,
        )
        return self.backends.loop.wait(self.arecommend(request))

    def similar(self, uri: str, k: int = DEFAULT_K) -> list[Hit]:
        """Return a passage of each of the k documents most like a document; NotFoundError as in `document`.

        >>> handbook.similar("docs/leave.md")
        []
        """
        return self.recommend([uri], k=k)

    async def arecommend(self, request: RecommendationRequest, *, deadline: float | None = None) -> list[Hit]:
        """`recommend` for an event loop; `deadline` is a time of `time.monotonic()`.

        >>> request = semsearch.RecommendationRequest([semsearch.Example(text="time off for parents")])
        >>> [hit.uri for hit in asyncio.run(handbook.arecommend(request))]
        ['docs/leave.md']
        """
        self._visible_filter(_validate_request(request).filter)  # raises before anything is embedded
        questions = await self._load_questions(request.session)
        texts = _collect_texts(request, questions)
        context, cache = self._request_context(deadline=deadline), self.backends.query_cache
        vectors = dict(zip(texts, await cache.embed(self.backends.embedder, texts, context), strict=True))
        run = partial(self._recommend, request, vectors, questions)
        return await asyncio.get_running_loop().run_in_executor(self.backends.search_executor, run)

    def recommends_locally(self, request: RecommendationRequest) -> bool:
        """Return whether a request needs no model server; one with a session may need it for its questions.

        >>> handbook.recommends_locally(semsearch.RecommendationRequest(session="ses_1"))
        True
        """
        texts = [*_collect_texts(request, []), *(["a question"] if request.session else [])]
        return not texts or not self.backends.embedder.plan_requests(texts)

    async def _load_questions(self, session_id: str | None) -> list[str]:
        """Return the questions of a session of the caller; NotFoundError if it has none of this id."""
        if session_id is None:
            return []
        self.caller.check_scope("ask")  # its conversations are behind this scope
        session = await self._answer_log().load_session(session_id)
        assert session is not None
        return [turn.question for turn in session.turns][-MAX_EXAMPLES:]

    def _recommend(
        self, request: RecommendationRequest, vectors: dict[str, Vectors], questions: Sequence[str]
    ) -> list[Hit]:
        from ..search.recommendation import recommend

        with self.backends.store.snapshot() as snapshot:
            return recommend(snapshot, self._resolve_request(snapshot, request, vectors, questions))

    def _resolve_request(
        self,
        snapshot: ReadSnapshot,
        request: RecommendationRequest,
        vectors: dict[str, Vectors],
        questions: Sequence[str],
    ) -> Recommendation:
        """Return what to rank; NotFoundError if an example is not there, or not visible to the caller."""
        from ..search.recommendation import Recommendation

        texts = [Example(text=text) for text in (*([request.query] if request.query is not None else []), *questions)]
        resolve = partial(self._resolve_example, snapshot, vectors)
        return Recommendation(
            [resolve(example) for example in (*request.positive, *texts)],
            [resolve(example) for example in request.negative],
            request.strategy,
            request.k,
            self._visible_filter(None),
            self._visible_filter(request.filter),
            frozenset(request.exclude),
            request.diversity,
            request.per_document,
            self.backends.result_options.collapse,
        )

    def _resolve_example(
        self, snapshot: ReadSnapshot, vectors: dict[str, Vectors], example: Example
    ) -> ResolvedExample:
        from ..search.recommendation import ResolvedExample, resolve_chunk, resolve_document

        if example.text is not None:
            return ResolvedExample(vectors[validate_query(example.text)][None, :])
        visible = self._visible_filter(None)
        if example.uri is not None:
            if (document := resolve_document(snapshot, example.uri, visible)) is None:
                raise self._document_not_found(example.uri)
            return document
        assert example.chunk_id is not None
        if (chunk := resolve_chunk(snapshot, example.chunk_id, visible)) is None:
            raise NotFoundError(f"{self.name} has no chunk {example.chunk_id}; use the chunk_id of a hit")
        return chunk


def _validate_request(request: RecommendationRequest) -> RecommendationRequest:
    """Return the request; InvalidError if a field is not allowed."""
    if not (request.positive or request.query is not None or request.session is not None):
        raise InvalidError("nothing says what to recommend; give positive examples, a query or a session")
    if len(request.positive) + len(request.negative) > MAX_EXAMPLES:
        raise InvalidError(f"at most {MAX_EXAMPLES} examples, not {len(request.positive) + len(request.negative)}")
    for example in (*request.positive, *request.negative):
        _validate_example(example)
    if isinstance(request.exclude, str) or len(request.exclude) > MAX_EXCLUDED_URIS:
        raise InvalidError(f"exclude is a list of at most {MAX_EXCLUDED_URIS:,} uris")
    if request.strategy not in get_args(RecommendationStrategy):
        strategies = ", ".join(get_args(RecommendationStrategy))
        raise InvalidError(f"the strategy must be one of {strategies}, not {request.strategy!r}")
    if not 0 <= request.diversity <= 1:
        raise InvalidError(f"diversity is between 0 and 1, not {request.diversity}")
    if request.per_document < 0:
        raise InvalidError(f"per_document is a number of passages, or 0 for no limit, not {request.per_document}")
    validate_k(request.k)
    return request


def _validate_example(example: Example) -> None:
    if sum(value is not None for value in (example.uri, example.chunk_id, example.text)) != 1:
        raise InvalidError("an example has exactly one of uri, chunk_id and text")
    if example.chunk_id is not None and not 0 < example.chunk_id <= MAX_CHUNK_ID:
        raise InvalidError(f"a chunk_id is a whole number from 1 on, not {example.chunk_id}")


def _collect_texts(request: RecommendationRequest, questions: Sequence[str]) -> list[str]:
    """Return the texts to embed, cleaned, each once; InvalidError if one is empty or too long."""
    examples = [example.text for example in (*request.positive, *request.negative) if example.text is not None]
    texts = [*examples, *([request.query] if request.query is not None else []), *questions]
    return list(dict.fromkeys(map(validate_query, texts)))
