"""The fixture that makes stores, for the contract tests and for the tests of the local store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fakes import HashEmbedder
from support.writing import INDEX_THRESHOLDS

from semsearch.storage.collections.local.store import LocalStore

NewStore = Callable[..., LocalStore]
"""Takes the name, and as `max_original_bytes` the space for originals."""


def create_store(folder: Path) -> LocalStore:
    """Create a store in this folder, with product codes from a thousand vectors on."""
    LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    return LocalStore(folder, INDEX_THRESHOLDS)


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[NewStore]:
    """A function that opens the store of a name, made if new, with product codes from a thousand vectors on."""
    opened: list[LocalStore] = []

    def open_store(name: str, **options: int) -> LocalStore:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
        opened.append(LocalStore(folder, INDEX_THRESHOLDS, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()
