"""Read Jupyter notebooks: Markdown, code and its output. Does not run code or read images."""

import json
import re
from typing import Any

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..encodings import decode
from ..markup.html_blocks import add_fragment
from ..markup.markdown_blocks import add_markdown

MAX_OUTPUT_CHARACTERS = 10_000
"""Longest output of one cell; longer output is mostly logs."""
MAX_MARKUP_CHARACTERS = 10 * MAX_OUTPUT_CHARACTERS

_ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OBJECT_REPR = re.compile(r"<IPython\.[\w.]+ object>|<[\w.]+(?: object)? at 0x[0-9a-fA-F]+>")
"""The text of an output that has only an image or markup."""


def read(data: bytes) -> ParsedContent:
    """Read the cells in order; the title is the first heading of the first level."""
    builder = BlockBuilder()
    for cell in _parse_cells(decode(data)):
        source, kind = _join_texts(cell.get("source") or cell.get("input")), cell.get("cell_type")
        if kind == "markdown":
            add_markdown(builder, source)
        elif kind == "heading":
            level = cell.get("level")
            marks = "#" * level if isinstance(level, int) and 0 < level < 7 else "#"
            add_markdown(builder, f"{marks} {collapse_whitespace(source)}")
        else:
            builder.add(source.strip("\n"), "code")
        for output in _select_objects(cell.get("outputs")):
            _add_output(builder, output)
    return builder.build()


def _parse_cells(text: str) -> list[dict[str, Any]]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UnsupportedMediaError(f"it is not a notebook: {exc}") from exc
    sheets = [notebook, *_select_objects(notebook.get("worksheets"))] if isinstance(notebook, dict) else []
    cells = [cell for sheet in sheets for cell in _select_objects(sheet.get("cells"))]
    if not cells:
        raise UnsupportedMediaError("it is a notebook without cells, or no notebook")
    return cells


def _select_objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _add_output(builder: BlockBuilder, output: dict[str, Any]) -> None:
    """Add the plain text of an output or the traceback of an error, else its markup."""
    representations = output.get("data")
    if not isinstance(representations, dict):
        representations = {"text/plain": output.get("text"), "text/html": output.get("html")}
    text = _join_texts(representations.get("text/plain")) or _join_texts(output.get("traceback"), "\n")
    text = _ANSI_COLOUR.sub("", text)[:MAX_OUTPUT_CHARACTERS].strip("\n")
    if text and not _OBJECT_REPR.fullmatch(text):
        builder.add(text, "code")
        return
    markdown, latex, html = (_join_texts(representations.get(f"text/{kind}")) for kind in ("markdown", "latex", "html"))
    # a separate builder: headings in an output are not headings of the notebook
    output_builder = BlockBuilder(title="")
    add_markdown(output_builder, markdown[:MAX_MARKUP_CHARACTERS])
    for block in output_builder.blocks:
        builder.add(block.text, "paragraph" if block.kind == "heading" else block.kind)
    if not output_builder.blocks:
        builder.add(latex[:MAX_OUTPUT_CHARACTERS].strip())
        add_fragment(builder, html[:MAX_MARKUP_CHARACTERS])


def _join_texts(texts: object, separator: str = "") -> str:
    if isinstance(texts, list):
        return separator.join(text for text in texts if isinstance(text, str))
    return texts if isinstance(texts, str) else ""
