"""Embedders of plugins: `NAME[:ARGUMENT]`, where an installed distribution declares NAME in `semsearch.embedders`.

The entry point is a factory. It gets the ARGUMENT of the SPEC, or None, and returns an object with `embed`.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.errors import InvalidError, UpstreamError
from ...core.plugins import Plugin, convert_exceptions, find_plugin
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext

if TYPE_CHECKING:
    import numpy.typing as npt

_DEFAULT_BATCH_SIZE = 64
_DEFAULT_DENSE_WEIGHT = 0.5
"""As for the models of a server, which are not known either."""


class EmbeddingModel(Protocol):
    """What the factory of a plugin returns.

    Optional attributes: `name`, which identifies the vector space and changes with it; `dim`; `batch_size`, the largest
    number of texts of one call; `dense_weight`, from 0 to 1, in the fusion with words. `embed` may also be async, and
    may have a keyword `query`, which is True for questions.
    """

    def embed(self, texts: Sequence[str], /) -> "npt.ArrayLike | Awaitable[npt.ArrayLike]":
        """Return one vector for each text, of the same length for all texts of all calls."""


class PluginEmbedder:
    """Calls the model of a plugin in a thread, one call at a time, and checks what it returns."""

    concurrency = 1

    def __init__(self, spec: str, plugin: Plugin, model: EmbeddingModel) -> None:
        self._origin = f"the embedder {spec} of {plugin.distribution}"
        self._embed: Any = model.embed
        self._passes_query = "query" in inspect.signature(model.embed).parameters
        self._lock = threading.Lock()
        own_name = getattr(model, "name", None)
        self.name = f"{spec} {own_name}" if own_name else spec
        self.dim = int(getattr(model, "dim", 0))
        self.batch_size = max(1, int(getattr(model, "batch_size", _DEFAULT_BATCH_SIZE)))
        weight = float(getattr(model, "dense_weight", _DEFAULT_DENSE_WEIGHT))
        self.dense_weights: Mapping[Language, float] = {"en": weight, "latin": weight, "other": weight}

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: what a plugin sends is not metered."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`; zeros for a blank text, which the model does not get."""
        rows = [row for row, text in enumerate(texts) if text.strip()]
        batches = [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        parts = [await self._embed_batch([texts[row] for row in batch], query) for batch in batches]
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if parts:
            vectors[rows] = np.concatenate(parts)
        return vectors

    async def _embed_batch(self, texts: list[str], query: bool) -> Vectors:
        with convert_exceptions(lambda reason: UpstreamError(f"{self._origin} failed: {reason}")):
            result = await asyncio.to_thread(self._call, texts, query)
            vectors = np.asarray(await result if inspect.isawaitable(result) else result, np.float32)
        if vectors.ndim != 2 or vectors.shape != (len(texts), self.dim or vectors.shape[1]) or not vectors.size:
            expected = f"({len(texts)}, {self.dim or 'dimensions'})"
            raise UpstreamError(f"{self._origin} returned vectors of shape {vectors.shape}, not {expected}")
        if not np.isfinite(vectors).all():
            raise UpstreamError(f"{self._origin} returned numbers that are not finite")
        self.dim = vectors.shape[1]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)

    def _call(self, texts: list[str], query: bool) -> Any:
        with self._lock:
            return self._embed(texts, query=query) if self._passes_query else self._embed(texts)


def make_plugin_embedder(spec: str) -> PluginEmbedder | None:
    """Create the embedder of a plugin; None if no plugin declares the prefix of the SPEC."""
    kind, colon, argument = spec.partition(":")
    plugin = find_plugin("semsearch.embedders", kind)
    if plugin is None:
        return None
    make_model = plugin.load()
    with convert_exceptions(
        lambda reason: InvalidError(f"the embedder {spec[:80]} of {plugin.distribution} cannot be made: {reason}")
    ):
        return PluginEmbedder(spec, plugin, make_model(argument if colon else None))
