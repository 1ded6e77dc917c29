"""Collections of ready texts and vectors, stored through the store's own door: what is measured later is the search."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from semsearch import Library
from semsearch.core.types.documents import Block, Chunk, ChunkedDocument, Document, Vectors

TEXTS_PER_DOCUMENT = 10
"""Texts of one document."""
_DOCUMENTS_PER_COMMIT = 50
"""Documents that are stored at once."""


def fill_collection(
    folder: Path, name: str, texts: Sequence[str], vectors: Vectors, texts_per_document: int = TEXTS_PER_DOCUMENT
) -> None:
    """Make a collection in which each text is one chunk, and bring its index up to date.

    Every document has a random `share` between 0 and 1, to be filtered by. The folder gets its name when it is whole.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with Library(part) as library:
        store = library.create(name).store
        rng = random.Random(1)
        starts = range(0, len(texts), texts_per_document)
        for batch in (starts[at : at + _DOCUMENTS_PER_COMMIT] for at in range(0, len(starts), _DOCUMENTS_PER_COMMIT)):
            documents = [
                _make_document(f"texts/{at:08}", texts[at : at + texts_per_document], rng.random()) for at in batch
            ]
            hashes = [chunk.text_hash for cut in documents for chunk in cut.chunks]
            store.put(documents, dict(zip(hashes, vectors[batch[0] :], strict=False)))
        store.refresh_index()
    part.rename(folder)


def _make_document(uri: str, texts: Sequence[str], share: float) -> ChunkedDocument:
    document = Document(uri, uri, "text/plain", tuple(map(Block, texts)), uri, "bench", {"share": share})
    chunks = [
        Chunk(start, end, text, "", None, "", ((0, len(text)),))
        for (start, end), text in zip(document.block_spans, texts, strict=True)
    ]
    return ChunkedDocument(document, chunks)
