"""Jupyter notebooks: prose, code and what it printed. Does not run anything, nor look at pictures."""

import json
import re
from typing import Any

from ..errors import UnsupportedMedia
from ..types import Content
from .commonmark import add_markdown
from .encodings import decode
from .outline import Outline

MAX_OUTPUT_CHARACTERS = 10_000
"""Of one cell; what a program printed beyond that is a log, not a text."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def read(data: bytes) -> Content:
    """Read the cells in order; the title is the first heading of the first level."""
    outline = Outline()
    for cell in _cells(decode(data)):
        source = _joined(cell.get("source"))
        if cell.get("cell_type") == "markdown":
            add_markdown(outline, source)
        else:
            outline.add(source.strip("\n"), "code")
        for output in filter(_is_object, cell.get("outputs") or ()):
            outline.add(_printed(output), "code")
    return outline.content()


def _cells(text: str) -> list[dict[str, Any]]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UnsupportedMedia(f"it is not a notebook: {exc}") from exc
    sheets = [notebook, *(notebook.get("worksheets") or ())] if isinstance(notebook, dict) else []
    cells = [cell for sheet in filter(_is_object, sheets) for cell in sheet.get("cells") or () if _is_object(cell)]
    if not cells:
        raise UnsupportedMedia("it is a notebook without cells, or no notebook")
    return cells


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _printed(output: dict[str, Any]) -> str:
    shown = output.get("data")
    text = shown.get("text/plain") if isinstance(shown, dict) else output.get("text")
    return _COLOURS.sub("", _joined(text))[:MAX_OUTPUT_CHARACTERS].strip("\n")


def _joined(text: object) -> str:
    if isinstance(text, list):
        return "".join(part for part in text if isinstance(part, str))
    return text if isinstance(text, str) else ""
