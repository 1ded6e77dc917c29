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

from ...core.errors import SemsearchError, Upstream
from ...core.ports import Paid, PartlyEmbedded
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import Errand, Order
from ..openai.client import OpenAIClient
from ..openai.errors import WHOLE, Trial
from .bisection import Faults, Health, Verdict, is_fault

MAX_REQUEST_TOKENS = 300_000
MAX_AT_ONCE = 8_192
MAX_EXTRA_REQUESTS = 1_024
"""Made to find texts that a server minds, for one list; texts that are not reached are refused together."""

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_MINDED = (400, 413, 422)
_NOT_ABOUT_TEXTS = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found")
NO_VECTOR = "gave a vector of zeros, or of numbers that are not finite, for a text that is not blank"
_HARMLESS = "text"
"""No server minds it: where even this is refused, it is the request that is wrong."""


def text_key(text: str) -> str:
    """What a text is known by among those that were paid for."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def requests(texts: Iterable[str], most: int) -> list[list[str]]:
    """Fill requests in order, within the bounds on inputs and on tokens; blank texts and repetitions are not sent.

    Tokens are bounded by two bytes each, which does not depend on what was learned: a plan makes the same requests.
    """
    filled: list[list[str]] = []
    room = 0
    for text in dict.fromkeys(text for text in texts if text.strip()):
        size = len(text.encode("utf-8", "replace")) // 2 + 1
        if not filled or len(filled[-1]) == most or size > room:
            filled.append([])
            room = MAX_REQUEST_TOKENS
        filled[-1].append(text)
        room -= size
    return filled


@dataclass(slots=True)
class _Found:
    """What one list of texts has come to."""

    vectors: dict[str, Vectors] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    extra: int = 0
    broken: bool = False
    """Whether a request has failed for good, so that no other is begun."""


class OpenAIEmbedder:
    """One model of one server. `dim` is 0 for a model that is not known here, until the first reply has told it."""

    def __init__(
        self,
        model: str,
        client: OpenAIClient,
        paid: Paid,
        *,
        dimensions: int | None = None,
        max_batch_inputs: int = 2048,
        concurrency: int = 4,
    ) -> None:
        spec = f"{model}@{dimensions}" if dimensions else model
        self.name = f"openai:{spec} {client.base_url}"
        self.dim = dimensions or _DIMENSIONS.get(model, 0)
        self.at_once = min(max_batch_inputs * concurrency, MAX_AT_ONCE)
        self.weights: Mapping[Language, float] = {"en": 0.5, "latin": 0.5, "other": 0.5}
        self.model = model
        self.client = client
        self.paid = paid
        self.dimensions = dimensions
        self.max_batch_inputs = max_batch_inputs
        self.concurrency = concurrency
        self._turns = asyncio.Semaphore(concurrency)
        self._works = False
        """Whether the server has answered a request of this form."""
        self._health = Health()

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """The requests for those of these texts that were not paid for yet."""
        known = self.known(texts)
        missing = requests((text for text in texts if text not in known), self.max_batch_inputs)
        return [Order("embedding", self.client.base_url, self.model, batch) for batch in missing]

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`; a blank text is not sent, its vector is zeros."""
        found = _Found({} if query else await asyncio.to_thread(self.known, texts))
        missing = requests((text for text in texts if text not in found.vectors), self.max_batch_inputs)
        ends = await asyncio.gather(
            *(self._all_of(batch, found, errand, keep=not query) for batch in missing), return_exceptions=True
        )
        for error in ends:  # only now: what was under way beside a failure is paid for, and kept
            if error is not None:
                raise error
        return self._rows(texts, found)

    def known(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those of these texts that were paid for already."""
        keys = {text_key(text): text for text in texts if text.strip()}
        found = self.paid.find(self.name, list(keys))
        self.dim = self.dim or len(next(iter(found.values()), ()))
        return {keys[key]: vector for key, vector in found.items() if len(vector) == self.dim}

    def unit(self, vectors: Vectors) -> Vectors:
        """The vectors with length 1, and zeros as they are; Upstream where they belong to another space.

        Through float64: squares of large numbers do not fit into float32.
        """
        found = vectors.shape[1]
        self.dim = self.dim or found
        if found != self.dim:
            raise Upstream(
                f"{self.name} gave vectors of {found} numbers where {self.dim} belong: is it the right model?",
                malformed=True,
            )
        wide = vectors.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        unit: Vectors = np.divide(wide, lengths, out=wide, where=lengths > 0).astype(np.float32)
        return unit

    async def _all_of(self, batch: list[str], found: _Found, errand: Errand, *, keep: bool) -> None:
        """Get the vectors of these texts, in halves where the server minds the whole."""
        waiting = [batch]
        faults = Faults(len(batch))
        while waiting and not found.broken:
            some = waiting.pop()
            error = await self._request(some, found, errand, keep=keep, is_part=faults.are_of_texts)
            if error is not None:
                waiting += _halves(error, some, found)
            if error is None or not is_fault(error):
                faults.end()
            elif faults.need_probe(is_last=not waiting) and not await self._still_works(errand):
                found.broken = True
                raise error

    async def _request(
        self, batch: list[str], found: _Found, errand: Errand, *, keep: bool, is_part: bool
    ) -> SemsearchError | None:
        """Send one request and keep its vectors; return the error where it is one of the texts that causes it."""
        async with self._turns:
            if found.broken:
                return None
            verdict = Verdict(partial(self._works_now, errand))
            try:
                vectors = await self._vectors(batch, errand, Trial("part") if is_part else Trial(probe=verdict))
                odd = [text for text in batch if text not in vectors]
                if odd and not (keep and await self._has_worked(errand)):
                    raise Upstream(f"{self.name} {NO_VECTOR}")
            except SemsearchError as exc:  # those that wait for their turn learn of it before they have it
                if keep and ((is_part and is_fault(exc)) or await self._is_about_texts(exc, errand, verdict)):
                    return exc
                found.broken = True
                raise
        if keep:  # before anything else can go wrong: it was paid for
            rows = {text_key(text): vector for text, vector in vectors.items()}
            await asyncio.to_thread(self.paid.keep, self.name, rows)
        found.vectors |= vectors
        found.refused.update(dict.fromkeys(odd, f"{self.name} {NO_VECTOR}"))
        return None

    async def _vectors(self, batch: list[str], errand: Errand, trial: Trial = WHOLE) -> dict[str, Vectors]:
        """Those that have a direction; a vector of zeros is near to nothing."""
        reply = await self.client.embeddings(self.model, batch, errand, dimensions=self.dimensions, trial=trial)
        rows = zip(batch, self.unit(reply.vectors), strict=True)
        vectors = {text: vector for text, vector in rows if vector.any()}
        self._works = self._works or bool(vectors)
        return vectors

    async def _is_about_texts(self, exc: SemsearchError, errand: Errand, verdict: Verdict) -> bool:
        """Whether a request was refused, or failed, for its texts; only a long job searches for those that fail."""
        if is_fault(exc):
            malformed = isinstance(exc, Upstream) and exc.malformed
            return errand.purpose == "ingest" and (await self._works_now(errand) if malformed else verdict.works)
        if not isinstance(exc, Upstream) or exc.status not in _MINDED or exc.code in _NOT_ABOUT_TEXTS:
            return False
        return await self._has_worked(errand)

    async def _still_works(self, errand: Errand) -> bool:
        """Whether the server works in the middle of a search; the probe takes its turn among the requests."""
        async with self._turns:
            return await self._works_now(errand)

    async def _works_now(self, errand: Errand, attempt: int = 0) -> bool:
        """Whether the server gives a vector for a harmless text at this moment."""

        async def probe() -> bool:
            try:
                return bool(await self._vectors([_HARMLESS], errand, Trial("probe", attempt)))
            except SemsearchError:
                return False

        return await self._health.works(probe)

    async def _has_worked(self, errand: Errand) -> bool:
        """Whether the server has ever given a vector; one that has not must give it for a harmless text."""
        if not self._works:
            with suppress(SemsearchError):
                await self._vectors([_HARMLESS], errand)
        return self._works

    def _rows(self, texts: Sequence[str], found: _Found) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if text in found.vectors:
                vectors[row] = found.vectors[text]
        refused = {row: found.refused[text] for row, text in enumerate(texts) if text in found.refused}
        if refused:
            raise PartlyEmbedded(vectors, refused)
        return vectors


def _halves(exc: SemsearchError, some: list[str], found: _Found) -> list[list[str]]:
    """What to ask for next; nothing where the text is found that the server minds, or the search takes too long."""
    if len(some) == 1 or found.extra >= MAX_EXTRA_REQUESTS:
        found.refused.update(dict.fromkeys(some, str(exc)))
        return []
    found.extra += 2
    half = len(some) // 2
    return [some[half:], some[:half]]
