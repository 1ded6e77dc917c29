"""Count the values of a field over the documents that match a condition, and find the fields worth counting.

Works inside the transaction of the caller.
"""

import sqlite3
from itertools import islice

from .....core.types.documents import Scalar
from .....core.types.search import FacetValue
from . import damage
from .filter_sql import COLUMNS, SqlCondition, build_values

_CONSTANTS = {"null": None, "true": True, "false": False}
_TYPE = "CASE v.type WHEN 'real' THEN 'integer' ELSE v.type END"
"""Type of a value; 1 and 1.0 are equal, as in filters."""


def count_values(db: sqlite3.Connection, field: str, where: SqlCondition, limit: int) -> list[FacetValue]:
    """Return the values that most documents have, the most frequent first; ties are in order of value, then type.

    Each member of a list counts, and each document once for a value.
    """
    (source, path), (sql, values) = build_values(field), where
    rows = damage.fetch_all(
        db,
        f"SELECT {_TYPE} AS kind, v.value, count(DISTINCT d.id) AS documents FROM document AS d, {source} AS v"
        f" WHERE v.type NOT IN ('object', 'array') AND {sql} GROUP BY kind, v.value"
        " ORDER BY documents DESC, v.value, kind LIMIT ?",
        (*path, *values, limit),
    )
    return [FacetValue(_to_scalar(kind, value), count) for kind, value, count in rows]


def find_fields(db: sqlite3.Connection, where: SqlCondition, limit: int, max_values: int) -> list[str]:
    """Return up to `limit` metadata fields with at most `max_values` values, the one that most documents have first.

    Ties are in order of name.
    """
    sql, values = where
    rows = damage.fetch_all(
        db,
        f"SELECT f.key FROM document AS d, json_each(d.metadata) AS f WHERE {sql}"
        " GROUP BY f.key ORDER BY count(*) DESC, f.key",
        values,
    )
    fields = (key for (key,) in rows if key not in COLUMNS and _has_few_values(db, key, where, max_values))
    return list(islice(fields, limit))


def _has_few_values(db: sqlite3.Connection, field: str, where: SqlCondition, max_values: int) -> bool:
    """Return whether the documents have from 1 to `max_values` values of a field; stops reading at the first beyond."""
    (source, path), (sql, values) = build_values(field), where
    rows = damage.fetch_all(
        db,
        f"SELECT DISTINCT {_TYPE}, v.value FROM document AS d, {source} AS v"
        f" WHERE v.type NOT IN ('object', 'array') AND {sql} LIMIT ?",
        (*path, *values, max_values + 1),
    )
    return 1 <= len(rows) <= max_values


def _to_scalar(kind: str, value: Scalar) -> Scalar:
    return _CONSTANTS.get(kind, value)
