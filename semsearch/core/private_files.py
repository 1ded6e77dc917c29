"""Files and folders that only their owner can read: create them, replace a file atomically, restrict existing ones."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from .file_sync import sync_folder

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, which gets mode 0600 if it is created: an `opener` of `open`."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def make_private(path: Path) -> None:
    """Take the access of group and others from a file or folder. No effect if it is missing or owned by another."""
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & FOLDER_MODE)


def write_private_file(path: Path, data: bytes) -> None:
    """Replace a file atomically; its mode is 0600. Raises OSError if it cannot be written, StorageError if not synced.

    The folder must exist.
    """
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb", opener=open_private) as file:
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
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(path.parent)
    if folder.stat().st_mode & 0o077:
        folder.chmod(FOLDER_MODE)
