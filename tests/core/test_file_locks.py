"""Kernel locks: what they say of their holder, and what harms them not."""

import os
import resource
import sys
from pathlib import Path

import pytest

from semsearch.core.errors import LockedError, NotFoundError, StorageError
from semsearch.core.file_locks import hold_lock


@pytest.mark.parametrize(
    ("command", "told"),
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
def test_the_holder_is_named_by_its_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], told: str
) -> None:
    """With its process, and without its arguments, which may be private."""
    monkeypatch.setattr(sys, "argv", command)
    path = tmp_path / "hb" / "job.lock"
    path.parent.mkdir()
    with (
        hold_lock(path, wait_seconds=0, operation="ingest"),
        pytest.raises(LockedError, match="cannot reindex in hb now") as locked,
        hold_lock(path, wait_seconds=0, operation="reindex"),
    ):
        pass
    assert f"process {os.getpid()} {told} is at work" in str(locked.value)
    assert b"Ann" not in path.read_bytes()


def test_a_full_disk_harms_no_holder(tmp_path: Path) -> None:
    """The word for those who wait is left out, and the lock is held all the same."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with hold_lock(tmp_path / "lock", wait_seconds=0, operation="write"):
            told = pytest.raises(LockedError, match="another process")
            with told, hold_lock(tmp_path / "lock", wait_seconds=0, operation="read"):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """Whatever lay in it: not only collections have locks."""
    told = pytest.raises(NotFoundError, match="the folder indexes was deleted")
    with told, hold_lock(tmp_path / "indexes" / "ledger.lock", wait_seconds=0, operation="write"):
        pass


def test_a_lock_below_a_file_is_an_error(tmp_path: Path) -> None:
    """It says that the data directory is to be looked at."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="cannot be opened"),
        hold_lock(tmp_path / "file" / "job.lock", wait_seconds=0, operation="ingest"),
    ):
        pass
