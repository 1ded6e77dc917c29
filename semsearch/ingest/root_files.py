"""Read the file of a document below its registered folder again. No message contains the path of the folder."""

import errno
import hashlib
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ..core.errors import ConflictError, NotFoundError, StorageError
from ..core.types.documents import SourceRoot
from .readers import MAX_SOURCE_BYTES
from .regular_files import open_regular_file

_INGEST_AGAIN = "ingest the folder again"


def read_root_file(root: SourceRoot, uri: str, sha256: str) -> bytes:
    """Return the bytes of the file from which a document was made.

    NotFoundError if it is gone, ConflictError if its hash is another one now, or if it is no file below the folder.
    """
    try:
        data = _read(_resolve_path(root, uri), uri)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise NotFoundError(f"the file of {uri[:200]!r} is no longer in its folder; {_INGEST_AGAIN}") from exc
    except OSError as exc:
        raise StorageError(
            f"the file of {uri[:200]!r} cannot be read: {exc.strerror}; check its permissions and the disk"
        ) from exc
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConflictError(f"the file of {uri[:200]!r} has changed since it was ingested; ingest it again")
    return data


def _resolve_path(root: SourceRoot, uri: str) -> Path:
    """Return the path without links; ConflictError if a link leaves the folder, as at ingestion."""
    names = [os.fsdecode(unquote_to_bytes(part)) for part in uri.removeprefix(f"{root.name}/").split("/")]
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
        raise ConflictError(f"the uri {uri[:200]!r} names no file below a folder; remove the document")
    try:
        path = Path(os.path.realpath(root.path.joinpath(*names), strict=True))
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _not_a_file(uri) from exc
        raise
    if not path.is_relative_to(root.path):
        raise ConflictError(f"the file of {uri[:200]!r} is now behind a link that leaves its folder; {_INGEST_AGAIN}")
    return path


def _read(path: Path, uri: str) -> bytes:
    try:
        with open_regular_file(path) as file:
            return file.read(MAX_SOURCE_BYTES + 1)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_a_file(uri) from exc
        raise


def _not_a_file(uri: str) -> ConflictError:
    return ConflictError(f"where the file of {uri[:200]!r} was, there is no file any more; {_INGEST_AGAIN}")
