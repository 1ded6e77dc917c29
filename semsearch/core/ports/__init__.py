"""The interfaces of exchangeable backends, as Protocols.

No backend inherits from them; every registered backend runs the same contract tests.
"""

from .access import KeyStore, LimitStore, LimitStoreError
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
from .outbox import Outbox
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
    "LimitStore",
    "LimitStoreError",
    "Meter",
    "Outbox",
    "PartialEmbeddingError",
    "ReadSnapshot",
    "Reader",
    "Store",
    "SupportJudge",
    "WordSimilarity",
]
