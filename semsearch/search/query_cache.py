"""In-memory cache of query embeddings, so that a repeated query is neither computed nor paid for again.

Limited in bytes. Keys are hashes: the queries themselves are not stored.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from ..core.metrics import Metrics, NoMetrics
from ..core.ports import Embedder
from ..core.types.documents import Vectors
from ..core.types.usage import RequestContext

DEFAULT_MAX_BYTES = 16 << 20
_ENTRY_OVERHEAD_BYTES = 200
"""Approximate size of an entry without its vector."""


class QueryVectorCache:
    """LRU cache of query vectors, by owner, vector space and text."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, *, metrics: Metrics | None = None) -> None:
        self._max_bytes = max_bytes
        self._metrics = metrics or NoMetrics()
        self._size = 0
        self._entries: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    async def embed(self, embedder: Embedder, texts: Sequence[str], context: RequestContext) -> list[Vectors]:
        """Return the unit vector of each query, shape (dim,); only queries that are not cached are embedded."""
        keys = [_make_key(context.owner, embedder.name, text) for text in texts]
        with self._lock:
            vectors = {key: self._entries[key] for key in keys if key in self._entries}
            for key in vectors:
                self._entries.move_to_end(key)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        if vectors:
            self._metrics.count("query_cache_lookups", ("hit",), len(vectors))
        if missing:
            self._metrics.count("query_cache_lookups", ("miss",), len(missing))
            rows = await embedder.embed(list(missing.values()), context, query=True)
            new_vectors = {key: row.copy() for key, row in zip(missing, rows, strict=True)}
            self._store(new_vectors)
            vectors |= new_vectors
        return [vectors[key] for key in keys]

    def _store(self, vectors: dict[bytes, Vectors]) -> None:
        with self._lock:
            for key, vector in vectors.items():
                self._size += 0 if key in self._entries else vector.nbytes + _ENTRY_OVERHEAD_BYTES
                self._entries[key] = vector
            while self._size > self._max_bytes:
                _, evicted = self._entries.popitem(last=False)
                self._size -= evicted.nbytes + _ENTRY_OVERHEAD_BYTES


def _make_key(owner: str, space: str, text: str) -> bytes:
    """Return the key of an entry. Owners share no entries, because response times would reveal their queries."""
    return blake2b(f"{owner}\0{space}\0{text}".encode(), digest_size=16).digest()
