"""The files of originals in a collection's folder, named by their SHA-256. Does not know which are needed."""

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Collection, Iterable, Set
from pathlib import Path

from ....core.errors import StorageError
from ....core.file_sync import make_folders, sync_folder
from ....core.private_files import open_private
from ....core.types.originals import OriginalFile

FOLDER = "originals"
STALE_SECONDS = 3600.0
"""A file that was written aside longer ago than this belongs to a process that ended."""

_TEMPORARY_PREFIX = ".new-"

log = logging.getLogger(__name__)


class OriginalFiles:
    """The folder, which is made with the first file."""

    def __init__(self, collection_folder: Path) -> None:
        self.folder = collection_folder / FOLDER

    def exists(self, sha256: str) -> bool:
        """Return whether there is a file with this hash."""
        return (self.folder / sha256).is_file()

    def read(self, sha256: str) -> bytes | None:
        """Return the bytes of a file; None if it is missing or damaged."""
        try:
            data = (self.folder / sha256).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StorageError(f"an original cannot be read: {exc.strerror}; check the disk") from exc
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def write_aside(self, original: OriginalFile, sha256: str) -> Path | None:
        """Write a source under a temporary name and sync it; None if it is not the one with this hash any more."""
        try:
            with original.open() as source:
                data = source.read(original.size + 1)
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            return None
        path = self.folder / f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            if not self.folder.is_dir():
                make_folders(self.folder)
            with open(path, "xb", opener=open_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            self.delete([path])
            raise _not_written(exc) from exc
        return path

    def publish(self, path: Path, sha256: str) -> None:
        """Give a file that was written aside its name, which `sync` makes durable."""
        try:
            path.rename(self.folder / sha256)
        except OSError as exc:
            raise _not_written(exc) from exc

    def sync(self) -> None:
        """Make the names of the files durable."""
        sync_folder(self.folder)

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete files; one that cannot be deleted is logged."""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                log.warning("the file %s is not needed any more and cannot be deleted: %s", path.name, exc.strerror)

    def delete_all_but(self, kept: Set[str], staged: Collection[Path]) -> bool:
        """Delete all files but these, and those that another process may be writing; return whether there are such.

        `staged` are files that the caller has written aside: they stay, and are not counted.
        """
        try:
            with os.scandir(self.folder) as entries:
                unnamed = [Path(entry.path) for entry in entries if entry.name not in kept]
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise StorageError(f"the folder of originals cannot be listed: {exc.strerror}; check the disk") from exc
        others = set(unnamed).difference(staged)
        young = set(filter(_is_being_written, others))
        self.delete(others - young)
        return bool(young)

    def delete_hashes(self, hashes: Iterable[str]) -> None:
        """Delete the files with these hashes."""
        self.delete(self.folder / sha256 for sha256 in hashes)


def _is_being_written(path: Path) -> bool:
    if not path.name.startswith(_TEMPORARY_PREFIX):
        return False
    try:
        return path.lstat().st_mtime > time.time() - STALE_SECONDS
    except FileNotFoundError:  # its process has just renamed or deleted it
        return False


def _not_written(exc: OSError) -> StorageError:
    return StorageError(f"the original of a document cannot be written: {exc.strerror}; free some space and try again")
