"""Types of documents, chunks, sources and ingestion reports.

A *document* consists of typed blocks; its canonical text is their join. A *chunk* is a span of that text. All offsets
count Unicode characters of the canonical text.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, TypeAlias

from ..short_repr import format_fields, format_repr, shorten_middle
from .evidence import BrokenAnswer
from .originals import OriginalFile
from .usage import IngestEstimate, Usage

if TYPE_CHECKING:  # importing numpy takes longer than `semsearch --help` may take
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
SourceRole = Literal["changelog", "contents", "index", "api_list", "licence"]
"""Kinds of text that name many things and explain none; `ingest.source_roles` recognises them."""

BLOCK_SEPARATOR = "\n\n"
HEADING_SEPARATOR = " › "


@dataclass(frozen=True, slots=True)
class Locator:
    """Position of a block in its source, in terms that a reader can look up."""

    headings: tuple[str, ...] = ()
    """Headings above it, outermost first; a heading block includes its own."""
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


class BlockPosition(NamedTuple):
    """Where a block of a document is, in its canonical text and in its source."""

    start: int
    end: int
    kind: BlockKind
    locator: Locator


@dataclass(frozen=True, slots=True)
class ParsedContent:
    """Parsed content of a file: its blocks in reading order, and its title if the file has one."""

    blocks: tuple[Block, ...]
    title: str | None = None
    page_map: bytes = b""
    """Of a PDF: where the text of the blocks is on its pages, encoded by `ingest.page_map`; empty if not known."""


@dataclass(frozen=True)
class Document:
    """A source that was read and cleaned, before chunking."""

    uri: str
    title: str
    media_type: str
    blocks: tuple[Block, ...]
    sha256: str
    """Hash of the source's bytes, in hexadecimal."""
    reader_version: str
    """Names and versions of its reader and chunker; the source is read again when they change."""
    metadata: Metadata = field(default_factory=dict)
    root_name: str | None = None
    """Name of the source root that has the file; None for a single file or a text."""
    original: OriginalFile | None = field(default=None, compare=False)
    """The file that the store shall keep; None for a file below a root, and for a text."""
    page_map: bytes = b""
    """Of a PDF: where the text is on its pages, encoded by `ingest.page_map`; empty if not known."""

    @cached_property
    def text(self) -> str:
        """The canonical text, which all offsets refer to."""
        return BLOCK_SEPARATOR.join(block.text for block in self.blocks)

    def iter_segments(self, size: int) -> Iterator[str]:
        """Yield the canonical text in segments of `size` characters; the last one may be shorter."""
        for start in range(0, len(self.text), size):
            yield self.text[start : start + size]

    def iter_block_positions(self) -> Iterator[BlockPosition]:
        """Yield span, kind and locator of each block."""
        for block, (start, end) in zip(self.blocks, self.block_spans, strict=True):
            yield BlockPosition(start, end, block.kind, block.locator)

    @cached_property
    def block_spans(self) -> tuple[Span, ...]:
        """Span of each block in the canonical text."""
        spans, offset = [], 0
        for block in self.blocks:
            spans.append((offset, offset + len(block.text)))
            offset += len(block.text) + len(BLOCK_SEPARATOR)
        return tuple(spans)


class ChunkTerms(NamedTuple):
    """The analysed terms of a chunk, joined by spaces."""

    context: str
    """Of its title and headings."""
    body: str
    """Of its sentences, one per line, and a last line for text outside them."""


