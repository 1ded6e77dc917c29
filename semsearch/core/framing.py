"""What travels through the pipes of a child process, and what such a process is given. Starts none."""

import os
import signal
import struct
import sys
from collections.abc import Sequence
from typing import IO

MAX_FRAME_BYTES = 1 << 30
_FRAME_HEADER = struct.Struct(">Q")


def send(stream: IO[bytes], *parts: bytes) -> None:
    """Write one frame for each part: its length, then itself."""
    for part in parts:
        stream.write(_FRAME_HEADER.pack(len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read one frame; None if the other side has ended, or says something absurd."""
    head = stream.read(_FRAME_HEADER.size)
    if len(head) < _FRAME_HEADER.size:
        return None
    (length,) = _FRAME_HEADER.unpack(head)
    if length > MAX_FRAME_BYTES:
        return None
    body = stream.read(length)
    return body if len(body) == length else None


def open_child_streams() -> tuple[IO[bytes], IO[bytes]]:
    """What this child is asked through, and what it answers through."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the parent as an answer
    return sys.stdin.buffer, answers


def build_child_environment(import_path: Sequence[str]) -> dict[str, str]:
    """What a child needs to import what its parent imports; no key or other secret of the parent is among it."""
    return {
        "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in import_path),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # it may not write files at all
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space, which is bounded
    }
