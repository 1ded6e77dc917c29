"""The file of a document below its folder is read again only if it is still that file; no message has its path."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from semsearch.core.errors import ConflictError, NotFoundError, SemsearchError
from semsearch.core.types.documents import SourceRoot
from semsearch.ingest.document_uris import make_uri_below
from semsearch.ingest.root_files import read_root_file

DATA = b"The lamp is lit."
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> SourceRoot:
    """A folder with one file, and a folder beside it with an equal one."""
    for name in ("docs", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_bytes(DATA)
    return SourceRoot("docs", tmp_path / "docs")


@pytest.mark.parametrize("name", [b"50% & \xc3\xbc.txt", b"line\nbreak", b"not utf-8 \xff", b"%2e%2e", b"a\\b"])
def test_file_of_any_name_is_found(root: SourceRoot, name: bytes) -> None:
    """Its name is decoded from the uri that it got when it was ingested."""
    path = root.path / "below" / os.fsdecode(name)
    path.parent.mkdir()
    path.write_bytes(DATA)
    assert read_root_file(root, make_uri_below(root, path), SHA256) == DATA


def test_link_below_the_folder_is_followed(root: SourceRoot) -> None:
    """As at ingestion."""
    (root.path / "link.txt").symlink_to("a.txt")
    assert read_root_file(root, "docs/link.txt", SHA256) == DATA


def replace_file(path: Path) -> None:
    """Write other bytes."""
    path.write_bytes(b"The lamp is out.")


def link_outside(path: Path) -> None:
    """Replace the file by a link to an equal one outside of the folder."""
    path.unlink()
    path.symlink_to(path.parent.parent / "private" / "a.txt")


def link_in_a_loop(path: Path) -> None:
    """Replace the file by a link to itself."""
    path.unlink()
    path.symlink_to(path.name)


def make_pipe(path: Path) -> None:
    """Replace the file by a pipe, which would block a reader."""
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    """Replace the file by a folder."""
    path.unlink()
    path.mkdir()


def link_the_folder(path: Path) -> None:
    """Replace the registered folder by a link to another one."""
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to("private")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (replace_file, ConflictError, "the file of 'docs/a.txt' has changed since it was ingested; ingest it again"),
        (link_outside, ConflictError, "the file of 'docs/a.txt' is now behind a link that leaves its folder"),
        (link_the_folder, ConflictError, "the file of 'docs/a.txt' is now behind a link that leaves its folder"),
        (link_in_a_loop, ConflictError, "there is no file any more"),
        (make_pipe, ConflictError, "there is no file any more"),
        (make_folder, ConflictError, "there is no file any more"),
        (Path.unlink, NotFoundError, "the file of 'docs/a.txt' is no longer in its folder; ingest the folder again"),
    ],
)
def test_what_is_not_the_ingested_file_is_refused(
    root: SourceRoot, change: Callable[[Path], object], error: type[SemsearchError], message: str
) -> None:
    """The error says why, and what to do."""
    change(root.path / "a.txt")
    with pytest.raises(error, match=message) as caught:
        read_root_file(root, "docs/a.txt", SHA256)
    assert str(root.path.parent) not in str(caught.value)


@pytest.mark.parametrize("uri", ["docs/../private/a.txt", "docs/%2E%2E/private/a.txt", "docs/..%2Fprivate%2Fa.txt",
                                 "docs//a.txt", "docs/a.txt%00", "docs/./a.txt", "docs/"])  # fmt: skip
def test_uri_cannot_leave_the_folder(root: SourceRoot, uri: str) -> None:
    """A stored uri of a file never looks like this."""
    with pytest.raises(ConflictError, match="names no file below a folder"):
        read_root_file(root, uri, SHA256)
