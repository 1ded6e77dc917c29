"""Open regular files only. A pipe or link that replaced a file since it was found neither blocks nor is followed."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; OSError for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no longer a file", str(path))
    return os.fdopen(descriptor, "rb")


def read_head(path: Path, max_bytes: int) -> bytes:
    """Return the first bytes of a regular file."""
    with open_regular_file(path) as file:
        return file.read(max_bytes)
