"""Tables of token vectors: the order in which tokens are loaded makes no difference."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.documents import Vectors
from semsearch.models.embedders.token_vectors import TokenIds, TokenVectorTable

SIZE, DIM = 5000, 8
TABLE = np.random.default_rng(3).normal(size=(SIZE, DIM)).astype(np.float16)

_token_lists = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=40), max_size=20)


def make_table() -> TokenVectorTable:
    """Return the table, with no row loaded."""
    return TokenVectorTable((SIZE, DIM), TABLE.__getitem__)


def expected_mean(tokens: TokenIds) -> Vectors:
    """Return the mean of these tokens' rows, scaled to length 1."""
    mean: Vectors = TABLE[tokens].astype(np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)


@given(_token_lists)
def test_means_do_not_depend_on_earlier_texts(texts: list[list[int]]) -> None:
    """Rows that are loaded already have no effect; a text without tokens gives zeros."""
    table = make_table()
    for tokens in texts:
        vector = table.compute_means([np.array(tokens, np.int64)], 1)[0]
        assert np.allclose(vector, expected_mean(np.array(tokens)) if tokens else 0, atol=1e-4)


def test_many_threads_can_load_rows_at_the_same_time() -> None:
    """Some threads read rows while others enlarge the table."""

    def read_slowly(tokens: TokenIds) -> Vectors:
        time.sleep(0.0001)  # let other threads run
        return TABLE[tokens].astype(np.float32)

    rng, table = np.random.default_rng(4), TokenVectorTable((SIZE, DIM), read_slowly)
    texts = [rng.integers(0, SIZE, 30) for _ in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(lambda tokens: table.compute_means([tokens], 1)[0], texts))
    for vector, tokens in zip(vectors, texts, strict=True):
        assert np.allclose(vector, expected_mean(tokens), atol=1e-4)
