"""What is ingested below a folder: default skips by kind, globs, paths that the user names, and pruning."""

from pathlib import Path

import pytest

from semsearch import Library
from semsearch.core.errors import ForbiddenError, InvalidError
from semsearch.core.types.documents import Skip, Source
from semsearch.ingest.default_skips import _KINDS_BY_EXTENSION, classify_file, classify_generated_file
from semsearch.ingest.media_types import MEDIA_TYPES
from semsearch.ingest.pipeline import MAX_LISTED_SKIPS
from semsearch.ingest.sources import read, text_source

SPHINX = 'Search.setIndex({"alltitles":{},"docnames":["index"]})'
MKDOCS = '{"config":{"lang":["en"]},"docs":[{"location":"","text":"Hello","title":"Home"}]}'
LUNR = '{"version":"2.3.9","fields":["title"],"fieldVectors":[],"invertedIndex":[],"pipeline":["stemmer"]}'

TREE = {
    "guide.md": "# Guide\n\nThe lamp is in the tower.",
    "search.js": "function search(words) { return words.length; }",
    "search-index.json": '{"about": "how we keep the index of the search for guests"}',
    "logo.PNG": "x",
    "fonts/a.woff2": "x",
    "all.tar.gz": "x",
    "talk.mp3": "x",
    "talk.mp4": "x",
    "lib.so": "x",
    "searchindex.js": SPHINX,
    "search/search_index.json": MKDOCS,
    "lunr-index.json": LUNR,
    "package-lock.json": "{}",
    "yarn.lock": "x",
    "app.min.js": "x",
    "app.js.map": "{}",
    "Thumbs.db": "x",
    "data.xyz": "x",
    "node_modules/x/README.md": "x",
    "a/__pycache__/b.txt": "x",
    "env/pyvenv.cfg": "home = /usr",
    "env/lib/readme.txt": "x",
    "target/CACHEDIR.TAG": "x",
    "target/notes.md": "x",
    "CVS/notes.md": "x",
    "indexes/ledger.db": "x",
    "indexes/ledger.lock": "x",
    ".git/notes.md": "x",
    ".DS_Store": "x",
}
KINDS = {
    "logo.PNG": "image",
    "fonts/a.woff2": "font",
    "all.tar.gz": "archive",
    "talk.mp3": "audio",
    "talk.mp4": "video",
    "lib.so": "compiled",
    "searchindex.js": "search_index",
    "search/search_index.json": "search_index",
    "lunr-index.json": "search_index",
    "package-lock.json": "lock_file",
    "yarn.lock": "lock_file",
    "app.min.js": "minified",
    "app.js.map": "minified",
    "Thumbs.db": "system_file",
    "data.xyz": "unknown_type",
    "node_modules/": "dependencies",
    "a/__pycache__/": "cache",
    "env/": "virtual_environment",
    "target/": "cache",
    "CVS/": "version_control",
    "indexes/": "data_directory",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with three documents and much else."""
    for name, text in TREE.items():
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_text(text)
    return tmp_path / "docs"


def read_names(*paths: Path, include: str | list[str] = (), exclude: str | list[str] = ()) -> list[str]:  # type: ignore[assignment]
    """Return the URIs of the sources."""
    found = read(*paths, include=include, exclude=exclude)
    return [source.uri.removeprefix("docs/") for source in found if isinstance(source, Source)]


def test_files_that_are_no_documents_are_skipped_by_kind(docs: Path) -> None:
    """A file with the name of a search index is ingested if its content is another; hidden entries are left out."""
    kinds = {found.uri.removeprefix("docs/"): found.kind for found in read(docs) if isinstance(found, Skip)}
    assert kinds == KINDS
    assert read_names(docs) == ["guide.md", "search-index.json", "search.js"]


@pytest.mark.parametrize(
    ("name", "head", "is_index"),
    [
        ("search-index1.75.0.js", 'var searchIndex = new Map(JSON.parse("[]"));', True),
        ("member-search-index.js", 'memberSearchIndex = [{"p":"a"}]', True),
        ("searchdata.js", "var searchData=[['a_0',['a']]];", True),
        ("searchindex-5f3a91.js", 'window.search = Object.assign(window.search, JSON.parse("{}"));', True),
        ("search-data.json", '{"0": {"doc": "A", "title": "A", "content": "Lamp \\"a\\".", "url": "/a"}}', True),
        ("research.json", '[{"title": "On lamps", "url": "https://example.org/a"}]', False),
        ("search-results.json", '[{"title": "On lamps", "url": "https://example.org/a"}]', False),
        ("index.json", '[{"title": "On lamps", "url": "https://example.org/a"}]', False),
        ("search.md", SPHINX, False),
    ],
)
def test_search_index_is_recognised_by_name_and_content(name: str, head: str, is_index: bool) -> None:
    """Records with titles and addresses are an index only in a file named as one."""
    assert (classify_generated_file(name, head.encode) == "search_index") == is_index


def test_no_type_with_a_reader_is_skipped_by_its_extension() -> None:
    """The tables do not contradict each other."""
    assert not _KINDS_BY_EXTENSION.keys() & MEDIA_TYPES.keys()
    assert classify_file("a.ts") is None  # TypeScript, also a video format


@pytest.mark.parametrize("name", [*sorted(KINDS.keys() - {"indexes/"}), ".git/", ".DS_Store"])
def test_named_path_is_never_skipped(docs: Path, name: str) -> None:
    """Neither the defaults nor ignore files apply, whether it is named alone or with the folder above."""
    (docs / ".gitignore").write_text("*\n")
    named = docs / name
    documents = (
        {path for path in named.rglob("*") if path.suffix in (".cfg", ".md", ".txt")} if named.is_dir() else {named}
    )
    for paths in ([named], [docs, named], [named, docs]):
        sources = [source for source in read(*paths) if isinstance(source, Source)]
        assert {source.path for source in sources} - {docs} == documents


@pytest.mark.parametrize(
    ("include", "exclude", "names"),
    [
        ("*.md", [], ["guide.md"]),
        (["*.md", "*.json"], [], ["guide.md", "search-index.json"]),
        ([], "search*", ["guide.md"]),
        ("*.j*", ["*.js"], ["search-index.json"]),
        ([], ["*", "!guide.md"], ["guide.md"]),
        ("/fonts/", [], []),
    ],
)
def test_globs_choose_files(docs: Path, include: list[str], exclude: list[str], names: list[str]) -> None:
    """They are relative to the folder; one text is one glob. `include` brings nothing back that is skipped."""
    assert [name for name in read_names(docs, include=include, exclude=exclude) if name != "docs"] == names


def test_globs_apply_to_named_files(docs: Path) -> None:
    """A glob is as explicit as the path, as in `ingest docs/* --exclude guide.md`."""
    assert read_names(docs / "guide.md", docs / "search.js", exclude="guide.md") == ["search.js"]


def test_globs_without_paths_are_refused(tmp_path: Path) -> None:
    """They could not have an effect."""
    with Library(tmp_path) as library, pytest.raises(InvalidError, match=r"semsearch\.read"):
        library.create("c").ingest([text_source("a", "A lamp.")], include="*.md")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("https://docs.example.org/a b", "wget --mirror --no-parent --convert-links 'https://docs.example.org/a b'"),
        ("HTTP://example.org", "then ingest the folder example.org"),
        ("s3://bucket/docs", "copy what it names into a folder"),
    ],
)
def test_url_is_refused_with_the_remedy(url: str, remedy: str) -> None:
    """The error is raised at the call."""
    with pytest.raises(InvalidError, match="semsearch reads files") as caught:
        read(url)
    assert remedy in str(caught.value)


def test_report_counts_all_skips_and_lists_a_bounded_number(tmp_path: Path, docs: Path) -> None:
    """A folder of images is counted; other kinds are listed completely."""
    for number in range(MAX_LISTED_SKIPS + 20):
        (docs / f"{number}.gif").write_bytes(b"x")
    with Library(tmp_path / "ix") as library:
        report = library.create("c").ingest(docs)
    assert (report.added, report.failures, report.skipped) == (3, [], len(KINDS) + MAX_LISTED_SKIPS + 20)
    assert report.skipped_by_kind["image"] == MAX_LISTED_SKIPS + 21
    assert (len(report.skips), report.skips_omitted) == (len(KINDS) - 1 + MAX_LISTED_SKIPS, 21)


def test_ignored_file_is_removed_by_prune_only(tmp_path: Path, docs: Path) -> None:
    """Its document stays until then, also if the whole folder is ignored now."""
    with Library(tmp_path / "ix") as library:
        collection = library.create("c")
        collection.ingest(docs)
        (docs / ".gitignore").write_text("guide.md\n")
        assert collection.ingest(docs).removed == 0
        assert collection.ingest(docs, prune=True).removed == 1
        assert [document.uri for document in collection.documents()] == ["docs/search-index.json", "docs/search.js"]
        assert collection.ingest(docs, exclude="search*", prune=True).removed == 2


def test_prune_of_most_documents_is_refused_if_they_are_ignored(tmp_path: Path) -> None:
    """A rule that ignores too much must not empty the collection."""
    (tmp_path / "docs").mkdir()
    for number in range(8):
        (tmp_path / "docs" / f"{number}.md").write_text(f"Lamp {number}.")
    with Library(tmp_path / "ix") as library:
        collection = library.create("c")
        collection.ingest(tmp_path / "docs")
        (tmp_path / "docs" / ".semsearchignore").write_text("*\n")
        with pytest.raises(ForbiddenError, match="would remove 8 of 8"):
            collection.ingest(tmp_path / "docs", prune=True)
