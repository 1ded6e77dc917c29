"""The originals of the documents of a collection: the files from which they were made."""

from __future__ import annotations

from pathlib import PurePosixPath

from ..core.errors import NotFoundError
from ..core.types.originals import Original, OriginalState
from .access import CollectionAccess

_REASONS: dict[OriginalState | None, str] = {
    "text": "it came as a text, not as a file; its stored text is all there is",
    "no_space": "the space of SEMSEARCH_ORIGINALS__GIB was used up; raise it, and store the file again",
    "changed": "its file changed while it was ingested; ingest it again",
}
"""Why a document that is not below a registered folder has no original."""

_TOO_OLD = "it was stored before originals were kept; store the file again"


class OriginalOperations(CollectionAccess):
    """The operation on the originals of a collection."""

    __slots__ = ()

    def get_original(self, uri: str) -> Original:
        """Return the source of a document, byte for byte as it was ingested.

        A file of an ingested folder is read from there. NotFoundError if there is no such document that the caller may
        see, or no original of it; ConflictError if the file has changed since.

        >>> handbook.get_original("docs/leave.md").data[:7]
        b'# Leave'
        """
        store = self.backends.store
        stored = store.original(uri, self._visible_filter(None))
        if stored is None:
            raise self._document_not_found(uri)
        data = stored.data
        if data is None and stored.root_name is not None:
            from ..ingest.root_files import read_root_file  # late: it imports the readers

            [root] = [root for root in store.roots() if root.name == stored.root_name]
            data = read_root_file(root, uri, stored.sha256)
        if data is None:
            reason = _REASONS.get(stored.state, _TOO_OLD)
            raise NotFoundError(f"there is no original of {uri[:200]!r}: {reason}")
        return Original(data, stored.media_type, PurePosixPath(uri).name, stored.sha256)
