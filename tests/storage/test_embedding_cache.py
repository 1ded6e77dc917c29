"""What is promised of vectors that were paid for: none is lost, the file is bounded, damage costs money and no run."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.billing import Clock
from support.fakes import NullEmbeddingCache

from semsearch.core.errors import StorageError
from semsearch.core.ports import EmbeddingCache
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import PendingBatch
from semsearch.storage.embedding_cache import FILE, SqliteEmbeddingCache

SPACE = "openai:m http://h/v1"
DIM = 8
VECTOR_BYTES = 64 + 4 * DIM
"""Bytes that one of these vectors counts for."""


def key(number: int) -> str:
    """The hash of a text."""
    return f"{number:064x}"


def make_vectors(*numbers: int) -> dict[str, Vectors]:
    """A vector of its own for each number."""
    return {key(number): np.full(DIM, number, np.float32) for number in numbers}


def find_numbers(paid: EmbeddingCache, *numbers: int, space: str = SPACE) -> list[int]:
    """Which of these are kept; each with the vector that is its own."""
    found = paid.find(space, [key(number) for number in numbers])
    assert all(np.array_equal(vector, np.full(DIM, int(name, 16))) for name, vector in found.items())
    return sorted(int(name, 16) for name in found)


@pytest.fixture
def paid(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """Nothing is paid for yet."""
    made = SqliteEmbeddingCache(tmp_path)
    yield made
    made.close()


@pytest.fixture
def again(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """The same file, opened by another."""
    made = SqliteEmbeddingCache(tmp_path)
    yield made
    made.close()


def make_batch(name: str, space: str = SPACE) -> PendingBatch:
    """A batch under way."""
    return PendingBatch(name, space, "ann", "handbook", 7, [key(1), key(2)], 5.5)


def test_nothing_touches_the_disk_before_it_is_needed(paid: SqliteEmbeddingCache) -> None:
    """Asking for vectors and batches, and keeping none, leaves the folder empty."""
    assert paid.find(SPACE, [key(1)]) == {}
    assert paid.pending_batches(SPACE) == []
    paid.put(SPACE, {})
    paid.close()
    assert list(paid.path.parent.iterdir()) == []


def test_what_is_kept_is_found_again(paid: SqliteEmbeddingCache, again: SqliteEmbeddingCache) -> None:
    """By the exact hash, in its own space, also by another process and after closing."""
    paid.put(SPACE, make_vectors(1, 2))
    paid.put("other", make_vectors(3))
    paid.close()
    for each in (paid, again):
        assert find_numbers(each, 1, 2, 3) == [1, 2]
        assert find_numbers(each, 1, 2, 3, space="other") == [3]


def test_many_are_found_at_once(paid: SqliteEmbeddingCache) -> None:
    """More than SQLite takes as parameters of one statement."""
    paid.put(SPACE, make_vectors(*range(2_500)))
    assert find_numbers(paid, *range(0, 40_000, 7)) == list(range(0, 2_500, 7))


def test_numbers_are_kept_to_the_bit(paid: SqliteEmbeddingCache) -> None:
    """What comes back is what came in, whatever the machine's own order of bytes."""
    vector = np.random.default_rng(1).standard_normal(1536).astype(np.float32)
    paid.put(SPACE, {key(1): vector.astype(">f4")})
    assert np.array_equal(paid.find(SPACE, [key(1)])[key(1)], vector)


def test_the_first_vector_of_a_text_stays(paid: SqliteEmbeddingCache) -> None:
    """Two who paid for the same text at the same time share one vector from then on, and it is counted once."""
    paid.put(SPACE, make_vectors(1))
    paid.put(SPACE, {key(1): np.full(DIM, 9, np.float32)})
    assert find_numbers(paid, 1) == [1]
    assert read_size(paid) == VECTOR_BYTES


def test_the_file_is_bounded(tmp_path: Path) -> None:
    """When there is no room the longest unused go, no more of them than must."""
    clock = Clock()
    paid = SqliteEmbeddingCache(tmp_path, max_bytes=10 * VECTOR_BYTES, clock=clock)
    for number in range(12):
        clock.now += 1
        paid.put(SPACE, make_vectors(number))
    assert find_numbers(paid, *range(12)) == list(range(2, 12))
    assert read_size(paid) == 10 * VECTOR_BYTES
    paid.close()


