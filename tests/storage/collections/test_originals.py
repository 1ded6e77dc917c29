"""Files of originals and their rows: a crash at any step leaves every stored original readable."""

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.stores import NewStore
from support.writing import make_document, make_file_document, put_document

from semsearch.core.errors import StorageError
from semsearch.search.filters import parse_filter
from semsearch.storage.collections.local import commit_file, original_files
from semsearch.storage.collections.local.rows import originals as rows
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

Calls = list[str]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What happens to files of originals, and the commits, in order."""
    recorded: Calls = []
    real_sync, real_rename, real_unlink, real_commit = os.fsync, os.rename, os.unlink, commit_file.write

    def record_sync(descriptor: int) -> None:
        real_sync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if original_files.FOLDER in path.parts:
            recorded.append("sync the folder" if path.is_dir() else "sync the file")

    def record_rename(path: Path, target: Path) -> None:
        real_rename(path, target)
        recorded.append("rename")

    def record_unlink(path: Path, **options: int) -> None:
        real_unlink(path, **options)
        recorded.append("unlink")

    def record_commit(folder: Path, number: int) -> None:
        real_commit(folder, number)
        recorded.append("commit")

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record_rename)
    monkeypatch.setattr(os, "unlink", record_unlink)
    monkeypatch.setattr(commit_file, "write", record_commit)
    return recorded


def test_original_is_durable_before_the_commit_that_refers_to_it(new_store: NewStore, calls: Calls) -> None:
    """An old one is deleted after the commit that refers to it no more."""
    store = new_store("one")
    calls.clear()
    put_document(store, make_file_document("a", "A lamp."))
    assert calls == ["sync the file", "rename", "sync the folder", "commit"]
    calls.clear()
    put_document(store, make_file_document("a", "A bell."))
    assert calls == ["sync the file", "rename", "sync the folder", "commit", "unlink"]
    calls.clear()
    store.remove(["a"])
    assert calls == ["commit", "unlink"]


def test_only_its_owner_can_read_an_original(new_store: NewStore) -> None:
    """The mode of the files is 0600."""
    store = new_store("one")
    put_document(store, make_file_document("a", "A lamp."))
    (file,) = (store.folder / "originals").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


STEPS = ("fsync", "fdatasync", "rename", "unlink")


def run_until_step(folder: Path, number: int, change: Callable[[LocalStore], object]) -> bool:
    """Change a store in a child process that ends before or behind a step; return whether it ended there.

    `number` counts the moments before and behind each call of `STEPS`, from 1.
    """
    child = os.fork()
    if child == 0:
        remaining = number

        def make_ending(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                pass_moment()
                result = real(*arguments, **options)
                pass_moment()
                return result

            return call

        def pass_moment() -> None:
            nonlocal remaining
            remaining -= 1
            if remaining == 0:
                os._exit(9)

        try:
            for name in STEPS:
                setattr(os, name, make_ending(getattr(os, name)))
            change(LocalStore(folder))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def replace_and_remove(store: LocalStore) -> None:
    """Replace the file of one document, remove another one, and add the bytes of the removed one again."""
    put_document(store, make_file_document("a", "A bell."))
    store.remove(["b"])
    put_document(store, make_file_document("c", "A door."))


def test_crash_at_any_step_loses_no_original(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stored document has the bytes of its hash, and the next write deletes what a crash left."""
    number, is_ended = 0, True
    while is_ended:
        number += 1
        store = new_store(f"crash{number}")
        put_document(store, make_file_document("a", "A lamp."))
        put_document(store, make_file_document("b", "A door."))
        store.close()
        is_ended = run_until_step(store.folder, number, replace_and_remove)
        with closing(LocalStore(store.folder)) as reopened:
            assert_originals_are_complete(reopened)
            with monkeypatch.context() as patch:
                patch.setattr(original_files, "STALE_SECONDS", -10.0)
                put_document(reopened, make_document("text", "A text."))
            files = {path.name for path in (store.folder / "originals").iterdir()}
            assert files == assert_originals_are_complete(reopened)
    assert number > 24


