"""Codes are learned from any table of vectors, find what is near, and come back from their bytes."""

from collections.abc import Mapping
from pathlib import Path

import faiss
import numpy as np
import pytest

from semsearch.core.types.documents import Vectors
from semsearch.storage.collections.local.index import checked_files
from semsearch.storage.collections.local.index import pq_codes


def unit(rows: int, dim: int, seed: int = 0) -> Vectors:
    """Random unit vectors."""
    made = np.random.default_rng(seed).normal(size=(rows, dim))
    scaled: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def written(folder: Path, arrays: Mapping[str, checked_files.Array]) -> Mapping[str, checked_files.MappedArray]:
    """The arrays in files, as a generation has them."""
    writer = checked_files.ArrayWriter(folder)
    for name, array in arrays.items():
        writer.add(name, [array])
    name, manifest = writer.commit("codes", "7")
    return checked_files.open_arrays(folder / name, manifest)


@pytest.mark.parametrize("with_lists", [False, True])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 300])
@pytest.mark.parametrize("dim", [1, 3, 64, 129, 257, 384])
def test_any_table_has_codes(rows: int, dim: int, with_lists: bool, tmp_path: Path) -> None:
    """However few rows there are to learn from, and whatever the dimension; the farthest may not be found."""
    codes = pq_codes.load_codes(written(tmp_path, pq_codes.build_codes(unit(rows, dim), with_lists=with_lists)))
    found = codes.nearest(unit(1, dim, seed=1)[0], rows)[0].tolist()
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(rows))
    assert rows < 300 or len(found) >= rows // 3


def test_a_table_of_zeros_has_codes(tmp_path: Path) -> None:
    """Texts without a known word have no direction; all are as far, so that none may be found."""
    codes = pq_codes.load_codes(written(tmp_path, pq_codes.build_codes(np.zeros((50, 64), np.float32), with_lists=False)))
    assert len(codes.nearest(unit(1, 64)[0], 10)[0]) <= 10


@pytest.mark.parametrize("with_lists", [False, True])
def test_what_is_near_is_among_the_candidates(with_lists: bool, tmp_path: Path) -> None:
    """The ten nearest rows are among two hundred candidates, and equal tables give equal bytes."""
    stored, asked = unit(4000, 256), unit(20, 256, seed=1)
    made, again = (pq_codes.build_codes(stored, with_lists=with_lists) for _ in range(2))
    assert {name: array.tobytes() for name, array in made.items()} == {
        name: array.tobytes() for name, array in again.items()
    }
    codes = pq_codes.load_codes(written(tmp_path, made))
    there = [
        len(set(np.argsort(-(stored @ one))[:10]) & set(codes.nearest(one, 200)[0].tolist())) / 10 for one in asked
    ]
    assert np.mean(there) >= 0.97


def test_a_damaged_list_is_not_looked_at(tmp_path: Path) -> None:
    """Only what lies in the lists that a question comes to is checked, and before FAISS sees it."""
    stored = unit(4000, 64)
    columns = written(tmp_path, pq_codes.build_codes(stored, with_lists=True))
    path = columns["lists"].path
    bytes_ = bytearray(path.read_bytes())
    bytes_[-1] ^= 1  # of an id in the last list
    path.write_bytes(bytes_)
    codes = pq_codes.load_codes(columns)
    assert isinstance(codes, pq_codes.IVFProductCodes)
    codes.index.nprobe = 1
    found = [codes.index.quantizer.search(one[np.newaxis, :], 1)[1][0][0] for one in stored]
    last = max(found)
    for one in stored[found.index(last)], stored[found.index(last)]:
        with pytest.raises(checked_files.DamagedFileError, match="lists is damaged"):
            codes.nearest(one, 10)
    for one, place in zip(stored[:200], found[:200], strict=True):
        if place < last - 2:
            assert len(codes.nearest(one, 10)[0])


def test_coding_leaves_a_core_and_keeps_to_the_limit_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches in other threads go on meanwhile, and later ones compute as before."""
    before, seen = faiss.omp_get_max_threads(), []
    real = pq_codes._build_arrays

    def made(given: Vectors, *, with_lists: bool) -> Mapping[str, np.ndarray]:
        seen.append(faiss.omp_get_max_threads())
        return real(given, with_lists=with_lists)

    monkeypatch.setattr(pq_codes, "_build_arrays", made)
    try:
        for cores, limit in ((1, 4), (2, 4), (8, 4), (8, 1)):
            monkeypatch.setattr(pq_codes, "count_usable_cores", lambda cores=cores: cores)
            faiss.omp_set_num_threads(limit)
            pq_codes.build_codes(unit(100, 64), with_lists=False)
            assert faiss.omp_get_max_threads() == limit
    finally:
        faiss.omp_set_num_threads(before)
    assert seen == [1, 1, 4, 1]
