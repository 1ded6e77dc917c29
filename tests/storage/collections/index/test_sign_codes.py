"""One bit a dimension ranks chosen rows nearly as their floats do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.documents import Vectors
from semsearch.storage.collections.local.index.sign_codes import encode_signs, pack_bits


def vectors(rows: int, dim: int, seed: int) -> Vectors:
    """Unit vectors around a common middle, as those of texts lie."""
    made = np.random.default_rng(seed).normal(size=(rows, dim)) + 0.7
    unit: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


@given(st.integers(1, 200), st.integers(0, 99))
def test_packing_keeps_every_bit(dim: int, seed: int) -> None:
    """Any number of dimensions fits, and what is behind them is 0."""
    bits = np.random.default_rng(seed).integers(0, 2, (5, dim)).astype(np.uint8)
    unpacked = np.unpackbits(pack_bits(bits).view(np.uint8), axis=1)
    assert np.array_equal(unpacked[:, :dim], bits)
    assert not unpacked[:, dim:].any()


@pytest.mark.parametrize("dim", [64, 100, 256])
def test_the_estimate_follows_the_product(dim: int) -> None:
    """Over rows and questions it correlates with the inner product at .7 or better; random ones allow .8."""
    table, questions = vectors(4_000, dim, 1), vectors(20, dim, 2)
    signs, rows = encode_signs(table), np.arange(0, 4_000, 3)
    for question in questions:
        assert np.corrcoef(signs.estimate_scores(question, rows), table[rows] @ question)[0, 1] > 0.7


def test_the_best_are_among_the_candidates() -> None:
    """Of the ten nearest of 2,000 chosen rows 98 of 100 are among the first 400 by their signs."""
    table, questions = vectors(5_000, 256, 1), vectors(40, 256, 2)
    signs, rows = encode_signs(table), np.random.default_rng(3).choice(5_000, 2_000, replace=False)
    found = 0
    for question in questions:
        best = rows[np.argsort(-(table[rows] @ question))[:10]]
        found += len(set(best.tolist()) & set(signs.nearest(question, rows, 400).tolist()))
    assert found >= 0.95 * 400


def test_nothing_to_tell_apart_is_no_error() -> None:
    """Equal rows, a question of equal numbers and fewer rows than asked for are all right."""
    table = np.full((10, 64), 0.125, np.float32)
    signs = encode_signs(table)
    assert signs.nearest(table[0], np.arange(10), 3).tolist() == list(range(10))  # all are as good as the third
    assert signs.nearest(table[0], np.arange(2), 3).tolist() == [0, 1]
    assert np.isfinite(signs.estimate_scores(np.zeros(64, np.float32), np.arange(10))).all()
