"""The embedded embedding model: a table of token vectors, averaged. Needs no network and no key; good for English only.

The table and its tokenizer are data files of the wordllama package. Its code is never imported: it sets up logging.
Weighting tokens by rank, dropping function words or common components was measured, and none of it helped.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from ...core.errors import Unavailable
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import Errand, Order
from .token_vectors import StoredRows, TokenRows, Tokens, tensors
from .word_tokens import Lexicon

_TABLE = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_SHAPE = (32_000, 256)

_WEIGHTS: Mapping[Language, float] = {"en": 0.35, "latin": 0.35, "other": 0.0}
"""From .3 to .4 is best on squad2_a and on cranfield; the tokens of other scripts are mostly single bytes."""

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
        self._lexicon = Lexicon(lambda: _file(_TOKENIZER).read_bytes())
        self._rows = TokenRows(_SHAPE, lambda tokens: self._table[tokens])

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None: it is here."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """Unit vectors in the order of `texts`, zeros for one without a word; a question is embedded like a passage."""
        if len(texts) <= _AT_ONCE:
            return self.vectors(texts)
        return await asyncio.to_thread(self.vectors, texts)  # a server's loop has other things to do meanwhile

    def tokens(self, text: str) -> Tokens:
        """The token ids of the words of `text`; white space has none."""
        return next(self._lexicon.tokens([text]))

    def prepare(self) -> None:
        """Have at hand what many texts need."""
        self._lexicon.prepare()
        self.vectors(["a"])

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """`embed`, where nobody else waits for this thread."""
        return self._rows.means(self._lexicon.tokens(texts, many=len(texts) > _AT_ONCE), len(texts))

    @cached_property
    def _table(self) -> StoredRows:
        file = _file(_TABLE)
        return StoredRows(file, tensors(file)[_TENSOR])


def _file(name: str) -> Path:
    package = find_spec("wordllama")
    for folder in package.submodule_search_locations or () if package else ():
        if (file := Path(folder, name)).is_file():
            return file
    raise Unavailable(f"The embedded model is missing its file {name}: pip install 'wordllama==0.2.2.post0'")
