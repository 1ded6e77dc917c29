"""Product codes are trained on any table, find near vectors, and are loaded from verified bytes."""

from collections.abc import Mapping
from pathlib import Path

import faiss
import numpy as np
import pytest

from semsearch.core.types.documents import Vectors
from semsearch.storage.collections.local.index import checked_files, pq_codes


def make_unit_vectors(rows: int, dim: int, seed: int = 0) -> Vectors:
    """Return random unit vectors."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def write_and_open(folder: Path, arrays: Mapping[str, checked_files.Array]) -> Mapping[str, checked_files.MappedArray]:
    """Write the arrays into files, as a generation does, and open them."""
    writer = checked_files.ArrayWriter(folder)
    for name, array in arrays.items():
        writer.add(name, [array])
    name, manifest = writer.commit("codes", "7")
    return checked_files.open_arrays(folder / name, manifest)


@pytest.mark.parametrize("with_lists", [False, True])
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 300])
@pytest.mark.parametrize("dim", [1, 3, 64, 129, 257, 384])
def test_any_table_has_codes(rows: int, dim: int, with_lists: bool, tmp_path: Path) -> None:
    """Any number of rows and any dimension can be coded; distant rows may not be found."""
    codes = pq_codes.load_codes(
        write_and_open(tmp_path, pq_codes.build_codes(make_unit_vectors(rows, dim), with_lists=with_lists))
    )
    hits = codes.nearest(make_unit_vectors(1, dim, seed=1)[0], rows)[0].tolist()
    assert len(set(hits)) == len(hits)
    assert set(hits) <= set(range(rows))
    assert rows < 300 or len(hits) >= rows // 3


def test_table_of_zeros_has_codes(tmp_path: Path) -> None:
    """Texts without known words have zero vectors; a search of them does not fail."""
    codes = pq_codes.load_codes(
        write_and_open(tmp_path, pq_codes.build_codes(np.zeros((50, 64), np.float32), with_lists=False))
    )
    assert len(codes.nearest(make_unit_vectors(1, 64)[0], 10)[0]) <= 10


@pytest.mark.parametrize("with_lists", [False, True])
def test_near_rows_are_among_the_candidates(with_lists: bool, tmp_path: Path) -> None:
    """Of the ten nearest rows .97 are among 200 candidates, and equal tables give equal bytes."""
    stored, queries = make_unit_vectors(4000, 256), make_unit_vectors(20, 256, seed=1)
    arrays, rebuilt = (pq_codes.build_codes(stored, with_lists=with_lists) for _ in range(2))
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in rebuilt.items()
    }
    codes = pq_codes.load_codes(write_and_open(tmp_path, arrays))
    recalls = [
        len(set(np.argsort(-(stored @ query))[:10]) & set(codes.nearest(query, 200)[0].tolist())) / 10
        for query in queries
    ]
    assert np.mean(recalls) >= 0.97


def test_damaged_list_is_not_scanned(tmp_path: Path) -> None:
    """A list is verified before FAISS scans it; the other lists are not read."""
    stored = make_unit_vectors(4000, 64)
    arrays = write_and_open(tmp_path, pq_codes.build_codes(stored, with_lists=True))
    path = arrays["lists"].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of an id in the last list
    path.write_bytes(content)
    codes = pq_codes.load_codes(arrays)
    assert isinstance(codes, pq_codes.IVFProductCodes)
    codes.index.nprobe = 1
    nearest_lists = [codes.index.quantizer.search(vector[np.newaxis, :], 1)[1][0][0] for vector in stored]
    last_list = max(nearest_lists)
    for vector in stored[nearest_lists.index(last_list)], stored[nearest_lists.index(last_list)]:
        with pytest.raises(checked_files.DamagedFileError, match="lists is damaged"):
            codes.nearest(vector, 10)
    for vector, list_id in zip(stored[:200], nearest_lists[:200], strict=True):
        if list_id < last_list - 2:
            assert len(codes.nearest(vector, 10)[0])


def test_training_leaves_a_core_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core stays free for searches, and the thread limit of FAISS is restored."""
    previous_limit, thread_counts = faiss.omp_get_max_threads(), []
    build_arrays = pq_codes._build_arrays

    def record_threads(vectors: Vectors, *, with_lists: bool) -> Mapping[str, np.ndarray]:
        thread_counts.append(faiss.omp_get_max_threads())
        return build_arrays(vectors, with_lists=with_lists)

    monkeypatch.setattr(pq_codes, "_build_arrays", record_threads)
    try:
        for cores, limit in ((1, 4), (2, 4), (8, 4), (8, 1)):
            monkeypatch.setattr(pq_codes, "count_usable_cores", lambda cores=cores: cores)
            faiss.omp_set_num_threads(limit)
            pq_codes.build_codes(make_unit_vectors(100, 64), with_lists=False)
            assert faiss.omp_get_max_threads() == limit
    finally:
        faiss.omp_set_num_threads(previous_limit)
    assert thread_counts == [1, 1, 4, 1]
