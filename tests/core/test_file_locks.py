"""File locks: the description of their holder, and errors."""

import os
import resource
import sys
from pathlib import Path

import pytest

from semsearch.core.errors import LockedError, NotFoundError, StorageError
from semsearch.core.file_locks import hold_lock


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/bin/semsearch", "ask", "Is Ann ill?", "-c", "hr"], "(semsearch ask)"),
        (["/usr/bin/semsearch", "--data-dir", "/home/Ann", "--json", "reindex"], "(semsearch reindex)"),
        (["/usr/bin/semsearch", "--config", "/home/Ann.toml", "reindex"], "(semsearch reindex)"),
        (["/usr/bin/semsearch", "--data-dir=/home/Ann", "ingest", "Ann.md"], "(semsearch ingest)"),
        (["/lib/semsearch/__main__.py", "serve"], "(semsearch serve)"),
        (["import_patients.py", "Ann.csv"], "(import_patients.py)"),
        (["/usr/bin/semsearch"], "(semsearch)"),
        ([""], "(python)"),
    ],
)
def test_message_names_process_and_verb_of_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], expected: str
) -> None:
    """Its arguments may be private, and appear neither in the message nor in the lock file."""
    monkeypatch.setattr(sys, "argv", command)
    path = tmp_path / "hb" / "job.lock"
    path.parent.mkdir()
    with (
        hold_lock(path, wait_seconds=0, operation="ingest"),
        pytest.raises(LockedError, match="cannot reindex in hb now") as locked,
        hold_lock(path, wait_seconds=0, operation="reindex"),
    ):
        pass
    assert f"process {os.getpid()} {expected} is at work" in str(locked.value)
    assert b"Ann" not in path.read_bytes()


def test_lock_is_held_on_a_full_disk(tmp_path: Path) -> None:
    """Only the holder's description is missing in the message."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with hold_lock(tmp_path / "lock", wait_seconds=0, operation="write"):
            expected_error = pytest.raises(LockedError, match="another process")
            with expected_error, hold_lock(tmp_path / "lock", wait_seconds=0, operation="read"):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_deleted_folder_is_named(tmp_path: Path) -> None:
    """The message says "folder", because not only collections have locks."""
    expected_error = pytest.raises(NotFoundError, match="the folder indexes was deleted")
    with expected_error, hold_lock(tmp_path / "indexes" / "ledger.lock", wait_seconds=0, operation="write"):
        pass


def test_lock_file_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    """Here its folder is a file; the message points to the data directory."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="cannot be opened"),
        hold_lock(tmp_path / "file" / "job.lock", wait_seconds=0, operation="ingest"),
    ):
        pass
