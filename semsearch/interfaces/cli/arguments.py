"""What arguments say: filters, metadata, a text that comes from stdin. Knows no verb."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from ...core.errors import InvalidError, MalformedError


def read_text(argument: str) -> str:
    """The argument itself, or for - what is on stdin."""
    return sys.stdin.read() if argument == "-" else argument


def parse_filters(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Several filters are ANDed; each is JSON, or key=value with the value as JSON if it is some."""
    parts = [_parse_object(each) if each.lstrip().startswith("{") else parse_pairs([each]) for each in arguments]
    return {"$and": parts} if len(parts) > 1 else next(iter(parts), None)


def parse_pairs(arguments: Sequence[str]) -> dict[str, Any]:
    """What is said as key=value, with the value as JSON if it is some."""
    return dict(map(_parse_pair, arguments))


def _parse_pair(argument: str) -> tuple[str, Any]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise InvalidError(f"{argument[:60]!r} is not of the form key=value")
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return key, value
    return key, _parse_json_argument(value)


def _parse_object(argument: str) -> dict[str, Any]:
    value = _parse_json_argument(argument)
    assert isinstance(value, dict)  # it begins with a brace
    return value


def _parse_json_argument(argument: str) -> object:
    from ..strict_json import parse_json

    try:
        return parse_json(argument)
    except MalformedError as exc:
        raise InvalidError(f"{argument[:60]!r} is not JSON to go by: {exc}") from exc
