"""Read Markdown files, with or without front matter. Does not follow links or includes."""

from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder
from ..encodings import decode
from .front_matter import split_front_matter
from .markdown_blocks import add_markdown


def read(data: bytes) -> ParsedContent:
    """Read Markdown; the title is that of the front matter, else the first heading of the first level."""
    front_matter = split_front_matter(decode(data))
    builder = BlockBuilder(title=front_matter.title)
    add_markdown(builder, front_matter.body, first_line=front_matter.first_line)
    return builder.build()
