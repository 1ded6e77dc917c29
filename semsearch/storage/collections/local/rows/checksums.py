"""Checksums that are stored with rows, to detect damage when a row is read. Contains no SQL.

CRC-32 detects every damage of up to 32 adjacent bits, and misses any other with a probability of 1 in 4 billion.
"""

import hashlib
import zlib
from typing import Any

COUNTS_FACTOR = 1_000_003
"""`meta.checksum` is this factor times the documents, plus the chunks, so that SQL can update it incrementally."""

_ROW_FORMATS = ["\0".join(["%s"] * count) for count in range(20)]
"""Format of a row by its number of values. Formatting takes half of the time of `"\\0".join(map(str, values))`."""


def row_checksum(*values: Any) -> int:
    """Return the CRC-32 of the values of a row: texts, integers or None, in a fixed order."""
    return zlib.crc32((_ROW_FORMATS[len(values)] % values).encode("utf-8", "surrogateescape"))


def vector_checksum(data: bytes, space_id: int, chunk_id: int) -> int:
    """Return the CRC-32 of a stored vector with its space and chunk."""
    return zlib.crc32(data, row_checksum(space_id, chunk_id))


def segment_digest(document_id: int, ordinal: int, text: str) -> bytes:
    """Return the SHA-256 of a segment of text with its document and ordinal."""
    return hashlib.sha256(f"{document_id} {ordinal}\n{text}".encode(errors="surrogateescape")).digest()


def counts_checksum(documents: int, chunks: int) -> int:
    """Return the checksum of the counts of a collection, or its change when they change by these numbers."""
    return COUNTS_FACTOR * documents + chunks
