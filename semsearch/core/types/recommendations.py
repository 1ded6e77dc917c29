"""Types of recommendations: positive and negative examples, and the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidError
from ..short_repr import format_fields
from .filters import RawFilter
from .search import DEFAULT_K

RecommendationStrategy = Literal["average", "best", "sum"]
"""How the similarities to several examples become one score.

`average`: their mean. `best`: the highest. `sum`: the sum of the squares of those above 0, so that what is close to one
example counts more than what is somewhat close to all.
"""

DEFAULT_RECOMMENDATION_DIVERSITY = 0.1
"""Weight of diversity in MMR: 0.2 lost the relevant document in one of a hundred cases on four sets of documents."""


@dataclass(frozen=True, slots=True)
class Example:
    """A document, a chunk or a text that recommendations are like, or unlike: exactly one of the three.

    >>> handbook.recommend([semsearch.Example(text="time off for parents")])[0].uri
    'docs/leave.md'
    """

    uri: str | None = None
    chunk_id: int | None = None
    text: str | None = None

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


@dataclass(frozen=True, slots=True)
class RecommendationRequest:
    """One request for recommendations. `collection.recommendations` validates it.

    >>> request = semsearch.RecommendationRequest(query="time off for parents", k=3)
    >>> [hit.uri for hit in asyncio.run(handbook.arecommend(request))]
    ['docs/leave.md']
    """

    positive: Sequence[Example] = ()
    negative: Sequence[Example] = ()
    query: str | None = None
    """One more text that the recommendations are like."""
    session: str | None = None
    """Id of a session of the caller: its questions are texts that the recommendations are like."""
    strategy: RecommendationStrategy = "average"
    k: int = DEFAULT_K
    filter: RawFilter | None = None
    exclude: Sequence[str] = ()
    """Uris that are not recommended; the documents of examples are not either."""
    diversity: float = DEFAULT_RECOMMENDATION_DIVERSITY
    """From 0, by score alone, to 1, as different from each other as possible."""
    per_document: int = 1
    """Maximum number of passages of one document; 0 is no limit."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


def make_examples(examples: Sequence[Example | str]) -> tuple[Example, ...]:
    """Return the examples; a text stands for the document of this uri. InvalidError for one text in place of a list."""
    if isinstance(examples, str):  # its single characters could be uris
        raise InvalidError(f"examples are a list, not one text: [{examples[:200]!r}]")
    return tuple(Example(uri=example) if isinstance(example, str) else example for example in examples)
