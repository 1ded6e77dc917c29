"""Tests of the embedding cache: lookup, size limit, damaged files, pending batches, and the old name of the file."""

import logging
import os
import shutil
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

from semsearch.core.errors import LockedError, StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.core.ports import EmbeddingCache
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import PendingBatch
from semsearch.storage import embedding_cache
from semsearch.storage.embedding_cache import FILE, OLD_FILE, OLD_LOCK, SqliteEmbeddingCache

SPACE = "openai:m http://h/v1"
DIM = 8
VECTOR_BYTES = 64 + 4 * DIM
"""Bytes that one vector counts for: its hash and its numbers."""


def key(number: int) -> str:
    """Return the hash of a text."""
    return f"{number:064x}"


def make_vectors(*numbers: int) -> dict[str, Vectors]:
    """Return a distinct vector for each number, by hash."""
    return {key(number): np.full(DIM, number, np.float32) for number in numbers}


def find_numbers(cache: EmbeddingCache, *numbers: int, space: str = SPACE) -> list[int]:
    """Return the numbers whose vectors are cached, and check the vectors."""
    vectors = cache.find(space, [key(number) for number in numbers])
    assert all(np.array_equal(vector, np.full(DIM, int(name, 16))) for name, vector in vectors.items())
    return sorted(int(name, 16) for name in vectors)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """An empty cache."""
    cache = SqliteEmbeddingCache(tmp_path)
    yield cache
    cache.close()


@pytest.fixture
def second_cache(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """A second object for the same file, as another process would open it."""
    cache = SqliteEmbeddingCache(tmp_path)
    yield cache
    cache.close()


def make_batch(name: str, space: str = SPACE) -> PendingBatch:
    """Make a pending batch."""
    return PendingBatch(name, space, "ann", "handbook", 7, [key(1), key(2)], 5.5)


def test_reads_of_an_empty_cache_create_no_file(cache: SqliteEmbeddingCache) -> None:
    """Neither reads nor a put of no vectors write to the folder."""
    assert cache.find(SPACE, [key(1)]) == {}
    assert cache.pending_batches(SPACE) == []
    cache.put(SPACE, {})
    cache.close()
    assert list(cache.path.parent.iterdir()) == []


def test_stored_vectors_are_found_by_space_and_hash(
    cache: SqliteEmbeddingCache, second_cache: SqliteEmbeddingCache
) -> None:
    """Also by another process, and after closing."""
    cache.put(SPACE, make_vectors(1, 2))
    cache.put("other", make_vectors(3))
    cache.close()
    for reader in (cache, second_cache):
        assert find_numbers(reader, 1, 2, 3) == [1, 2]
        assert find_numbers(reader, 1, 2, 3, space="other") == [3]


def test_lookup_of_thousands_of_hashes(cache: SqliteEmbeddingCache) -> None:
    """More hashes than SQLite allows parameters in one statement."""
    cache.put(SPACE, make_vectors(*range(2_500)))
    assert find_numbers(cache, *range(0, 40_000, 7)) == list(range(0, 2_500, 7))


def test_vectors_are_stored_bit_for_bit(cache: SqliteEmbeddingCache) -> None:
    """In every byte order of the input."""
    vector = np.random.default_rng(1).standard_normal(1536).astype(np.float32)
    cache.put(SPACE, {key(1): vector.astype(">f4")})
    assert np.array_equal(cache.find(SPACE, [key(1)])[key(1)], vector)


def test_first_vector_of_a_text_is_kept(cache: SqliteEmbeddingCache) -> None:
    """A second vector of the same text is ignored, and does not count in the size."""
    cache.put(SPACE, make_vectors(1))
    cache.put(SPACE, {key(1): np.full(DIM, 9, np.float32)})
    assert find_numbers(cache, 1) == [1]
    assert read_size(cache) == VECTOR_BYTES


def test_least_recently_stored_vectors_are_evicted(tmp_path: Path) -> None:
    """Above the size limit no more vectors are evicted than necessary."""
    clock = Clock()
    cache = SqliteEmbeddingCache(tmp_path, max_bytes=10 * VECTOR_BYTES, clock=clock)
    for number in range(12):
        clock.now += 1
        cache.put(SPACE, make_vectors(number))
    assert find_numbers(cache, *range(12)) == list(range(2, 12))
    assert read_size(cache) == 10 * VECTOR_BYTES
    cache.close()


def test_recently_read_vectors_are_not_evicted(tmp_path: Path) -> None:
    """The next write updates the last use of vectors that were read."""
    clock = Clock()
    cache = SqliteEmbeddingCache(tmp_path, max_bytes=3 * VECTOR_BYTES, clock=clock)
    for number in (1, 2, 3):
        clock.now += 1
        cache.put(SPACE, make_vectors(number))
    assert find_numbers(cache, 1) == [1]
    clock.now += 1
    cache.put(SPACE, make_vectors(4))
    clock.now += 1
    cache.put(SPACE, make_vectors(5))
    assert find_numbers(cache, 1, 2, 3, 4, 5) == [1, 4, 5]
    cache.close()


def test_reading_does_not_change_the_file(cache: SqliteEmbeddingCache) -> None:
    """A dry run reads the cache without a write."""
    cache.put(SPACE, make_vectors(1))
    cache.close()
    before = cache.path.read_bytes()
    assert find_numbers(cache, 1) == [1]
    cache.close()
    assert cache.path.read_bytes() == before


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), max_size=12), st.integers(0, 20))
def test_stored_size_is_the_size_of_the_vectors(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[int]], max_vectors: int
) -> None:
    """After any writes the stored size is exact and within the limit, and as many vectors as fit are kept."""
    cache = SqliteEmbeddingCache(tmp_path_factory.mktemp("cache"), max_bytes=max_vectors * VECTOR_BYTES)
    for numbers in puts:
        cache.put(SPACE, make_vectors(*numbers))
    stored = find_numbers(cache, *range(31))
    assert len(stored) == min(max_vectors, len({number for numbers in puts for number in numbers}))
    if puts:
        assert read_size(cache) == len(stored) * VECTOR_BYTES
    cache.close()


