"""The interfaces of what computes: readers, embedders, answerers, the judge of support, and the meter of requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from ..errors import UpstreamError
from ..types.answers import (
    AnalyzedQuery,
    GenerationEnd,
    NoAnswerReason,
    Passage,
    Quotation,
    RankedEvidence,
    SupportVerdict,
    Turn,
)
from ..types.documents import (
    ParsedContent,
    Vectors,
)
from ..types.search import Language
from ..types.usage import (
    CostEstimate,
    ModelRequest,
    RequestContext,
    RequestOutcome,
    Usage,
)


class Reader(Protocol):
    """Parses the bytes of one media type into typed blocks."""

    def __call__(self, data: bytes) -> ParsedContent:
        """Return the content of `data`; UnsupportedMediaError, with the reason, if it has no readable content."""


class Embedder(Protocol):
    """Maps texts to vectors of one space."""

    name: str
    """Identifies the vector space permanently; every space has its own name."""
    dim: int
    """Length of its vectors; 0 until the first response where only the server knows it."""
    batch_size: int
    """Preferred number of texts per call of `embed`."""

    @property
    def concurrency(self) -> int:
        """Maximum number of simultaneous requests."""

    @property
    def dense_weights(self) -> Mapping[Language, float]:
        """Weight of the dense leg in the fusion, from 0 to 1, by the language of the query."""

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return the requests that `embed` would send to a server for these texts; empty for a local model."""

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors, shape (len(texts), dim), in the order of `texts`; zeros for a text without tokens.

        `query` is True for questions, False for passages. PartialEmbeddingError if the server rejected some texts.
        """


@runtime_checkable
class LateInteractionEmbedder(Protocol):
    """An embedder whose model may have one vector for each token of a text, in its context."""

    async def token_similarities(self, query: str, texts: Sequence[str]) -> Vectors | None:
        """Return the largest cosine of each query token with a token of each text, shape (len(texts), query tokens).

        Late interaction (Khattab & Zaharia, "ColBERT", SIGIR 2020). None if the model has no vectors of tokens, or the
        query has no tokens.
        """


class PartialEmbeddingError(UpstreamError):
    """A server rejected some texts; the error carries the vectors of the others."""

    def __init__(self, vectors: Vectors, rejections: Mapping[int, str]) -> None:
        """`vectors` has zeros in the rejected rows; `rejections` has the reasons by row."""
        super().__init__(f"{len(rejections)} of {len(vectors)} texts were refused: {next(iter(rejections.values()))}")
        self.vectors = vectors
        self.rejections = rejections


@runtime_checkable
class WordSimilarity(Protocol):
    """Compares single words by their meaning, without context."""

    def word_similarities(self, words: Sequence[str], texts: Sequence[Sequence[str]]) -> Vectors:
        """Return the highest cosine of each word with a word of each text, shape (len(texts), len(words))."""


class Answerer(Protocol):
    """Generates an answer from passages: text that cites sentence n of passage p as `[[p.n]]`, n from 1, or quotes."""

    @property
    def name(self) -> str:
        """Name of the model, as given in the answer."""

    @property
    def neighbour_chunks(self) -> int:
        """Number of chunks on each side of a hit that its passages include."""

    @property
    def is_extractive(self) -> bool:
        """Whether it yields only quotations and no generated text, so that no verification is needed."""

    @property
    def no_answer_reason(self) -> NoAnswerReason:
        """Reason for a missing answer when it yields no text."""

    def generate(
        self, question: AnalyzedQuery, evidence: RankedEvidence, context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[str | Quotation | GenerationEnd, None]:
        """Yield the answer piece by piece, nothing if the passages do not contain it; a GenerationEnd may come last.

        `previous_draft` is its first answer, of which no sentence was supported.
        """

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Rewrite a follow-up question as a standalone question; None if the answerer has no model for that."""


class SupportJudge(Protocol):
    """Decides whether cited sentences support a claim, where the rules of the support check cannot."""

    async def judge(
        self, question: str, claim: str, cited: Sequence[tuple[Passage, int]], context: RequestContext
    ) -> SupportVerdict | None:
        """Return the verdict; None if it cannot tell. `cited` has each sentence as its passage and number, from 1."""


class Meter(Protocol):
    """Reserves the cost of each model request before it is sent, and settles the actual cost afterwards."""

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """Reserve the maximum cost of a request and return the reservation id; BudgetError if that exceeds a budget."""

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """Record the actual or estimated cost, release the reservation, and add to the context's usage counter."""

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """Return the likely and the maximum cost of a request."""
