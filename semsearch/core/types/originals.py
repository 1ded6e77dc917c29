"""Types of originals: the bytes of the sources of documents, and their records."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal

from ..short_repr import format_repr, shorten_middle

OriginalState = Literal["kept", "text", "no_space", "changed"]
"""Whether the store keeps the source of a document that is not below a registered folder: it does; there is no file,
because the document came as a text; there was no space for it; it changed while it was ingested."""


@dataclass(frozen=True, slots=True)
class OriginalFile:
    """The bytes of a source that the store shall keep."""

    open: Callable[[], BinaryIO]
    size: int


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """What the store knows of the source of a document, and its bytes if it keeps them."""

    sha256: str
    media_type: str
    root_name: str | None
    """Name of the registered folder that has the file."""
    state: OriginalState | None
    """None for a file of a registered folder, and for a document that was stored before originals were kept."""
    data: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Original:
    """The source of a document, byte for byte as it was ingested.

    >>> handbook.get_original("docs/leave.md")
    Original('leave.md', text/markdown, 49 bytes)
    """

    data: bytes
    media_type: str
    filename: str
    """The last part of the document's uri."""
    content_sha256: str
    """SHA-256 of `data`, in hexadecimal."""

    def __repr__(self) -> str:
        """Return its name, type and size."""
        return format_repr(self, shorten_middle(self.filename), self.media_type, f"{len(self.data):,} bytes")
