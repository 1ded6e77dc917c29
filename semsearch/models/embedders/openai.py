"""Embeddings from an OpenAI-compatible server: cuts a list of texts into requests and asks for each text once, ever.

What a server refuses for its size or its content, fails for, or answers with a reply that cannot be used is halved
until the text that it minds stands alone; after failures and unusable replies only if a harmless text gets its vector.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...core.errors import SemsearchError, UpstreamError
from ...core.ports import EmbeddingCache, PartialEmbeddingError
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from ..openai.client import OpenAIClient
from ..openai.errors import WHOLE, Trial
from .bisection import Faults, Health, Verdict, is_fault

MAX_REQUEST_TOKENS = 300_000
MAX_BATCH_SIZE = 8_192
MAX_EXTRA_REQUESTS = 1_024
"""Made to find texts that a server minds, for one list; texts that are not reached are refused together."""

_MODEL_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_TEXT_REJECTED_STATUSES = (400, 413, 422)
_NON_TEXT_ERROR_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found")
NO_VECTOR_REASON = "gave a vector of zeros, or of numbers that are not finite, for a text that is not blank"
_PROBE_TEXT = "text"
"""No server minds it: where even this is refused, it is the request that is wrong."""


def hash_text(text: str) -> str:
    """What a text is known by among those that were paid for."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def split_into_requests(texts: Iterable[str], max_inputs: int) -> list[list[str]]:
    """Fill requests in order, within the bounds on inputs and on tokens; blank texts and repetitions are not sent.

    Tokens are bounded by two bytes each, which does not depend on what was learned: a plan makes the same requests.
    """
    filled: list[list[str]] = []
    room = 0
    for text in dict.fromkeys(text for text in texts if text.strip()):
        size = len(text.encode("utf-8", "replace")) // 2 + 1
        if not filled or len(filled[-1]) == max_inputs or size > room:
            filled.append([])
            room = MAX_REQUEST_TOKENS
        filled[-1].append(text)
        room -= size
    return filled


@dataclass(slots=True)
class _EmbeddingProgress:
    """What one list of texts has come to."""

    vectors: dict[str, Vectors] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    extra_requests: int = 0
    has_failed: bool = False
    """Whether a request has failed for good, so that no other is begun."""