def test_two_processes_write_concurrently(tmp_path: Path) -> None:
    """All vectors of both are stored, and the size is exact."""
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
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(60) for process in processes] == [0, 0]
    cache = SqliteEmbeddingCache(tmp_path)
    assert find_numbers(cache, *range(100)) == list(range(70))
    assert read_size(cache) == 70 * VECTOR_BYTES
    cache.close()


def test_threads_write_concurrently(cache: SqliteEmbeddingCache) -> None:
    """All vectors of all threads are stored."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cache.put(SPACE, make_vectors(number, 1000)), range(40)))
        assert list(pool.map(lambda number: find_numbers(cache, number), range(40))) == [
            [number] for number in range(40)
        ]


@pytest.mark.parametrize("damage", ["no database", "zeroed pages", "empty"])
def test_damaged_file_is_set_aside(cache: SqliteEmbeddingCache, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is renamed, a warning says so, and a new file takes its place."""
    cache.put(SPACE, make_vectors(*range(2_000)))
    cache.close()
    data = cache.path.read_bytes()
    if damage == "no database":
        cache.path.write_bytes(b"no database" * 1_000)
    elif damage == "zeroed pages":
        cache.path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    else:
        cache.path.write_bytes(b"")
    with caplog.at_level(logging.WARNING, "semsearch.embedding_cache"):
        assert find_numbers(cache, *range(2_000)) == []
    cache.put(SPACE, make_vectors(1))
    assert find_numbers(cache, 1) == [1]
    damaged_files = list(cache.path.parent.glob(f"{FILE}.damaged-*"))
    assert len(damaged_files) == ("is damaged and was set aside" in caplog.text) == (damage != "empty")


def test_many_threads_set_a_damaged_file_aside_once(
    cache: SqliteEmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that saw the damaged file does not set aside the new one."""
    cache.put(SPACE, make_vectors(*range(2_000)))
    cache.close()
    data = cache.path.read_bytes()
    cache.path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cache.put(SPACE, make_vectors(number)), range(16)))
    assert find_numbers(cache, *range(16)) == list(range(16))
    assert caplog.text.count("set aside") == 1


def test_file_damaged_while_open_is_set_aside_once(
    cache: SqliteEmbeddingCache, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads that use it continue with one new file, which has all vectors that they store."""
    cache.put(SPACE, make_vectors(*range(2_000)))
    cache.close()
    assert find_numbers(cache, 1) == [1]
    size = cache.path.stat().st_size
    with cache.path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: find_numbers(cache, 1_990), range(4)))
        list(pool.map(lambda number: cache.put(SPACE, make_vectors(number)), range(16)))
    assert find_numbers(cache, *range(2_000)) == list(range(16))
    assert caplog.text.count("set aside") == 1


