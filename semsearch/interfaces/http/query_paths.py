"""The paths of searches and questions, which several middlewares recognize."""

import re
from functools import lru_cache
from typing import NamedTuple

from ...core.names import NAME_PATTERN

CACHED_PATHS = 256
"""Most requests of a service have one of few paths. The check of the head bounds their length."""

_PATTERN = re.compile(rf"/v1/collections/({NAME_PATTERN})/(search|ask)")


class QueryPath(NamedTuple):
    """The path of a search or a question, by its parts."""

    collection: str
    kind: str
    """`search` or `ask`."""


@lru_cache(CACHED_PATHS)
def parse_query_path(path: str) -> QueryPath | None:
    """Return the parts of a path as it was sent; None if it is another path, or the name is not valid.

    >>> parse_query_path("/v1/collections/handbook/search")
    QueryPath(collection='handbook', kind='search')
    """
    match = _PATTERN.fullmatch(path)
    return None if match is None else QueryPath(match[1], match[2])
