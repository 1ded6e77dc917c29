"""A filter as an SQL condition over `document AS d`; every value is a parameter. Does not parse filters."""

import json
from collections.abc import Sequence

from .....core.types.documents import Scalar
from .....core.types.filters import AllOf, Filter, Not, Test

_COLUMNS = frozenset({"uri", "title", "media_type"})
_COMPARE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_TEXT = "('text')"
_NUMBER = "('integer', 'real')"

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
    members = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.operator in ("$gt", "$gte", "$lt", "$lte"):
        return _any_member(test.field, *_compared(_COMPARE[test.operator], members[0]))
    same = _any_member(test.field, *_equal(members))
    return _negated(same) if test.operator in ("$ne", "$nin") else same


def _negated(part: Condition) -> Condition:
    return f"NOT {part[0]}", part[1]


def _present(field: str) -> Condition:
    if field in _COLUMNS:
        return "1", []
    return "(json_type(d.metadata, ?) IS NOT NULL)", [_path(field)]


def _any_member(field: str, sql: str, values: Sequence[Scalar]) -> Condition:
    """Whether `sql` holds for the field's value `v`, or for a member of it."""
    if field in _COLUMNS:
        return f"EXISTS (SELECT 1 FROM (SELECT 'text' AS type, d.{field} AS value) AS v WHERE {sql})", [*values]
    # over a list json_each gives its members, over a scalar the scalar itself, over a missing field nothing
    return f"EXISTS (SELECT 1 FROM json_each(d.metadata, ?) AS v WHERE {sql})", [_path(field), *values]


def _equal(values: Sequence[Scalar]) -> Condition:
    """Whether `v` is one of these; values of different types never are.

    All are one parameter: SQLite takes no expression that is as long as a list may be, and the square of its length to
    read it.
    """
    plain = {None: "null", True: "true", False: "false"}
    kinds = sorted({plain[value] for value in values if value is None or isinstance(value, bool)})
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    found = [f"v.type = '{kind}'" for kind in kinds]
    for types, some in ((_TEXT, texts), (_NUMBER, numbers)):
        if some:
            found.append(f"(v.type IN {types} AND v.value IN (SELECT value FROM json_each(?)))")
    return " OR ".join(found) or "0", [json.dumps(some) for some in (texts, numbers) if some]


def _compared(operator: str, value: Scalar) -> Condition:
    return f"v.type IN {_TEXT if isinstance(value, str) else _NUMBER} AND v.value {operator} ?", [value]


def _path(field: str) -> str:
    return f'$."{field}"'
