"""Every store runs the same tests: the parameter list is the list of stores."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fakes import HashEmbedder
from support.writing import INDEX_THRESHOLDS

from semsearch.storage.collections.local.store import LocalStore

NewStore = Callable[[str], LocalStore]


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[NewStore]:
    """Makes empty stores by name, which code a thousand vectors; the same name again opens the same store anew."""
    opened: list[LocalStore] = []

    def make(name: str) -> LocalStore:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
        opened.append(LocalStore(folder, INDEX_THRESHOLDS))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
