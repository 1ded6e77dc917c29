"""Static embeddings from a folder: `static:FOLDER`, in the layout of Model2Vec or of sentence-transformers.

Averages the vectors of a text's tokens, as `local` does, and needs no network and no further package. It reads what
model2vec's `persistence` and sentence-transformers' `StaticEmbedding` write: a table `embeddings`, in newer files with
a weight for each token and a mapping from tokens to rows, or a table `embedding.weight`.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from ...text.analyzer import detect_language
from .model_folder import ModelFolder
from .token_vectors import RowReader, TokenIds, TokenVectorTable, read_tensors
from .tokenizer import get_unknown_token, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TABLE_FILES = ("model.safetensors", "0_StaticEmbedding/model.safetensors")
_OPTIONAL_TENSORS = ("mapping", "weights")
_EMBEDDING_METHOD = "mean of rows, 1"
"""How vectors are computed from the table. A change that gives other vectors must change this value."""

_DENSE_WEIGHT = 0.35
_SAMPLED_TOKENS = 1000
_MIN_FOREIGN_SHARE = 0.2
"""Minimum share of tokens with two or more letters of other scripts: English vocabularies have only single letters."""


class StaticEmbedder:
    """Averages the table rows of a text's tokens."""

    batch_size = 256
    concurrency = 1

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        self._table_file = folder.find_file(_TABLE_FILES, "table of token vectors")
        model_dir = self._table_file.parent.relative_to(folder.path)
        self._tokenizer_file = folder.find_file([str(model_dir / "tokenizer.json")], "tokenizer")
        self._table = _EmbeddingTable(folder, self._table_file)
        self.dim = self._table.shape[1]
        fingerprint = folder.compute_fingerprint((self._table_file, self._tokenizer_file), _EMBEDDING_METHOD)
        self.name = f"static-{self.dim}-{fingerprint}"
        self._token_vectors = TokenVectorTable(self._table.shape, self._table.read_vectors)

    @cached_property
    def dense_weights(self) -> Mapping[Language, float]:
        """The weights of the local model; other scripts count too where the vocabulary has pieces of their words."""
        return {
            "en": _DENSE_WEIGHT,
            "latin": _DENSE_WEIGHT,
            "other": _DENSE_WEIGHT if _supports_other_scripts(self._tokenizer) else 0.0,
        }

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: the model runs in this process."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`; zeros for a text without known words. `query` has no effect."""
        return await asyncio.to_thread(self._embed_sync, texts)

    def _embed_sync(self, texts: Sequence[str]) -> Vectors:
        try:
            return self._token_vectors.compute_means(self._tokenize(texts), len(texts))
        except IndexError as exc:
            raise self._folder.make_damaged_error(
                self._table_file, "the tokenizer has more tokens than the table has rows"
            ) from exc

    def _tokenize(self, texts: Sequence[str]) -> Iterator[TokenIds]:
        """Yield the tokens of each text. Unknown words are left out, as in Model2Vec."""
        stripped = [text.strip() for text in texts]
        for encoding in self._tokenizer.encode_batch_fast(stripped, add_special_tokens=False):
            tokens = np.array(encoding.ids, np.int64)
            yield tokens[tokens != self._unknown_token_id]

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return self._folder.read(self._tokenizer_file, load_tokenizer)

    @cached_property
    def _unknown_token_id(self) -> int | None:
        unknown = get_unknown_token(self._tokenizer) if self._table.skips_unknown_tokens else None
        return None if unknown is None else self._tokenizer.token_to_id(unknown)


class _EmbeddingTable:
    """The tensors of a model file: one row for each token, with its optional mapping and weights."""

    def __init__(self, folder: ModelFolder, file: Path) -> None:
        self._folder, self._file = folder, file
        tensors = folder.inspect(file, read_tensors)
        self.skips_unknown_tokens = "embeddings" in tensors
        rows, mapping, weights = (
            tensors.get("embeddings") or tensors.get("embedding.weight"),
            *map(tensors.get, _OPTIONAL_TENSORS),
        )
        if rows is None or rows.dtype not in ("<f2", "<f4", "i1") or len(rows.shape) != 2:
            raise folder.make_damaged_error(
                file, "it has no table `embeddings` or `embedding.weight` of F16, F32 or I8"
            )
        self.shape = (rows.shape[0] if mapping is None else mapping.shape[0], rows.shape[1])
        if any(tensor is not None and tensor.shape != self.shape[:1] for tensor in (mapping, weights)):
            raise folder.make_damaged_error(file, "its mapping or its weights do not have one value for each token")
        if mapping is not None and mapping.dtype not in ("<i4", "<i8"):
            raise folder.make_damaged_error(file, "its mapping is not of type I32 or I64")
        self._row_reader = RowReader(file, rows)
        self._mapping = None if mapping is None else mapping.memory_map(file)
        self._weights = None if weights is None else weights.memory_map(file)

    def read_vectors(self, tokens: TokenIds) -> Vectors:
        """Return the vectors of these tokens, not normalized; a scale, as of int8 tables, is ignored."""
        rows = tokens if self._mapping is None else self._mapping[tokens]
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._row_reader.shape[0]:
            raise self._folder.make_damaged_error(self._file, "its mapping points to rows that do not exist")
        vectors = self._row_reader[rows].astype(np.float32)
        if self._weights is not None:
            vectors *= self._weights[tokens, np.newaxis].astype(np.float32)
        if not np.isfinite(vectors).all():
            raise self._folder.make_damaged_error(self._file, "it holds numbers that are not finite")
        return vectors


def _supports_other_scripts(tokenizer: "Tokenizer") -> bool:
    """Return whether many tokens are pieces of words in scripts other than Latin."""
    size = tokenizer.get_vocab_size()
    sample = range(0, size, max(1, size // _SAMPLED_TOKENS))
    pieces = [tokenizer.decode([token], skip_special_tokens=False).strip(" #▁") for token in sample]
    foreign = sum(len(piece) > 1 and detect_language(piece) == "other" for piece in pieces)
    return foreign >= _MIN_FOREIGN_SHARE * len(pieces)