def test_what_is_used_stays_longer(tmp_path: Path) -> None:
    """A vector that was found counts as used when the next one is kept."""
    clock = Clock()
    paid = SqliteEmbeddingCache(tmp_path, max_bytes=3 * VECTOR_BYTES, clock=clock)
    for number in (1, 2, 3):
        clock.now += 1
        paid.put(SPACE, make_vectors(number))
    assert find_numbers(paid, 1) == [1]
    clock.now += 1
    paid.put(SPACE, make_vectors(4))
    clock.now += 1
    paid.put(SPACE, make_vectors(5))
    assert find_numbers(paid, 1, 2, 3, 4, 5) == [1, 4, 5]
    paid.close()


def test_looking_changes_no_file(paid: SqliteEmbeddingCache) -> None:
    """A plan may look up whatever it wants."""
    paid.put(SPACE, make_vectors(1))
    paid.close()
    before = paid.path.read_bytes()
    assert find_numbers(paid, 1) == [1]
    paid.close()
    assert paid.path.read_bytes() == before


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), max_size=12), st.integers(0, 20))
def test_the_size_is_what_is_there(tmp_path_factory: pytest.TempPathFactory, kept: list[list[int]], most: int) -> None:
    """Whatever is kept, the sum beside the vectors is theirs, within the bound, and the newest are among them."""
    paid = SqliteEmbeddingCache(tmp_path_factory.mktemp("paid"), max_bytes=most * VECTOR_BYTES)
    for numbers in kept:
        paid.put(SPACE, make_vectors(*numbers))
    there = find_numbers(paid, *range(31))
    assert len(there) == min(most, len({number for numbers in kept for number in numbers}))
    if kept:
        assert read_size(paid) == len(there) * VECTOR_BYTES
    paid.close()


def test_two_processes_keep_side_by_side(tmp_path: Path) -> None:
    """Neither loses or spoils what the other has kept."""
    program = """
import sys
from pathlib import Path
import numpy as np
from semsearch.storage.embedding_cache import SqliteEmbeddingCache
cache = SqliteEmbeddingCache(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    cache.put("openai:m http://h/v1", {f"{number:064x}": np.full(8, number, np.float32)})
cache.close()
"""
    commands = [[sys.executable, "-c", program, str(tmp_path), str(first)] for first in (0, 30)]
    runs = [subprocess.Popen(command) for command in commands]
    assert [run.wait(60) for run in runs] == [0, 0]
    paid = SqliteEmbeddingCache(tmp_path)
    assert find_numbers(paid, *range(100)) == list(range(70))
    assert read_size(paid) == 70 * VECTOR_BYTES
    paid.close()


def test_threads_keep_side_by_side(paid: SqliteEmbeddingCache) -> None:
    """The requests that are under way at once end on threads of their own."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: paid.put(SPACE, make_vectors(number, 1000)), range(40)))
        assert list(pool.map(lambda number: find_numbers(paid, number), range(40))) == [
            [number] for number in range(40)
        ]


@pytest.mark.parametrize("damage", ["no database", "empty middle", "emptied"])
def test_a_damaged_file_is_set_aside(paid: SqliteEmbeddingCache, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is kept under another name, a warning tells the price, and the run goes on with a new file."""
    paid.put(SPACE, make_vectors(*range(2_000)))
    paid.close()
    whole = paid.path.read_bytes()
    if damage == "no database":
        paid.path.write_bytes(b"nothing like it" * 1_000)
    elif damage == "empty middle":
        paid.path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    else:
        paid.path.write_bytes(b"")
    with caplog.at_level(logging.WARNING, "semsearch.paid"):
        assert find_numbers(paid, *range(2_000)) == []
    paid.put(SPACE, make_vectors(1))
    assert find_numbers(paid, 1) == [1]
    aside = list(paid.path.parent.glob(f"{FILE}.damaged-*"))
    assert len(aside) == ("is damaged and was set aside" in caplog.text) == (damage != "emptied")


