"""Kernel locks: what they say, and what harms them not."""

import resource
from pathlib import Path

import pytest

from semsearch.errors import Locked, NotFound
from semsearch.locks import held


def test_who_holds_it_is_said(tmp_path: Path) -> None:
    """Whoever waits in vain is told by whom."""
    with held(tmp_path / "lock", wait=0, doing="write"):
        told = pytest.raises(Locked, match=r"cannot read in .* now: process \d+")
        with told, held(tmp_path / "lock", wait=0, doing="read"):
            pass


def test_a_full_disk_harms_no_holder(tmp_path: Path) -> None:
    """The word for those who wait is left out, and the lock is held all the same."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with held(tmp_path / "lock", wait=0, doing="write"):
            told = pytest.raises(Locked, match="another process")
            with told, held(tmp_path / "lock", wait=0, doing="read"):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """Whatever lay in it: not only collections have locks."""
    told = pytest.raises(NotFound, match="the folder indexes was deleted")
    with told, held(tmp_path / "indexes" / "ledger.lock", wait=0, doing="write"):
        pass
