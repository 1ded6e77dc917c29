"""Parsing of command-line arguments: filters, metadata, text from stdin. Independent of the commands."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from ...core.errors import InvalidError, MalformedError


def read_text(argument: str) -> str:
    """Return the argument itself, or the text of stdin if it is `-`."""
    return sys.stdin.read() if argument == "-" else argument


def parse_filters(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Parse filters and join several with $and; each is a JSON object, or `key=value`. None if there is none."""
    filters = [
        _parse_object(argument) if argument.lstrip().startswith("{") else parse_pairs([argument])
        for argument in arguments
    ]
    return {"$and": filters} if len(filters) > 1 else next(iter(filters), None)


def parse_pairs(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse `key=value` arguments; a value that is valid JSON is parsed as JSON, any other stays a string."""
    return dict(map(_parse_pair, arguments))


def _parse_pair(argument: str) -> tuple[str, Any]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise InvalidError(f"{argument[:60]!r} does not have the form key=value")
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return key, value
    return key, _parse_json_argument(value)


def _parse_object(argument: str) -> dict[str, Any]:
    value = _parse_json_argument(argument)
    assert isinstance(value, dict)  # the argument begins with a brace
    return value


def _parse_json_argument(argument: str) -> object:
    from ..strict_json import parse_json

    try:
        return parse_json(argument)
    except MalformedError as exc:
        raise InvalidError(f"{argument[:60]!r} is not valid JSON: {exc}") from exc
