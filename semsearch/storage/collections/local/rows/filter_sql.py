"""A filter as an SQL condition over `document AS d`; every value is a parameter. Does not parse filters."""

import json
from collections.abc import Sequence

from .....core.types.documents import Scalar
from .....core.types.filters import AllOf, Comparison, Filter, Not

_COLUMNS = frozenset({"uri", "title", "media_type"})
_SQL_OPERATORS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_TEXT_TYPES = "('text')"
_NUMBER_TYPES = "('integer', 'real')"

SqlCondition = tuple[str, list[Scalar]]


def build_condition(tree: Filter) -> SqlCondition:
    """The SQL text and its parameters."""
    if isinstance(tree, Comparison):
        return _build_comparison(tree)
    if isinstance(tree, Not):
        return _negate(build_condition(tree.part))
    joint, empty = (" AND ", "1") if isinstance(tree, AllOf) else (" OR ", "0")
    parts = [build_condition(part) for part in tree.parts]
    return f"({joint.join(sql for sql, _ in parts) or empty})", [value for _, values in parts for value in values]


def _build_comparison(comparison: Comparison) -> SqlCondition:
    if comparison.operator == "$exists":
        sql, values = _build_exists(comparison.field)
        return (sql, values) if comparison.value else _negate((sql, values))
    members = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    if comparison.operator in ("$gt", "$gte", "$lt", "$lte"):
        return _build_any_member(
            comparison.field, *_build_order_comparison(_SQL_OPERATORS[comparison.operator], members[0])
        )
    same = _build_any_member(comparison.field, *_build_equals(members))
    return _negate(same) if comparison.operator in ("$ne", "$nin") else same


def _negate(part: SqlCondition) -> SqlCondition:
    return f"NOT {part[0]}", part[1]


def _build_exists(field: str) -> SqlCondition:
    if field in _COLUMNS:
        return "1", []
    return "(json_type(d.metadata, ?) IS NOT NULL)", [_json_path(field)]


def _build_any_member(field: str, sql: str, values: Sequence[Scalar]) -> SqlCondition:
    """Whether `sql` holds for the field's value `v`, or for a member of it."""
    if field in _COLUMNS:
        return f"EXISTS (SELECT 1 FROM (SELECT 'text' AS type, d.{field} AS value) AS v WHERE {sql})", [*values]
    # over a list json_each gives its members, over a scalar the scalar itself, over a missing field nothing
    return f"EXISTS (SELECT 1 FROM json_each(d.metadata, ?) AS v WHERE {sql})", [_json_path(field), *values]


def _build_equals(values: Sequence[Scalar]) -> SqlCondition:
    """Whether `v` is one of these; values of different types never are.

    All are one parameter: SQLite takes no expression that is as long as a list may be, and the square of its length to
    read it.
    """
    plain = {None: "null", True: "true", False: "false"}
    kinds = sorted({plain[value] for value in values if value is None or isinstance(value, bool)})
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    found = [f"v.type = '{kind}'" for kind in kinds]
    for types, some in ((_TEXT_TYPES, texts), (_NUMBER_TYPES, numbers)):
        if some:
            found.append(f"(v.type IN {types} AND v.value IN (SELECT value FROM json_each(?)))")
    return " OR ".join(found) or "0", [json.dumps(some) for some in (texts, numbers) if some]


def _build_order_comparison(operator: str, value: Scalar) -> SqlCondition:
    return f"v.type IN {_TEXT_TYPES if isinstance(value, str) else _NUMBER_TYPES} AND v.value {operator} ?", [value]


def _json_path(field: str) -> str:
    return f'$."{field}"'
