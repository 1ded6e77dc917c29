"""A filter as an SQL condition over `document AS d`; every value is a parameter. Does not parse filters."""

from collections.abc import Sequence

from ...filters import AllOf, Filter, Not, Test
from ...types import Scalar

_COLUMNS = frozenset({"uri", "title", "media_type"})
_COMPARE = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

Condition = tuple[str, list[Scalar]]


def condition(tree: Filter) -> Condition:
    """The SQL text and its parameters."""
    if isinstance(tree, Test):
        return _test(tree)
    if isinstance(tree, Not):
        return _negated(condition(tree.part))
    joint, empty = (" AND ", "1") if isinstance(tree, AllOf) else (" OR ", "0")
    parts = [condition(part) for part in tree.parts]
    return f"({joint.join(sql for sql, _ in parts) or empty})", [value for _, values in parts for value in values]


def _test(test: Test) -> Condition:
    if test.operator == "$exists":
        sql, values = _present(test.field)
        return (sql, values) if test.value else _negated((sql, values))
    if test.operator == "$ne":
        return _negated(_any_of(test.field, "$eq", [test.value]))  # type: ignore[list-item]  # $ne holds one value
    members = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.operator == "$nin":
        return _negated(_any_of(test.field, "$eq", members))
    return _any_of(test.field, "$eq" if test.operator == "$in" else test.operator, members)


def _negated(part: Condition) -> Condition:
    return f"NOT {part[0]}", part[1]


def _present(field: str) -> Condition:
    if field in _COLUMNS:
        return "1", []
    return "(json_type(d.metadata, ?) IS NOT NULL)", [_path(field)]


def _any_of(field: str, operator: str, values: Sequence[Scalar]) -> Condition:
    """Whether one of the field's values compares so with one of `values`; values of different types never do."""
    compared = [_compared(operator, value) for value in values]
    either = " OR ".join(sql for sql, _ in compared) or "0"
    parameters = [value for _, found in compared for value in found]
    if field in _COLUMNS:
        return f"EXISTS (SELECT 1 FROM (SELECT 'text' AS type, d.{field} AS value) AS v WHERE {either})", parameters
    # over a list json_each gives its members, over a scalar the scalar itself, over a missing field nothing
    return f"EXISTS (SELECT 1 FROM json_each(d.metadata, ?) AS v WHERE {either})", [_path(field), *parameters]


def _compared(operator: str, value: Scalar) -> Condition:
    if value is None:
        return "v.type = 'null'", []
    if isinstance(value, bool):
        return f"v.type = '{'true' if value else 'false'}'", []
    types = "('text')" if isinstance(value, str) else "('integer', 'real')"
    return f"(v.type IN {types} AND v.value {_COMPARE[operator]} ?)", [value]


def _path(field: str) -> str:
    return f'$."{field}"'