@dataclass(frozen=True)
class Chunk:
    """A span of a document's text: `document.text[start:end] == text`."""

    start: int
    end: int
    text: str
    heading: str
    """Heading path, joined by `HEADING_SEPARATOR`; empty if there is none."""
    page: int | None
    embedding_prefix: str
    """Context that is embedded in front of the text: title › headings, and the header row of a split table."""
    sentences: Sequence[Span]
    """Spans of its sentences, rows or lines, relative to the chunk's start; headings are left out."""
    role: str = ""
    """Its `SourceRole`, or empty."""
    terms: ChunkTerms | None = None
    """Its terms, if a reader process has analysed them."""

    @property
    def embedding_text(self) -> str:
        """The exact text that is embedded."""
        return f"{self.embedding_prefix}\n{self.text}" if self.embedding_prefix else self.text

    @cached_property
    def text_hash(self) -> str:
        """Hash of the embedded text, in hexadecimal; equal texts share one embedding."""
        return hashlib.sha256(self.embedding_text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """A document and its chunks."""

    document: Document
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class SourceRoot:
    """A folder whose files have the uris `<name>/<relative path>`. Its path is never sent over HTTP."""

    name: str
    path: Path
    has_explicit_name: bool = field(default=False, compare=False)
    """Whether the user chose the name; otherwise it is the folder's own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file or a text before it is read.

    >>> semsearch.text_source("notes/lamp", "The lamp was mended.", metadata={"team": "tower"})
    Source('notes/lamp', text/plain; charset=utf-8)
    """

    uri: str
    media_type: str
    open: Callable[[], BinaryIO]
    path: Path | None = None
    """Path of a file whose uri is derived from its path."""
    root: SourceRoot | None = None
    """The source root of the file; `path` is the root itself where the root has no files."""
    title: str | None = None
    metadata: Metadata = field(default_factory=dict)
    is_text: bool = False
    """Whether it is a text, which the document contains, and not a file, whose bytes are kept."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, shorten_middle(self.uri), self.media_type)


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be read or stored; a value, not an error, because other inputs go on.

    >>> handbook.ingest(semsearch.bytes_source("a.pdf", b"no PDF", "application/pdf")).failures[0].uri
    'a.pdf'
    """

    uri: str
    error: str
    type: str


SkipKind = Literal[
    "image",
    "font",
    "archive",
    "audio",
    "video",
    "compiled",
    "search_index",
    "lock_file",
    "minified",
    "system_file",
    "unknown_type",
    "ignored",
    "excluded",
    "not_included",
    "empty",
    "dependencies",
    "cache",
    "virtual_environment",
    "version_control",
    "data_directory",
    "ignored_folder",
    "excluded_folder",
]
"""Why an input was skipped. The kinds from `dependencies` on are of folders, none of whose files were looked at."""


@dataclass(frozen=True, slots=True)
class Skip:
    """An input that is not ingested and is no failure: an image, an ignored file, or one with nothing to index.

    >>> handbook.ingest(semsearch.bytes_source("a.md", b"<!-- empty -->", "text/markdown")).skips[0].uri
    'a.md'
    """

    uri: str
    """The URI of a folder ends with a slash."""
    reason: str
    kind: SkipKind = "empty"


@dataclass(slots=True)
class IngestReport:
    """Counts of an ingestion, updated while it runs.

    >>> report = handbook.ingest("docs/")
    >>> report.added, report.unchanged, report.failures
    (0, 1, [])
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    chunks: int = 0
    embedded_chunks: int = 0
    failures: list[Failure] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    """The first hundred skipped inputs of each kind, with their reasons."""
    skips_omitted: int = 0
    """Number of skipped inputs that are not in `skips`."""
    skipped_by_kind: dict[SkipKind, int] = field(default_factory=dict)
    """The inputs counted in `skipped`, by their kind."""
    usage: Usage = field(default_factory=Usage)
    originals_not_kept: int = 0
    """Number of stored documents for whose source there was no space."""
    seconds: float = 0.0
    plan: IngestEstimate | None = None
    """Estimate of a dry run."""
    broken_answers: list[BrokenAnswer] = field(default_factory=list)
    """The approved answers whose evidence the changes break; empty for callers without the scope `admin`."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


@dataclass(frozen=True, slots=True)
class PutResult:
    """Result of `put` for one document."""

    uri: str
    status: PutStatus
    chunks: int
