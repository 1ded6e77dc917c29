"""Short ways to make documents and to put them into a store, as the ingestion does."""

import asyncio
import hashlib

from support.fakes import HashEmbedder

from semsearch.core.ports import Store
from semsearch.core.types.documents import Block, Cut, Document, Metadata, Stored, Vectors
from semsearch.core.types.search import Scored
from semsearch.core.types.usage import Errand
from semsearch.ingest.chunking import chunk

WORDS = (
    "lamp tide rope boat signal storm glass oil stair door night keeper wall sea rock gull fog bell "
    "light chart wind wave sand shell harbour mast sail anchor deck hull crew map star moon cloud "
    "rain snow ice cliff cave"
).split()

CROSSINGS = 1000 * HashEmbedder.dim, 150_000
"""Of a store that codes a thousand vectors."""


def document(uri: str, text: str, metadata: Metadata | None = None) -> Document:
    """A document whose paragraphs are the parts of `text` between blank lines."""
    blocks = tuple(Block(part) for part in text.split("\n\n"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Document(uri, uri.rpartition("/")[2], "text/plain", blocks, sha256, "1", metadata or {})


def put(store: Store, made: Document) -> Stored:
    """Chunk, embed and store a document."""
    chunks = chunk(made)
    rows = asyncio.run(HashEmbedder().embed([part.embedded for part in chunks], Errand("ingest")))
    return store.put([Cut(made, chunks)], {part.text_hash: row for part, row in zip(chunks, rows, strict=True)})[0]


def vector(text: str) -> Vectors:
    """The embedding of a question."""
    row: Vectors = asyncio.run(HashEmbedder().embed([text], Errand("query"), query=True))[0]
    return row


def places(store: Store, found: Scored) -> list[tuple[str, int, float]]:
    """What was found, in terms that do not depend on ids."""
    with store.snapshot() as snapshot:
        chunks = snapshot.load(found.ids.tolist())
    return [(part.uri, part.start, score) for part, score in zip(chunks, found.scores.tolist(), strict=True)]
