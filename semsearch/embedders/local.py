"""The embedded embedding model: a table of token vectors, averaged. Needs no network and no key; good for English only.

The table and its tokenizer are data files of the wordllama package. Its code is never imported: it sets up logging.
Weighting tokens by rank, dropping function words or common components was measured, and none of it helped.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..accounts import Errand, Order
from ..analysis import Language
from ..errors import Unavailable
from ..types import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TABLE = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_SHAPE = (32_000, 256)

_WEIGHTS: Mapping[Language, float] = {"en": 0.35, "latin": 0.35, "other": 0.0}
"""From .3 to .4 is best on squad2_a and on cranfield; the tokens of other scripts are mostly single bytes."""

_REMEMBERED_WORDS = 32_768
_LONGEST_WORD = 64
"""A longer word is cut: finding its tokens takes longer than its length says, and they mean nothing."""
_AT_ONCE = 32
"""Texts that are embedded faster than a thread is found for them."""
_BLOCK = 4096
"""Tokens that are added up at once, which bounds the memory of a text without end."""


class LocalEmbedder:
    """Averages the vectors of a text's tokens: 256 numbers in about 30 µs."""

    name = "wordllama-l2-supercat-256-mean"
    dim = _SHAPE[1]
    at_once = 256
    concurrency = 1

    def __init__(self) -> None:
        self.weights: Mapping[Language, float] = _WEIGHTS
        # Tokens never cross a space, so that those of a word are the same in every text.
        self._word_tokens = lru_cache(_REMEMBERED_WORDS)(self._tokenize)
        # Pages of these rows take memory only once a token is met; the mapped table is half-precision, slow to add up.
        self._rows = np.zeros(_SHAPE, np.float32)
        self._met = np.zeros(_SHAPE[0], np.bool_)

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None: it is here."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`, zeros for one without a word; a question is embedded like a passage."""
        if len(texts) <= _AT_ONCE:
            return self._embed(texts)
        return await asyncio.to_thread(self._embed, texts)  # a server's loop has other things to do meanwhile

    def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            tokens = self.tokens(text)
            for at in range(0, len(tokens), _BLOCK):
                vector += self._sum(tokens[at : at + _BLOCK])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def tokens(self, text: str) -> npt.NDArray[np.int64]:
        """The token ids of the words of `text`; white space has none."""
        return np.fromiter(chain.from_iterable(map(self._word_tokens, _pieces(text))), np.int64)

    def _sum(self, tokens: npt.NDArray[np.int64]) -> Vectors:
        new = tokens[~self._met[tokens]]
        if len(new):
            self._rows[new] = self._table[new]
            self._met[new] = True
        return np.ones(len(tokens), np.float32) @ self._rows.take(tokens, axis=0)

    def _tokenize(self, word: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(word, add_special_tokens=False).ids)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(_file(_TOKENIZER)))
        tokenizer.encode_special_tokens = True  # "</s>" in a text is text
        return tokenizer

    @cached_property
    def _table(self) -> npt.NDArray[np.float16]:
        """Maps the table, which has the form: length of the header (8 bytes), header in JSON, numbers."""
        file = _file(_TABLE)
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            tensor = json.loads(opened.read(length))[_TENSOR]
        return np.memmap(file, np.float16, "r", 8 + length + tensor["data_offsets"][0], _SHAPE)


def _pieces(text: str) -> Iterator[str]:
    for word in text.split():
        if len(word) <= _LONGEST_WORD:
            yield word
        else:
            yield from (word[at : at + _LONGEST_WORD] for at in range(0, len(word), _LONGEST_WORD))


def _file(name: str) -> Path:
    package = find_spec("wordllama")
    for folder in package.submodule_search_locations or () if package else ():
        if (file := Path(folder, name)).is_file():
            return file
    raise Unavailable(f"The embedded model is missing its file {name}: pip install 'wordllama==0.2.2.post0'")
