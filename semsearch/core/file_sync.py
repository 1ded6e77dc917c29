"""Durable names of files."""

import os
from pathlib import Path

from .errors import StorageError


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; Storage if that fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise StorageError(
            f"the folder {folder} cannot be synced: {exc.strerror}; a power cut may undo the last change:"
            " check the disk, and repeat it"
        ) from exc
