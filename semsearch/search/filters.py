"""Parse and validate metadata filters in the syntax of Chroma and Pinecone. Does not evaluate them.

    {"team": "hr"}   {"year": {"$gte": 2024}}   {"$or": [{"tag": {"$in": ["a", "b"]}}, {"title": {"$exists": true}}]}

A field is a metadata key, or `uri`, `title`, `media_type`. A list value matches if any of its members does. A missing
field equals nothing: it matches only `$ne`, `$nin` and `$exists: false`. `$not` is the exact complement of its operand.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ..core.errors import InvalidError
from ..core.types.documents import Scalar
from ..core.types.filters import AllOf, AnyOf, Comparison, Filter, Not, Operator
from ..text.metadata import validate_key, validate_scalar

MAX_FILTER_NODES = 256
MAX_FILTER_DEPTH = 16

_OPERATORS = frozenset(get_args(Operator))
_ORDER_OPERATORS = frozenset({"$gt", "$gte", "$lt", "$lte"})


def parse_filter(raw: object) -> Filter:
    """Return the tree of a filter from JSON; InvalidError says which part is wrong and what is allowed."""
    tree = _parse_node(raw, 0)
    if _count_nodes(tree) > MAX_FILTER_NODES:
        raise InvalidError(f"the filter has more than {MAX_FILTER_NODES} parts")
    return tree


def and_filters(first: Filter | None, second: Filter | None) -> Filter | None:
    """Return both filters ANDed; None means no filter."""
    if first is None or second is None:
        return first or second
    return AllOf((first, second))


def _parse_node(raw: object, depth: int) -> Filter:
    if depth > MAX_FILTER_DEPTH:
        raise InvalidError(f"the filter is nested deeper than {MAX_FILTER_DEPTH} levels")
    if not isinstance(raw, Mapping):
        raise InvalidError(f'a filter must be an object like {{"team": "hr"}}, not {str(raw)[:40]!r}')
    parts = tuple(_parse_entry(key, value, depth) for key, value in raw.items())
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _parse_entry(key: Any, value: Any, depth: int) -> Filter:
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidError(f"{key} takes a list of one or more filters")
        parts = tuple(_parse_node(part, depth + 1) for part in value)
        return AllOf(parts) if key == "$and" else AnyOf(parts)
    if key == "$not":
        return Not(_parse_node(value, depth + 1))
    if isinstance(key, str) and key.startswith("$"):
        raise InvalidError(f"unknown operator {key!r}; filters are combined with $and, $or and $not")
    return _parse_field(validate_key(key), value, depth)


def _parse_field(field: str, value: Any, depth: int) -> Filter:
    if depth > MAX_FILTER_DEPTH:
        raise InvalidError(f"the filter is nested deeper than {MAX_FILTER_DEPTH} levels")
    if not isinstance(value, Mapping):
        return Comparison(field, "$eq", _validate_operand(field, value))
    comparisons = tuple(_parse_comparison(field, operator, operand, depth) for operator, operand in value.items())
    if not comparisons:
        raise InvalidError(f"{field}: an empty condition; use for example {{{field!r}: {{'$exists': true}}}}")
    return comparisons[0] if len(comparisons) == 1 else AllOf(comparisons)


def _parse_comparison(field: str, operator: Any, value: Any, depth: int) -> Filter:
    if operator == "$not":
        return Not(_parse_field(field, value, depth + 1))
    if operator not in _OPERATORS:
        raise InvalidError(
            f"{field}: unknown operator {str(operator)[:40]!r}; use {', '.join(get_args(Operator))} or $not"
        )
    if operator == "$exists" and not isinstance(value, bool):
        raise InvalidError(f"{field}: $exists takes true or false")
    if operator in ("$in", "$nin"):
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 1000:
            raise InvalidError(f"{field}: {operator} takes a list of at most 1000 values")
        return Comparison(field, operator, tuple(_validate_operand(field, item) for item in value))
    if operator in _ORDER_OPERATORS and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise InvalidError(f"{field}: {operator} takes a number or text")
    return Comparison(field, operator, _validate_operand(field, value))


def _validate_operand(field: str, value: object) -> Scalar:
    if field == "uri" and isinstance(value, str):
        # not cleaned, because uris are stored as they are; SQLite would ignore the text behind a NUL
        return value.encode("utf-8", "replace").decode().replace("\0", "\x01")
    return validate_scalar(value, field)


def _count_nodes(tree: Filter) -> int:
    if isinstance(tree, Comparison):
        return 1
    if isinstance(tree, Not):
        return 1 + _count_nodes(tree.part)
    return 1 + sum(_count_nodes(part) for part in tree.parts)
