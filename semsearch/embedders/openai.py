"""Embeddings from an OpenAI-compatible server. Cuts a list of texts into requests; does not retry and keeps nothing."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..accounts import Errand
from ..analysis import Language
from ..errors import Upstream
from ..openai_api import OpenAIClient
from ..openai_replies import tokens_about
from ..types import Vectors

MAX_REQUEST_TOKENS = 300_000

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


class OpenAIEmbedder:
    """One model of one server. `dim` is 0 for a model that is not known here, until the first reply has told it."""

    def __init__(
        self, model: str, client: OpenAIClient, *, dimensions: int | None = None, max_batch_inputs: int = 2048
    ) -> None:
        spec = f"{model}@{dimensions}" if dimensions else model
        self.name = f"openai:{spec} {client.base_url}"
        self.dim = dimensions or _DIMENSIONS.get(model, 0)
        self.weights: Mapping[Language, float] = {"en": 0.5, "latin": 0.5, "other": 0.5}
        self.at_once = max_batch_inputs
        self._model = model
        self._client = client
        self._dimensions = dimensions
        self._max_batch_inputs = max_batch_inputs

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`; a blank text is not sent, its vector is zeros."""
        del query  # these models embed questions like any text
        sent = [text for text in texts if text.strip()]
        rows = [await self._request(batch, errand) for batch in self._batches(sent)]
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if rows:
            vectors[[bool(text.strip()) for text in texts]] = np.concatenate(rows)
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Fill requests in order, within the bounds on inputs and on tokens."""
        batch: list[str] = []
        size = 0
        for text in texts:
            tokens = tokens_about(text)
            if batch and (len(batch) == self._max_batch_inputs or size + tokens > MAX_REQUEST_TOKENS):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += tokens
        if batch:
            yield batch

    async def _request(self, batch: list[str], errand: Errand) -> Vectors:
        reply = await self._client.embeddings(self._model, batch, errand, dimensions=self._dimensions)
        found = reply.vectors.shape[1]
        self.dim = self.dim or found
        if found != self.dim:
            raise Upstream(
                f"{self.name} gave vectors of {found} numbers where {self.dim} belong: is it the right model?"
            )
        return self._unit(reply.vectors)

    def _unit(self, vectors: Vectors) -> Vectors:
        """The vectors with length 1, through float64: squares of large numbers do not fit into float32."""
        wide = vectors.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        if not lengths.all():
            raise Upstream(f"{self.name} gave a vector of zeros for a text that is not blank")
        unit: Vectors = (wide / lengths).astype(np.float32)
        return unit
