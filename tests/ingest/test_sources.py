"""What is found below a path, under which name, and what is never touched."""

import os
import socket
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import ConflictError, InvalidError, NotFoundError
from semsearch.core.types.documents import Failure, Source, SourceRoot
from semsearch.ingest import media_types, sources


def names(*paths: Path, root_name: str | None = None) -> list[str]:
    """The uris of all that is found."""
    return [found.uri for found in sources.read(*paths, root_name=root_name)]


def failures(path: Path) -> dict[str, str]:
    """What could not be read, with the kind of its error."""
    return {found.uri: found.type for found in sources.read(path) if isinstance(found, Failure)}


def only(path: Path) -> Source:
    """The one source at a path."""
    (found,) = sources.read(path)
    assert isinstance(found, Source)
    return found


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A small tree, written in no particular order."""
    folder = tmp_path / "docs"
    for name in ("b.txt", "a/x.md", "a-b.txt", "a/deep/er.html", ".hidden/no.txt", ".no.txt", "a/.no.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_files_are_named_below_their_root(docs: Path) -> None:
    """A file is its root's name and the path below it, in the order of the names, without what is hidden."""
    assert names(docs) == ["docs/a-b.txt", "docs/a/deep/er.html", "docs/a/x.md", "docs/b.txt"]
    assert names(docs) == sorted(names(docs))


def test_a_source_knows_its_root_and_type(docs: Path) -> None:
    """A source carries the root with its absolute path, the media type and what was said about it."""
    found = [source for source in sources.read(docs, metadata={"team": "hr"}) if isinstance(source, Source)]
    assert found[2].root == SourceRoot("docs", docs.resolve())
    assert (found[2].media_type, found[2].path) == ("text/markdown", docs / "a/x.md")
    assert found[2].metadata == {"team": "hr"}
    assert found[2].root is not None
    assert sources.make_uri_below(found[2].root, docs / "a" / "x.md") == "docs/a/x.md"


def test_walking_opens_nothing(docs: Path) -> None:
    """Files are opened by `open` and not before: the walk succeeds where reading does not."""
    found = list(sources.read(docs))
    (docs / "b.txt").unlink()
    source = found[-1]
    assert isinstance(source, Source)
    with pytest.raises(FileNotFoundError):
        source.open()


def test_open_gives_the_bytes(docs: Path) -> None:
    """`open` returns the file's bytes."""
    with only(docs / "b.txt").open() as file:
        assert file.read() == b"b.txt"


def test_a_lone_file_is_its_own_name(docs: Path) -> None:
    """A file named by itself has no root, and a uri may be given for it."""
    assert (only(docs / "b.txt").uri, only(docs / "b.txt").root) == ("b.txt", None)
    assert [found.uri for found in sources.read(docs / "b.txt", uri="kept/as.txt")] == ["kept/as.txt"]


def test_a_hidden_path_named_explicitly_is_read(docs: Path) -> None:
    """What is hidden is skipped below a root, never when it is asked for."""
    assert names(docs / ".hidden") == [".hidden/no.txt"]
    assert names(docs / ".no.txt") == [".no.txt"]


