"""Semantic search over your own documents, and answers with verified citations.

import semsearch

library = semsearch.Library("indexes")
handbook = library.create("handbook")
handbook.ingest("docs/")
answer = handbook.ask("How long is parental leave?")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collection import Collection
    from .core.errors import SemsearchError
    from .core.types.answers import Answer, AnswerRequest, Citation, GenerationOptions
    from .core.types.documents import Failure, IngestReport, Source
    from .core.types.search import Hit, SearchRequest
    from .core.types.usage import Caller
    from .ingest.sources import bytes_source, read, text_source
    from .library import Library

__all__ = [
    "Answer",
    "AnswerRequest",
    "Caller",
    "Citation",
    "Collection",
    "Failure",
    "GenerationOptions",
    "Hit",
    "IngestReport",
    "Library",
    "SearchRequest",
    "SemsearchError",
    "Source",
    "bytes_source",
    "read",
    "text_source",
]


_MODULES = {
    "Answer": "core.types.answers",
    "AnswerRequest": "core.types.answers",
    "Caller": "core.types.usage",
    "Citation": "core.types.answers",
    "Collection": "collection",
    "Failure": "core.types.documents",
    "GenerationOptions": "core.types.answers",
    "Hit": "core.types.search",
    "IngestReport": "core.types.documents",
    "Library": "library",
    "SearchRequest": "core.types.search",
    "SemsearchError": "core.errors",
    "Source": "core.types.documents",
    "bytes_source": "ingest.sources",
    "read": "ingest.sources",
    "text_source": "ingest.sources",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that Ctrl-C works from the start of a command."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
