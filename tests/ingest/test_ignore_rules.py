"""Ignore files: the same files are left out as by git, and `.semsearchignore` goes before `.gitignore`."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.core.errors import InvalidError
from semsearch.core.types.documents import Failure, Source
from semsearch.ingest.ignore_rules import PatternList
from semsearch.ingest.sources import read

FILES = [
    f"{folder}{name}"
    for folder in ("", "a/", "b/", "a/b/", "a/b/a/", "x y/", "build/a/", "build/build/")
    for name in ("a.md", "b.txt", "[ab].md")
]
GLOBS = ["a", "b", "*.md", "build", "*", "**", "a/b", "a/*", "*/a.md", "**/b", "a/**", "b/**/a.md", "x y", "x\\ y ",
    "[ab]", "[!a]*", "?", "b*", "a/build", "\\[ab\\].md", "#a", "\\#a", "", "/", "[z-a]", "a//b",
]  # fmt: skip


def write_tree(folder: Path, texts: Mapping[str, str]) -> Path:
    """Write files with these texts below a folder and return it."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read_names(*paths: Path) -> set[str]:
    """Return the URIs of the sources."""
    return {source.uri for source in read(*paths) if isinstance(source, Source)}


def patterns() -> st.SearchStrategy[str]:
    """Return ignore files of a few lines."""
    line = st.tuples(st.sampled_from(["", "!"]), st.sampled_from(["", "/"]), st.sampled_from(GLOBS)).map("".join)
    return st.lists(line | line.map("{}/".format), min_size=1, max_size=4).map("\n".join)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["", "a/", "b/", "a/b/", "build/"]), patterns(), min_size=1))
def test_same_files_are_ignored_as_by_git(
    tmp_path_factory: pytest.TempPathFactory, ignore_files: Mapping[str, str]
) -> None:
    """The rules of nested files, with negation, give what `git ls-files` lists."""
    folder = tmp_path_factory.mktemp("tree") / "tree"
    write_tree(folder, dict.fromkeys(FILES, "text"))
    write_tree(folder, {f"{below}.gitignore": text for below, text in ignore_files.items()})
    git = ["git", "-C", str(folder), "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = subprocess.run([*git, "ls-files", "-oz", "--exclude-standard"], check=True, capture_output=True, text=True)
    expected = {name for name in listed.stdout.split("\0") if name and not name.endswith(".gitignore")}
    assert read_names(folder) - {"tree"} == {f"tree/{name}" for name in expected}


def test_own_ignore_file_goes_before_that_of_git(tmp_path: Path) -> None:
    """It re-includes what `.gitignore`, the defaults and a leading dot leave out, and ignores more."""
    texts = dict.fromkeys(("made/a.md", "notes.md", "private.md", ".github/how.md", "package-lock.json"), "{}")
    docs = write_tree(tmp_path / "docs", {**texts, ".gitignore": "made/\nnotes.md\n"})
    assert read_names(docs) == {"docs/private.md"}
    (docs / ".semsearchignore").write_text("!made/\n!notes.md\nprivate.md\n!.github/\n!package-lock.json\n")
    assert read_names(docs) == {f"docs/{name}" for name in texts} - {"docs/private.md"}


def test_negation_of_git_does_not_reach_the_defaults(tmp_path: Path) -> None:
    """A repository that tracks its dependencies does not want them to be searched."""
    docs = write_tree(
        tmp_path / "docs", {"node_modules/x/README.md": "x", "a.md": "a", ".gitignore": "!node_modules/\n"}
    )
    assert read_names(docs) == {"docs/a.md"}


def test_rules_of_the_repository_apply_to_a_folder_in_it(tmp_path: Path) -> None:
    """They are read up to the folder with `.git`, unless they ignore the named folder itself."""
    repo = write_tree(tmp_path / "repo", {"docs/out/a.md": "a", "docs/b.md": "b", ".gitignore": "out/\n"})
    write_tree(tmp_path, {".gitignore": "b.md\n"})
    assert read_names(repo / "docs") == {"docs/out/a.md", "docs/b.md"}
    (repo / ".git").mkdir()
    assert read_names(repo / "docs") == {"docs/b.md"}
    assert read_names(repo / "docs" / "out") == {"out/a.md"}


def test_ignore_file_that_cannot_be_used_fails_its_folder(tmp_path: Path) -> None:
    """What should be left out must not be ingested; a folder or a link of this name is no ignore file."""
    docs = write_tree(tmp_path / "docs", {"big/secret.md": "s", "big/.gitignore": "#" * (1 << 21), "linked/a.md": "a"})
    (docs / ".gitignore").mkdir()
    (failure,) = [source for source in read(docs) if isinstance(source, Failure)]
    assert (failure.uri, failure.type) == ("docs/big", "storage")
    assert read_names(docs) == {"docs/linked/a.md"}
    (docs / "linked" / ".gitignore").symlink_to("/dev/zero")
    assert read_names(docs) == {"docs/linked/a.md"}


def test_names_that_are_not_text_are_matched(tmp_path: Path) -> None:
    """A name of other bytes than UTF-8 is matched by the same bytes in the ignore file."""
    docs = write_tree(tmp_path / "docs", {"a.md": "a"})
    for name in (b"caf\xe9.md", b".gitignore"):
        Path(os.fsdecode(os.path.join(os.fsencode(docs), name))).write_bytes(b"\xef\xbb\xbfcaf\xe9.md\r\n")
    assert read_names(docs) == {"docs/a.md"}


@pytest.mark.parametrize("glob", ["", " ", "/", "# x", "a\\"])
def test_invalid_glob_is_refused(glob: str) -> None:
    """A glob of a flag that can match nothing is an error; git ignores such a line in a file."""
    with pytest.raises(InvalidError, match="is not a pattern"):
        PatternList([glob], is_strict=True)
    assert PatternList([glob]).decide("a") is None
