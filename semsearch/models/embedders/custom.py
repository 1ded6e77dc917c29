"""Embeddings of a function, or of an object with a method `embed`, that a Python program passes in: `custom:NAME`.

Only the name and the dimension are stored with a collection, so the program passes the embedder again to open it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.errors import InvalidError, SemsearchError
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from .custom_spec import make_custom_spec

if TYPE_CHECKING:
    import numpy.typing as npt

_MAX_CALL_TEXTS = 64
"""Texts per call: many models pad the texts of a call to the longest one."""

_DENSE_WEIGHT = 0.5
"""As for models of a server, which are as little known."""

EmbeddingFunction = Callable[[list[str]], "npt.ArrayLike"]
"""Returns one vector for each text, in order: lists of numbers, or an array of shape (texts, dimension)."""


class EmbeddingModel(Protocol):
    """An object that embeds texts; `query=True` is passed for questions if its `embed` has this parameter.

    >>> class Letters:
    ...     name = "letters"
    ...     def embed(self, texts: list[str], query: bool = False) -> list[list[float]]:
    ...         return [[text.count(letter) for letter in "aeiou"] for text in texts]
    >>> CustomEmbedder(Letters()).name
    'custom:letters'
    """

    @property
    def embed(self) -> Callable[..., npt.ArrayLike]:
        """Embed a list of texts."""


class CustomEmbedder:
    """Calls the embedder of a Python program, one call at a time, and validates and normalizes its vectors.

    `dim` is 0 until the first vector.
    """

    batch_size = 256
    concurrency = 1

    def __init__(self, source: EmbeddingFunction | EmbeddingModel, spec: str | None = None) -> None:
        """`spec` takes the place of `custom:NAME`."""
        self._embed = _get_function(source)
        self.source = source
        self.name = self.spec = make_custom_spec(source) if spec is None else spec
        self.dim = 0
        self.dense_weights: Mapping[Language, float] = dict.fromkeys(("en", "latin", "other"), _DENSE_WEIGHT)
        self._accepts_query = _accepts_query(self._embed)
        # its own thread: the function may block, and many models may not be called from two threads at once
        self._executor = ThreadPoolExecutor(1, "semsearch-embedder")

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: what the function sends, it accounts for itself."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`; the function does not get blank texts, their vectors are zeros.

        InvalidError if it returns something else than one finite vector for each text. Its own errors are not caught.
        """
        rows = [row for row, text in enumerate(texts) if text.strip()]
        parts = []
        for start in range(0, len(rows), _MAX_CALL_TEXTS):
            batch = [texts[row] for row in rows[start : start + _MAX_CALL_TEXTS]]
            call = partial(self._call, batch, query=query)
            parts.append(await asyncio.get_running_loop().run_in_executor(self._executor, call))
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if parts:
            vectors[rows] = np.concatenate(parts)
        return vectors

    def _call(self, texts: list[str], *, query: bool) -> Vectors:
        """Call the function in the executor's thread."""
        result = self._embed(texts, query=query) if self._accepts_query else self._embed(texts)
        vectors = self._validate(self._to_array(result), len(texts))
        self.dim = self.dim or vectors.shape[1]
        return _normalize(vectors)

    def _to_array(self, result: object) -> npt.NDArray[np.float64]:
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise self._make_error("returned an awaitable; pass a function that is not async")
        try:
            return np.asarray(result, np.float64)
        except (TypeError, ValueError) as exc:
            raise self._make_error(
                f"returned no vectors of equal length ({exc}); return a list of numbers per text"
            ) from exc

    def _validate(self, vectors: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise self._make_error(f"returned an array of shape {vectors.shape}; return one vector for each text")
        if len(vectors) != count:
            raise self._make_error(f"returned {len(vectors)} vectors for {count} texts; return one for each text")
        if self.dim and vectors.shape[1] != self.dim:
            raise self._make_error(f"returned vectors of {vectors.shape[1]} numbers instead of {self.dim}")
        if not np.isfinite(vectors).all():
            raise self._make_error("returned numbers that are not finite")
        return vectors

    def _make_error(self, problem: str) -> SemsearchError:
        return InvalidError(f"the embedder {self.spec} {problem}")


def _normalize(vectors: npt.NDArray[np.float64]) -> Vectors:
    """Return unit vectors; zeros stay zeros. Divides by the largest number first: squares could overflow."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit_vectors: Vectors = np.divide(scaled, norms, out=scaled, where=norms > 0).astype(np.float32)
    return unit_vectors


def _get_function(source: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(source, "embed", source)
    if isinstance(source, type) or not callable(function):
        raise InvalidError(
            f"{source!r:.80} cannot embed; pass a SPEC such as 'local', a function from a list of texts to a list of"
            " vectors, or an object with such a method `embed`"
        )
    if inspect.iscoroutinefunction(function):
        raise InvalidError(f"{source!r:.80} is async; pass a function that returns its vectors, it runs in a thread")
    return function


def _accepts_query(function: Callable[..., Any]) -> bool:
    try:
        return "query" in inspect.signature(function).parameters
    except ValueError:  # a builtin without a signature
        return False
