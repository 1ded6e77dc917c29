"""Build collections from texts with precomputed vectors, through the store, to measure searches without ingestion."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from semsearch import Library
from semsearch.core.types.documents import Block, Chunk, ChunkedDocument, Document, Vectors

TEXTS_PER_DOCUMENT = 10
"""Default number of texts in a document."""
_DOCUMENTS_PER_COMMIT = 50
"""Documents in one commit."""


def fill_collection(
    folder: Path, name: str, texts: Sequence[str], vectors: Vectors, texts_per_document: int = TEXTS_PER_DOCUMENT
) -> None:
    """Create a collection in which each text is one chunk, and build its index.

    Every document has a random number `share` between 0 and 1 for filters. The folder gets its final name at the end.
    """
    partial_folder = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial_folder, ignore_errors=True)
    with Library(partial_folder) as library:
        store = library.create(name).backends.store
        rng = random.Random(1)
        starts = range(0, len(texts), texts_per_document)
        for first in range(0, len(starts), _DOCUMENTS_PER_COMMIT):
            batch = starts[first : first + _DOCUMENTS_PER_COMMIT]
            documents = [
                _make_document(f"texts/{start:08}", texts[start : start + texts_per_document], rng.random())
                for start in batch
            ]
            hashes = [chunk.text_hash for document in documents for chunk in document.chunks]
            store.put(documents, dict(zip(hashes, vectors[batch[0] :], strict=False)))
        store.refresh_index()
    partial_folder.rename(folder)


def _make_document(uri: str, texts: Sequence[str], share: float) -> ChunkedDocument:
    document = Document(uri, uri, "text/plain", tuple(map(Block, texts)), uri, "bench", {"share": share})
    chunks = [
        Chunk(start, end, text, "", None, "", ((0, len(text)),))
        for (start, end), text in zip(document.block_spans, texts, strict=True)
    ]
    return ChunkedDocument(document, chunks)
