"""Types of what a collection stores: documents, their blocks and versions, the state of the index, the collection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..short_repr import count, format_repr, shorten_middle
from .originals import OriginalState

if TYPE_CHECKING:  # importing numpy takes longer than `semsearch --help` may take
    pass

from .documents import BlockKind, Metadata


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A block of a stored document with its span, or a part of a long one: `document.text[start:end] == text`."""

    start: int
    end: int
    text: str
    kind: BlockKind = "paragraph"
    page: int | None = None
    header: str = ""
    """Header row of a table of which the text is only a part."""
    sheet: str | None = None
    level: int = 0
    """Depth of a heading, from 1; 0 for all other kinds."""


@dataclass(frozen=True, slots=True)
class ContentsEntry:
    """A heading of a document, for its table of contents."""

    start: int
    """Its position in the stored text."""
    title: str
    level: int
    """Depth, from 1."""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """Properties of a stored document that decide whether its source must be read again."""

    sha256: str
    reader_version: str
    title: str
    media_type: str
    metadata: Metadata
    root_name: str | None
    original: OriginalState | None = None


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A stored document without its text.

    >>> next(handbook.documents())
    DocumentInfo('docs/leave.md', 1 chunk, 46 characters)
    """

    uri: str
    title: str
    media_type: str
    language: str
    chunks: int
    characters: int
    metadata: Metadata

    def __repr__(self) -> str:
        """Return its uri and size."""
        sizes = count(self.chunks, "chunk"), count(self.characters, "character")
        return format_repr(self, shorten_middle(self.uri), *sizes)


@dataclass(frozen=True, slots=True, repr=False)
class StoredDocument(DocumentInfo):
    """A stored document with its canonical text.

    >>> handbook.document("docs/leave.md")
    StoredDocument('docs/leave.md', 1 chunk, 46 characters)
    """

    text: str
    content_sha256: str


@dataclass(frozen=True, slots=True, repr=False)
class DocumentPart(DocumentInfo):
    """The blocks of a stored document around a span of its text, and its table of contents.

    >>> handbook.get_blocks("docs/leave.md", 0, 20)
    DocumentPart('docs/leave.md', 1 chunk, 46 characters)
    """

    content_sha256: str
    blocks: tuple[TextBlock, ...]
    contents: tuple[ContentsEntry, ...]
    """The first thousand headings, in order."""
    last_page: int | None
    """Page of the last block; None where there are no pages."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How much of a collection its derived index covers. Chunks that it does not cover are searched one by one.

    >>> handbook.index_state()
    IndexState(state='none', indexed_chunks=0, pending_chunks=1)
    """

    state: Literal["current", "behind", "damaged", "none"]
    """`behind`: the next write builds it again. `damaged`: a search of this process found a damaged file; searches are
    exact and slower until the next write builds it again. `none`: the collection is small, nothing is built yet."""
    indexed_chunks: int
    pending_chunks: int


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """Name, embedder and size of a collection.

    >>> library.collections()
    [CollectionInfo(name='handbook', embedder='local', documents=1, chunks=1)]
    """

    name: str
    embedder: str
    documents: int
    chunks: int