def test_two_processes_set_a_damaged_file_aside_once(
    cache: SqliteEmbeddingCache, second_cache: SqliteEmbeddingCache
) -> None:
    """A process that has the old file open uses the new one and does not replace it."""
    cache.put(SPACE, make_vectors(1))
    assert find_numbers(second_cache, 1) == [1]
    cache.close()
    second_cache.close()
    cache.path.write_bytes(b"no database" * 1_000)
    cache.put(SPACE, make_vectors(2))
    second_cache.put(SPACE, make_vectors(3))
    assert find_numbers(second_cache, 1, 2, 3) == find_numbers(cache, 1, 2, 3) == [2, 3]
    assert len(list(cache.path.parent.glob(f"{FILE}.damaged-*"))) == 1


def test_path_that_cannot_be_written_is_an_error(cache: SqliteEmbeddingCache) -> None:
    """It is not damage: nothing is set aside, and the error names the file."""
    cache.path.mkdir()
    with pytest.raises(StorageError, match=FILE):
        cache.put(SPACE, make_vectors(1))
    assert [path.name for path in cache.path.parent.glob("*.damaged*")] == []


def test_deleted_file_is_created_again(cache: SqliteEmbeddingCache) -> None:
    """Deleting it while a service runs loses its vectors, and nothing else."""
    cache.put(SPACE, make_vectors(1))
    for path in cache.path.parent.glob(f"{FILE}*"):
        os.unlink(path)
    assert find_numbers(cache, 1) == []
    cache.put(SPACE, make_vectors(2))
    assert find_numbers(cache, 1, 2) == [2]


def test_batches_are_stored_until_they_are_deleted(
    cache: SqliteEmbeddingCache, second_cache: SqliteEmbeddingCache
) -> None:
    """By space, for all processes; a batch of the same id is replaced."""
    cache.put_batch(make_batch("batch_1"))
    cache.put_batch(make_batch("batch_2"))
    cache.put_batch(make_batch("batch_3", "other"))
    cache.put_batch(make_batch("batch_2"))
    assert second_cache.pending_batches(SPACE) == [make_batch("batch_1"), make_batch("batch_2")]
    second_cache.delete_batch("batch_1")
    second_cache.delete_batch("batch_1")
    assert cache.pending_batches(SPACE) == [make_batch("batch_2")]
    assert cache.pending_batches("other") == [make_batch("batch_3", "other")]


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """A data directory of an earlier version, whose process was killed: the vectors are in the log of paid.db only."""
    source, folder = tmp_path / "source", tmp_path / "old"
    source.mkdir()
    folder.mkdir()
    cache = SqliteEmbeddingCache(source)
    cache.put(SPACE, make_vectors(1, 2))
    cache.put_batch(make_batch("batch_1"))
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(source / f"{FILE}{suffix}", folder / f"{OLD_FILE}{suffix}")
    (folder / OLD_LOCK).touch()
    cache.close()
    return folder


def assert_renamed(folder: Path) -> None:
    """Assert that the cache has the vectors and the batch of paid.db, and that no database or log has its old name."""
    cache = SqliteEmbeddingCache(folder)
    assert find_numbers(cache, 1, 2, 3) == [1, 2]
    assert cache.pending_batches(SPACE) == [make_batch("batch_1")]
    cache.put(SPACE, make_vectors(3))
    cache.close()
    assert not list(folder.glob(f"{OLD_FILE}*"))
    assert find_numbers(cache, 1, 2, 3) == [1, 2, 3]
    cache.close()


