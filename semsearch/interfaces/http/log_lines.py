"""Lines of the log: format them as JSON, and write them to stderr. Does not know what they say."""

import os
import select
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import orjson

_STDERR = 2


def write_line(line: str) -> None:
    """Write a line with one system call, so that lines of several workers do not mix; ignore a closed stderr."""
    _write(f"{line}\n".encode())


def write_lines(lines: Iterable[str]) -> None:
    """Write lines with few system calls, each of whole lines and of what a pipe takes at once (`PIPE_BUF`)."""
    data = b""
    for line in lines:
        encoded = f"{line}\n".encode()
        if data and len(data) + len(encoded) > select.PIPE_BUF:
            _write(data)
            data = b""
        data += encoded
    if data:
        _write(data)


def _write(data: bytes) -> None:
    with suppress(OSError):
        os.write(_STDERR, data)


def format_json(level: str, message: str, **fields: object) -> str:
    """Return one line: time in UTC, level and message first, then the fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"time": now, "level": level, "message": message, **fields}
    return orjson.dumps(entry, default=str).decode()
