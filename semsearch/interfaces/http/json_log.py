"""Lines of the log as JSON. Does not write them."""

from datetime import UTC, datetime

import orjson


def format_json(level: str, message: str, **fields: object) -> str:
    """Return one line: time in UTC, level and message first, then the fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"time": now, "level": level, "message": message, **fields}
    return orjson.dumps(entry, default=str).decode()
