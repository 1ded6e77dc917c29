"""A contextual model in a folder, run here: `onnx:FOLDER` with `onnx/model.onnx` or `model.onnx` and `tokenizer.json`,
as sentence-transformers models are published; `onnx:FOLDER@int8` takes the quantized file beside it.

Trains, converts and downloads nothing. Vectors have length 1 whatever the model says, so that models made for inner
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
"""As optimum, transformers.js and sentence-transformers name them; the same one is taken on every machine."""
_INT8_FILES = tuple(f"{place}{name}" for place in ("onnx/", "") for name in _INT8_NAMES)

_DENSE_WEIGHTS: Mapping[Language, float] = {"en": 0.6, "latin": 0.5, "other": 0.5}
"""From .6 to .7 is best on squad2_a and cranfield together, for all-MiniLM-L6-v2: .898 and .440 with .6, .900 and .437
with .65. Other languages were not measured with it; .5 suits multilingual models."""

_MAX_THREADS = 2
"""Batches that are run at once, each on one thread: 61 chunks a second on two cores, one batch on two threads 45."""

_MAX_BATCH_TOKENS = 256
"""Padding included. Twice as many take as long, four times as many longer; texts one by one a third less a second."""

_MAX_TOKEN_CHARACTERS = 64
"""Characters looked at for each token that the model takes: a megabyte of text is not cut into words for 256."""

_PROBE_TEXT = "a"
"""A text that every model can take: it shows how long the vectors are."""


class OnnxEmbedder:
    """Runs a model over texts sorted by length, so that little of a batch is padding. `dim` is 0 until it is loaded."""

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
        further = sorted(
            self._model_file.parent.glob(f"{self._model_file.name}[._]data*")
        )  # weights of a model over 2 GB
        files = (self._model_file, *further, self._tokenizer_file)
        self.name = f"onnx-{folder.compute_fingerprint(files, repr(astuple(self._config)))}"
        self._load_lock = threading.Lock()
        self._loaded: tuple[Tokenizer, OnnxSession] | None = None

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """None: it is here."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`, zeros for a blank one; the model's own prefix goes in front of each."""
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
        """The largest cosine of each token of the question with one of each text, zeros for a blank one.

        Tokens of a prefix, and those that mark begin and end, do not count. None where the model's file gives no
        vectors of tokens.
        """
        session, (asked,) = await asyncio.to_thread(self._tokenize, [query], self._config.query_prefix)
        if not session.has_token_output or not asked.content_indexes:
            return None
        _, tokens = await asyncio.to_thread(self._tokenize, texts, self._config.passage_prefix)
        wanted = (await asyncio.to_thread(session.embed_tokens, [asked.ids]))[0][asked.content_indexes]
        found = np.zeros((len(texts), len(wanted)), np.float32)

        def run(batch: list[int]) -> None:
            for row, states in zip(batch, session.embed_tokens([tokens[row].ids for row in batch]), strict=True):
                if own := tokens[row].content_indexes:
                    found[row] = (wanted @ states[own].T).max(axis=1)

        await _run_batches(run, tokens, session)
        return found

    def _tokenize(self, texts: Sequence[str], prefix: str) -> "tuple[OnnxSession, list[_TokenizedText]]":
        """The model, and each text cut into tokens; a blank one has none."""
        tokenizer, session = self._load_model()
        looked_at = [text.strip()[: self._config.max_tokens * _MAX_TOKEN_CHARACTERS] for text in texts]
        cased = [text.lower() for text in looked_at] if self._config.do_lower_case else looked_at
        encodings = tokenizer.encode_batch_fast([prefix + text for text in cased])
        before = len(tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids)
        return session, [
            _make_tokenized_text(each, before) if text else _NO_TOKENS
            for each, text in zip(encodings, cased, strict=True)
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
    """Rows of similar length together, each padded batch of at most so many tokens; a long row alone, an empty nowhere.

    >>> list(batches([5, 0, 3, 9, 4], 12))
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
    """The tokens of a text."""

    ids: list[int]
    content_indexes: list[int]
    """Which of them are neither of a prefix nor there to mark begin and end."""


_NO_TOKENS = _TokenizedText([], [])


def _make_tokenized_text(encoding: "Encoding", prefix_tokens: int) -> _TokenizedText:
    """Its tokens, of which the first so many that mark nothing are of the prefix."""
    own = [at for at, special in enumerate(encoding.special_tokens_mask) if not special]
    return _TokenizedText(encoding.ids, own[prefix_tokens:]) if own else _NO_TOKENS


async def _run_batches(
    run_batch: Callable[[list[int]], None], texts: Sequence[_TokenizedText], session: OnnxSession
) -> None:
    """Run over all texts, given by their rows, in batches."""
    waiting = deque(
        batch_by_length([len(text.ids) for text in texts], 0 if session.depends_on_batch else _MAX_BATCH_TOKENS)
    )
    await asyncio.gather(
        *(asyncio.to_thread(_run_pending_batches, waiting, run_batch) for _ in range(min(_MAX_THREADS, len(waiting))))
    )


def _run_pending_batches(pending: deque[list[int]], run_batch: Callable[[list[int]], None]) -> None:
    """Run what is waiting, batch by batch, until another thread has taken the last one."""
    while pending:
        try:
            batch = pending.popleft()
        except IndexError:
            return
        run_batch(batch)
