"""The collection's own rows: its vector space, and its counts."""

import sqlite3
from typing import NamedTuple

from . import damage
from .checksums import of_counts, of_row


class Space(NamedTuple):
    """The vector space that is searched."""

    id: int
    name: str
    dim: int
    spec: str


class State(NamedTuple):
    """Where the collection is in its history."""

    seq: int
    log_start: int
    generation: int
    """Number of the latest one, 0 if there is none."""
    documents: int
    chunks: int


_SPACE = "SELECT space.id, name, dim, spec, space.checksum FROM meta JOIN space ON space.id = live_space"
_SELECT_STATE = (
    "SELECT seq, log_start, (SELECT coalesce(max(id), 0) FROM generation), documents, chunks, checksum FROM meta"
)


def space(db: sqlite3.Connection) -> Space:
    """Return the space that is searched; Storage if its row is damaged."""
    row = db.execute(_SPACE).fetchone()
    if row is None or of_row(*row[:3]) != row[4]:  # the spec may be edited by hand
        raise damage.of_collection("the name of its embedder is not what was stored")
    return Space(*row[:4])


def state(db: sqlite3.Connection) -> State:
    """Return the state that `db`'s transaction sees; Storage if its row is damaged."""
    row = db.execute(_SELECT_STATE).fetchone()
    if row is None or not all(isinstance(value, int) for value in row) or of_counts(*row[3:5]) != row[5]:
        raise damage.of_collection("its counts are not what was stored")
    return State(*row[:5])
