"""Jupyter notebooks: prose, code and what it printed. Does not run anything, nor look at pictures."""

import json
import re
from typing import Any

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content
from ..block_builder import Outline, line
from ..encodings import decode
from ..markup.html_blocks import add_fragment
from ..markup.markdown_blocks import add_markdown

MAX_OUTPUT_CHARACTERS = 10_000
"""Of one cell; what a program printed beyond that is a log, not a text."""
MAX_MARKUP_CHARACTERS = 10 * MAX_OUTPUT_CHARACTERS

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NAME_OF_OBJECT = re.compile(r"<IPython\.[\w.]+ object>|<[\w.]+(?: object)? at 0x[0-9a-fA-F]+>")
"""What stands for a text where there is only a picture or markup."""


def read(data: bytes) -> Content:
    """Read the cells in order; the title is the first heading of the first level."""
    outline = Outline()
    for cell in _cells(decode(data)):
        source, kind = _joined(cell.get("source") or cell.get("input")), cell.get("cell_type")
        if kind == "markdown":
            add_markdown(outline, source)
        elif kind == "heading":
            level = cell.get("level")
            marks = "#" * level if isinstance(level, int) and 0 < level < 7 else "#"
            add_markdown(outline, f"{marks} {line(source)}")
        else:
            outline.add(source.strip("\n"), "code")
        for output in _objects(cell.get("outputs")):
            _add_output(outline, output)
    return outline.content()


def _cells(text: str) -> list[dict[str, Any]]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UnsupportedMedia(f"it is not a notebook: {exc}") from exc
    sheets = [notebook, *_objects(notebook.get("worksheets"))] if isinstance(notebook, dict) else []
    cells = [cell for sheet in sheets for cell in _objects(sheet.get("cells"))]
    if not cells:
        raise UnsupportedMedia("it is a notebook without cells, or no notebook")
    return cells


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _add_output(outline: Outline, output: dict[str, Any]) -> None:
    """The plain text of an output or the traceback of an error, else its markup."""
    shown = output.get("data")
    if not isinstance(shown, dict):
        shown = {"text/plain": output.get("text"), "text/html": output.get("html")}
    text = _joined(shown.get("text/plain")) or _joined(output.get("traceback"), "\n")
    text = _COLOURS.sub("", text)[:MAX_OUTPUT_CHARACTERS].strip("\n")
    if text and not _NAME_OF_OBJECT.fullmatch(text):
        outline.add(text, "code")
        return
    markdown, latex, html = (_joined(shown.get(f"text/{kind}")) for kind in ("markdown", "latex", "html"))
    inner = Outline(title="")  # its headings open none in the notebook
    add_markdown(inner, markdown[:MAX_MARKUP_CHARACTERS])
    for block in inner.blocks:
        outline.add(block.text, "paragraph" if block.kind == "heading" else block.kind)
    if not inner.blocks:
        outline.add(latex[:MAX_OUTPUT_CHARACTERS].strip())
        add_fragment(outline, html[:MAX_MARKUP_CHARACTERS])


def _joined(texts: object, separator: str = "") -> str:
    if isinstance(texts, list):
        return separator.join(text for text in texts if isinstance(text, str))
    return texts if isinstance(texts, str) else ""
