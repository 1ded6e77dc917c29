"""The default embedding model: the mean of token vectors. Needs no network and no key. English only.

The table and its tokenizer are data files of the wordllama package. Its code is never imported, because it configures
logging. Measured without gain: weights by token rank, no function words, no common components.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np

from ...core.errors import UnavailableError
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from .token_vectors import RowReader, TokenIds, TokenVectorTable, read_tensors
from .word_tokens import WordTokenCache

_TABLE_FILE = "weights/l2_supercat_256.safetensors"
_TOKENIZER_FILE = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR_NAME = "embedding.weight"
_TABLE_SHAPE = (32_000, 256)

_DENSE_WEIGHTS: Mapping[Language, float] = {"en": 0.35, "latin": 0.35, "other": 0.0}
"""Values from .3 to .4 are best on squad2_a and cranfield. The tokens of other scripts are mostly single bytes."""

_MAX_INLINE_TEXTS = 32
"""So few texts are embedded in less time than it takes to start a thread or to load the tokenizer."""


class LocalEmbedder:
    """Averages the vectors of a text's tokens: 256 numbers in about 30 µs for each text."""

    name = "wordllama-l2-supercat-256-mean"
    dim = _TABLE_SHAPE[1]
    batch_size = 256
    concurrency = 1

    def __init__(self) -> None:
        self.dense_weights: Mapping[Language, float] = _DENSE_WEIGHTS
        self._word_token_cache = WordTokenCache(lambda: _find_file(_TOKENIZER_FILE).read_bytes())
        self._token_vectors = TokenVectorTable(_TABLE_SHAPE, lambda tokens: self._table[tokens])

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: the model runs in this process."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`; zeros for a text without words. `query` has no effect."""
        if len(texts) <= _MAX_INLINE_TEXTS:
            return self.embed_sync(texts)
        return await asyncio.to_thread(self.embed_sync, texts)  # do not block the event loop

    def tokenize(self, text: str) -> TokenIds:
        """Return the token ids of the words of `text`; white space has no tokens."""
        return next(self._word_token_cache.tokenize([text]))

    def prepare(self) -> None:
        """Load the data that many texts need."""
        self._word_token_cache.prepare()
        self.embed_sync(["a"])

    def embed_sync(self, texts: Sequence[str]) -> Vectors:
        """Do the same as `embed` in the calling thread."""
        return self._token_vectors.compute_means(
            self._word_token_cache.tokenize(texts, in_bulk=len(texts) > _MAX_INLINE_TEXTS), len(texts)
        )

    def word_similarities(self, words: Sequence[str], texts: Sequence[Sequence[str]]) -> Vectors:
        """Return the highest cosine of each word with a word of each text, shape (len(texts), len(words)).

        A text without words has zeros.
        """
        vocabulary = list(dict.fromkeys(chain(words, *texts)))
        index = {word: row for row, word in enumerate(vocabulary)}
        vectors = self.embed_sync([f" {word}" for word in vocabulary])
        cosines = vectors @ vectors[[index[word] for word in words]].T
        similarities = np.zeros((len(texts), len(words)), np.float32)
        for row, text in zip(similarities, texts, strict=True):
            if text:
                row[:] = cosines[[index[word] for word in text]].max(axis=0)
        return similarities

    @cached_property
    def _table(self) -> RowReader:
        file = _find_file(_TABLE_FILE)
        return RowReader(file, read_tensors(file)[_TENSOR_NAME])


def _find_file(name: str) -> Path:
    package = find_spec("wordllama")
    for folder in package.submodule_search_locations or () if package else ():
        if (file := Path(folder, name)).is_file():
            return file
    raise UnavailableError(f"The local model is missing its file {name}: pip install 'wordllama==0.2.2.post0'")
