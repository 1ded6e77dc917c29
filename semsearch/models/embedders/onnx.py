"""Embeddings from an ONNX model in a folder: `onnx:FOLDER`, or `onnx:FOLDER@int8` for its quantized file.

The folder has the layout of published sentence-transformers models: `onnx/model.onnx` or `model.onnx`, and
`tokenizer.json`. Trains, converts and downloads nothing. Vectors always have length 1, so models trained for inner
products are compared by cosine.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.errors import UnavailableError
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from .model_config import load_model_config
from .model_folder import ModelFolder
from .onnx_session import OnnxSession
from .tokenizer import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_MODEL_FILES = ("onnx/model.onnx", "model.onnx")
_INT8_NAMES = (
    "model_int8.onnx",
    "model_quantized.onnx",
    "model_qint8_avx512_vnni.onnx",
    "model_qint8_avx512.onnx",
    "model_quint8_avx2.onnx",
    "model_qint8_arm64.onnx",
    "model_qint8_quantized.onnx",
    "model_uint8.onnx",
)
"""Names by optimum, transformers.js and sentence-transformers; in a fixed order, so every machine uses the same."""
_INT8_FILES = tuple(f"{folder}{name}" for folder in ("onnx/", "") for name in _INT8_NAMES)

_DENSE_WEIGHTS: Mapping[Language, float] = {"en": 0.6, "latin": 0.5, "other": 0.5}
"""Values from .6 to .7 are best on squad2_a and cranfield together, for all-MiniLM-L6-v2: .898 and .440 with .6, .900
and .437 with .65. Other languages were not measured with it; .5 suits multilingual models."""

_MAX_THREADS = 2
"""Batches that run in parallel, each on one thread: 61 chunks/s on two cores. One batch on two threads gives 45."""

_MAX_BATCH_TOKENS = 256
"""Padding included. Twice as many are equally fast, four times as many slower; single texts a third slower."""

_MAX_TOKEN_CHARACTERS = 64
"""Characters of a text that are tokenized, for each token that the model accepts: bounds the work for a long text."""

_PROBE_TEXT = "a"
"""A text that every model accepts, to find the length of its vectors."""


class OnnxEmbedder:
    """Runs a model over batches of texts of similar length, with little padding. `dim` is 0 until it is loaded."""

    batch_size = 256
    concurrency = _MAX_THREADS

    def __init__(self, folder: ModelFolder, *, int8: bool = False) -> None:
        if find_spec("onnxruntime") is None:
            raise UnavailableError(f"{folder.spec}: ONNX models need onnxruntime: pip install 'semsearch[onnx]'")
        self.dense_weights: Mapping[Language, float] = _DENSE_WEIGHTS
        self.dim = 0
        self._folder = folder
        self._model_file = folder.find_file(_INT8_FILES if int8 else _MODEL_FILES, "int8 model" if int8 else "model")
        self._tokenizer_file = folder.find_file(["tokenizer.json"], "tokenizer")
        self._config = load_model_config(folder)
        # a model over 2 GB has its weights in further files
        weight_files = sorted(self._model_file.parent.glob(f"{self._model_file.name}[._]data*"))
        files = (self._model_file, *weight_files, self._tokenizer_file)
        self.name = f"onnx-{folder.compute_fingerprint(files, repr(astuple(self._config)))}"
        self._load_lock = threading.Lock()
        self._loaded: tuple[Tokenizer, OnnxSession] | None = None

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: the model runs in this process."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`, with the model's own prefix; zeros for a blank text."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        prefix = self._config.query_prefix if query else self._config.passage_prefix
        session, tokens = await asyncio.to_thread(self._tokenize, texts, prefix)
        vectors = np.zeros((len(texts), self.dim), np.float32)

        def run(batch: list[int]) -> None:
            vectors[batch] = session.embed_texts([tokens[row].ids for row in batch])

        await _run_batches(run, tokens, session)
        return vectors

    async def token_similarities(self, query: str, texts: Sequence[str]) -> "Vectors | None":
        """Return the highest cosine of each query token with any token of each text, shape (len(texts), query tokens).

        Tokens of a prefix and special tokens are left out; a blank text has zeros. None if the model outputs no token
        vectors, or the query has no tokens.
        """
        session, (tokenized_query,) = await asyncio.to_thread(self._tokenize, [query], self._config.query_prefix)
        if not session.has_token_output or not tokenized_query.content_indexes:
            return None
        _, tokens = await asyncio.to_thread(self._tokenize, texts, self._config.passage_prefix)
        query_vectors = (await asyncio.to_thread(session.embed_tokens, [tokenized_query.ids]))[0][
            tokenized_query.content_indexes
        ]
        similarities = np.zeros((len(texts), len(query_vectors)), np.float32)

        def run(batch: list[int]) -> None:
            for row, states in zip(batch, session.embed_tokens([tokens[row].ids for row in batch]), strict=True):
                if content_indexes := tokens[row].content_indexes:
                    similarities[row] = (query_vectors @ states[content_indexes].T).max(axis=1)

        await _run_batches(run, tokens, session)
        return similarities

    def _tokenize(self, texts: Sequence[str], prefix: str) -> "tuple[OnnxSession, list[_TokenizedText]]":
        """Return the session and the tokens of each text; a blank text has none."""
        tokenizer, session = self._load_model()
        truncated = [text.strip()[: self._config.max_tokens * _MAX_TOKEN_CHARACTERS] for text in texts]
        cleaned = [text.lower() for text in truncated] if self._config.do_lower_case else truncated
        encodings = tokenizer.encode_batch_fast([prefix + text for text in cleaned])
        prefix_tokens = len(tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids)
        return session, [
            _make_tokenized_text(encoding, prefix_tokens) if text else _NO_TOKENS
            for encoding, text in zip(encodings, cleaned, strict=True)
        ]

    def _load_model(self) -> "tuple[Tokenizer, OnnxSession]":
        with self._load_lock:
            if self._loaded is None:
                tokenizer = self._folder.read(self._tokenizer_file, load_tokenizer)
                tokenizer.enable_truncation(self._config.max_tokens)
                session = OnnxSession(self._folder, self._model_file, self._config)
                self.dim = session.embed_texts([tokenizer.encode(_PROBE_TEXT).ids]).shape[1]
                self._loaded = tokenizer, session
            return self._loaded


def batch_by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Yield batches of row numbers, sorted by length, of at most `max_tokens` with padding. Empty rows are left out.

    A row that is longer than `max_tokens` is a batch of its own.

    >>> list(batch_by_length([5, 0, 3, 9, 4], 12))
    [[2, 4], [0], [3]]
    """
    batch: list[int] = []
    for row in sorted(filter(lengths.__getitem__, range(len(lengths))), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class _TokenizedText(NamedTuple):
    """The token ids of a text."""

    ids: list[int]
    content_indexes: list[int]
    """Indexes of the tokens that belong neither to a prefix nor to the special tokens."""


_NO_TOKENS = _TokenizedText([], [])


def _make_tokenized_text(encoding: "Encoding", prefix_tokens: int) -> _TokenizedText:
    """Return the tokens of an encoding; the first `prefix_tokens` tokens that are not special belong to the prefix."""
    content_indexes = [index for index, is_special in enumerate(encoding.special_tokens_mask) if not is_special]
    return _TokenizedText(encoding.ids, content_indexes[prefix_tokens:]) if content_indexes else _NO_TOKENS


async def _run_batches(
    run_batch: Callable[[list[int]], None], texts: Sequence[_TokenizedText], session: OnnxSession
) -> None:
    """Call `run_batch` with the row numbers of each batch of texts."""
    pending = deque(
        batch_by_length([len(text.ids) for text in texts], 0 if session.depends_on_batch else _MAX_BATCH_TOKENS)
    )
    await asyncio.gather(
        *(asyncio.to_thread(_run_pending_batches, pending, run_batch) for _ in range(min(_MAX_THREADS, len(pending))))
    )


def _run_pending_batches(pending: deque[list[int]], run_batch: Callable[[list[int]], None]) -> None:
    """Run pending batches until none is left; several threads share the queue."""
    while pending:
        try:
            batch = pending.popleft()
        except IndexError:
            return
        run_batch(batch)
