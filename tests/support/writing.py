"""Make documents and put them into a store, as the ingest pipeline does."""

import asyncio
import hashlib
from dataclasses import replace
from io import BytesIO

from support.fakes import HashEmbedder

from semsearch.core.ports import Store
from semsearch.core.types.documents import Block, ChunkedDocument, Document, Metadata, PutResult, Vectors
from semsearch.core.types.originals import OriginalFile
from semsearch.core.types.search import ScoredIds
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.chunking import chunk

VOCABULARY = (
    "lamp tide rope boat signal storm glass oil stair door night keeper wall sea rock gull fog bell "
    "light chart wind wave sand shell harbour mast sail anchor deck hull crew map star moon cloud "
    "rain snow ice cliff cave"
).split()

INDEX_THRESHOLDS = 1000 * HashEmbedder.dim, 150_000
"""Thresholds of a store that quantizes from a thousand vectors."""


def make_document(uri: str, text: str, metadata: Metadata | None = None) -> Document:
    """Return a document whose blocks are the paragraphs of `text`."""
    blocks = tuple(Block(paragraph) for paragraph in text.split("\n\n"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Document(uri, uri.rpartition("/")[2], "text/plain", blocks, sha256, "1", metadata or {})


def make_file_document(uri: str, text: str, metadata: Metadata | None = None) -> Document:
    """Return a document whose original, the bytes of `text`, is to be kept."""
    data = text.encode()
    return replace(make_document(uri, text, metadata), original=OriginalFile(lambda: BytesIO(data), len(data)))


def put_document(store: Store, document: Document) -> PutResult:
    """Chunk, embed and store a document."""
    chunks = chunk(document)
    rows = asyncio.run(HashEmbedder().embed([item.embedding_text for item in chunks], RequestContext("ingest")))
    return store.put(
        [ChunkedDocument(document, chunks)], {item.text_hash: row for item, row in zip(chunks, rows, strict=True)}
    )[0]


def embed_query(text: str) -> Vectors:
    """Return the embedding of a query, shape (dim,)."""
    row: Vectors = asyncio.run(HashEmbedder().embed([text], RequestContext("query"), query=True))[0]
    return row


def locate_hits(store: Store, scored: ScoredIds) -> list[tuple[str, int, float]]:
    """Return the hits as (uri, start, score), which do not depend on ids."""
    with store.snapshot() as snapshot:
        chunks = snapshot.load(scored.ids.tolist())
    return [(loaded.uri, loaded.start, score) for loaded, score in zip(chunks, scored.scores.tolist(), strict=True)]
