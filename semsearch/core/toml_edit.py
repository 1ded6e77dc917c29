"""Change settings in the text of a TOML file; comments, order and all other settings stay. Reads and writes no file.

Edits lines of the usual form, `key = value` below `[table]`. The result is parsed and compared with the expected
values: a file of another form (inline tables, dotted keys, values over several lines) is refused, never damaged.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from .errors import ConflictError

Changes = Mapping[str, Mapping[str, str | int | float | None]]
"""New values by table, such as `chat` or `profiles.support`, and key; None removes the key."""

_HEADER = re.compile(r"\s*\[")
_VALUE = r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'\[{]+)"""
"""A value on one line: a string, a number, a date or a boolean."""


def edit_toml(text: str, changes: Changes) -> str:
    """Return the text with the changes; ConflictError if the settings to change do not stand in the usual form."""
    edited = text
    for table, values in changes.items():
        edited = _edit_table(edited, table, values)
    try:
        is_as_expected = tomllib.loads(edited) == _apply(tomllib.loads(text), changes)
    except tomllib.TOMLDecodeError:
        is_as_expected = False
    if not is_as_expected:
        tables = " and ".join(f"[{table}]" for table in changes)
        raise ConflictError(
            f"{tables} cannot be changed automatically: write each setting on its own line below the name of its"
            " table, or edit the file by hand"
        )
    return edited


def quote_toml(value: str) -> str:
    """Return a basic string of TOML.

    >>> print(quote_toml('C:\\\\keys "new"'))
    "C:\\\\keys \\"new\\""
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def format_toml(value: str | float) -> str:
    """Return a string or a number of TOML."""
    return quote_toml(value) if isinstance(value, str) else repr(value)


def _apply(table: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return the parsed file as it must be after the changes; a table without values equals none."""
    result = table
    for name, values in changes.items():
        result = _apply_to_table(result, name.split("."), values)
    return result


def _apply_to_table(table: dict[str, Any], path: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parsed table with the values set in the subtable at a path."""
    if not path:
        return {key: value for key, value in {**table, **values}.items() if value is not None}
    old = table.get(path[0], {})
    changed = _apply_to_table(old if isinstance(old, dict) else {}, path[1:], values)
    return {**table, path[0]: changed} if changed or path[0] in table else table


def _edit_table(text: str, table: str, values: Mapping[str, str | int | float | None]) -> str:
    """Return the text with the values of one table set."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(newline)
    start = _find_header(lines, table)
    new_values = {key: value for key, value in values.items() if value is not None}
    if start is None:
        if not new_values:
            return text
        lines, start = _append_header(lines, table)
    end = next((row for row in range(start + 1, len(lines)) if _HEADER.match(lines[row])), len(lines))
    section = _set_values(lines[start:end], values)
    return newline.join([*lines[:start], *section, *lines[end:]])


def _find_header(lines: list[str], table: str) -> int | None:
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(?:#.*)?")
    return next((row for row, line in enumerate(lines) if header.fullmatch(line)), None)


def _append_header(lines: list[str], table: str) -> tuple[list[str], int]:
    """Return the lines with a new table at the end, and the row of its header."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    lines = [*lines, *([""] if lines else []), f"[{table}]", ""]
    return lines, len(lines) - 2


def _set_values(section: list[str], values: Mapping[str, str | int | float | None]) -> list[str]:
    """Return the lines of one table with the values set; new ones follow its last setting."""
    for key, value in values.items():
        row = _find_key(section, key)
        if row is not None:
            section = [*section[:row], *_replace_value(section[row], value), *section[row + 1 :]]
        elif value is not None:
            end = max(row for row, line in enumerate(section) if row == 0 or _is_setting(line)) + 1
            section = [*section[:end], f"{key} = {format_toml(value)}", *section[end:]]
    return section


def _find_key(section: list[str], key: str) -> int | None:
    pattern = re.compile(rf"\s*{re.escape(key)}\s*={_VALUE}(?:\s*#.*)?\s*")
    return next((row for row, line in enumerate(section) if pattern.fullmatch(line)), None)


def _replace_value(line: str, value: str | int | float | None) -> list[str]:
    """Return the line with another value and its comment; no line if the value is None."""
    if value is None:
        return []
    name, _, rest = line.partition("=")
    return [f"{name}= {format_toml(value)}{re.sub(_VALUE, '', rest, count=1)}"]


def _is_setting(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
