"""Sign codes: one bit per dimension ranks rows nearly as their vectors do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.documents import Vectors
from semsearch.storage.collections.local.index.sign_codes import encode_signs, pack_bits


def make_vectors(rows: int, dim: int, seed: int) -> Vectors:
    """Return unit vectors around a common mean, as embeddings of texts are."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)) + 0.7
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@given(st.integers(1, 200), st.integers(0, 99))
def test_packing_keeps_every_bit(dim: int, seed: int) -> None:
    """Any number of dimensions is packed, and padded with zeros."""
    bits = np.random.default_rng(seed).integers(0, 2, (5, dim)).astype(np.uint8)
    unpacked = np.unpackbits(pack_bits(bits).view(np.uint8), axis=1)
    assert np.array_equal(unpacked[:, :dim], bits)
    assert not unpacked[:, dim:].any()


@pytest.mark.parametrize("dim", [64, 100, 256])
def test_estimate_follows_the_inner_product(dim: int) -> None:
    """The estimate correlates with the inner product at .7 or better; random vectors reach .8."""
    table, questions = make_vectors(4_000, dim, 1), make_vectors(20, dim, 2)
    signs, rows = encode_signs(table), np.arange(0, 4_000, 3)
    for question in questions:
        assert np.corrcoef(signs.estimate_scores(question, rows), table[rows] @ question)[0, 1] > 0.7


def test_near_rows_are_among_the_candidates() -> None:
    """Of the ten nearest of 2,000 selected rows .95 are among the first 400 by sign codes (measured: .98)."""
    table, questions = make_vectors(5_000, 256, 1), make_vectors(40, 256, 2)
    signs, rows = encode_signs(table), np.random.default_rng(3).choice(5_000, 2_000, replace=False)
    hits = 0
    for question in questions:
        best = rows[np.argsort(-(table[rows] @ question))[:10]]
        hits += len(set(best.tolist()) & set(signs.nearest(question, rows, 400).tolist()))
    assert hits >= 0.95 * 400


def test_equal_rows_are_no_error() -> None:
    """Equal rows, a constant query, and fewer rows than requested are ranked without an error."""
    table = np.full((10, 64), 0.125, np.float32)
    signs = encode_signs(table)
    assert signs.nearest(table[0], np.arange(10), 3).tolist() == list(range(10))  # all are tied with the third
    assert signs.nearest(table[0], np.arange(2), 3).tolist() == [0, 1]
    assert np.isfinite(signs.estimate_scores(np.zeros(64, np.float32), np.arange(10))).all()
