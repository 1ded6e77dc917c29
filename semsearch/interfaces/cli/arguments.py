"""What arguments say: filters, metadata, a text that comes from stdin. Knows no verb."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from ...core.errors import Invalid, Malformed


def text(argument: str) -> str:
    """The argument itself, or for - what is on stdin."""
    return sys.stdin.read() if argument == "-" else argument


def where(given: Sequence[str]) -> dict[str, Any] | None:
    """Several filters are ANDed; each is JSON, or key=value with the value as JSON if it is some."""
    parts = [_object(each) if each.lstrip().startswith("{") else pairs([each]) for each in given]
    return {"$and": parts} if len(parts) > 1 else next(iter(parts), None)


def pairs(given: Sequence[str]) -> dict[str, Any]:
    """What is said as key=value, with the value as JSON if it is some."""
    return dict(map(_pair, given))


def _pair(said: str) -> tuple[str, Any]:
    key, equals, value = said.partition("=")
    if not equals:
        raise Invalid(f"{said[:60]!r} is not of the form key=value")
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return key, value
    return key, _strict(value)


def _object(said: str) -> dict[str, Any]:
    value = _strict(said)
    assert isinstance(value, dict)  # it begins with a brace
    return value


def _strict(said: str) -> object:
    from ..strict_json import decoded

    try:
        return decoded(said)
    except Malformed as exc:
        raise Invalid(f"{said[:60]!r} is not JSON to go by: {exc}") from exc
