"""Read Markdown files, with or without front matter. Does not follow links or includes."""

import re

from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder
from ..encodings import decode
from .markdown_blocks import add_markdown

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w -]{1,100}:)(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_PROSE_PARAGRAPH = re.compile(r"\n[ \t]*\n(?![\w -]{1,100}:|[ \t#]|\n|\Z)")
_TITLE = re.compile(
    r"""^title[ \t]*:[ \t]*(?:[>|][+-]?[ \t]*\n(?P<block>(?:[ \t]+\S.*\n)+)|(["']?)(?P<inline>.{1,500}?)\2[ \t]*$)""",
    re.MULTILINE | re.IGNORECASE,
)


def read(data: bytes) -> ParsedContent:
    """Read Markdown; the title is that of the front matter, else the first heading of the first level."""
    text = decode(data)
    builder, first_line = BlockBuilder(), 1
    front_matter = _FRONT_MATTER.match(text)
    if front_matter and not _PROSE_PARAGRAPH.search(
        front_matter[1]
    ):  # otherwise it is text between two thematic breaks
        title = _TITLE.search(front_matter[1])
        builder.title = title and (title["inline"] or title["block"])
        text, first_line = text[front_matter.end() :], 1 + front_matter[0].count("\n")
    add_markdown(builder, text, first_line=first_line)
    return builder.build()
