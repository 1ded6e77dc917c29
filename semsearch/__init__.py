"""Semantic search over your own documents, with answers whose citations were checked to the character.

import semsearch

library = semsearch.Library("indexes")
handbook = library.create("handbook")
handbook.ingest(semsearch.read("docs/"))
answer = handbook.ask("How long is parental leave?")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .accounts import Caller
    from .answers import Answer, Citation, Wishes
    from .collection import Collection
    from .errors import SemsearchError
    from .library import Library
    from .sources import bytes_source, read, text_source
    from .types import Failure, Hit, Report, Source

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


_HOMES = {
    "Answer": "answers",
    "Caller": "accounts",
    "Citation": "answers",
    "Collection": "collection",
    "Library": "library",
    "SemsearchError": "errors",
    "Wishes": "answers",
    "bytes_source": "sources",
    "read": "sources",
    "text_source": "sources",
}


def __getattr__(name: str) -> Any:
    """Import what is used when it is first used, so that a command can be broken off at any time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'types')}", __name__), name)
