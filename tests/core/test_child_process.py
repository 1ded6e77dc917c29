"""The number of usable cores: CPU affinity, and CPU quotas of cgroups version 1 and 2."""

import os
from pathlib import Path

import pytest

from semsearch.core.child_process import count_usable_cores

ALL_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [
        ("max 100000\n", ALL_CORES),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("9900000 100000\n", ALL_CORES),
        ("", ALL_CORES),
        ("100000\n", ALL_CORES),
        ("100000 0\n", ALL_CORES),
    ],
)
def test_quota_limits_the_cores(tmp_path: Path, cpu_max: str, expected: int) -> None:
    """A quota below one core counts as one core; an unreadable quota is no limit."""
    (tmp_path / "cpu.max").write_text(cpu_max)
    assert count_usable_cores(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", ALL_CORES), ("100000\n", 1)])
def test_quota_of_cgroups_version_1_limits_the_cores(tmp_path: Path, quota: str, expected: int) -> None:
    """In version 1, -1 means no limit."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert count_usable_cores(tmp_path) == expected


def test_quota_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota of 2.5 cores on a machine of eight counts as three."""
    monkeypatch.setattr("semsearch.core.child_process.os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert count_usable_cores(tmp_path) == 3


def test_all_cores_count_without_cgroups(tmp_path: Path) -> None:
    """A system without cgroups has no quota."""
    assert count_usable_cores(tmp_path) == ALL_CORES
