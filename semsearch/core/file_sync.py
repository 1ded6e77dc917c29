"""Make the names of files and folders durable."""

import os
from contextlib import suppress
from pathlib import Path

from .errors import StorageError


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that the file names in it survive a power cut; StorageError if that fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise StorageError(
            f"the folder {folder} cannot be synced: {exc.strerror}; a power cut may undo the last change."
            " Check the disk, then repeat the change"
        ) from exc


def make_folders(folder: Path) -> None:
    """Create a folder and its missing parents, with mode 0700, durably: the parent of each new folder is synced.

    Raises OSError if a folder cannot be created, StorageError if a sync fails.
    """
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            sync_folder(path.parent)
        except StorageError:
            with suppress(OSError):  # the next call must sync again, so it must find no folder
                path.rmdir()
            raise
