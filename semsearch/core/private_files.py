"""Write files that only their owner can read, each replaced atomically by a rename."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .file_sync import sync_folder

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


def write_private_file(path: Path, data: bytes) -> None:
    """Replace a file atomically; its mode is 0600. Raises OSError if it cannot be written, StorageError if not synced.

    The folder must exist.
    """
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(temporary, flags, _FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700, or set the mode of an existing one. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        sync_folder(path.parent)
    if folder.stat().st_mode & 0o077:
        folder.chmod(_FOLDER_MODE)
