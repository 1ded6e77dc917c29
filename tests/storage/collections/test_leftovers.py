"""Folders that killed creations and deletions leave are removed at the next start; a running creation is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.core.errors import StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.storage.collections.local.leftovers import LIBRARY_LOCK

CANARY = "canary-3b8f1d60"

KILLED_COMMAND = """
import os, sys
from semsearch.interfaces.cli.main import main

def kill(*args, **options):
    os.kill(os.getpid(), 9)

call, *arguments = sys.argv[1:]
sys.argv = ["semsearch", *arguments]
setattr(os, call, kill)
main()
"""


def run_until(call: str, *arguments: str) -> None:
    """Run a command that is killed at its first call of this function of `os`."""
    command = [sys.executable, "-c", KILLED_COMMAND, call, *arguments]
    process = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def list_hidden_names(folder: Path) -> list[str]:
    """Return the names of the hidden entries of a data directory."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def is_readable(folder: Path, text: str) -> bool:
    """Return whether a file below the folder contains the text."""
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def make_collection(folder: Path) -> None:
    """Create the collection `hb` with one document."""
    with Library(folder) as library:
        library.create("hb").upsert([text_source("a.txt", f"The word is {CANARY}.")])


@pytest.mark.slow
def test_text_of_a_killed_deletion_is_gone_at_the_next_start(tmp_path: Path) -> None:
    """The collection was hidden already, but no file of it was removed."""
    make_collection(tmp_path)
    run_until("unlink", "--data-dir", str(tmp_path), "collections", "delete", "hb", "--yes")
    assert is_readable(tmp_path, CANARY)
    with Library(tmp_path) as library:
        assert library.collections() == []
        assert list_hidden_names(tmp_path) == []
    assert not is_readable(tmp_path, CANARY)


@pytest.mark.slow
def test_folder_of_a_killed_creation_is_gone_at_the_next_start(tmp_path: Path) -> None:
    """The collection does not exist."""
    run_until("rename", "--data-dir", str(tmp_path), "collections", "create", "hb")
    assert list_hidden_names(tmp_path)
    with Library(tmp_path) as library:
        assert library.collections() == []
        assert list_hidden_names(tmp_path) == []
        assert library.create("hb").info().documents == 0


def test_running_creation_is_not_swept(tmp_path: Path) -> None:
    """A creation holds the lock of the library; a deletion that another process continues needs none."""
    creating, deleted = tmp_path / ".creating-0123456789abcdef", tmp_path / ".deleted-0123456789abcdef"
    for folder in (creating, deleted):
        folder.mkdir()
        (folder / "catalog.db").write_bytes(b"x")
    with hold_lock(tmp_path / LIBRARY_LOCK, wait_seconds=0, operation="create"), Library(tmp_path):
        assert list_hidden_names(tmp_path) == [creating.name]
    with Library(tmp_path):
        assert list_hidden_names(tmp_path) == []


def test_other_names_are_not_swept(tmp_path: Path) -> None:
    """Files, links and other hidden folders do not belong to semsearch."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"")
    (tmp_path / ".deleted-notes").mkdir()
    (tmp_path / ".deleted-0123456789abcdef").symlink_to(outside)
    (tmp_path / ".creating-0123456789abcdef").write_bytes(b"")
    with Library(tmp_path):
        assert len(list_hidden_names(tmp_path)) == 3
    assert (outside / "kept").exists()


def test_start_creates_nothing(tmp_path: Path) -> None:
    """A library may be opened for a folder that does not exist, or that only others may write."""
    with Library(tmp_path / "new"):
        assert not (tmp_path / "new").exists()
    with Library(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_deletion_that_leaves_files_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the files are removed later; the collection is gone."""
    make_collection(tmp_path)

    def fail(*args: object, **options: object) -> None:
        raise OSError(5, "Input/output error")

    with Library(tmp_path) as library:
        monkeypatch.setattr(os, "unlink", fail)
        with pytest.raises(StorageError, match=r"hb is deleted, but .* Input/output error; .* next start"):
            library.delete("hb")
        assert not library.exists("hb")
        monkeypatch.undo()
    with Library(tmp_path):
        assert not is_readable(tmp_path, CANARY)