class OpenAIEmbedder:
    """One model of one server. `dim` is 0 for a model that is not known here, until the first reply has told it."""

    def __init__(
        self,
        model: str,
        client: OpenAIClient,
        embedding_cache: EmbeddingCache,
        *,
        dimensions: int | None = None,
        max_batch_inputs: int = 2048,
        concurrency: int = 4,
    ) -> None:
        spec = f"{model}@{dimensions}" if dimensions else model
        self.name = f"openai:{spec} {client.base_url}"
        self.dim = dimensions or _MODEL_DIMENSIONS.get(model, 0)
        self.batch_size = min(max_batch_inputs * concurrency, MAX_BATCH_SIZE)
        self.dense_weights: Mapping[Language, float] = {"en": 0.5, "latin": 0.5, "other": 0.5}
        self.model = model
        self.client = client
        self.embedding_cache = embedding_cache
        self.dimensions = dimensions
        self.max_batch_inputs = max_batch_inputs
        self.concurrency = concurrency
        self._request_slots = asyncio.Semaphore(concurrency)
        self._has_succeeded = False
        """Whether the server has answered a request of this form."""
        self._health = Health()

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """The requests for those of these texts that were not paid for yet."""
        known = self.find_cached(texts)
        missing = split_into_requests((text for text in texts if text not in known), self.max_batch_inputs)
        return [ModelRequest("embedding", self.client.base_url, self.model, batch) for batch in missing]

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`; a blank text is not sent, its vector is zeros."""
        found = _EmbeddingProgress({} if query else await asyncio.to_thread(self.find_cached, texts))
        missing = split_into_requests((text for text in texts if text not in found.vectors), self.max_batch_inputs)
        ends = await asyncio.gather(
            *(self._embed_with_bisection(batch, found, context, use_cache=not query) for batch in missing),
            return_exceptions=True,
        )
        for error in ends:  # only now: what was under way beside a failure is paid for, and kept
            if error is not None:
                raise error
        return self._build_rows(texts, found)

    def find_cached(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those of these texts that were paid for already."""
        keys = {hash_text(text): text for text in texts if text.strip()}
        found = self.embedding_cache.find(self.name, list(keys))
        self.dim = self.dim or len(next(iter(found.values()), ()))
        return {keys[key]: vector for key, vector in found.items() if len(vector) == self.dim}

    def normalize(self, vectors: Vectors) -> Vectors:
        """The vectors with length 1, and zeros as they are; Upstream where they belong to another space.

        Through float64: squares of large numbers do not fit into float32.
        """
        found = vectors.shape[1]
        self.dim = self.dim or found
        if found != self.dim:
            raise UpstreamError(
                f"{self.name} gave vectors of {found} numbers where {self.dim} belong: is it the right model?",
                malformed=True,
            )
        wide = vectors.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        unit: Vectors = np.divide(wide, lengths, out=wide, where=lengths > 0).astype(np.float32)
        return unit

    async def _embed_with_bisection(
        self, batch: list[str], progress: _EmbeddingProgress, context: RequestContext, *, use_cache: bool
    ) -> None:
        """Get the vectors of these texts, in halves where the server minds the whole."""
        waiting = [batch]
        faults = Faults(len(batch))
        while waiting and not progress.has_failed:
            some = waiting.pop()
            error = await self._send_request(some, progress, context, use_cache=use_cache, is_part=faults.are_of_texts)
            if error is not None:
                waiting += _bisect(error, some, progress)
            if error is None or not is_fault(error):
                faults.end()
            elif faults.need_probe(is_last=not waiting) and not await self._still_works(context):
                progress.has_failed = True
                raise error

    async def _send_request(
        self, batch: list[str], progress: _EmbeddingProgress, context: RequestContext, *, use_cache: bool, is_part: bool
    ) -> SemsearchError | None:
        """Send one request and keep its vectors; return the error where it is one of the texts that causes it."""
        async with self._request_slots:
            if progress.has_failed:
                return None
            verdict = Verdict(partial(self._works_now, context))
            try:
                vectors = await self._fetch_vectors(batch, context, Trial("part") if is_part else Trial(probe=verdict))
                odd = [text for text in batch if text not in vectors]
                if odd and not (use_cache and await self._check_server_works(context)):
                    raise UpstreamError(f"{self.name} {NO_VECTOR_REASON}")
            except SemsearchError as exc:  # those that wait for their turn learn of it before they have it
                if use_cache and ((is_part and is_fault(exc)) or await self._is_text_rejection(exc, context, verdict)):
                    return exc
                progress.has_failed = True
                raise
        if use_cache:  # before anything else can go wrong: it was paid for
            rows = {hash_text(text): vector for text, vector in vectors.items()}
            await asyncio.to_thread(self.embedding_cache.put, self.name, rows)
        progress.vectors |= vectors
        progress.refused.update(dict.fromkeys(odd, f"{self.name} {NO_VECTOR_REASON}"))
        return None

    async def _fetch_vectors(
        self, batch: list[str], context: RequestContext, trial: Trial = WHOLE
    ) -> dict[str, Vectors]:
        """Those that have a direction; a vector of zeros is near to nothing."""
        reply = await self.client.create_embeddings(self.model, batch, context, dimensions=self.dimensions, trial=trial)
        rows = zip(batch, self.normalize(reply.vectors), strict=True)
        vectors = {text: vector for text, vector in rows if vector.any()}
        self._has_succeeded = self._has_succeeded or bool(vectors)
        return vectors

    async def _is_text_rejection(self, exc: SemsearchError, context: RequestContext, verdict: Verdict) -> bool:
        """Whether a request was refused, or failed, for its texts; only a long job searches for those that fail."""
        if is_fault(exc):
            malformed = isinstance(exc, UpstreamError) and exc.malformed
            return context.purpose == "ingest" and (await self._works_now(context) if malformed else verdict.works)
        if (
            not isinstance(exc, UpstreamError)
            or exc.status not in _TEXT_REJECTED_STATUSES
            or exc.code in _NON_TEXT_ERROR_CODES
        ):
            return False
        return await self._check_server_works(context)

    async def _still_works(self, errand: RequestContext) -> bool:
        """Whether the server works in the middle of a search; the probe takes its turn among the requests."""
        async with self._request_slots:
            return await self._works_now(errand)

    async def _works_now(self, errand: RequestContext, attempt: int = 0) -> bool:
        """Whether the server gives a vector for a harmless text at this moment."""

        async def probe() -> bool:
            try:
                return bool(await self._fetch_vectors([_PROBE_TEXT], errand, Trial("probe", attempt)))
            except SemsearchError:
                return False

        return await self._health.works(probe)

    async def _check_server_works(self, context: RequestContext) -> bool:
        """Whether the server has ever given a vector; one that has not must give it for a harmless text."""
        if not self._has_succeeded:
            with suppress(SemsearchError):
                await self._fetch_vectors([_PROBE_TEXT], context)
        return self._has_succeeded

    def _build_rows(self, texts: Sequence[str], progress: _EmbeddingProgress) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if text in progress.vectors:
                vectors[row] = progress.vectors[text]
        refused = {row: progress.refused[text] for row, text in enumerate(texts) if text in progress.refused}
        if refused:
            raise PartialEmbeddingError(vectors, refused)
        return vectors


def _bisect(exc: SemsearchError, batch: list[str], progress: _EmbeddingProgress) -> list[list[str]]:
    """What to ask for next; nothing where the text is found that the server minds, or the search takes too long."""
    if len(batch) == 1 or progress.extra_requests >= MAX_EXTRA_REQUESTS:
        progress.refused.update(dict.fromkeys(batch, str(exc)))
        return []
    progress.extra_requests += 2
    half = len(batch) // 2
    return [batch[half:], batch[:half]]
