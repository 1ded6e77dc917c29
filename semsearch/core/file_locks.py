"""File locks between processes and threads. The kernel releases a lock when its holder ends, so none becomes stale."""

import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import LockedError, NotFoundError, StorageError

_POLL_SECONDS = 0.005
_HOLDER_BYTES = 200
"""Fixed length of the holder's description in the lock file: truncating a file takes longer than overwriting it."""


@contextmanager
def hold_lock(path: Path, *, wait_seconds: float, operation: str) -> Iterator[None]:
    """Hold the lock on the file `path`; LockedError names the holder if it is not free within `wait_seconds`."""
    descriptor = _open_lock_file(path)
    try:
        _acquire(descriptor, path, time.monotonic() + wait_seconds, operation)
        _write_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _open_lock_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as exc:
        raise NotFoundError(f"the folder {path.parent.name} was deleted") from exc
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be opened: {exc.strerror}; check that the data directory is writable"
        ) from exc


def _acquire(descriptor: int, path: Path, deadline: float, operation: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as exc:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace").strip() or "another process"
                raise LockedError(
                    f"cannot {operation} in {path.parent.name} now: {holder} is at work; try again when it is done"
                ) from exc
        time.sleep(_POLL_SECONDS)


def _write_holder(descriptor: int) -> None:
    """Write into the lock file which process holds it, for the messages of waiting processes."""
    holder = f"process {os.getpid()} ({shlex.join(_current_command())})".encode(errors="replace")[:_HOLDER_BYTES].ljust(
        _HOLDER_BYTES
    )
    if os.pread(descriptor, _HOLDER_BYTES, 0) != holder:  # the last holder is often the same process
        with suppress(OSError):  # on a full disk, writes under the lock raise the error
            os.pwrite(descriptor, holder, 0)


def _current_command() -> list[str]:
    """Return the program, and the verb of a semsearch command; other arguments may be private."""
    folder, program = os.path.split(sys.argv[0] or "python")
    if program == "__main__.py":  # python -m
        program = os.path.basename(folder)
    words = iter(sys.argv[1:] if program == "semsearch" else ())
    for word in words:
        if word in ("--data-dir", "--config"):
            next(words, None)
        elif not word.startswith("-"):
            return [program, word]
    return [program]
