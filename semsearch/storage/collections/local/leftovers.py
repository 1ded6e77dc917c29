"""Hidden folders of a data directory: of collections that are being created or deleted, and of killed processes.

A creation holds the lock of the library until its folder has its name. So a process that gets the lock knows that
every such folder is a leftover. The files of a deleted collection may be removed by several processes at once.
"""

import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ....core.errors import LockedError, NotFoundError, StorageError
from ....core.file_locks import hold_lock

LIBRARY_LOCK = "library.lock"
CREATION_WAIT_SECONDS = 30.0
"""How long a creation waits for others: each takes a fraction of a second."""

_CREATING, _DELETED = ".creating-", ".deleted-"
_LEFTOVER = re.compile(rf"({re.escape(_CREATING)}|{re.escape(_DELETED)})[0-9a-f]{{16}}")

log = logging.getLogger(__name__)


def lock_library(data_dir: Path, operation: str, *, wait_seconds: float) -> AbstractContextManager[None]:
    """Hold the lock of the library: as long as it is held, no folder of a creation is a leftover."""
    return hold_lock(data_dir / LIBRARY_LOCK, wait_seconds=wait_seconds, operation=operation)


def name_creation(data_dir: Path) -> Path:
    """Return a new path for a collection that is being created."""
    return data_dir / f"{_CREATING}{secrets.token_hex(8)}"


def name_deleted(data_dir: Path) -> Path:
    """Return a new path for a collection that is being deleted."""
    return data_dir / f"{_DELETED}{secrets.token_hex(8)}"


def sweep(data_dir: Path) -> None:
    """Remove what killed creations and deletions have left. Creates nothing if there is nothing to remove."""
    leftovers = list(_list_leftovers(data_dir))
    if any(path.name.startswith(_CREATING) for path in leftovers):
        _hide_killed_creations(data_dir)
        leftovers = list(_list_leftovers(data_dir))
    for path in leftovers:
        if path.name.startswith(_DELETED) and (error := remove_folder(path)) is not None:
            log.warning("a part of a deleted collection, %s, cannot be removed: %s", path.name, error.strerror)


def remove_folder(folder: Path) -> OSError | None:
    """Remove a folder with all that it contains; return the first error after which a part of it remains."""
    errors: list[OSError] = []

    def note(function: object, path: object, exc_info: tuple[type[BaseException], BaseException, object]) -> None:
        if isinstance(exc_info[1], OSError) and not isinstance(exc_info[1], FileNotFoundError):
            errors.append(exc_info[1])

    shutil.rmtree(folder, onerror=note)
    return errors[0] if errors and os.path.lexists(folder) else None


def _hide_killed_creations(data_dir: Path) -> None:
    """Rename the folders of killed creations to those of deletions, unless a creation is running."""
    with (
        suppress(LockedError, NotFoundError, StorageError, OSError),  # the next start tries again
        lock_library(data_dir, "remove leftovers", wait_seconds=0),
    ):
        for path in _list_leftovers(data_dir):
            if path.name.startswith(_CREATING):
                path.rename(name_deleted(data_dir))


def _list_leftovers(data_dir: Path) -> Iterator[Path]:
    try:
        with os.scandir(data_dir) as entries:
            yield from (
                Path(entry.path)
                for entry in entries
                if _LEFTOVER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except OSError:  # the first access to a collection reports it
        return
