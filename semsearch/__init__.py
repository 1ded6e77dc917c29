"""Semantic search over your own documents, with answers whose citations were checked to the character.

import semsearch

library = semsearch.Library("indexes")
handbook = library.create("handbook")
handbook.ingest(semsearch.read("docs/"))
answer = handbook.ask("How long is parental leave?")
"""

from typing import TYPE_CHECKING, Any

from .accounts import Caller
from .errors import SemsearchError
from .types import Answer, Citation, Failure, Hit, Report, Source, Wishes

if TYPE_CHECKING:
    from .collection import Collection
    from .library import Library
    from .sources import bytes_source, read, text_source

__all__ = [
    "Answer",
    "Caller",
    "Citation",
    "Collection",
    "Failure",
    "Hit",
    "Library",
    "Report",
    "SemsearchError",
    "Source",
    "Wishes",
    "bytes_source",
    "read",
    "text_source",
]


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first used, so that `semsearch --help` answers at once."""
    if name == "Library":
        from .library import Library

        return Library
    if name == "Collection":
        from .collection import Collection

        return Collection
    if name in ("bytes_source", "read", "text_source"):
        from . import sources

        return getattr(sources, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
