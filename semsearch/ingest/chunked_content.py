"""Make a document of the content that a reader returns, and chunk it within the limits of one document."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from ..core.types.documents import Chunk, Document, ParsedContent
from ..text.cleaning import clean
from .chunking import chunk
from .limits import check_repeated_headings
from .source_roles import assign_roles

MAX_TITLE_CHARACTERS = 300


def make_document(uri: str, title: str | None, media_type: str, content: ParsedContent) -> Document:
    """Return a document without hash and version; its title is the given one, that of the content, or its name."""
    title = clean_title(title or content.title or PurePosixPath(uri).name)
    return Document(uri, title, media_type, content.blocks, "", "", page_map=content.page_map)


def chunk_document(document: Document) -> Sequence[Chunk]:
    """Return the chunks of a document with their roles; TooLargeError if it exceeds a limit of documents."""
    check_repeated_headings(sum(sum(map(len, block.locator.headings)) for block in document.blocks))
    return assign_roles(document, chunk(document))


def clean_title(text: str) -> str:
    """Return a title on one line, of at most `MAX_TITLE_CHARACTERS`."""
    return " ".join(clean(text).split())[:MAX_TITLE_CHARACTERS]
