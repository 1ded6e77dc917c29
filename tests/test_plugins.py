"""Plugins: distributions with entry points, found, chosen and imported as docs/extending.md says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.plugins import EXAMPLE, install, install_example, use_site

from semsearch import Library, bytes_source
from semsearch.core.errors import ConflictError, UnavailableError, UpstreamError
from semsearch.core.plugins import find_plugins
from semsearch.core.types.documents import Failure, PutResult

pytestmark = pytest.mark.slow

CALENDAR = """BEGIN:VCALENDAR\r
X-WR-CALNAME:Aquarium\r
BEGIN:VEVENT\r
DTSTART:20261201T090000Z\r
SUMMARY:Feeding of the octopus\r
DESCRIPTION:Bring crabs\\, and a bucket\\nwith a li\r
 d.\r
END:VEVENT\r
END:VCALENDAR\r
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder of installed distributions."""
    site = tmp_path / "site"
    use_site(monkeypatch, site)
    yield site
    find_plugins.cache_clear()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Return an empty library."""
    with Library(tmp_path / "indexes") as library:
        yield library


def put(library: Library, data: str, media_type: str) -> PutResult | Failure:
    """Store one file of a media type and return the result."""
    [result] = library.create("docs").upsert([bytes_source("file", data.encode(), media_type)])
    assert isinstance(result, PutResult | Failure)
    return result


def test_installed_plugin_reads_and_embeds_at_the_shell(tmp_path: Path, site: Path) -> None:
    """The package of examples/plugin, once installed, reads its files in a folder and embeds texts."""
    install_example(site)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "tours.ics").write_text(CALENDAR, newline="")
    (tmp_path / "docs" / "notes.md").write_text("# Notes\n\nThe lamp is lit at dusk.")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "semsearch", *arguments, "--json"]
        completed = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=True)
        return json.loads(completed.stdout)

    install(
        site, "acme-docx", "1.0", {"semsearch.readers": {"docx": "acme:read"}, "semsearch.embedders": {"onnx": "a:b"}}
    )
    assert [(row["name"], row["distribution"], row["problem"]) for row in run("config", "plugins")] == [
        (".ics", "semsearch-example 0.1.0", None),
        ("docx", "acme-docx 1.0", "neither a media type nor a suffix such as .acme"),
        ("text/calendar", "semsearch-example 0.1.0", None),
        ("onnx", "acme-docx 1.0", "the name is built in, or contains a colon"),
        ("trigrams", "semsearch-example 0.1.0", None),
    ]
    report = run("ingest", "docs", "--embedder", "trigrams:64")
    assert (report["added"], report["failures"]) == (2, [])
    [hit, _] = run("search", "octopus crabs")["hits"]
    assert (hit["uri"], hit["title"], hit["heading"]) == ("docs/tours.ics", "Aquarium", "Feeding of the octopus")
    assert hit["text"] == "Start: 20261201T090000Z\nBring crabs, and a bucket\nwith a lid."


def test_page_on_plugins_shows_the_example() -> None:
    """The code and the entry points of docs/extending.md are those of examples/plugin."""
    page = (EXAMPLE.parents[1] / "docs" / "extending.md").read_text()
    for module in ("calendars", "trigrams"):
        assert (EXAMPLE / "semsearch_example" / f"{module}.py").read_text() in page
    entry_points = (EXAMPLE / "pyproject.toml").read_text().partition("[project.entry-points")[2]
    assert all(line in page for line in entry_points.splitlines())


def test_files_are_read_again_by_another_version_of_a_plugin(library: Library, site: Path, tmp_path: Path) -> None:
    """The distribution and its version belong to the reader version; without the plugin the stored text stays."""
    (tmp_path / "tours.ics").write_text(CALENDAR, newline="")
    docs = library.create("docs")
    install_example(site, "1.0")
    assert [docs.ingest(tmp_path / "tours.ics").added, docs.ingest(tmp_path / "tours.ics").unchanged] == [1, 1]
    install_example(site, "1.1")
    assert docs.ingest(tmp_path / "tours.ics").updated == 1
    install(site, "semsearch-example", "1.1", {})
    [failure] = docs.ingest(tmp_path / "tours.ics").failures
    assert "there is no reader" in failure.error
    assert docs.search("octopus")


