"""Sources: which files are found, their URIs, and entries that are never opened."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import ConflictError, InvalidError, NotFoundError
from semsearch.core.types.documents import Failure, Skip, Source, SourceRoot
from semsearch.ingest import document_uris, media_types, sources


def list_uris(*paths: Path, root_name: str | None = None) -> list[str]:
    """Return the URIs of all sources and failures."""
    found_sources = sources.read(*paths, root_name=root_name)
    return [source.uri for source in found_sources if not isinstance(source, Skip)]


def list_failures(path: Path) -> dict[str, str]:
    """Return URI to error type of the failures."""
    return {source.uri: source.type for source in sources.read(path) if isinstance(source, Failure)}


def get_only_source(path: Path) -> Source:
    """Return the only source at a path."""
    (source,) = sources.read(path)
    assert isinstance(source, Source)
    return source


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small tree, written in unsorted order."""
    folder = tmp_path / "docs"
    for name in ("b.txt", "a/x.md", "a-b.txt", "a/deep/er.html", ".hidden/no.txt", ".no.txt", "a/.no.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_files_are_named_below_their_root(docs: Path) -> None:
    """A URI is the root's name and the path below it; sources are sorted, and hidden files are skipped."""
    assert list_uris(docs) == ["docs/a-b.txt", "docs/a/deep/er.html", "docs/a/x.md", "docs/b.txt"]
    assert list_uris(docs) == sorted(list_uris(docs))


def test_source_has_root_media_type_and_metadata(docs: Path) -> None:
    """A source has its root with the absolute path, its media type and the given metadata."""
    found_sources = [source for source in sources.read(docs, metadata={"team": "hr"}) if isinstance(source, Source)]
    assert found_sources[2].root == SourceRoot("docs", docs.resolve())
    assert (found_sources[2].media_type, found_sources[2].path) == ("text/markdown", docs / "a/x.md")
    assert found_sources[2].metadata == {"team": "hr"}
    assert found_sources[2].root is not None
    assert document_uris.make_uri_below(found_sources[2].root, docs / "a" / "x.md") == "docs/a/x.md"


def test_walking_opens_no_file(docs: Path) -> None:
    """Files are opened by `open` only: walking succeeds where reading fails."""
    found_sources = list(sources.read(docs))
    (docs / "b.txt").unlink()
    source = found_sources[-1]
    assert isinstance(source, Source)
    with pytest.raises(FileNotFoundError):
        source.open()


def test_open_returns_the_bytes(docs: Path) -> None:
    """`open` returns a stream of the file's bytes."""
    with get_only_source(docs / "b.txt").open() as file:
        assert file.read() == b"b.txt"


def test_uri_of_a_single_file_is_its_name(docs: Path) -> None:
    """A single file has no root, its URI is its name, and another URI can be given."""
    assert (get_only_source(docs / "b.txt").uri, get_only_source(docs / "b.txt").root) == ("b.txt", None)
    assert [source.uri for source in sources.read(docs / "b.txt", uri="kept/as.txt")] == ["kept/as.txt"]


def test_explicit_hidden_path_is_read(docs: Path) -> None:
    """Hidden files are skipped below a root, but read if their path is given."""
    assert list_uris(docs / ".hidden") == [".hidden/no.txt"]
    assert list_uris(docs / ".no.txt") == [".no.txt"]


def test_the_current_folder_has_its_real_name(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of `.` has the name of the folder."""
    monkeypatch.chdir(docs / "a")
    assert list_uris(Path(".")) == ["a/deep/er.html", "a/x.md"]
    assert list_uris(Path("..")) == list_uris(docs)


def test_root_name_can_be_replaced(docs: Path) -> None:
    """`root_name` replaces the folder's name."""
    assert list_uris(docs, root_name="manual")[0] == "manual/a-b.txt"


def test_repeated_paths_are_read_once(docs: Path) -> None:
    """Paths that repeat or lie below another path are read once; a hidden folder is read if its path is given."""
    for paths in ([docs, docs], [docs / "a", docs], [docs / "b.txt", docs, docs / "a" / "x.md"]):
        assert list_uris(*paths) == list_uris(docs)
    assert list_uris(docs / "b.txt", docs / "b.txt") == ["b.txt"]
    assert list_uris(docs, docs / ".hidden") == [*list_uris(docs), ".hidden/no.txt"]


def test_empty_folder_is_a_source(docs: Path) -> None:
    """An empty folder is a source itself, so that pruning knows that it was walked; empty subfolders do not count."""
    (docs / "empty" / "inside").mkdir(parents=True)
    source = get_only_source(docs / "empty")
    assert (source.path, source.root) == (docs / "empty", SourceRoot("empty", docs / "empty"))
    with pytest.raises(OSError, match="no longer a file"):
        source.open()


def test_missing_path_raises_before_iteration(docs: Path) -> None:
    """A path that does not exist raises at the call, not during iteration."""
    with pytest.raises(NotFoundError, match=r"nowhere\.txt does not exist"):
        sources.read(docs, docs / "nowhere.txt")


def test_empty_path_is_refused(docs: Path) -> None:
    """An empty path is an error, not the current folder."""
    with pytest.raises(InvalidError, match="a path is empty"):
        sources.read(docs, "")


def test_two_files_with_one_name_are_a_conflict(docs: Path) -> None:
    """Two single files with one name would become one document."""
    (docs / "a" / "b.txt").write_text("another")
    with pytest.raises(ConflictError, match=r"both be named b\.txt"):
        sources.read(docs / "b.txt", docs / "a" / "b.txt")


@pytest.mark.parametrize(
    ("root_name", "uri"), [("", None), ("a/b", None), (".", None), ("..", None), (None, "x"), (None, "")]
)
def test_invalid_root_name_or_uri_is_refused(docs: Path, root_name: str | None, uri: str | None) -> None:
    """A root name is a single path part, and a URI applies to a single file."""
    with pytest.raises(InvalidError):
        sources.read(docs, root_name=root_name, uri=uri)


def test_unusual_names_are_percent_encoded(tmp_path: Path) -> None:
    """A newline, a percent sign and a byte that is not UTF-8 are encoded; spaces, letters and leading dashes stay."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (
        b"new\nline.txt",
        b"100%.txt",
        b"caf\xe9.txt",
        "Straße 1.txt".encode(),
        b"-rf.txt",
        b"\xe2\x80\xaetxt.md",
    ):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(b"x")
    assert set(list_uris(folder)) == {
        "odd/new%0Aline.txt",
        "odd/100%25.txt",
        "odd/caf%E9.txt",
        "odd/Straße 1.txt",
        "odd/-rf.txt",
        "odd/%E2%80%AEtxt.md",
    }
    for source in sources.read(folder):
        assert isinstance(source, Source)
        with source.open() as file:
            assert file.read() == b"x"


@given(st.binary(min_size=1).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_percent_encoding_is_reversible(name: bytes) -> None:
    """Percent-decoding a URI gives the bytes of the file name, and the URI is printable."""
    root = SourceRoot("r", Path("/r"))
    uri = document_uris.make_uri_below(root, Path("/r") / ("_" + os.fsdecode(name)))
    assert unquote_to_bytes(uri) == b"r/_" + name
    assert uri.isprintable()


def test_pipes_and_sockets_are_never_opened(docs: Path) -> None:
    """A pipe and a socket are failures and are not opened, which could block."""
    os.mkfifo(docs / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(docs / "socket.txt"))
        assert list_failures(docs) == {"docs/pipe.txt": "unsupported_media", "docs/socket.txt": "unsupported_media"}
    assert list_failures(docs / "pipe.txt") == {"pipe.txt": "unsupported_media"}


def test_file_replaced_by_a_pipe_does_not_block(docs: Path) -> None:
    """A pipe or link that replaced a file since the walk is refused by `open`."""
    source = get_only_source(docs / "b.txt")
    (docs / "b.txt").unlink()
    os.mkfifo(docs / "b.txt")
    with pytest.raises(OSError, match="no longer a file"):
        source.open()
    (docs / "b.txt").unlink()
    (docs / "b.txt").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        source.open()


def test_links_that_leave_the_root_are_failures(docs: Path, tmp_path: Path) -> None:
    """A link to a file or folder outside the root is a failure and is not followed."""
    (tmp_path / "secret.txt").write_text("secret")
    (docs / "out.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "up").symlink_to(tmp_path)
    assert list_failures(docs) == {"docs/out.txt": "forbidden", "docs/up": "forbidden"}


def test_folder_with_the_root_name_as_prefix_is_outside_the_root(docs: Path, tmp_path: Path) -> None:
    """`docs-old` is not inside `docs`."""
    (tmp_path / "docs-old").mkdir()
    (docs / "old").symlink_to(tmp_path / "docs-old")
    assert list_failures(docs) == {"docs/old": "forbidden"}


def test_links_inside_the_root_are_followed(docs: Path) -> None:
    """A link to a file or folder of the same root is read under its own URI."""
    (docs / "again.txt").symlink_to("b.txt")
    (docs / "same").symlink_to("a")
    assert list_uris(docs)[3:] == ["docs/again.txt", "docs/b.txt", "docs/same/deep/er.html", "docs/same/x.md"]
    assert list_failures(docs) == {}


def test_link_loops_are_failures(docs: Path) -> None:
    """A link to a parent folder is a failure; links to each other and a broken link fail when they are opened."""
    (docs / "a" / "loop").symlink_to("..")
    (docs / "one").symlink_to("two")
    (docs / "two").symlink_to("one")
    (docs / "broken").symlink_to("nothing")
    assert list_failures(docs) == {"docs/a/loop": "forbidden"}
    for source in sources.read(docs):
        if isinstance(source, Source) and source.uri in ("docs/one", "docs/two", "docs/broken"):
            with pytest.raises(OSError, match="broken link"):
                source.open()


def test_folders_that_link_to_each_other_do_not_multiply(tmp_path: Path) -> None:
    """Twelve folders with links to all others are followed one level deep: 12 * 11 * 11 failures, not 12!."""
    folders = [tmp_path / "all" / f"f{number}" for number in range(12)]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in folders:
        for target in folders:
            if target != folder:
                (folder / target.name).symlink_to(target)
    assert len(list_failures(tmp_path / "all")) == 12 * 11 * 11


def test_deep_tree_is_walked(tmp_path: Path) -> None:
    """A deep tree does not raise RecursionError; a URI that is too long is a failure."""
    folder = tmp_path / "deep"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=descriptor)
        subfolder = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = subfolder
    os.close(os.open("bottom.txt", os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)
    (folder / "z.txt").write_text("z")
    entries = list(sources.read(folder))
    assert [type(entry) for entry in entries] == [Failure, Source]
    assert isinstance(entries[0], Failure)
    assert (entries[0].type, entries[1].uri) == ("invalid", "deep/z.txt")


def test_unlistable_folder_is_a_failure(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed is one failure, and others are read."""
    original_listdir = os.listdir

    def listdir_without_a(path: Path) -> list[str]:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return original_listdir(path)

    monkeypatch.setattr(os, "listdir", listdir_without_a)
    assert list_failures(docs) == {"docs/a": "storage"}
    assert list_uris(docs) == ["docs/a-b.txt", "docs/a", "docs/b.txt"]


def test_texts_and_bytes_become_sources() -> None:
    """Texts and bytes become sources with the given URI, and can be opened repeatedly."""
    text = sources.text_source("note:1", "hällo\ud800", title="Note", metadata={"a": 1})
    assert (text.media_type, text.title, text.metadata) == ("text/plain; charset=utf-8", "Note", {"a": 1})
    assert text.open().read() == "hällo?".encode()
    assert text.open().read() == "hällo?".encode()
    assert sources.bytes_source("b", b"%PDF", "application/pdf").open().read() == b"%PDF"


@pytest.mark.parametrize("uri", ["", " ", "x" * 1025, "a\nb", "a\x00b", "a\x7f", "a\ud800b"])
def test_invalid_uris_are_refused(uri: str) -> None:
    """A URI must not be empty, too long or contain control characters."""
    with pytest.raises(InvalidError):
        sources.text_source(uri, "text")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("A.PDF", "application/pdf"),
        ("docs.v2/notes.md", "text/markdown"),
        ("README", "text/plain"),
        ("Makefile", "text/x-shellscript"),
        ("x.unknown", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        (".md", "application/octet-stream"),
    ],
)
def test_media_types_come_from_the_name(name: str, media_type: str) -> None:
    """The extension gives the media type, ignoring case; a few names without extension are known."""
    assert media_types.guess_media_type(name) == media_type


@pytest.mark.parametrize("uri", [".", ".."])
def test_uri_that_addresses_cannot_hold_is_refused(docs: Path, uri: str) -> None:
    """Clients remove such a part of an address; as a part of a uri it is encoded with the slash, and stays."""
    source = sources.text_source("a", "A lamp.")
    for make in (
        lambda: sources.text_source(uri, "A lamp."),
        lambda: sources.validate_source(replace(source, uri=uri)),
        lambda: list(sources.read(docs / "b.txt", uri=uri)),
    ):
        with pytest.raises(InvalidError, match="choose another"):
            make()
    assert sources.text_source(f"docs/{uri}", "A lamp.").uri == f"docs/{uri}"
