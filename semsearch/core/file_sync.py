"""Make the names of files durable."""

import os
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
