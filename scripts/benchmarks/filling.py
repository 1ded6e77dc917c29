"""Collections of ready texts and vectors, stored through the store's own door: what is measured later is the search."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from semsearch import Library
from semsearch.core.types.documents import Block, Chunk, Cut, Document, Vectors

TOGETHER = 10
"""Texts of one document."""
_COMMIT = 50
"""Documents that are stored at once."""


def fill(folder: Path, name: str, texts: Sequence[str], vectors: Vectors, together: int = TOGETHER) -> None:
    """Make a collection in which each text is one chunk, and bring its index up to date.

    Every document has a random `share` between 0 and 1, to be filtered by. The folder gets its name when it is whole.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with Library(part) as library:
        store = library.create(name).store
        luck = random.Random(1)
        starts = range(0, len(texts), together)
        for some in (starts[at : at + _COMMIT] for at in range(0, len(starts), _COMMIT)):
            cuts = [_cut(f"texts/{at:08}", texts[at : at + together], luck.random()) for at in some]
            hashes = [chunk.text_hash for cut in cuts for chunk in cut.chunks]
            store.put(cuts, dict(zip(hashes, vectors[some[0] :], strict=False)))
        store.settle()
    part.rename(folder)


def _cut(uri: str, texts: Sequence[str], share: float) -> Cut:
    document = Document(uri, uri, "text/plain", tuple(map(Block, texts)), uri, "bench", {"share": share})
    chunks = [
        Chunk(start, end, text, "", None, "", ((0, len(text)),))
        for (start, end), text in zip(document.spans, texts, strict=True)
    ]
    return Cut(document, chunks)
