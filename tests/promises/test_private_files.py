"""Nobody but the owner may read what semsearch stores: files have mode 0600, folders 0700."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http_service import HANDBOOK, fill_collection, run_service

from semsearch import Library, text_source

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Let the mask allow others to read, as it usually does."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def list_open_paths(folder: Path) -> dict[str, str]:
    """Return the mode of each file or folder that others may access, by its path below `folder`."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in paths}
    return {path: oct(mode) for path, mode in modes.items() if mode & 0o077}


def fill(folder: Path) -> None:
    """Create a collection with an index, an answer and a session; everything stays open until the library closes."""
    with Library(folder) as library:
        handbook = library.create("hb")
        handbook.upsert([text_source(uri, text) for uri, text in HANDBOOK.items()])
        handbook.reindex()
        session = handbook.create_session().id
        handbook.ask("How many weeks of leave do parents take?", session=session)
        assert list_open_paths(folder) == {}


def test_files_are_private(tmp_path: Path) -> None:
    """While the library is open, and after it; a new parent of the data directory too."""
    fill(tmp_path / "new" / "indexes")
    assert list_open_paths(tmp_path / "new") == {}


def test_files_of_the_service_are_private(tmp_path: Path) -> None:
    """Originals are kept of what is uploaded."""
    with run_service(tmp_path / "indexes") as client:
        path = fill_collection(client, "hb")
        assert client.post(f"{path}/ask", json={"question": "When may parents leave?"}).status_code == 200
        assert (tmp_path / "indexes" / "hb" / "originals").is_dir()
        assert list_open_paths(tmp_path / "indexes") == {}


def test_collection_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    """An earlier version made them so. The data directory may hold files of others, so it stays as it is."""
    fill(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with Library(tmp_path) as library:
        library.open("hb").search("leave")
        library.ledger.list_sessions("", 1)
    mode_by_path = list_open_paths(tmp_path)
    assert mode_by_path.pop(".") == "0o755"
    names = {path for path in mode_by_path if "/" not in path}
    assert not {path for path in names if not path.endswith(".lock")}
