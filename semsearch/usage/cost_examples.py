"""What a question and an ingestion of typical size cost with a model, to compare models before any request."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.types.usage import Price

QUESTION_INPUT_TOKENS = 2_000
"""Instructions, passages and question: between 1,500 and 2,000 for most questions."""
QUESTION_OUTPUT_TOKENS = 300
CHARACTERS_PER_PAGE = 3_000
PAGES = 1_000
TOKENS_PER_MILLION_CHARACTERS = 300_000
"""With overlaps and headings, as estimated by `ingest --dry-run`: 272,000 for manuals in plain text and HTML, 319,000
for a tree of mixed formats."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """A model with its price and the cost of an example: None if the price is unknown."""

    model: str
    price: Price | None
    usd: float | None
    """Of one question for a chat model, of a million characters for an embedding model."""

    @property
    def thousand_pages_usd(self) -> float | None:
        """The cost of embedding 1,000 pages."""
        return None if self.usd is None else self.usd * PAGES * CHARACTERS_PER_PAGE / 1e6


def compute_question_cost(model: str, price: Price | None) -> ModelCost:
    """Return the cost of one question to a chat model; nothing of its prompt is cached."""
    if price is None:
        return ModelCost(model, None, None)
    dollars = QUESTION_INPUT_TOKENS * price.input + QUESTION_OUTPUT_TOKENS * price.output
    return ModelCost(model, price, dollars / 1e6)


def compute_ingest_cost(model: str, price: Price | None) -> ModelCost:
    """Return the cost of embedding a million characters of text."""
    return ModelCost(model, price, None if price is None else TOKENS_PER_MILLION_CHARACTERS * price.input / 1e6)


def rank_by_cost(costs: Sequence[ModelCost]) -> list[ModelCost]:
    """Return the cheapest model first; those of unknown price follow in their order."""
    return sorted(costs, key=lambda cost: (cost.usd is None, cost.usd or 0.0))
