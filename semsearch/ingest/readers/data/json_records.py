"""JSON and JSON Lines, as lines of `path: value`. Does not know any schema."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content, Locator
from ..block_builder import NOWHERE, Outline, line
from ..encodings import decode


def read(data: bytes) -> Content:
    """Read one JSON value; each element of a list, and each nested value of an object, is a block."""
    value = _parsed(decode(data))
    outline = Outline()
    if isinstance(value, dict) and isinstance(value.get("title"), str):
        outline.title = value["title"]
    for part in _parts(value):
        _add(outline, part, NOWHERE)
    return outline.content()


def read_lines(data: bytes) -> Content:
    """Read one record per line; a line that is not JSON is kept as it stands."""
    outline = Outline()
    for number, text in enumerate(decode(data).split("\n"), 1):
        at = Locator(lines=(number, number))
        try:
            _add(outline, _parsed(text) if text.strip() else "", at)
        except UnsupportedMedia:
            outline.add(line(text), "paragraph", at)
    return outline.content()


def _parsed(text: str) -> Any:
    try:
        return json.loads(
            text, parse_int=str, parse_float=str
        )  # as written: no digit is lost, and no number is too long
    except ValueError as exc:
        raise UnsupportedMedia(f"it is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise UnsupportedMedia("its values are nested too deep to be read") from exc


def _parts(value: object) -> list[object]:
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
            parts += [{key: element} for element in _parts(part)] if isinstance(part, list) else [{key: part}]
    return parts


def _add(outline: Outline, value: object, at: Locator) -> None:
    lines = [f"{path}: {text}" if path else text for path, text in _leaves(value) if text]
    outline.add("\n".join(lines), "list" if len(lines) > 1 else "paragraph", at)


def _leaves(value: object) -> Iterator[tuple[str, str]]:
    """Every plain value with its path, in order; the elements of a list stand under the list's own path."""
    todo: list[tuple[str, object]] = [("", value)]
    while todo:
        path, part = todo.pop()
        if isinstance(part, dict):
            todo += reversed([(f"{path}.{line(key)}" if path else line(key), inner) for key, inner in part.items()])
        elif isinstance(part, list) and any(isinstance(inner, list | dict) for inner in part):
            todo += reversed([(path, inner) for inner in part])
        elif isinstance(part, list):
            yield path, ", ".join(map(_plain, part))
        else:
            yield path, _plain(part)


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else line(str(value))
