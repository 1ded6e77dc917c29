"""Kernel locks between processes and threads. A lock dies with its holder, so none is ever left behind."""

import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import Locked, NotFound, Storage

_POLL_SECONDS = 0.005
_WORD = 200
"""Bytes that say who holds it: always as many, because to cut a file short takes longer than to write it."""


@contextmanager
def held(path: Path, *, wait: float, doing: str) -> Iterator[None]:
    """Hold the lock file `path`; Locked names the holder if it is not free within `wait` seconds."""
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, time.monotonic() + wait, doing)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as exc:
        raise NotFound(f"the folder {path.parent.name} was deleted") from exc
    except OSError as exc:
        raise Storage(f"{path} cannot be opened: {exc.strerror}; is the data directory writable?") from exc


def _acquire(descriptor: int, path: Path, until: float, doing: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as exc:
            if time.monotonic() >= until:
                holder = os.pread(descriptor, _WORD, 0).decode(errors="replace").strip() or "another process"
                raise Locked(
                    f"cannot {doing} in {path.parent.name} now: {holder} is at work; try again when it is done"
                ) from exc
        time.sleep(_POLL_SECONDS)


def _sign(descriptor: int) -> None:
    """Leave word of who holds it, for those who wait."""
    word = f"process {os.getpid()} ({shlex.join(_command())})".encode(errors="replace")[:_WORD].ljust(_WORD)
    if os.pread(descriptor, _WORD, 0) != word:  # who held it last is often the same
        with suppress(OSError):  # a full disk is said by what is written under the lock, if anything is
            os.pwrite(descriptor, word, 0)


def _command() -> list[str]:
    """The program, and the verb where it is ours; nothing else of the line, which may be private."""
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
