"""The filter language that users of Chroma and Pinecone know, parsed and checked. Does not know how a store runs it.

    {"team": "hr"}   {"year": {"$gte": 2024}}   {"$or": [{"tag": {"$in": ["a", "b"]}}, {"title": {"$exists": true}}]}

A field is a metadata key, or `uri`, `title`, `media_type`. A value in a list counts as each of its members. A missing
field equals nothing: it passes `$ne`, `$nin` and `$exists: false` only, and `$not` is the exact complement of what it
holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ..core.errors import Invalid
from ..core.types.documents import Scalar
from ..core.types.filters import AllOf, AnyOf, Filter, Not, Operator, Test
from ..text.metadata import check_key, check_scalar

MAX_NODES = 256
MAX_DEPTH = 16

_OPERATORS = frozenset(get_args(Operator))
_ORDERED = frozenset({"$gt", "$gte", "$lt", "$lte"})


def parse(raw: object) -> Filter:
    """Check a filter as it came in and return it as a tree; Invalid says which part is wrong and what is allowed."""
    tree = _parse(raw, 0)
    if _size(tree) > MAX_NODES:
        raise Invalid(f"the filter has more than {MAX_NODES} parts")
    return tree


def both(first: Filter | None, second: Filter | None) -> Filter | None:
    """The two filters ANDed, where None stands for no filter."""
    if first is None or second is None:
        return first or second
    return AllOf((first, second))


def _parse(raw: object, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise Invalid(f"the filter is nested deeper than {MAX_DEPTH}")
    if not isinstance(raw, Mapping):
        raise Invalid(f'a filter is an object like {{"team": "hr"}}, not {str(raw)[:40]!r}')
    parts = tuple(_entry(key, value, depth) for key, value in raw.items())
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _entry(key: Any, value: Any, depth: int) -> Filter:
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise Invalid(f"{key} takes a list of one or more filters")
        parts = tuple(_parse(part, depth + 1) for part in value)
        return AllOf(parts) if key == "$and" else AnyOf(parts)
    if key == "$not":
        return Not(_parse(value, depth + 1))
    if isinstance(key, str) and key.startswith("$"):
        raise Invalid(f"unknown operator {key!r}; filters are joined by $and, $or and $not")
    return _field(check_key(key), value, depth)


def _field(field: str, value: Any, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise Invalid(f"the filter is nested deeper than {MAX_DEPTH}")
    if not isinstance(value, Mapping):
        return Test(field, "$eq", _operand(field, value))
    tests = tuple(_test(field, operator, operand, depth) for operator, operand in value.items())
    if not tests:
        raise Invalid(f"{field}: an empty condition; say for example {{{field!r}: {{'$exists': true}}}}")
    return tests[0] if len(tests) == 1 else AllOf(tests)


def _test(field: str, operator: Any, value: Any, depth: int) -> Filter:
    if operator == "$not":
        return Not(_field(field, value, depth + 1))
    if operator not in _OPERATORS:
        raise Invalid(
            f"{field}: unknown operator {str(operator)[:40]!r}; known are {', '.join(get_args(Operator))}, $not"
        )
    if operator == "$exists" and not isinstance(value, bool):
        raise Invalid(f"{field}: $exists takes true or false")
    if operator in ("$in", "$nin"):
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 1000:
            raise Invalid(f"{field}: {operator} takes a list of at most 1000 values")
        return Test(field, operator, tuple(_operand(field, item) for item in value))
    if operator in _ORDERED and (isinstance(value, bool) or not isinstance(value, int | float | str)):
        raise Invalid(f"{field}: {operator} takes a number or a text")
    return Test(field, operator, _operand(field, value))


def _operand(field: str, value: object) -> Scalar:
    if field == "uri" and isinstance(value, str):
        # as it stands, but for what no uri can hold; behind a NUL SQLite would not read on
        return value.encode("utf-8", "replace").decode().replace("\0", "\x01")
    return check_scalar(value, field)


def _size(tree: Filter) -> int:
    if isinstance(tree, Test):
        return 1
    if isinstance(tree, Not):
        return 1 + _size(tree.part)
    return 1 + sum(_size(part) for part in tree.parts)
