"""The embedded embedding model: a table of token vectors, averaged. Needs no network and no key; good for English only.

The table and its tokenizer are data files of the wordllama package. Its code is never imported: it sets up logging.
Weighting tokens by rank, dropping function words or common components was measured, and none of it helped.
"""

import asyncio
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..accounts import Errand, Order
from ..analysis import Language
from ..errors import Unavailable
from ..types import Vectors
from .pieces import SPACE, Pieces, vocabulary
from .tables import TokenRows, Tokens, taken, tensors
from .tokenizing import tokenizer_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TABLE = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_SHAPE = (32_000, 256)

_WEIGHTS: Mapping[Language, float] = {"en": 0.35, "latin": 0.35, "other": 0.0}
"""From .3 to .4 is best on squad2_a and on cranfield; the tokens of other scripts are mostly single bytes."""

_REMEMBERED = 65_536
"""Runs whose tokens are kept: some 12 MB. A long book has a quarter of them."""
_RUNS = re.compile(r" ?(?:[^\W\d_²]+|\d+|(?:[^\w ]|[_²])+)")
"""Letters, digits, and all else: but for `².` and the like, no token of the table has two of these in it. The first run
of a word has the space before it, because its tokens are others than those of a later one."""
_TOKEN_BYTES = array("H").itemsize
_LONGEST_WORD = 64
"""A longer word is cut: finding its tokens takes longer than its length says, and they mean nothing."""
_AT_ONCE = 32
"""Texts that are embedded faster than a thread is found for them, and than the tokenizer is loaded."""


class LocalEmbedder:
    """Averages the vectors of a text's tokens: 256 numbers in about 30 µs."""

    name = "wordllama-l2-supercat-256-mean"
    dim = _SHAPE[1]
    at_once = 256
    concurrency = 1

    def __init__(self) -> None:
        self.weights: Mapping[Language, float] = _WEIGHTS
        # Tokens never cross a space, so that those of a word are the same in every text; nor do they cross runs, of
        # which there are far fewer than words: `(see`, `see,` and `see` share one.
        self._known = _Known(self._tokens_of_run)
        self._cut: Callable[[str], Sequence[int]] = self._by_pieces
        self._rows = TokenRows(_SHAPE, lambda tokens: taken(self._table, tokens))

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None: it is here."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`, zeros for one without a word; a question is embedded like a passage."""
        if len(texts) <= _AT_ONCE:
            return self._embed(texts)
        return await asyncio.to_thread(self._embed_many, texts)  # a server's loop has other things to do meanwhile

    def _embed_many(self, texts: Sequence[str]) -> Vectors:
        self._cut = self._by_tokenizer
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        return self._rows.means(map(self.tokens, texts), len(texts))

    def tokens(self, text: str) -> Tokens:
        """The token ids of the words of `text`; white space has none."""
        words = text.split()
        if max(map(len, words), default=0) > _LONGEST_WORD:
            words = [word[at : at + _LONGEST_WORD] for word in words for at in range(0, len(word), _LONGEST_WORD)]
        if SPACE in text:
            found = map(self._tokens_of, words)
        else:
            found = map(self._known.__getitem__, _RUNS.findall(" " + " ".join(words)))
        return np.frombuffer(b"".join(found), np.uint16).astype(np.int64)

    def _tokens_of_run(self, run: str) -> bytes:
        """The tokens of a run; one that does not begin its word stands behind another kind, whose one token goes."""
        if run[0] == " ":
            return self._tokens_of(run[1:])
        other = "(" if run[0].isalnum() and run[0] != "²" else "a"
        return self._tokens_of(other + run)[_TOKEN_BYTES:]

    def _tokens_of(self, word: str) -> bytes:
        return array("H", self._cut(word)).tobytes()

    def _by_pieces(self, word: str) -> Sequence[int]:
        """Ready within a tenth of the time, and with a tenth of the memory."""
        return self._pieces.of(word)

    def _by_tokenizer(self, word: str) -> Sequence[int]:
        """The same tokens; words that were never met take half of the time."""
        found: Sequence[int] = self._tokenizer.encode(word, add_special_tokens=False).ids
        return found

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(vocabulary(_file(_TOKENIZER).read_bytes()))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return tokenizer_of(_file(_TOKENIZER).read_bytes())

    @cached_property
    def _table(self) -> npt.NDArray[np.float16]:
        file = _file(_TABLE)
        return tensors(file)[_TENSOR].map(file)


class _Known(dict[str, bytes]):
    """The tokens of each run that was met: a table, because a cache that orders its entries takes twice the time."""

    def __init__(self, find: Callable[[str], bytes]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, run: str) -> bytes:
        tokens = self._find(run)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[run] = tokens
        return tokens


def _file(name: str) -> Path:
    package = find_spec("wordllama")
    for folder in package.submodule_search_locations or () if package else ():
        if (file := Path(folder, name)).is_file():
            return file
    raise Unavailable(f"The embedded model is missing its file {name}: pip install 'wordllama==0.2.2.post0'")