@pytest.mark.parametrize("first_use", ["find", "pending_batches", "put"])
def test_paid_db_is_renamed_when_the_cache_is_first_opened(old_folder: Path, first_use: str) -> None:
    """Reads and writes rename it with its log; no vector is lost."""
    cache = SqliteEmbeddingCache(old_folder)
    if first_use == "find":
        assert find_numbers(cache, 1) == [1]
    elif first_use == "pending_batches":
        assert cache.pending_batches(SPACE) == [make_batch("batch_1")]
    else:
        cache.put(SPACE, make_vectors(2))
    assert not list(old_folder.glob("paid*"))
    cache.close()
    assert_renamed(old_folder)


@pytest.mark.parametrize("renamed", [["-wal"], ["-wal", "-shm"]])
def test_interrupted_rename_of_paid_db_is_completed(old_folder: Path, renamed: list[str]) -> None:
    """The log already has its new name, the database not yet."""
    for suffix in renamed:
        (old_folder / f"{OLD_FILE}{suffix}").rename(old_folder / f"{FILE}{suffix}")
    assert_renamed(old_folder)


class RenameSteps:
    """The renames and folder syncs of the module, recorded in order; one of them can fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing_step: int | None = None) -> None:
        self.names: list[str] = []
        self._failing_step = failing_step
        rename = Path.rename

        def record_rename(path: Path, target: Path) -> Path:
            self._record(path.name)
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", record_rename)
        monkeypatch.setattr(embedding_cache, "sync_folder", lambda _: self._record("sync"))

    def _record(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self._failing_step:
            raise OSError(5, "Input/output error")


def test_log_is_renamed_durably_before_the_database(old_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the two never leaves a renamed database without its log."""
    steps = RenameSteps(monkeypatch)
    assert find_numbers(SqliteEmbeddingCache(old_folder), 1) == [1]
    assert steps.names == [f"{OLD_FILE}-wal", f"{OLD_FILE}-shm", "sync", OLD_FILE, "sync"]


@pytest.mark.parametrize("failing_step", range(5))
def test_failed_rename_of_paid_db_is_completed(
    old_folder: Path, failing_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file; the next use continues where the rename failed."""
    with monkeypatch.context() as patch:
        RenameSteps(patch, failing_step)
        with pytest.raises(StorageError, match=rf"{OLD_FILE} cannot be renamed"):
            find_numbers(SqliteEmbeddingCache(old_folder), 1)
    assert_renamed(old_folder)


def test_rename_of_paid_db_waits_for_processes_of_earlier_versions(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold the old lock while they write."""
    monkeypatch.setattr(embedding_cache, "WAIT_SECONDS", 0.01)
    with hold_lock(old_folder / OLD_LOCK, wait_seconds=0, operation="write"), pytest.raises(LockedError):
        find_numbers(SqliteEmbeddingCache(old_folder), 1)
    assert_renamed(old_folder)


def test_damaged_paid_db_is_set_aside_under_the_new_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is renamed first, and then replaced like any damaged file."""
    (tmp_path / OLD_FILE).write_bytes(b"no database" * 1_000)
    cache = SqliteEmbeddingCache(tmp_path)
    assert find_numbers(cache, 1) == []
    cache.put(SPACE, make_vectors(1))
    cache.close()
    assert len(list(tmp_path.glob(f"{FILE}.damaged-*"))) == 1
    assert "set aside" in caplog.text


def test_existing_cache_is_not_replaced_by_paid_db(cache: SqliteEmbeddingCache, old_folder: Path) -> None:
    """A file that an earlier version created after the rename stays as it is."""
    cache.put(SPACE, make_vectors(7))
    cache.close()
    shutil.copy(old_folder / OLD_FILE, cache.path.with_name(OLD_FILE))
    assert find_numbers(cache, 1, 7) == [7]
    assert cache.path.with_name(OLD_FILE).exists()


def test_fake_implements_the_port() -> None:
    """The file and the fake are interchangeable."""
    ports: Mapping[str, EmbeddingCache] = {"file": SqliteEmbeddingCache(Path("nowhere")), "none": NullEmbeddingCache()}
    assert [cache.find(SPACE, [key(1)]) for cache in ports.values()] == [{}, {}]


def read_size(cache: SqliteEmbeddingCache) -> int:
    """Return the stored size."""
    with cache._current_file().read() as db:
        return int(db.execute("SELECT bytes FROM size").fetchone()[0])