def test_damage_under_many_threads_is_set_aside_once(
    paid: SqliteEmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    """What one thread keeps in the new file is not thrown away by the next that met the old one."""
    paid.put(SPACE, make_vectors(*range(2_000)))
    paid.close()
    whole = paid.path.read_bytes()
    paid.path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: paid.put(SPACE, make_vectors(number)), range(16)))
    assert find_numbers(paid, *range(16)) == list(range(16))
    assert caplog.text.count("set aside") == 1


def test_damage_while_it_is_open_is_set_aside_once(
    paid: SqliteEmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that goes bad under threads that use it is replaced by one, which holds what they keep from then on."""
    paid.put(SPACE, make_vectors(*range(2_000)))
    paid.close()
    assert find_numbers(paid, 1) == [1]
    size = paid.path.stat().st_size
    with paid.path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: find_numbers(paid, 1_990), range(4)))
        list(pool.map(lambda number: paid.put(SPACE, make_vectors(number)), range(16)))
    assert find_numbers(paid, *range(2_000)) == list(range(16))
    assert caplog.text.count("set aside") == 1


def test_damage_met_by_two_is_set_aside_once(paid: SqliteEmbeddingCache, again: SqliteEmbeddingCache) -> None:
    """Who still holds the old file open finds the new one, and leaves it in place."""
    paid.put(SPACE, make_vectors(1))
    assert find_numbers(again, 1) == [1]
    paid.close()
    again.close()
    paid.path.write_bytes(b"nothing like it" * 1_000)
    paid.put(SPACE, make_vectors(2))
    again.put(SPACE, make_vectors(3))
    assert find_numbers(again, 1, 2, 3) == find_numbers(paid, 1, 2, 3) == [2, 3]
    assert len(list(paid.path.parent.glob(f"{FILE}.damaged-*"))) == 1


def test_a_place_that_cannot_be_written_is_an_error(paid: SqliteEmbeddingCache) -> None:
    """It is not damage: nothing is set aside, and the way out is named."""
    paid.path.mkdir()
    with pytest.raises(StorageError, match=FILE):
        paid.put(SPACE, make_vectors(1))
    assert [path.name for path in paid.path.parent.glob("*.damaged*")] == []


def test_a_file_that_is_deleted_is_made_anew(paid: SqliteEmbeddingCache) -> None:
    """Deleting it while a service runs costs what it held, and nothing else."""
    paid.put(SPACE, make_vectors(1))
    for path in paid.path.parent.glob(f"{FILE}*"):
        os.unlink(path)
    assert find_numbers(paid, 1) == []
    paid.put(SPACE, make_vectors(2))
    assert find_numbers(paid, 1, 2) == [2]


def test_batches_are_remembered_until_they_are_dropped(paid: SqliteEmbeddingCache, again: SqliteEmbeddingCache) -> None:
    """Whole, by their space, across processes; one of the same id replaces the other."""
    paid.put_batch(make_batch("batch_1"))
    paid.put_batch(make_batch("batch_2"))
    paid.put_batch(make_batch("batch_3", "other"))
    paid.put_batch(make_batch("batch_2"))
    assert again.pending_batches(SPACE) == [make_batch("batch_1"), make_batch("batch_2")]
    again.delete_batch("batch_1")
    again.delete_batch("batch_1")
    assert paid.pending_batches(SPACE) == [make_batch("batch_2")]
    assert paid.pending_batches("other") == [make_batch("batch_3", "other")]


def test_the_fake_fills_the_port_too() -> None:
    """Whoever takes the file can take what forgets everything."""
    ports: Mapping[str, EmbeddingCache] = {"file": SqliteEmbeddingCache(Path("nowhere")), "none": NullEmbeddingCache()}
    assert [each.find(SPACE, [key(1)]) for each in ports.values()] == [{}, {}]


def read_size(paid: SqliteEmbeddingCache) -> int:
    """The sum that stands in the file."""
    with paid._current_file().read() as db:
        return int(db.execute("SELECT bytes FROM size").fetchone()[0])
