"""Translate a filter into an SQL condition over `document AS d`; every value is a parameter. Does not parse filters."""

import json
from collections.abc import Sequence

from .....core.types.documents import Scalar
from .....core.types.filters import AllOf, Comparison, Filter, Not

COLUMNS = frozenset({"uri", "title", "media_type"})
"""Fields that are columns of a document; metadata of these names cannot be asked for."""

_SQL_OPERATORS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_TEXT_TYPES = "('text')"
_NUMBER_TYPES = "('integer', 'real')"

SqlCondition = tuple[str, list[Scalar]]


def build_condition(tree: Filter) -> SqlCondition:
    """Return the SQL text of a filter, and its parameters."""
    if isinstance(tree, Comparison):
        return _build_comparison(tree)
    if isinstance(tree, Not):
        return _negate(build_condition(tree.part))
    operator, empty_result = (" AND ", "1") if isinstance(tree, AllOf) else (" OR ", "0")
    parts = [build_condition(part) for part in tree.parts]
    return f"({operator.join(sql for sql, _ in parts) or empty_result})", [
        value for _, values in parts for value in values
    ]


def build_values(field: str) -> SqlCondition:
    """Return a table of the types and values of a field of `d`, and its parameters.

    It has a row for each member of a list, one for a scalar, and none for a missing field.
    """
    if field in COLUMNS:
        return f"json_each(json_array(d.{field}))", []
    return "json_each(d.metadata, ?)", [_json_path(field)]


def _build_comparison(comparison: Comparison) -> SqlCondition:
    if comparison.operator == "$exists":
        sql, values = _build_exists(comparison.field)
        return (sql, values) if comparison.value else _negate((sql, values))
    members = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    if comparison.operator in ("$gt", "$gte", "$lt", "$lte"):
        return _build_any_member(
            comparison.field, *_build_order_comparison(_SQL_OPERATORS[comparison.operator], members[0])
        )
    equals = _build_any_member(comparison.field, *_build_equals(members))
    return _negate(equals) if comparison.operator in ("$ne", "$nin") else equals


def _negate(part: SqlCondition) -> SqlCondition:
    return f"NOT {part[0]}", part[1]


def _build_exists(field: str) -> SqlCondition:
    if field in COLUMNS:
        return "1", []
    return "(json_type(d.metadata, ?) IS NOT NULL)", [_json_path(field)]


def _build_any_member(field: str, sql: str, values: Sequence[Scalar]) -> SqlCondition:
    """Return the condition that `sql` is true of the value `v` of a field, or of a member of a list."""
    if field in COLUMNS:
        return f"EXISTS (SELECT 1 FROM (SELECT 'text' AS type, d.{field} AS value) AS v WHERE {sql})", [*values]
    # json_each yields the members of a list, a scalar itself, and nothing for a missing field
    return f"EXISTS (SELECT 1 FROM json_each(d.metadata, ?) AS v WHERE {sql})", [_json_path(field), *values]


def _build_equals(values: Sequence[Scalar]) -> SqlCondition:
    """Return the condition that `v` equals one of these values; values of different types are never equal.

    The values of a type are one parameter: SQLite limits the length of an expression, and parses it in quadratic time.
    """
    json_types = {None: "null", True: "true", False: "false"}
    types = sorted({json_types[value] for value in values if value is None or isinstance(value, bool)})
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    conditions = [f"v.type = '{kind}'" for kind in types]
    for sql_types, typed_values in ((_TEXT_TYPES, texts), (_NUMBER_TYPES, numbers)):
        if typed_values:
            conditions.append(f"(v.type IN {sql_types} AND v.value IN (SELECT value FROM json_each(?)))")
    return " OR ".join(conditions) or "0", [
        json.dumps(typed_values) for typed_values in (texts, numbers) if typed_values
    ]


def _build_order_comparison(operator: str, value: Scalar) -> SqlCondition:
    return f"v.type IN {_TEXT_TYPES if isinstance(value, str) else _NUMBER_TYPES} AND v.value {operator} ?", [value]


def _json_path(field: str) -> str:
    return f'$."{field}"'
