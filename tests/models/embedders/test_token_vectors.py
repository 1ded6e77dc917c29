"""Tables of token vectors: what is met first, last or at the same time makes no difference."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.documents import Vectors
from semsearch.models.embedders.token_vectors import TokenIds, TokenVectorTable

SIZE, DIM = 5000, 8
TABLE = np.random.default_rng(3).normal(size=(SIZE, DIM)).astype(np.float16)

_texts = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=40), max_size=20)


def rows() -> TokenVectorTable:
    """Those of the table, none of them met."""
    return TokenVectorTable((SIZE, DIM), TABLE.__getitem__)


def expected(tokens: TokenIds) -> Vectors:
    """The mean of these tokens' rows, scaled to length 1."""
    mean: Vectors = TABLE[tokens].astype(np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)


@given(_texts)
def test_means_are_those_of_the_table(texts: list[list[int]]) -> None:
    """Whatever was met before; a text without tokens gives zeros."""
    known = rows()
    for tokens in texts:
        found = known.compute_means([np.array(tokens, np.int64)], 1)[0]
        assert np.allclose(found, expected(np.array(tokens)) if tokens else 0, atol=1e-4)


def test_every_token_has_its_row_when_many_threads_meet_them() -> None:
    """While some look on, others make room for more."""

    def slowly(tokens: TokenIds) -> Vectors:
        time.sleep(0.0001)  # others have their turn
        return TABLE[tokens].astype(np.float32)

    luck, known = np.random.default_rng(4), TokenVectorTable((SIZE, DIM), slowly)
    texts = [luck.integers(0, SIZE, 30) for _ in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda tokens: known.compute_means([tokens], 1)[0], texts))
    for vector, tokens in zip(found, texts, strict=True):
        assert np.allclose(vector, expected(tokens), atol=1e-4)
