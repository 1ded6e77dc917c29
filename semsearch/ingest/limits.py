"""All limits of one document: what reading and chunking it may cost. TooLargeError names the limit."""

from ..core.errors import TooLargeError

MAX_SOURCE_BYTES = 64 << 20
MAX_TEXT_CHARACTERS = 64 << 20
"""Of the text after expansion: a small file can refer to the same long text a million times."""
MAX_HEADING_CHARACTERS_REPEATED = 64 << 20
"""Of the heading paths of all blocks together: each block is stored with its own."""
MAX_BLOCKS = 1_000_000
MAX_CELLS = 5_000_000
"""Cells of all tables of a document that are stored; a line of a table has at least one."""
MAX_CHUNKS = 100_000
MAX_ELEMENT_ATTRIBUTES = 1_000
"""Attributes of one element: parsers compare each one with all others of its element."""

MAX_IN_PROCESS_BYTES = 256 << 10
"""Plain text up to this size is read in this process."""
MAX_IN_PROCESS_REQUEST_BYTES = 256 << 10
"""Plain text of one request that is read in this process; a reader process reads the rest."""
READ_TIMEOUT_SECONDS = 100.0
"""Of one document, including chunking; within the 120 seconds that an upload may take."""
MAX_READER_MEMORY_BYTES = 2 << 30
MAX_RESPONSE_BYTES = 2 << 30
"""Of all frames of one document, which wait in a temporary file."""
MAX_BUFFERED_BYTES = 8 << 20
"""Of these frames; a document with more is not held in memory: its parts are read from the file, slice by slice."""
SLICE_CHUNKS = 1_024
"""Chunks that are embedded together; other writers and searches get their turn between two slices."""


def check_chunk_count(count: int) -> None:
    """Raise TooLargeError if a document has more chunks than allowed."""
    if count > MAX_CHUNKS:
        raise TooLargeError(f"it has more than {MAX_CHUNKS:,} chunks; split it")


def check_cell_count(count: int) -> None:
    """Raise TooLargeError if the tables of a document have more cells than allowed."""
    if count > MAX_CELLS:
        raise TooLargeError(f"its tables have more than {MAX_CELLS:,} cells; split it")


def check_repeated_headings(characters: int) -> None:
    """Raise TooLargeError if the headings above the blocks have more characters together than allowed."""
    if characters > MAX_HEADING_CHARACTERS_REPEATED:
        raise TooLargeError(
            f"the headings above its paragraphs have more than {MAX_HEADING_CHARACTERS_REPEATED:,} characters"
            " together; shorten them, or split it"
        )
