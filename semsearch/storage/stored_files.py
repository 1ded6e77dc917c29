"""The files of a data directory by their names: those of the library, the collections, and what is in them."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..core.names import is_valid_name
from .collections.local.catalog import CATALOG_FILE
from .collections.local.inspection import is_collection_file

_DATABASES = r"(?:ledger|embedding_cache|paid|limits)"
_LIBRARY_FILE = re.compile(
    rf"{_DATABASES}\.(?:db(?:-wal|-shm|-journal)?|lock)|library\.lock|eval_runs\.jsonl|\.(?:creating|deleted)-[0-9a-f]{{16}}"
)


def is_library_file(name: str) -> bool:
    """Return whether an entry of a data directory that is no collection is from semsearch."""
    return _LIBRARY_FILE.fullmatch(name) is not None


def list_collections(folder: Path) -> list[str]:
    """Return the names of the folders that have a catalogue, sorted; none if the folder cannot be read."""
    try:
        entries = [path for path in folder.iterdir() if is_valid_name(path.name)]
    except OSError:
        return []
    return sorted(path.name for path in entries if _is_file(path / CATALOG_FILE))


def list_stored_files(folder: Path) -> list[Path]:
    """Return the stored files in a data directory, and the folders of its collections with the files in them."""
    try:
        library_files = [path for path in folder.iterdir() if is_library_file(path.name)]
    except OSError:
        return []
    collections = [path for name in list_collections(folder) for path in _list_collection(folder / name)]
    return [*sorted(library_files), *collections]


def list_foreign_files(folder: Path) -> list[str]:
    """Return the names in the folder of a collection that are not from semsearch, but for journals."""
    names = [path.name for path in folder.iterdir() if path.name != f"{CATALOG_FILE}-journal"]
    return sorted(name for name in names if not is_collection_file(name))


def _list_collection(folder: Path) -> Iterator[Path]:
    yield folder
    try:
        yield from sorted(path for path in folder.iterdir() if is_collection_file(path.name))
    except OSError:
        return


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
