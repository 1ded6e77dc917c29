"""Arrays in files: they are read as they were written, or the damaged file is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semsearch.storage.collections.local.index.arrays import Array
from semsearch.storage.collections.local.index.checked_files import (
    BLOCK_BYTES,
    ArrayWriter,
    DamagedFileError,
    MappedArray,
    open_arrays,
)

ROWS = 5_000


@pytest.fixture
def committed(tmp_path: Path) -> tuple[Path, str]:
    """A committed folder with a one-dimensional array, a table and an empty array, and its manifest."""
    writer = ArrayWriter(tmp_path)
    numbers = np.arange(ROWS, dtype=np.uint32)
    writer.add("numbers", [numbers[at : at + BLOCK_BYTES] for at in range(0, ROWS, BLOCK_BYTES)])
    writer.add("table", [np.arange(ROWS * 3, dtype=np.float32).reshape(-1, 3)])
    writer.add("none", [np.empty(0, np.int64)])
    name, manifest = writer.commit("made", "7")
    return tmp_path / name, manifest


def test_written_arrays_are_read_back(committed: tuple[Path, str]) -> None:
    """Slices, single rows, whole arrays and empty arrays are read as they were written."""
    arrays = open_arrays(*committed)
    assert arrays["numbers"][4_000:4_500].tolist() == list(range(4_000, 4_500))
    assert arrays["table"].take(np.array([4_999, 0, 7])).tolist() == [[14997, 14998, 14999], [0, 1, 2], [21, 22, 23]]
    assert arrays["table"].read_all().shape == (ROWS, 3)
    assert arrays["none"].read_all().tolist() == []


@given(st.lists(st.integers(0, 3 * BLOCK_BYTES), max_size=9))
def test_pieces_may_have_any_size(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """Arrays that are written side by side in pieces have the bytes and the manifest of arrays in one piece."""
    total = sum(sizes)
    columns: list[Array] = [np.arange(total, dtype=np.uint32), np.arange(total).astype(np.uint8)]
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    pieces = [[column[end - size : end] for column in columns] for size, end in zip(sizes, ends, strict=True)]
    in_pieces, whole = (ArrayWriter(tmp_path_factory.mktemp("arrays")) for _ in range(2))
    in_pieces.add_columns(["first", "second"], [[column[:0] for column in columns], *pieces])
    for name, column in zip(("first", "second"), columns, strict=True):
        whole.add(name, [column])
    committed, expected = in_pieces.commit("made", "7"), whole.commit("made", "7")
    assert committed == expected
    arrays = open_arrays(in_pieces.folder / committed[0], committed[1])
    assert arrays["first"].read_all().tolist() == columns[0].tolist()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4 * ROWS - 1), st.integers(1, 255), st.integers(0, ROWS - 1), st.integers(1, ROWS))
def test_flipped_byte_is_never_returned(
    committed: tuple[Path, str], offset: int, flip: int, start: int, count: int
) -> None:
    """A slice of the damaged block is an error; slices of other blocks are correct."""
    folder, manifest = committed
    path = folder / "numbers"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:offset] + bytes([content[offset] ^ flip]) + content[offset + 1 :])
        stop = min(ROWS, start + count)
        is_read = start * 4 // BLOCK_BYTES <= offset // BLOCK_BYTES <= (stop * 4 - 1) // BLOCK_BYTES
        array = open_arrays(folder, manifest)["numbers"]
        if is_read:
            with pytest.raises(DamagedFileError, match="numbers is damaged"):
                array[start:stop]
        else:
            assert array[start:stop].tolist() == list(range(start, stop))
    finally:
        path.write_bytes(content)


def test_block_is_verified_once(committed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A verified block is not verified again."""
    checked: list[int] = []
    verify = MappedArray._verify_blocks

    def record(self: MappedArray, blocks: np.ndarray) -> None:
        checked.extend(blocks.tolist())
        verify(self, blocks)

    monkeypatch.setattr(MappedArray, "_verify_blocks", record)
    array = open_arrays(*committed)["numbers"]
    for _ in range(3):
        array[0:10]
    assert checked == [0]


def test_discarded_writer_leaves_nothing(tmp_path: Path) -> None:
    """An unfinished folder has a temporary name, and is deleted."""
    writer = ArrayWriter(tmp_path)
    writer.add("numbers", [np.arange(9)])
    assert [path.name[:10] for path in tmp_path.iterdir()] == [".building-"]
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is shorter than the written array is an error at once."""
    writer = ArrayWriter(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.ftruncate(descriptor, 8))
    with pytest.raises(DamagedFileError, match="8 bytes"):
        writer.add("numbers", [np.arange(9)])
