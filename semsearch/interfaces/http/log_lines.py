"""Lines of the log: format them as JSON, and write them to stderr. Does not know what they say."""

import os
from contextlib import suppress
from datetime import UTC, datetime

import orjson

_STDERR = 2


def write_line(line: str) -> None:
    """Write a line with one system call, so that lines of several workers do not mix; ignore a closed stderr."""
    with suppress(OSError):
        os.write(_STDERR, f"{line}\n".encode())


def format_json(level: str, message: str, **fields: object) -> str:
    """Return one line: time in UTC, level and message first, then the fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"time": now, "level": level, "message": message, **fields}
    return orjson.dumps(entry, default=str).decode()