def test_plugin_goes_before_the_built_in_reader_and_runs_in_a_child_process(library: Library, site: Path) -> None:
    """A plugin for plain text, which is otherwise read in this process, gets the type and the charset's text."""
    code = (
        "import os\nfrom semsearch.ingest.reader_api import Block, ParsedContent\n"
        "def read(data): return ParsedContent((Block(f'{data.decode()} {os.getppid()}'),), 'By the plugin')\n"
    )
    install(site, "acme-text", "1.0", {"semsearch.readers": {"Text/Plain": "acme_text:read"}}, code)
    assert isinstance(put(library, "caf\u00e9", "text/plain; charset=utf-8"), PutResult)
    document = library.open("docs").document("file")
    assert (document.text, document.title) == (f"caf\u00e9 {os.getpid()}", "By the plugin")


def test_plugin_that_cannot_be_imported_is_an_error_at_use_only(library: Library, site: Path) -> None:
    """The error names the distribution; documents of other types are stored."""
    targets = {"semsearch.readers": {".x": "acme_broken:read"}, "semsearch.embedders": {"acme": "acme_broken:make"}}
    install(site, "acme-broken", "2.1", targets, "import no_such_module")
    assert isinstance(put(library, "The lamp is lit.", "text/plain"), PutResult)
    failure = put(library, "x", "application/x-semsearch+x")
    assert isinstance(failure, Failure)
    assert failure.error.startswith("the plugin .x of acme-broken 2.1 cannot be imported: ModuleNotFoundError: No mod")
    with pytest.raises(UnavailableError, match=r"acme of acme-broken 2\.1 cannot be imported"):
        library.create("other", embedder="acme")
    assert not library.exists("other")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("1 / 0", "it is damaged, or acme-wrong 1 has a defect: ZeroDivisionError: division by zero"),
        ("UnsupportedMediaError('page 3 is encrypted')", "page 3 is encrypted"),
        ("type('Encrypted', (UnsupportedMediaError,), {})('page 4 is encrypted')", "page 4 is encrypted"),
        ("'text'", "acme-wrong 1 returned a str, not a ParsedContent"),
        ("ParsedContent((Block('a', 'verse'),))", "a block of kind 'verse', not heading, paragraph"),
        ("ParsedContent((Block('a', 'heading'),))", "the heading 'a' without itself at the end"),
        ("ParsedContent((Block('a', locator=Locator(page='1')),))", "whose page is not a number"),
        ("ParsedContent((Block('a', locator=Locator(('h' * 301,))),))", "at most 300 characters"),
        ("ParsedContent((Block('a', locator=Locator(lines=(2, 1))),))", r"the lines \(2, 1\), not"),
        ("ParsedContent((Block('a' * (64 << 20)), Block('a')))", "more text than 67,108,864 characters"),
        ("ParsedContent(())", "it contains no text"),
    ],
)
def test_wrong_result_of_a_reader_is_a_failure_of_its_document(
    library: Library, site: Path, returned: str, message: str
) -> None:
    """The failure names the distribution and what is wrong: nothing of it reaches the stored documents."""
    code = (
        "from semsearch.ingest.reader_api import *\n"
        f"def read(data):\n    result = {returned}\n"
        "    if isinstance(result, Exception): raise result\n    return result\n"
    )
    install(site, "acme-wrong", "1", {"semsearch.readers": {"application/x-acme": "acme_wrong:read"}}, code)
    failure = put(library, "x", "application/x-acme")
    assert isinstance(failure, Failure)
    assert re.search(message, failure.error), failure.error
    assert library.open("docs").info().documents == 0


