"""A temporary file without a name: the kernel deletes it when its owner ends, however that happens."""

import os
import tempfile


class UnnamedFile:
    """Bytes that are appended and read at any offset; readable by nobody else. Closed with the object."""

    def __init__(self) -> None:
        """Create the file in the folder for temporary files; OSError if that is not possible."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
        self._is_flushed = True
        self.size = 0

    def append(self, data: bytes) -> int:
        """Append bytes and return their offset; OSError if there is no space."""
        offset = self.size
        self._file.write(data)
        self.size += len(data)
        self._is_flushed = False
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset."""
        if not self._is_flushed:
            self._file.flush()
            self._is_flushed = True
        return os.pread(self._file.fileno(), length, offset)

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):  # false if it could not be created
            self._file.close()
