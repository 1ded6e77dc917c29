"""The nouns: what travels between the rooms of the house. Does nothing by itself.

A *document* is typed blocks; its canonical text is their join. A *chunk* is a span of that text. A search returns
*hits*. All offsets count Unicode characters of the canonical text.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from .usage import IngestEstimate, Usage

if TYPE_CHECKING:  # numpy takes longer to import than `semsearch --help` may last
    import numpy as np
    import numpy.typing as npt

Vectors: TypeAlias = "npt.NDArray[np.float32]"
"""Embeddings, one unit vector a row: shape (n, dim)."""

Ids: TypeAlias = "npt.NDArray[np.int64]"
"""Chunk ids."""

Scalar = str | int | float | bool | None
Metadata = Mapping[str, Scalar | list[Scalar]]
Span = tuple[int, int]
BlockKind = Literal["heading", "paragraph", "list", "table", "code"]
PutStatus = Literal["added", "updated", "unchanged"]

BLOCK_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class Locator:
    """Where a block stands in its source, as a person would look it up."""

    headings: tuple[str, ...] = ()
    """Headings above it, outermost first; for a heading block they include itself."""
    page: int | None = None
    """Page of a PDF or slide of a presentation, from 1."""
    sheet: str | None = None
    """Sheet of a workbook."""
    lines: tuple[int, int] | None = None
    """First and last line of a text file, or row of a sheet, from 1."""


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading, list, table or piece of code.

    The text of a `table` has one row per line, cells joined by " | ", and its first line is the header row.
    """

    text: str
    kind: BlockKind = "paragraph"
    locator: Locator = Locator()


@dataclass(frozen=True, slots=True)
class ParsedContent:
    """What a reader found in a file: its blocks in reading order, and its own title if it states one."""

    blocks: tuple[Block, ...]
    title: str | None = None


@dataclass(frozen=True)
class Document:
    """One source, read and cleaned, ready to be cut."""

    uri: str
    title: str
    media_type: str
    blocks: tuple[Block, ...]
    sha256: str
    """Of the source's bytes, in hex."""
    reader_version: str
    """Name and version of what read and cut it; a change means that it is read again."""
    metadata: Metadata = field(default_factory=dict)
    root_name: str | None = None
    """Name of the folder that it is a file of; None for what was named by itself."""

    @cached_property
    def text(self) -> str:
        """The canonical text: every offset anywhere counts in this."""
        return BLOCK_SEPARATOR.join(block.text for block in self.blocks)

    @cached_property
    def block_spans(self) -> tuple[Span, ...]:
        """Where each block stands in the canonical text."""
        spans, offset = [], 0
        for block in self.blocks:
            spans.append((offset, offset + len(block.text)))
            offset += len(block.text) + len(BLOCK_SEPARATOR)
        return tuple(spans)


@dataclass(frozen=True)
class Chunk:
    """A span of a document's text: `document.text[start:end] == text`, always."""

    start: int
    end: int
    text: str
    heading: str
    """The heading path, joined by " › "; empty where there is none."""
    page: int | None
    embedding_prefix: str
    """What is embedded in front of the text: title › headings, and the header row of a cut table."""
    sentences: tuple[Span, ...]
    """Sentences, rows or lines in it, counted from the chunk's own start; headings left out."""

    @property
    def embedding_text(self) -> str:
        """The exact text that is embedded."""
        return f"{self.embedding_prefix}\n{self.text}" if self.embedding_prefix else self.text

    @cached_property
    def text_hash(self) -> str:
        """Identity of the embedded text, in hex; equal texts share one embedding."""
        return hashlib.sha256(self.embedding_text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """A document, and all the chunks that it was cut into."""

    document: Document
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class SourceRoot:
    """A folder whose files are named `<name>/<path below it>`. The path is never shown over HTTP."""

    name: str
    path: Path
    has_explicit_name: bool = field(default=False, compare=False)
    """Whether the name was asked for, and is not just the folder's own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a text from anywhere, before it is read."""

    uri: str
    media_type: str
    open: Callable[[], BinaryIO]
    path: Path | None = None
    """Where it lies, for a file that is named by its place."""
    root: SourceRoot | None = None
    """The folder below which it was found; such a folder itself, where there is nothing in it."""
    title: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that could not be read or stored: a value, because it harms only itself."""

    uri: str
    error: str
    type: str


@dataclass(slots=True)
class IngestReport:
    """What an ingestion did, counted as it goes."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    embedded_chunks: int = 0
    failures: list[Failure] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    plan: IngestEstimate | None = None
    """Of a dry run."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """What `put` did with one document."""

    uri: str
    status: PutStatus
    chunks: int


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What is stored for a uri, as far as it decides whether to read the source again."""

    sha256: str
    reader_version: str
    title: str
    media_type: str
    metadata: Metadata
    root_name: str | None


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A stored document without its text."""

    uri: str
    title: str
    media_type: str
    language: str
    chunks: int
    characters: int
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class StoredDocument(DocumentInfo):
    """A stored document with its canonical text, against which any citation can be checked."""

    text: str
    content_sha256: str


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection at a glance."""

    name: str
    embedder: str
    documents: int
    chunks: int


HEADING_SEPARATOR = " › "
