"""The interfaces of exchangeable backends, as Protocols.

No backend inherits from them; every registered backend runs the same contract tests.
"""

from .access import KeyStore
from .approvals import ApprovedAnswers
from .kept_responses import KeptResponses
from .models import (
    Answerer,
    Embedder,
    LateInteractionEmbedder,
    Meter,
    PartialEmbeddingError,
    Reader,
    SupportJudge,
    WordSimilarity,
)
from .storage import (
    EmbeddingCache,
    Ledger,
    ReadSnapshot,
    Store,
)

__all__ = [
    "Answerer",
    "ApprovedAnswers",
    "Embedder",
    "EmbeddingCache",
    "KeptResponses",
    "KeyStore",
    "LateInteractionEmbedder",
    "Ledger",
    "Meter",
    "PartialEmbeddingError",
    "ReadSnapshot",
    "Reader",
    "Store",
    "SupportJudge",
    "WordSimilarity",
]
