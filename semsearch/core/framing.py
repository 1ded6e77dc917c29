"""Frames for the pipes of child processes, and the environment of a child process. Starts no process."""

import os
import signal
import struct
import sys
from collections.abc import Sequence
from typing import IO

MAX_FRAME_BYTES = 1 << 30
_FRAME_HEADER = struct.Struct(">Q")


def send(stream: IO[bytes], *parts: bytes) -> None:
    """Write one frame for each part: its length, then its bytes."""
    for part in parts:
        stream.write(_FRAME_HEADER.pack(len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read one frame; None if the stream has ended or the frame is invalid."""
    header = stream.read(_FRAME_HEADER.size)
    if len(header) < _FRAME_HEADER.size:
        return None
    (length,) = _FRAME_HEADER.unpack(header)
    if length > MAX_FRAME_BYTES:
        return None
    body = stream.read(length)
    return body if len(body) == length else None


def open_child_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return the streams of this child process: one to read requests from, one to write responses to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that a library prints must not reach the parent as a response
    return sys.stdin.buffer, responses


def build_child_environment(import_path: Sequence[str]) -> dict[str, str]:
    """Return the environment of a child that imports from `import_path`; it has no secret of the parent."""
    return {
        "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in import_path),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # a child may not write files
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space, which is limited
    }
