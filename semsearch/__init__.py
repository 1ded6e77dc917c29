"""Semantic search over your own documents, and answers with verified citations.

import semsearch

library = semsearch.Library("indexes")
handbook = library.create("handbook")
handbook.ingest("docs/")
answer = handbook.ask("How long is parental leave?")
print(answer.text, answer.citations)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collection import Collection
    from .core.errors import (
        BudgetError,
        ConflictError,
        DeadlineError,
        ForbiddenError,
        InvalidError,
        LockedError,
        MalformedError,
        NotFoundError,
        NothingToIndexError,
        RateLimitedError,
        SemsearchError,
        StorageError,
        TooLargeError,
        UnauthorizedError,
        UnavailableError,
        UnsupportedMediaError,
        UpstreamError,
    )
    from .core.types.access import AccessKey, Caller, KeyGrants
    from .core.types.answer_requests import AnswerRequest, GenerationOptions
    from .core.types.answers import Answer, AnswerEvent, Citation, ClosestPassage, Delta, PassagesEvent, SourcesEvent
    from .core.types.documents import Failure, IngestReport, Skip, Source
    from .core.types.feedback import Feedback
    from .core.types.originals import Original
    from .core.types.recommendations import Example, RecommendationRequest
    from .core.types.search import FacetValue, Hit, SearchRequest
    from .core.types.sessions import Session, SessionInfo
    from .core.types.stored_documents import CollectionInfo, DocumentInfo, StoredDocument
    from .ingest.sources import bytes_source, read, text_source
    from .library import Library
    from .models.embedders.custom import EmbeddingFunction, EmbeddingModel

    __version__: str

__all__ = [
    "AccessKey",
    "Answer",
    "AnswerEvent",
    "AnswerRequest",
    "BudgetError",
    "Caller",
    "Citation",
    "ClosestPassage",
    "Collection",
    "CollectionInfo",
    "ConflictError",
    "DeadlineError",
    "Delta",
    "DocumentInfo",
    "EmbeddingFunction",
    "EmbeddingModel",
    "Example",
    "FacetValue",
    "Failure",
    "Feedback",
    "ForbiddenError",
    "GenerationOptions",
    "Hit",
    "IngestReport",
    "InvalidError",
    "KeyGrants",
    "Library",
    "LockedError",
    "MalformedError",
    "NotFoundError",
    "NothingToIndexError",
    "Original",
    "PassagesEvent",
    "RateLimitedError",
    "RecommendationRequest",
    "SearchRequest",
    "SemsearchError",
    "Session",
    "SessionInfo",
    "Skip",
    "Source",
    "SourcesEvent",
    "StorageError",
    "StoredDocument",
    "TooLargeError",
    "UnauthorizedError",
    "UnavailableError",
    "UnsupportedMediaError",
    "UpstreamError",
    "__version__",
    "bytes_source",
    "read",
    "text_source",
]


_MODULES = {
    "Answer": "core.types.answers",
    "AnswerEvent": "core.types.answers",
    "AnswerRequest": "core.types.answer_requests",
    "BudgetError": "core.errors",
    "AccessKey": "core.types.access",
    "Caller": "core.types.access",
    "Citation": "core.types.answers",
    "ClosestPassage": "core.types.answers",
    "Collection": "collection",
    "CollectionInfo": "core.types.stored_documents",
    "ConflictError": "core.errors",
    "DeadlineError": "core.errors",
    "Delta": "core.types.answers",
    "DocumentInfo": "core.types.stored_documents",
    "EmbeddingFunction": "models.embedders.custom",
    "EmbeddingModel": "models.embedders.custom",
    "Example": "core.types.recommendations",
    "FacetValue": "core.types.search",
    "Failure": "core.types.documents",
    "Feedback": "core.types.feedback",
    "ForbiddenError": "core.errors",
    "GenerationOptions": "core.types.answer_requests",
    "Hit": "core.types.search",
    "IngestReport": "core.types.documents",
    "InvalidError": "core.errors",
    "Library": "library",
    "KeyGrants": "core.types.access",
    "LockedError": "core.errors",
    "MalformedError": "core.errors",
    "NotFoundError": "core.errors",
    "NothingToIndexError": "core.errors",
    "Original": "core.types.originals",
    "PassagesEvent": "core.types.answers",
    "RateLimitedError": "core.errors",
    "RecommendationRequest": "core.types.recommendations",
    "SearchRequest": "core.types.search",
    "SemsearchError": "core.errors",
    "Session": "core.types.sessions",
    "SessionInfo": "core.types.sessions",
    "Skip": "core.types.documents",
    "Source": "core.types.documents",
    "SourcesEvent": "core.types.answers",
    "StorageError": "core.errors",
    "StoredDocument": "core.types.stored_documents",
    "TooLargeError": "core.errors",
    "UnauthorizedError": "core.errors",
    "UnavailableError": "core.errors",
    "UnsupportedMediaError": "core.errors",
    "UpstreamError": "core.errors",
    "bytes_source": "ingest.sources",
    "read": "ingest.sources",
    "text_source": "ingest.sources",
}


def __dir__() -> list[str]:
    """Return the public names, also those that were not imported yet."""
    return list(__all__)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that Ctrl-C works from the start of a command."""
    if name == "__version__":
        from .core.version import get_version

        return get_version()
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
