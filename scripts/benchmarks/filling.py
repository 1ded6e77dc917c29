"""Collections of ready texts and vectors, stored through the store's own door: what is measured later is the search."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from semsearch import Library
from semsearch.types import Block, Chunk, Cut, Document, Vectors

TOGETHER = 10
"""Texts of one document."""


def fill(folder: Path, name: str, texts: Sequence[str], vectors: Vectors, together: int = TOGETHER) -> None:
    """Make a collection in which each text is one chunk, and bring its index up to date.

    Every document has a random `share` between 0 and 1, to be filtered by.
    """
    with Library(folder) as library:
        store = library.create(name).store
        luck = random.Random(1)
        for at in range(0, len(texts), together):
            document, chunks = _document(f"texts/{at:08}", texts[at : at + together], luck.random())
            store.put([Cut(document, chunks)], dict(zip([c.text_hash for c in chunks], vectors[at:], strict=False)))
        store.settle()


def _document(uri: str, texts: Sequence[str], share: float) -> tuple[Document, list[Chunk]]:
    document = Document(uri, uri, "text/plain", tuple(map(Block, texts)), uri, "bench", {"share": share})
    chunks = [
        Chunk(start, end, text, "", None, "", ((0, len(text)),))
        for (start, end), text in zip(document.spans, texts, strict=True)
    ]
    return document, chunks
