"""Rows of originals: which files are kept, and of which documents. Works inside the transaction of the caller."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from .....core.types.originals import OriginalState
from . import damage
from .documents import split_into_batches

_IS_USED = "EXISTS (SELECT 1 FROM document WHERE document.sha256 = original.sha256 AND document.original = 'kept')"


def find_kept(db: sqlite3.Connection, hashes: Iterable[str]) -> set[str]:
    """Return those of these hashes whose files are kept."""
    return {row[0] for batch in split_into_batches(list(hashes)) for row in _select(db, "sha256", "original", batch)}


def list_kept(db: sqlite3.Connection) -> set[str]:
    """Return the hashes of all files that are kept; a damaged row does not make the file of a document unneeded."""
    sql = "SELECT sha256 FROM original UNION SELECT sha256 FROM document WHERE original = 'kept'"
    return {row[0] for row in db.execute(sql)}


def find_kept_of(db: sqlite3.Connection, uris: Sequence[str]) -> set[str]:
    """Return the hashes of the files that are kept of these documents."""
    return {
        sha256
        for batch in split_into_batches(uris)
        for _, sha256, state in _select(db, "uri", "document", batch, "sha256, original")
        if state == "kept"
    }


def count_bytes(db: sqlite3.Connection) -> int:
    """Return the size of all files that are kept."""
    return int(db.execute("SELECT original_bytes FROM meta").fetchone()[0])


def add(db: sqlite3.Connection, sha256: str, size: int) -> None:
    """Add a file that is kept."""
    db.execute("INSERT INTO original (sha256, bytes) VALUES (?, ?)", (sha256, size))


def update_states(db: sqlite3.Connection, states: Mapping[str, OriginalState | None]) -> None:
    """Set the state of documents by uri."""
    db.executemany(
        "UPDATE document SET original = ?1 WHERE uri = ?2 AND original IS NOT ?1",
        ((state, uri) for uri, state in states.items()),
    )


def delete_unused(db: sqlite3.Connection, hashes: Iterable[str]) -> list[str]:
    """Delete the rows of those of these files that no document has any more; return their hashes."""
    return [
        sha256
        for sha256 in hashes
        if db.execute(f"DELETE FROM original WHERE sha256 = ? AND NOT {_IS_USED}", (sha256,)).rowcount
    ]


def _select(
    db: sqlite3.Connection, key: str, table: str, values: Sequence[str], columns: str = "bytes"
) -> list[tuple[str, str, str]]:
    placeholders = ",".join("?" * len(values))
    return damage.fetch_all(db, f"SELECT {key}, {columns} FROM {table} WHERE {key} IN ({placeholders})", values)