def test_two_distributions_with_the_same_name_are_a_conflict(library: Library, site: Path) -> None:
    """Neither of them is chosen; the error names both."""
    for distribution in ("acme-a", "acme-b"):
        install(site, distribution, "1", {"semsearch.readers": {"text/csv": f"{distribution}:read"}})
    failure = put(library, "a,b\n1,2", "text/csv")
    assert isinstance(failure, Failure)
    assert (failure.type, "acme-a 1 and acme-b 1 both declare text/csv" in failure.error) == ("conflict", True)


def test_built_in_embedder_cannot_be_replaced(library: Library, site: Path) -> None:
    """A caller who names the built-in embedder gets an error with the distribution; existing collections open."""
    library.create("before").upsert([bytes_source("a", b"The lamp is lit.", "text/plain")])
    install(site, "acme-local", "1", {"semsearch.embedders": {"local": "acme_local:make"}})
    with pytest.raises(ConflictError, match="acme-local 1 declares an embedder local, but that name is built in"):
        library.create("after", embedder="local")
    assert library.open("before").search("lamp")


def test_collection_needs_the_plugin_of_its_embedder(tmp_path: Path, site: Path) -> None:
    """It keeps SPEC and dimension; without the plugin, or with another vector space of it, it does not open."""
    code = (
        "class Model:\n    name = 'v1'\n"
        "    def embed(self, texts, *, query=False): return [[3, 4] if query else [1, 0] for text in texts]\n"
        "def make(argument):\n    assert argument == 'a:b'\n    return Model()\n"
    )
    install(site, "acme-model", "1", {"semsearch.embedders": {"acme": "acme_model:make"}}, code)
    with Library(tmp_path / "indexes") as library:
        library.create("docs", embedder="acme:a:b").upsert([bytes_source("a", b"The lamp is lit.", "text/plain")])
        [hit] = library.open("docs").search("unknown", mode="dense")
        assert hit.score == pytest.approx(0.6)
    sys.modules["acme_model"].Model.name = "v2"
    with Library(tmp_path / "indexes") as library, pytest.raises(ConflictError, match=r"acme:a:b v1'.*acme:a:b v2'"):
        library.open("docs")
    install(site, "acme-model", "1", {})
    with Library(tmp_path / "indexes") as library, pytest.raises(UnavailableError, match="install the plugin"):
        library.open("docs")


def test_extractive_answer_embeds_only_the_question_with_a_plugin(library: Library, site: Path) -> None:
    """Its sentences are compared by the built-in model: neither scale nor costs of another one are known."""
    code = (
        "embedded = []\n"
        "class Model:\n    def embed(self, texts): embedded.extend(texts); return [[1.0] for text in texts]\n"
        "def make(argument): return Model()\n"
    )
    install(site, "acme-counter", "1", {"semsearch.embedders": {"acme": "acme_counter:make"}}, code)
    docs = library.create("docs", embedder="acme")
    docs.upsert([bytes_source("a", b"The lamp is lit at dusk. The bell rings at dawn.", "text/plain")])
    embedded = sys.modules["acme_counter"].embedded
    embedded.clear()
    assert docs.ask("When is the lamp lit?").answered
    assert embedded == ["When is the lamp lit?"]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ("1 / 0", "failed: ZeroDivisionError"),
        ("[[1.0]] * (len(texts) + 1)", "returned 2 vectors for 1 texts"),
        ("[[float('nan')]]", "not finite"),
        ("['text']", "returned no vectors of equal length"),
    ],
)
def test_wrong_vectors_are_an_error_with_the_distribution(
    library: Library, site: Path, vectors: str, message: str
) -> None:
    """A model that fails, or returns no vector for each text, creates no collection."""
    code = (
        f"class Model:\n    def embed(self, texts): return {vectors}\n"
        "def make(argument):\n    assert argument is None\n    return Model()\n"
    )
    install(site, "acme-vectors", "1", {"semsearch.embedders": {"acme": "acme_vectors:make"}}, code)
    with pytest.raises(UpstreamError, match=f"the embedder acme of acme-vectors 1 .*{message}"):
        library.create("docs", embedder="acme")
    assert not library.exists("docs")
