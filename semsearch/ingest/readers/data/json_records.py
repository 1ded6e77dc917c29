"""Read JSON and JSON Lines as lines of `path: value`. Does not know any schema."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import Locator, ParsedContent
from ..block_builder import EMPTY_LOCATOR, BlockBuilder, collapse_whitespace
from ..encodings import decode


def read(data: bytes) -> ParsedContent:
    """Read one JSON value; each element of a list, and each nested value of an object, is a block."""
    value = _parse_json(decode(data))
    builder = BlockBuilder()
    if isinstance(value, dict) and isinstance(value.get("title"), str):
        builder.title = value["title"]
    for part in _split_value(value):
        _add_value(builder, part, EMPTY_LOCATOR)
    return builder.build()


def read_lines(data: bytes) -> ParsedContent:
    """Read one record per line; a line that is not JSON is kept as text."""
    builder = BlockBuilder()
    for number, text in enumerate(decode(data).split("\n"), 1):
        locator = Locator(lines=(number, number))
        try:
            _add_value(builder, _parse_json(text) if text.strip() else "", locator)
        except UnsupportedMediaError:
            builder.add(collapse_whitespace(text), "paragraph", locator)
    return builder.build()


def _parse_json(text: str) -> Any:
    try:
        # numbers are kept as text: no digit is lost, and no number is too long to parse
        return json.loads(text, parse_int=str, parse_float=str)
    except ValueError as exc:
        raise UnsupportedMediaError(f"it is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise UnsupportedMediaError("its values are nested too deeply") from exc


def _split_value(value: object) -> list[object]:
    if isinstance(value, list):
        return value if any(isinstance(part, list | dict) for part in value) else [value]
    if not isinstance(value, dict):
        return [value]
    parts: list[object] = []
    for nested, run in groupby(value.items(), lambda item: isinstance(item[1], list | dict)):
        if not nested:
            parts.append(dict(run))
            continue
        for key, part in run:
            parts += [{key: element} for element in _split_value(part)] if isinstance(part, list) else [{key: part}]
    return parts


def _add_value(builder: BlockBuilder, value: object, locator: Locator) -> None:
    lines = [f"{path}: {text}" if path else text for path, text in _dotted_names(value) if text]
    builder.add("\n".join(lines), "list" if len(lines) > 1 else "paragraph", locator)


def _dotted_names(value: object) -> Iterator[tuple[str, str]]:
    """Yield every scalar with its path, in order; the elements of a list have the path of the list."""
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        path, current = stack.pop()
        if isinstance(current, dict):
            stack += reversed(
                [
                    (f"{path}.{collapse_whitespace(key)}" if path else collapse_whitespace(key), child)
                    for key, child in current.items()
                ]
            )
        elif isinstance(current, list) and any(isinstance(child, list | dict) for child in current):
            stack += reversed([(path, child) for child in current])
        elif isinstance(current, list):
            yield path, ", ".join(map(_format_scalar, current))
        else:
            yield path, _format_scalar(current)


def _format_scalar(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else collapse_whitespace(str(value))
