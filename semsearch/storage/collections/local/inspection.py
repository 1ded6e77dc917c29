"""Read a collection without changing it, and check its index files completely. For diagnostics only."""

import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.types.stored_documents import IndexState
from ....text.analyzer import ANALYZER_VERSION
from ...inspection import UncheckedError, find_damage, read_only
from . import commit_file
from .catalog import CATALOG_FILE, FORMAT_VERSION
from .index.checked_files import DamagedFileError
from .index.generations import DEFAULT_INDEX_THRESHOLDS, Generations, IndexThresholds
from .rows import header

_KNOWN_FILES = re.compile(
    r"catalog\.db(?:-wal|-shm)?|\.?commit\.seq(?:\.new)?|originals|(?:write|publish|job)\.lock"
    r"|(?:index|ann)\..+|\.building-.+"
)


@dataclass(frozen=True, slots=True)
class CollectionState:
    """What diagnostics need of a collection."""

    spec: str
    """SPEC of its embedder."""
    space: str
    dim: int
    documents: int
    chunks: int
    index: IndexState
    index_damage: str | None
    """The first damaged index file."""
    has_old_analysis: bool
    """Whether its words come from another version of the analyser, so that searches are refused."""
    unchecked: str | None
    """Why the pages of the catalogue were not checked to the end."""


def inspect_collection(folder: Path, thresholds: tuple[int, int] | None = None) -> CollectionState:
    """Return the state of a collection; StorageError if it is damaged, ConflictError if it has another format."""
    with read_only(folder / CATALOG_FILE) as db:
        _check_format(db, folder)
    commit_file.check(folder, lambda: _read_commit_number(folder))
    with read_only(folder / CATALOG_FILE) as db:
        unchecked = _check_pages(db, folder)
        space, state = header.load_space(db), header.load_state(db)
        generations = Generations(folder, IndexThresholds(*(thresholds or DEFAULT_INDEX_THRESHOLDS)))
        damage = _find_index_damage(generations, db)
        index = generations.load_state(db)
        analysis = db.execute("SELECT analysis FROM meta").fetchone()[0]
    return CollectionState(
        space.spec, space.name, space.dim, state.documents, state.chunks,
        replace(index, state="damaged") if damage else index, damage, analysis != ANALYZER_VERSION, unchecked,
    )  # fmt: skip


def is_collection_file(name: str) -> bool:
    """Return whether an entry in the folder of a collection is from semsearch."""
    return _KNOWN_FILES.fullmatch(name) is not None


def _check_format(db: sqlite3.Connection, folder: Path) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if not version:
        raise StorageError(f"{folder / CATALOG_FILE} is empty: restore it from a copy, or delete the collection")
    if version > FORMAT_VERSION:
        raise ConflictError(
            f"{folder / CATALOG_FILE} has format {version}, this semsearch knows {FORMAT_VERSION}; use the version that"
            " wrote it"
        )
    if version < FORMAT_VERSION:
        raise UncheckedError(f"{folder / CATALOG_FILE} has format {version} of an earlier version of semsearch")


def _read_commit_number(folder: Path) -> int:
    """Return the number of the last commit, of a new transaction: others may commit meanwhile."""
    with read_only(folder / CATALOG_FILE) as db:
        return int(db.execute("SELECT seq FROM meta").fetchone()[0])


def _check_pages(db: sqlite3.Connection, folder: Path) -> str | None:
    """Return why the check was not completed; StorageError if a page is damaged."""
    try:
        damage = find_damage(db)
    except UncheckedError as exc:
        return str(exc)
    if damage is not None:
        raise StorageError(f"{folder / CATALOG_FILE} is damaged ({damage}): restore the collection from a copy")
    return None


def _find_index_damage(generations: Generations, db: sqlite3.Connection) -> str | None:
    """Return the first damage of an index file; every block is read."""
    try:
        generations.verify(db)
    except DamagedFileError as exc:
        return str(exc)
    return None
