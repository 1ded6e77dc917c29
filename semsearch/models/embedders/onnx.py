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

from ...core.errors import Unavailable
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import Errand, Order
from .model_config import recipe_of
from .model_folder import ModelFolder
from .onnx_session import Session
from .tokenizer import tokenizer_of

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_FILES = ("onnx/model.onnx", "model.onnx")
_INT8 = (
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
_INT8_FILES = tuple(f"{place}{name}" for place in ("onnx/", "") for name in _INT8)

_WEIGHTS: Mapping[Language, float] = {"en": 0.6, "latin": 0.5, "other": 0.5}
"""From .6 to .7 is best on squad2_a and cranfield together, for all-MiniLM-L6-v2: .898 and .440 with .6, .900 and .437
with .65. Other languages were not measured with it; .5 suits multilingual models."""

_LANES = 2
"""Batches that are run at once, each on one thread: 61 chunks a second on two cores, one batch on two threads 45."""

_BATCH_TOKENS = 256
"""Padding included. Twice as many take as long, four times as many longer; texts one by one a third less a second."""

_LONGEST_TOKEN = 64
"""Characters looked at for each token that the model takes: a megabyte of text is not cut into words for 256."""

_TRIED = "a"
"""A text that every model can take: it shows how long the vectors are."""


class OnnxEmbedder:
    """Runs a model over texts sorted by length, so that little of a batch is padding. `dim` is 0 until it is loaded."""

    at_once = 256
    concurrency = _LANES

    def __init__(self, folder: ModelFolder, *, int8: bool = False) -> None:
        if find_spec("onnxruntime") is None:
            raise Unavailable(f"{folder.spec}: ONNX models need onnxruntime: pip install 'semsearch[onnx]'")
        self.weights: Mapping[Language, float] = _WEIGHTS
        self.dim = 0
        self._folder = folder
        self._file = folder.file(_INT8_FILES if int8 else _FILES, "int8 model" if int8 else "model")
        self._vocabulary = folder.file(["tokenizer.json"], "tokenizer")
        self._recipe = recipe_of(folder)
        further = sorted(self._file.parent.glob(f"{self._file.name}[._]data*"))  # weights of a model over 2 GB
        files = (self._file, *further, self._vocabulary)
        self.name = f"onnx-{folder.fingerprint(files, repr(astuple(self._recipe)))}"
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, Session] | None = None

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None: it is here."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`, zeros for a blank one; the model's own prefix goes in front of each."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        prefix = self._recipe.query if query else self._recipe.passage
        session, tokens = await asyncio.to_thread(self._prepared, texts, prefix)
        vectors = np.zeros((len(texts), self.dim), np.float32)

        def run(batch: list[int]) -> None:
            vectors[batch] = session.vectors([tokens[row].ids for row in batch])

        await _in_lanes(run, tokens, session)
        return vectors

    async def by_token(self, question: str, texts: Sequence[str]) -> "Vectors | None":
        """The largest cosine of each token of the question with one of each text, zeros for a blank one.

        Tokens of a prefix, and those that mark begin and end, do not count. None where the model's file gives no
        vectors of tokens.
        """
        session, (asked,) = await asyncio.to_thread(self._prepared, [question], self._recipe.query)
        if not session.tells_tokens or not asked.own:
            return None
        _, tokens = await asyncio.to_thread(self._prepared, texts, self._recipe.passage)
        wanted = (await asyncio.to_thread(session.tokens, [asked.ids]))[0][asked.own]
        found = np.zeros((len(texts), len(wanted)), np.float32)

        def run(batch: list[int]) -> None:
            for row, states in zip(batch, session.tokens([tokens[row].ids for row in batch]), strict=True):
                if own := tokens[row].own:
                    found[row] = (wanted @ states[own].T).max(axis=1)

        await _in_lanes(run, tokens, session)
        return found

    def _prepared(self, texts: Sequence[str], prefix: str) -> "tuple[Session, list[_Tokens]]":
        """The model, and each text cut into tokens; a blank one has none."""
        tokenizer, session = self._model()
        looked_at = [text.strip()[: self._recipe.limit * _LONGEST_TOKEN] for text in texts]
        cased = [text.lower() for text in looked_at] if self._recipe.lower else looked_at
        encodings = tokenizer.encode_batch_fast([prefix + text for text in cased])
        before = len(tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids)
        return session, [
            _tokens(each, before) if text else _NOTHING for each, text in zip(encodings, cased, strict=True)
        ]

    def _model(self) -> "tuple[Tokenizer, Session]":
        with self._loading:
            if self._loaded is None:
                tokenizer = self._folder.read(self._vocabulary, tokenizer_of)
                tokenizer.enable_truncation(self._recipe.limit)
                session = Session(self._folder, self._file, self._recipe)
                self.dim = session.vectors([tokenizer.encode(_TRIED).ids]).shape[1]
                self._loaded = tokenizer, session
            return self._loaded


def batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Rows of similar length together, each padded batch of at most so many tokens; a long row alone, an empty nowhere.

    >>> list(batches([5, 0, 3, 9, 4], 12))
    [[2, 4], [0], [3]]
    """
    batch: list[int] = []
    for row in sorted(filter(lengths.__getitem__, range(len(lengths))), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class _Tokens(NamedTuple):
    """The tokens of a text."""

    ids: list[int]
    own: list[int]
    """Which of them are neither of a prefix nor there to mark begin and end."""


_NOTHING = _Tokens([], [])


def _tokens(encoding: "Encoding", before: int) -> _Tokens:
    """Its tokens, of which the first so many that mark nothing are of the prefix."""
    own = [at for at, special in enumerate(encoding.special_tokens_mask) if not special]
    return _Tokens(encoding.ids, own[before:]) if own else _NOTHING


async def _in_lanes(run: Callable[[list[int]], None], tokens: Sequence[_Tokens], session: Session) -> None:
    """Run over all texts, given by their rows, in batches."""
    waiting = deque(batches([len(text.ids) for text in tokens], 0 if session.alone else _BATCH_TOKENS))
    await asyncio.gather(*(asyncio.to_thread(_lane, waiting, run) for _ in range(min(_LANES, len(waiting)))))


def _lane(waiting: deque[list[int]], run: Callable[[list[int]], None]) -> None:
    """Run what is waiting, batch by batch, until another thread has taken the last one."""
    while waiting:
        try:
            batch = waiting.popleft()
        except IndexError:
            return
        run(batch)
