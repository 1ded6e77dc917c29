"""How many cores are counted: a quota of a container is one of its own kind, in two ways to write it."""

import os
from pathlib import Path

import pytest

from semsearch.core.child_process import count_usable_cores

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("max 100000\n", ALL),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("9900000 100000\n", ALL),
        ("", ALL),
        ("100000\n", ALL),
        ("100000 0\n", ALL),
    ],
)
def test_a_quota_counts(tmp_path: Path, written: str, expected: int) -> None:
    """A part of a core is one; what cannot be read is no limit."""
    (tmp_path / "cpu.max").write_text(written)
    assert count_usable_cores(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", ALL), ("100000\n", 1)])
def test_a_quota_of_the_first_version_counts(tmp_path: Path, quota: str, expected: int) -> None:
    """There -1 is no limit."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert count_usable_cores(tmp_path) == expected


def test_a_quota_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight cores two and a half are three."""
    monkeypatch.setattr("semsearch.core.child_process.os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert count_usable_cores(tmp_path) == 3


def test_without_groups_all_are_counted(tmp_path: Path) -> None:
    """Such as where there is no kernel that has them."""
    assert count_usable_cores(tmp_path) == ALL
