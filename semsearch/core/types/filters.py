"""Syntax tree of a metadata filter. `search.filters` parses filters, the storage translates them to SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .documents import Scalar

RawFilter = Mapping[str, Any]
"""A filter as a caller writes it, such as `{"team": "hr"}`: not yet parsed."""

Operator = Literal["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares a field with a value, or with a tuple of values for `$in` and `$nin`."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Matches a document that matches every part; without parts, every document."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Matches a document that matches at least one part."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Matches a document that does not match its part."""

    part: "Filter"


Filter = Comparison | AllOf | AnyOf | Not
