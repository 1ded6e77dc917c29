"""Checksums that are stored beside rows, to tell bit rot when a row is read. Knows no table and no SQL.

CRC-32 finds every damage of up to 32 adjacent bits, and of any other all but one in four thousand million.
"""

import hashlib
import zlib
from typing import Any

COUNTS_FACTOR = 1_000_003
"""`meta.checksum` is this times the documents, and the chunks: SQL can keep that sum without reading the counts."""


def of_row(*values: Any) -> int:
    """Return the checksum of a row's values: texts, whole numbers or None, in a fixed order."""
    return zlib.crc32("\0".join(map(str, values)).encode(errors="surrogateescape"))


def of_vector(data: bytes, space_id: int, chunk_id: int) -> int:
    """Return the checksum of a stored vector, bound to its space and chunk."""
    return zlib.crc32(data, of_row(space_id, chunk_id))


def of_segment(document_id: int, ordinal: int, text: str) -> bytes:
    """Return the SHA-256 of a segment of a document's text, bound to its document and place."""
    return hashlib.sha256(f"{document_id} {ordinal}\n{text}".encode(errors="surrogateescape")).digest()


def of_counts(documents: int, chunks: int) -> int:
    """Return the checksum of the counts of a collection, or what it changes by when they change by this."""
    return COUNTS_FACTOR * documents + chunks
