"""The originals of the documents of a collection: a stand-in that reads files below a registered folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ..core.errors import ConflictError, NotFoundError
from .access import CollectionAccess


@dataclass(frozen=True, slots=True)
class Original:
    """The source of a document, byte for byte as it was ingested."""

    data: bytes
    media_type: str
    filename: str
    content_sha256: str


class OriginalOperations(CollectionAccess):
    """The operation on the originals of a collection."""

    __slots__ = ()

    def get_original(self, uri: str) -> Original:
        """Return the source of a document, byte for byte as it was ingested."""
        document = self.backends.store.document(uri, self._visible_filter(None))
        if document is None:
            raise NotFoundError(f"{self.name} has no document {uri[:200]!r}")
        version = self.backends.store.stored_versions([uri])[uri]
        roots = [root for root in self.backends.store.roots() if root.name == version.root_name]
        if not roots:
            raise NotFoundError(f"there is no original of {uri[:200]!r}")
        relative = unquote_to_bytes(uri.removeprefix(f"{roots[0].name}/")).decode("utf-8", "surrogateescape")
        data = (roots[0].path / relative).read_bytes()
        if hashlib.sha256(data).hexdigest() != version.sha256:
            raise ConflictError(f"the file of {uri[:200]!r} has changed since it was ingested; ingest it again")
        return Original(data, version.media_type, uri.rpartition("/")[2], version.sha256)
