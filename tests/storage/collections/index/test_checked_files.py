"""Files that may be trusted: what is read was written so, or it is named as damaged."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semsearch.storage.collections.local.index.checked_files import (
    BLOCK_BYTES,
    ArrayWriter,
    DamagedFileError,
    MappedArray,
    open_arrays,
)

ROWS = 5_000


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, str]:
    """A folder with numbers and a table."""
    writer = ArrayWriter(tmp_path)
    numbers = np.arange(ROWS, dtype=np.uint32)
    writer.add("numbers", [numbers[at : at + BLOCK_BYTES] for at in range(0, ROWS, BLOCK_BYTES)])
    writer.add("table", [np.arange(ROWS * 3, dtype=np.float32).reshape(-1, 3)])
    writer.add("none", [np.empty(0, np.int64)])
    name, manifest = writer.commit("made", "7")
    return tmp_path / name, manifest


def test_what_was_written_is_read(sealed: tuple[Path, str]) -> None:
    """Slices, single rows and whole arrays come back as they were, empty ones too."""
    columns = open_arrays(*sealed)
    assert columns["numbers"][4_000:4_500].tolist() == list(range(4_000, 4_500))
    assert columns["table"].take(np.array([4_999, 0, 7])).tolist() == [[14997, 14998, 14999], [0, 1, 2], [21, 22, 23]]
    assert columns["table"].read_all().shape == (ROWS, 3)
    assert columns["none"].read_all().tolist() == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4 * ROWS - 1), st.integers(1, 255), st.integers(0, ROWS - 1), st.integers(1, ROWS))
def test_a_flipped_byte_is_never_returned(
    sealed: tuple[Path, str], place: int, flip: int, start: int, count: int
) -> None:
    """A slice is right or refused; one that lies in other blocks is right."""
    folder, manifest = sealed
    path = folder / "numbers"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        stop = min(ROWS, start + count)
        touched = start * 4 // BLOCK_BYTES <= place // BLOCK_BYTES <= (stop * 4 - 1) // BLOCK_BYTES
        column = open_arrays(folder, manifest)["numbers"]
        if touched:
            with pytest.raises(DamagedFileError, match="numbers is damaged"):
                column[start:stop]
        else:
            assert column[start:stop].tolist() == list(range(start, stop))
    finally:
        path.write_bytes(whole)


def test_a_block_is_looked_at_once(sealed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found sound is not checked again."""
    checked: list[int] = []
    real = MappedArray._verify_blocks

    def noted(self: MappedArray, some: np.ndarray) -> None:
        checked.extend(some.tolist())
        real(self, some)

    monkeypatch.setattr(MappedArray, "_verify_blocks", noted)
    column = open_arrays(*sealed)["numbers"]
    for _ in range(3):
        column[0:10]
    assert checked == [0]


def test_a_writer_that_gives_up_leaves_nothing(tmp_path: Path) -> None:
    """Half a folder is never seen under a name, and goes away."""
    writer = ArrayWriter(tmp_path)
    writer.add("numbers", [np.arange(9)])
    assert [path.name[:10] for path in tmp_path.iterdir()] == [".building-"]
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is shorter than what was written is refused at once."""
    writer = ArrayWriter(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.ftruncate(descriptor, 8))
    with pytest.raises(DamagedFileError, match="8 bytes"):
        writer.add("numbers", [np.arange(9)])
