"""The rows about the collection itself: its vector space, and its state."""

import sqlite3
from typing import NamedTuple

from . import damage
from .checksums import counts_checksum, row_checksum


class Space(NamedTuple):
    """The vector space that is searched."""

    id: int
    name: str
    dim: int
    spec: str


class State(NamedTuple):
    """Commit number, change log, generation and counts of the collection."""

    seq: int
    log_start: int
    generation: int
    """Id of the latest generation, 0 if there is none."""
    documents: int
    chunks: int


_SELECT_SPACE = "SELECT space.id, name, dim, spec, space.checksum FROM meta JOIN space ON space.id = live_space"
_SELECT_STATE = (
    "SELECT seq, log_start, (SELECT coalesce(max(id), 0) FROM generation), documents, chunks, checksum FROM meta"
)
_STATE_TYPES = (int,) * 6


def load_space(db: sqlite3.Connection) -> Space:
    """Return the space that is searched; StorageError if its row is damaged."""
    row = db.execute(_SELECT_SPACE).fetchone()
    if row is None or row_checksum(*row[:3]) != row[4]:  # the spec has no checksum: users may edit it
        raise damage.collection_error("the name of its embedder has changed since it was stored")
    return Space(*row[:4])


def load_state(db: sqlite3.Connection) -> State:
    """Return the state that `db`'s transaction sees; StorageError if its row is damaged."""
    row = db.execute(_SELECT_STATE).fetchone()
    if row is None or tuple(map(type, row)) != _STATE_TYPES or counts_checksum(*row[3:5]) != row[5]:
        raise damage.collection_error("its counts have changed since they were stored")
    return State(*row[:5])
