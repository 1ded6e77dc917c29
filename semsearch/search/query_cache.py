"""Embeddings of questions that were asked before, in memory, so that none is computed or paid for twice in a row.

Bounded in bytes; the questions themselves are not kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from ..core.ports import Embedder
from ..core.types.documents import Vectors
from ..core.types.usage import RequestContext

MAX_BYTES = 16 << 20
_ENTRY_OVERHEAD_BYTES = 200
"""Bytes that an entry takes beside its numbers, about."""


class QueryVectorCache:
    """The vectors of the last questions, whatever embedder made them."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._entries: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    async def embed(self, embedder: Embedder, texts: Sequence[str], errand: RequestContext) -> list[Vectors]:
        """The unit vector of each question, shape (dim,); only what is not known is asked of the embedder."""
        keys = [_make_key(errand.owner, embedder.name, text) for text in texts]
        with self._lock:
            found = {key: self._entries[key] for key in keys if key in self._entries}
            for key in found:
                self._entries.move_to_end(key)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            rows = await embedder.embed(list(missing.values()), errand, query=True)
            new = {key: row.copy() for key, row in zip(missing, rows, strict=True)}
            self._store(new)
            found |= new
        return [found[key] for key in keys]

    def _store(self, vectors: dict[bytes, Vectors]) -> None:
        with self._lock:
            for key, row in vectors.items():
                self._size += 0 if key in self._entries else row.nbytes + _ENTRY_OVERHEAD_BYTES
                self._entries[key] = row
            while self._size > self._max_bytes:
                _, gone = self._entries.popitem(last=False)
                self._size -= gone.nbytes + _ENTRY_OVERHEAD_BYTES


def _make_key(owner: str, space: str, text: str) -> bytes:
    """Each owner's apart: how fast an answer comes tells nobody what others have asked."""
    return blake2b(f"{owner}\0{space}\0{text}".encode(), digest_size=16).digest()
