"""Read a ledger without changing it: its newest time, access keys and outbox. For diagnostics only."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.types.access import AccessKey
from ....core.types.escalations import OutboxState
from ...inspection import read_only
from . import keys, outbox
from .ledger import FILE, FORMAT

_FORMAT_WITH_KEYS = 5
_SELECT_NEWEST = (
    "SELECT max(coalesce((SELECT max(started) FROM call), 0), coalesce((SELECT max(created) FROM answer), 0),"
    " coalesce((SELECT max(last_used) FROM session), 0))"
)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What diagnostics need of a ledger."""

    newest: float = 0.0
    """Time of the newest row in seconds since 1970; 0 if there is none."""
    keys: Sequence[AccessKey] = ()
    outbox: OutboxState = field(default_factory=OutboxState)


@contextmanager
def open_ledger(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the ledger of a data directory; None if there is none. StorageError, ConflictError if it cannot be read."""
    if not os.path.exists(folder / FILE):
        yield None
        return
    with read_only(folder / FILE) as db:
        version = _read_format(db)
        if version > FORMAT:
            raise ConflictError(
                f"{folder / FILE} has format {version}, this semsearch knows {FORMAT}; use the version that wrote it"
            )
        yield db


def load_state(db: sqlite3.Connection) -> LedgerState:
    """Return the state of an open ledger; StorageError if a row cannot be read."""
    try:
        newest = float(db.execute(_SELECT_NEWEST).fetchone()[0])
        stored_keys = keys.load_keys(db) if _read_format(db) >= _FORMAT_WITH_KEYS else []
    except (ValueError, KeyError, TypeError):
        raise StorageError("a row of the ledger has changed since it was stored") from None
    return LedgerState(max([newest, *(key.created for key in stored_keys)]), stored_keys, outbox.load_state(db))


def _read_format(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
