"""The tree of a metadata filter. Parsing is in `search.filters`, SQL in the storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .documents import Scalar

RawFilter = Mapping[str, Any]
"""A filter as a caller writes it, such as `{"team": "hr"}`: not yet parsed."""

Operator = Literal["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value, or a tuple of values for `$in` and `$nin`."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Passes what passes every part; with no part, everything."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Passes what passes one part or more."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Passes what its part does not pass."""

    part: "Filter"


Filter = Comparison | AllOf | AnyOf | Not
