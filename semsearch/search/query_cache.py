"""Embeddings of questions that were asked before, in memory, so that none is computed or paid for twice in a row.

Bounded in bytes; the questions themselves are not kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from ..core.ports import Embedder
from ..core.types.documents import Vectors
from ..core.types.usage import Errand

MOST_BYTES = 16 << 20
_ENTRY = 200
"""Bytes that an entry takes beside its numbers, about."""


class Questions:
    """The vectors of the last questions, whatever embedder made them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._size = 0
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    async def embed(self, embedder: Embedder, texts: Sequence[str], errand: Errand) -> list[Vectors]:
        """The unit vector of each question, shape (dim,); only what is not known is asked of the embedder."""
        keys = [_key(errand.owner, embedder.name, text) for text in texts]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
            for key in found:
                self._known.move_to_end(key)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            rows = await embedder.embed(list(missing.values()), errand, query=True)
            new = {key: row.copy() for key, row in zip(missing, rows, strict=True)}
            self._keep(new)
            found |= new
        return [found[key] for key in keys]

    def _keep(self, new: dict[bytes, Vectors]) -> None:
        with self._lock:
            for key, row in new.items():
                self._size += 0 if key in self._known else row.nbytes + _ENTRY
                self._known[key] = row
            while self._size > self._most:
                _, gone = self._known.popitem(last=False)
                self._size -= gone.nbytes + _ENTRY


def _key(owner: str, space: str, text: str) -> bytes:
    """Each owner's apart: how fast an answer comes tells nobody what others have asked."""
    return blake2b(f"{owner}\0{space}\0{text}".encode(), digest_size=16).digest()
