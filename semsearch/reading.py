"""What a reader plugin imports; docs/extending.md says how these names are used and how long they stay.

from semsearch.reading import BlockBuilder, ParsedContent
"""

from .core.errors import NothingToIndexError, TooLargeError, UnsupportedMediaError
from .core.ports import Reader
from .core.types.documents import Block, BlockKind, Locator, ParsedContent
from .ingest.readers.block_builder import BlockBuilder, format_table

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
]