def assert_originals_are_complete(store: LocalStore) -> set[str]:
    """Check the original of each document that is one; return their hashes."""
    infos = store.documents(None, 10)
    originals = [store.original(info.uri) for info in infos if info.uri != "text"]
    assert {info.uri for info in infos} >= {"a"}
    hashes = set()
    for stored in originals:
        assert stored is not None
        assert stored.state == "kept"
        assert stored.data in (b"A lamp.", b"A bell.", b"A door.")
        hashes.add(stored.sha256)
    return hashes


def test_file_that_another_process_writes_is_not_swept(new_store: NewStore) -> None:
    """It is deleted when it is older than any write."""
    store = new_store("one")
    put_document(store, make_file_document("a", "A lamp."))
    fresh, old = (store.folder / "originals" / f".new-{name}" for name in ("fresh", "old"))
    for path in (fresh, old):
        path.write_bytes(b"A bell.")
    hours_ago = time.time() - 3 * original_files.STALE_SECONDS
    os.utime(old, (hours_ago, hours_ago))
    put_document(new_store("one"), make_document("b", "A text."))
    assert (fresh.exists(), old.exists()) == (True, False)


@pytest.mark.parametrize("write", ["put", "remove", "remove_matching"])
def test_young_file_of_a_crash_is_swept_when_it_is_stale(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """By any later write of the same process, which does not list the folder before."""
    path = new_store("one").folder / "originals" / ".new-crash"
    put_document(new_store("one"), make_file_document("a", "A lamp."))
    path.write_bytes(b"A bell.")
    store = new_store("one")

    def change(number: int) -> None:
        if write == "put":
            put_document(store, make_file_document("b", f"The text {number}."))
        elif write == "remove":
            store.remove(["none"])
        else:
            store.remove_matching(parse_filter({"team": "none"}))

    change(1)
    assert path.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + original_files.STALE_SECONDS - 60.0)
    change(2)
    assert path.exists()
    monkeypatch.setattr(time, "time", lambda: now + original_files.STALE_SECONDS + 60.0)
    change(3)
    assert not path.exists()
    assert store.original("a") is not None
    path.write_bytes(b"A bell.")
    os.utime(path, (0.0, 0.0))
    change(4)
    assert path.exists()  # it cannot be of this process, which swept once


def test_failed_put_keeps_the_old_original(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the new one is deleted by the next write."""
    store = new_store("one")
    put_document(store, make_file_document("a", "A lamp."))

    def fail(*arguments: object) -> list[str]:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(rows, "delete_unused", fail)  # the last step of the transaction
        with pytest.raises(StorageError, match="full"):
            put_document(store, make_file_document("a", "A bell."))
    stored = store.original("a")
    assert stored is not None
    assert stored.data == b"A lamp."
    assert len(list((store.folder / "originals").iterdir())) == 2
    put_document(store, make_document("b", "A text."))
    assert len(list((store.folder / "originals").iterdir())) == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"A lump.")], ids=["missing", "changed"])
def test_damaged_original_is_an_error(new_store: NewStore, damage: Callable[[Path], object]) -> None:
    """It names the document; the document itself can be read, removed and stored again."""
    store = new_store("one")
    put_document(store, make_file_document("a", "A lamp."))
    (file,) = (store.folder / "originals").iterdir()
    damage(file)
    with pytest.raises(StorageError, match="document 'a' is damaged on disk: its original"):
        store.original("a")
    assert store.document("a") is not None
    store.remove(["a"])
    put_document(store, make_file_document("a", "A lamp."))
    stored = store.original("a")
    assert stored is not None
    assert stored.data == b"A lamp."


def test_original_that_cannot_be_written_fails_the_put(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: nothing is stored, and nothing is left."""
    store = new_store("one")
    put_document(store, make_file_document("a", "A lamp."))

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="cannot be written: No space left"):
            put_document(store, make_file_document("a", "A bell."))
    stored = store.original("a")
    assert stored is not None
    assert stored.data == b"A lamp."
    assert len(list((store.folder / "originals").iterdir())) == 1


def test_documents_of_earlier_versions_have_no_original(new_store: NewStore) -> None:
    """Their state is unknown."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp."))
    with store._catalog.write("test") as db:
        db.execute("UPDATE document SET original = NULL")
    stored = store.original("a")
    assert stored is not None
    assert (stored.state, stored.data, stored.root_name) == (None, None, None)
