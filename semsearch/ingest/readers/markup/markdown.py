"""Markdown files, with or without front matter. Does not follow links or includes."""

import re

from ....core.types.documents import Content
from ..block_builder import Outline
from ..encodings import decode
from .markdown_blocks import add_markdown

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w -]{1,100}:)(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_PROSE = re.compile(r"\n[ \t]*\n(?![\w -]{1,100}:|[ \t#]|\n|\Z)")
_TITLE = re.compile(
    r"""^title[ \t]*:[ \t]*(?:[>|][+-]?[ \t]*\n(?P<below>(?:[ \t]+\S.*\n)+)|(["']?)(?P<beside>.{1,500}?)\2[ \t]*$)""",
    re.MULTILINE | re.IGNORECASE,
)


def read(data: bytes) -> Content:
    """Read Markdown; the title is that of the front matter, else the first heading of the first level."""
    text = decode(data)
    outline, first_line = Outline(), 1
    front = _FRONT_MATTER.match(text)
    if front and not _PROSE.search(front[1]):  # else it is a text between two rules
        title = _TITLE.search(front[1])
        outline.title = title and (title["beside"] or title["below"])
        text, first_line = text[front.end() :], 1 + front[0].count("\n")
    add_markdown(outline, text, first_line=first_line)
    return outline.content()
