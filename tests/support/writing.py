"""Short ways to make documents and to put them into a store, as the ingestion does."""

import asyncio
import hashlib

from support.fakes import HashEmbedder

from semsearch.core.ports import Store
from semsearch.core.types.documents import Block, ChunkedDocument, Document, Metadata, PutResult, Vectors
from semsearch.core.types.search import ScoredIds
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.chunking import chunk

VOCABULARY = (
    "lamp tide rope boat signal storm glass oil stair door night keeper wall sea rock gull fog bell "
    "light chart wind wave sand shell harbour mast sail anchor deck hull crew map star moon cloud "
    "rain snow ice cliff cave"
).split()

INDEX_THRESHOLDS = 1000 * HashEmbedder.dim, 150_000
"""Of a store that codes a thousand vectors."""


def make_document(uri: str, text: str, metadata: Metadata | None = None) -> Document:
    """A document whose paragraphs are the parts of `text` between blank lines."""
    blocks = tuple(Block(part) for part in text.split("\n\n"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Document(uri, uri.rpartition("/")[2], "text/plain", blocks, sha256, "1", metadata or {})


def put_document(store: Store, document: Document) -> PutResult:
    """Chunk, embed and store a document."""
    chunks = chunk(document)
    rows = asyncio.run(HashEmbedder().embed([part.embedding_text for part in chunks], RequestContext("ingest")))
    return store.put(
        [ChunkedDocument(document, chunks)], {part.text_hash: row for part, row in zip(chunks, rows, strict=True)}
    )[0]


def embed_query(text: str) -> Vectors:
    """The embedding of a question."""
    row: Vectors = asyncio.run(HashEmbedder().embed([text], RequestContext("query"), query=True))[0]
    return row


def locate_hits(store: Store, scored: ScoredIds) -> list[tuple[str, int, float]]:
    """What was found, in terms that do not depend on ids."""
    with store.snapshot() as snapshot:
        chunks = snapshot.load(scored.ids.tolist())
    return [(part.uri, part.start, score) for part, score in zip(chunks, scored.scores.tolist(), strict=True)]