def test_the_current_folder_has_its_real_name(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` is called what the folder is called."""
    monkeypatch.chdir(docs / "a")
    assert names(Path(".")) == ["a/deep/er.html", "a/x.md"]
    assert names(Path("..")) == names(docs)


def test_a_root_can_be_given_another_name(docs: Path) -> None:
    """`root_name` replaces the folder's name."""
    assert names(docs, root_name="manual")[0] == "manual/a-b.txt"


def test_what_is_named_twice_is_found_once(docs: Path) -> None:
    """A folder beside itself, a part of it or a file in it; what is hidden in it is found only where it is named."""
    for more in ([docs, docs], [docs / "a", docs], [docs / "b.txt", docs, docs / "a" / "x.md"]):
        assert names(*more) == names(docs)
    assert names(docs / "b.txt", docs / "b.txt") == ["b.txt"]
    assert names(docs, docs / ".hidden") == [*names(docs), ".hidden/no.txt"]


def test_an_empty_folder_is_found_itself(docs: Path) -> None:
    """So that it is known that somebody looked; one with empty folders in it is empty too."""
    (docs / "empty" / "inside").mkdir(parents=True)
    found = only(docs / "empty")
    assert (found.path, found.root) == (docs / "empty", SourceRoot("empty", docs / "empty"))
    with pytest.raises(OSError, match="no longer a file"):
        found.open()


def test_a_missing_path_is_not_found_before_anything_is_read(docs: Path) -> None:
    """A path that does not exist fails the call, not the iteration."""
    with pytest.raises(NotFoundError, match=r"nowhere\.txt does not exist"):
        sources.read(docs, docs / "nowhere.txt")


def test_an_empty_path_is_refused(docs: Path) -> None:
    """It is nobody's name for the current folder."""
    with pytest.raises(InvalidError, match="a path is empty"):
        sources.read(docs, "")


def test_two_files_of_one_name_are_a_conflict(docs: Path) -> None:
    """Two lone files may not become one document."""
    (docs / "a" / "b.txt").write_text("another")
    with pytest.raises(ConflictError, match=r"both be named b\.txt"):
        sources.read(docs / "b.txt", docs / "a" / "b.txt")


@pytest.mark.parametrize(("root_name", "uri"), [("", None), ("a/b", None), (None, "x"), (None, "")])
def test_names_that_fit_nothing_are_refused(docs: Path, root_name: str | None, uri: str | None) -> None:
    """A root name is one part of a path; a uri is for one file."""
    with pytest.raises(InvalidError):
        sources.read(docs, root_name=root_name, uri=uri)


def test_odd_names_are_percent_encoded(tmp_path: Path) -> None:
    """A newline, a percent sign and a byte that is not UTF-8 are encoded; spaces, letters and leading dashes stay."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (
        b"new\nline.txt",
        b"100%.txt",
        b"caf\xe9.txt",
        "Straße 1.txt".encode(),
        b"-rf.txt",
        b"\xe2\x80\xaetxt.exe",
    ):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(b"x")
    assert set(names(folder)) == {
        "odd/new%0Aline.txt",
        "odd/100%25.txt",
        "odd/caf%E9.txt",
        "odd/Straße 1.txt",
        "odd/-rf.txt",
        "odd/%E2%80%AEtxt.exe",
    }
    for found in sources.read(folder):
        assert isinstance(found, Source)
        with found.open() as file:
            assert file.read() == b"x"


@given(st.binary(min_size=1).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_names_lose_nothing(name: bytes) -> None:
    """Decoding the percents of a uri gives the bytes of the file's name, and the uri itself is printable."""
    root = SourceRoot("r", Path("/r"))
    uri = sources.make_uri_below(root, Path("/r") / ("_" + os.fsdecode(name)))
    assert unquote_to_bytes(uri) == b"r/_" + name
    assert uri.isprintable()


def test_what_is_not_a_file_is_never_opened(docs: Path) -> None:
    """A pipe and a socket are failures by name; opening either could hang."""
    os.mkfifo(docs / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(docs / "socket.txt"))
        assert failures(docs) == {"docs/pipe.txt": "unsupported_media", "docs/socket.txt": "unsupported_media"}
    assert failures(docs / "pipe.txt") == {"pipe.txt": "unsupported_media"}


def test_a_file_that_becomes_a_pipe_does_not_hang(docs: Path) -> None:
    """What took a file's place since the walk is refused on opening."""
    source = only(docs / "b.txt")
    (docs / "b.txt").unlink()
    os.mkfifo(docs / "b.txt")
    with pytest.raises(OSError, match="no longer a file"):
        source.open()
    (docs / "b.txt").unlink()
    (docs / "b.txt").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        source.open()


def test_links_that_leave_the_root_are_failures(docs: Path, tmp_path: Path) -> None:
    """A link to a file or a folder outside is named and not followed."""
    (tmp_path / "secret.txt").write_text("secret")
    (docs / "out.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "up").symlink_to(tmp_path)
    assert failures(docs) == {"docs/out.txt": "forbidden", "docs/up": "forbidden"}


def test_a_root_whose_name_begins_like_another_is_left(docs: Path, tmp_path: Path) -> None:
    """`docs-old` is not inside `docs`."""
    (tmp_path / "docs-old").mkdir()
    (docs / "old").symlink_to(tmp_path / "docs-old")
    assert failures(docs) == {"docs/old": "forbidden"}


def test_links_inside_the_root_are_followed(docs: Path) -> None:
    """A link to a file or a folder of the same root is read under its own name."""
    (docs / "again.txt").symlink_to("b.txt")
    (docs / "same").symlink_to("a")
    assert names(docs)[3:] == ["docs/again.txt", "docs/b.txt", "docs/same/deep/er.html", "docs/same/x.md"]
    assert failures(docs) == {}


def test_loops_end(docs: Path) -> None:
    """A link to a folder above it, two that point at each other, and a broken one are failures by name."""
    (docs / "a" / "loop").symlink_to("..")
    (docs / "one").symlink_to("two")
    (docs / "two").symlink_to("one")
    (docs / "broken").symlink_to("nothing")
    assert failures(docs) == {"docs/a/loop": "forbidden"}
    for found in sources.read(docs):
        if isinstance(found, Source) and found.uri in ("docs/one", "docs/two", "docs/broken"):
            with pytest.raises(OSError, match="broken link"):
                found.open()


def test_folders_that_link_to_each_other_do_not_multiply(tmp_path: Path) -> None:
    """Twelve folders with links to all others yield at most the square of their number, not its factorial."""
    folders = [tmp_path / "all" / f"f{number}" for number in range(12)]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in folders:
        for other in folders:
            if other != folder:
                (folder / other.name).symlink_to(other)
    assert len(failures(tmp_path / "all")) == 12 * 11 * 11


def test_a_deep_tree_is_walked(tmp_path: Path) -> None:
    """Depth is no recursion; a name that gets too long is a failure."""
    folder = tmp_path / "deep"
    folder.mkdir()
    file = os.open(folder, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=file)
        below = os.open("d", os.O_RDONLY, dir_fd=file)
        os.close(file)
        file = below
    os.close(os.open("bottom.txt", os.O_CREAT, dir_fd=file))
    os.close(file)
    (folder / "z.txt").write_text("z")
    found = list(sources.read(folder))
    assert [type(one) for one in found] == [Failure, Source]
    assert isinstance(found[0], Failure)
    assert (found[0].type, found[1].uri) == ("invalid", "deep/z.txt")


def test_a_folder_that_cannot_be_listed_is_a_failure(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One closed folder harms only itself."""
    listdir = os.listdir

    def closed(path: Path) -> list[str]:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", closed)
    assert failures(docs) == {"docs/a": "storage"}
    assert names(docs) == ["docs/a-b.txt", "docs/a", "docs/b.txt"]


def test_texts_and_bytes_at_hand_are_sources() -> None:
    """A text and some bytes can be given with a uri of one's own."""
    text = sources.text_source("note:1", "hällo\ud800", title="Note", metadata={"a": 1})
    assert (text.media_type, text.title, text.metadata) == ("text/plain; charset=utf-8", "Note", {"a": 1})
    assert text.open().read() == "hällo?".encode()
    assert text.open().read() == "hällo?".encode()  # as often as one likes
    assert sources.bytes_source("b", b"%PDF", "application/pdf").open().read() == b"%PDF"


@pytest.mark.parametrize("uri", ["", " ", "x" * 1025, "a\nb", "a\x00b", "a\x7f", "a\ud800b"])
def test_uris_that_cannot_be_shown_are_refused(uri: str) -> None:
    """A uri is not empty, not longer than the bound, and without control characters."""
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
    """The extension decides, in any case; a few names without one are known; nothing else is guessed."""
    assert media_types.guess_media_type(name) == media_type
