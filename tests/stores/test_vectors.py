"""Codes are learned from any table of vectors, find what is near, and come back from their bytes."""

import numpy as np
import pytest

from semsearch.stores.local import vectors
from semsearch.types import Vectors


def unit(rows: int, dim: int, seed: int = 0) -> Vectors:
    """Random unit vectors."""
    made = np.random.default_rng(seed).normal(size=(rows, dim))
    scaled: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return scaled


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 300])
@pytest.mark.parametrize("dim", [1, 3, 64, 129, 257, 384])
def test_any_table_has_codes(rows: int, dim: int, lists: bool) -> None:
    """However few rows there are to learn from, and whatever the dimension; the farthest may not be found."""
    codes = vectors.load(vectors.make(unit(rows, dim), lists=lists))
    found = codes.nearest(unit(1, dim, seed=1)[0], rows).tolist()
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(rows))
    assert rows < 300 or len(found) >= rows // 3


def test_a_table_of_zeros_has_codes() -> None:
    """Texts without a known word have no direction; all are as far, so that none may be found."""
    codes = vectors.load(vectors.make(np.zeros((50, 64), np.float32), lists=False))
    assert len(codes.nearest(unit(1, 64)[0], 10)) <= 10


@pytest.mark.parametrize("lists", [False, True])
def test_what_is_near_is_among_the_candidates(lists: bool) -> None:
    """The ten nearest rows are among two hundred candidates, and equal tables give equal bytes."""
    stored, asked = unit(4000, 256), unit(20, 256, seed=1)
    data = vectors.make(stored, lists=lists)
    assert data.tobytes() == vectors.make(stored, lists=lists).tobytes()
    codes = vectors.load(data)
    there = [len(set(np.argsort(-(stored @ one))[:10]) & set(codes.nearest(one, 200).tolist())) / 10 for one in asked]
    assert np.mean(there) >= 0.97
