"""What a reader plugin imports; docs/extending.md says how these names are used and how long they stay.

from semsearch.ingest.reader_api import BlockBuilder, ParsedContent
"""

from ..core.errors import NothingToIndexError, TooLargeError, UnsupportedMediaError
from ..core.ports import Reader
from ..core.types.documents import Block, BlockKind, Locator, ParsedContent
from .readers import READERS
from .readers.block_builder import BlockBuilder, format_table

__all__ = [
    "Block",
    "BlockBuilder",
    "BlockKind",
    "Locator",
    "NothingToIndexError",
    "ParsedContent",
    "Reader",
    "TooLargeError",
    "UnsupportedMediaError",
    "format_table",
    "read_as",
]


def read_as(data: bytes, media_type: str) -> ParsedContent:
    """Return the content of bytes in a built-in format, such as the text/markdown that a converter has made.

    The built-in reader is used, even if a plugin declares the media type. UnsupportedMediaError if there is none.
    """
    if media_type not in READERS:
        raise UnsupportedMediaError(f"there is no built-in reader for {media_type}")
    return READERS[media_type]()(data)
