"""Access keys as rows. Runs inside a transaction of the caller. Each change of a key raises their version."""

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from ....core.types.access import AccessKey, CallerLimits, KeyGrants
from ....core.types.usage import BudgetLimits

_COLUMNS = "id, grants, secret_hash, created, previous_hash, previous_expires, revoked"


def load_version(db: sqlite3.Connection) -> int:
    """Return the version of the keys; 0 if there has been none."""
    row = db.execute("SELECT version FROM access_key_version").fetchone()
    return int(row[0]) if row is not None else 0


def load_keys(db: sqlite3.Connection) -> list[AccessKey]:
    """Return all keys."""
    return [_decode_key(row) for row in db.execute(f"SELECT {_COLUMNS} FROM access_key")]


def load_key(db: sqlite3.Connection, key_id: str) -> AccessKey | None:
    """Return the key of this id."""
    row = db.execute(f"SELECT {_COLUMNS} FROM access_key WHERE id = ?", (key_id,)).fetchone()
    return None if row is None else _decode_key(row)


def save_key(db: sqlite3.Connection, key: AccessKey) -> None:
    """Insert a key, or replace that of its id."""
    row = (
        key.id, json.dumps(_encode_grants(key.grants)), key.secret_hash, key.created, key.previous_hash,
        key.previous_expires, key.revoked,
    )  # fmt: skip
    db.execute(f"INSERT OR REPLACE INTO access_key ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO access_key_version VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET version = version + 1")


def _encode_grants(grants: KeyGrants) -> dict[str, Any]:
    collections = None if grants.collections is None else sorted(grants.collections)
    return {**asdict(grants), "scopes": sorted(grants.scopes), "collections": collections}


def _decode_key(row: tuple[Any, ...]) -> AccessKey:
    key_id, grants, *others = row
    return AccessKey(key_id, _decode_grants(json.loads(grants)), *others)


def _decode_grants(stored: dict[str, Any]) -> KeyGrants:
    collections = stored["collections"]
    nested = {
        "scopes": frozenset(stored["scopes"]),
        "collections": None if collections is None else frozenset(collections),
        "limits": CallerLimits(**stored["limits"]),
        "budget": BudgetLimits(**stored["budget"]),
    }
    return KeyGrants(**{**stored, **nested})
