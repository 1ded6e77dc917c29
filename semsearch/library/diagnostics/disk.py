"""Check the free space of the disk that has the data directory."""

import os
from pathlib import Path

from ...core.types.diagnostics import Finding

MIN_FREE_BYTES, LOW_FREE_BYTES = 100 << 20, 1 << 30
"""Below the first a write may fail at any time; below the second an ingestion or a new index may not fit."""

_WHY = "a change that does not fit is refused, and a new index, which is written beside the old one, is not built"
_REMEDY = "free some space on that disk, or move the data directory to another one (--data-dir)"


def check_disk(folder: Path) -> list[Finding]:
    """Check the disk of the data directory, or of the nearest folder above it that exists."""
    existing = find_existing(folder)
    try:
        status = os.statvfs(existing)
    except OSError as exc:
        return [Finding("problem", "disk", f"the disk of {existing} cannot be read: {exc.strerror}")]
    has_room_for_files = not status.f_files or status.f_favail > 0
    return [judge_free_space(existing, status.f_bavail * status.f_frsize, has_room_for_files=has_room_for_files)]


def judge_free_space(folder: Path, free_bytes: int, *, has_room_for_files: bool = True) -> Finding:
    """Return the finding for so many free bytes, and whether the disk can have more files."""
    if not has_room_for_files:
        return Finding("problem", "disk", f"the disk of {folder} has no inode left for another file", _WHY, _REMEDY)
    free = f"{free_bytes / (1 << 30):.1f} GiB" if free_bytes >= LOW_FREE_BYTES else f"{free_bytes >> 20} MiB"
    what = f"{free} are free for {folder}"
    if free_bytes >= LOW_FREE_BYTES:
        return Finding("ok", "disk", what)
    return Finding("problem" if free_bytes < MIN_FREE_BYTES else "warning", "disk", what, _WHY, _REMEDY)


def find_existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if os.path.exists(path))
