"""A large request body in a temporary file without a name, which nobody else can open."""

import errno
import os
import threading
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from ...core.errors import StorageError, UnavailableError

_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class SpooledFile:
    """A file that grows by parts and is then read; made at the first part. Its methods may be called on any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes; StorageError if the disk does not take them."""
        with self._lock:
            if self._is_closed:  # the client has left
                return
            try:
                self._file = self._file or _open_unnamed_file(self._folder)
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as exc:
                if exc.errno in _NO_DESCRIPTORS:
                    raise UnavailableError("too many files are open in the service; try again later") from exc
                reason = os.strerror(exc.errno or 0)  # the text of the error may name folders of the service
                raise StorageError(
                    f"the request cannot be kept on the disk of the service while it arrives: {reason}; the operator of"
                    " the service must free space, or make its data directory writable"
                ) from exc

    def open(self) -> BinaryIO:
        """Return a file that reads from the start. One reader at a time: all share one position."""
        with self._lock:
            if self._file is None or self._is_closed:
                raise UnavailableError("the request has ended; send it again")
            descriptor = os.dup(self._file.fileno())  # valid after `close`
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.fdopen(descriptor, "rb")

    def close(self) -> None:
        """Delete the file; its space is free once no reader has it open."""
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()


def _open_unnamed_file(folder: Path) -> FileIO:
    """Return a new file of mode 0600 in `folder`, or else in that of TMPDIR, unlinked already."""
    from tempfile import TemporaryFile  # late: small requests do not need it

    try:
        return TemporaryFile(buffering=0, dir=folder)
    except OSError as exc:
        if exc.errno in _NO_DESCRIPTORS:
            raise
        return TemporaryFile(buffering=0)  # the folder is not made yet, or read-only
