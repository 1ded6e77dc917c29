"""Output on a terminal: colour, marked words, tables that fit, and a progress bar that leaves nothing behind."""

import json
import re
from pathlib import Path

import pytest
from support.command_line import run_command
from support.pty_session import open_session

from semsearch import Library, text_source
from semsearch.core.types.documents import IngestReport
from semsearch.core.types.search import BestSentence, Explanation, Hit, LegRank
from semsearch.interfaces.cli import output
from semsearch.interfaces.cli.hit_text import format_hits
from semsearch.interfaces.cli.output import format_report
from semsearch.interfaces.cli.tables import format_table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

BASE = {"PATH": "/usr/bin:/bin", "COLUMNS": "70", "LINES": "30"}
LONG_NAME = "folder-with-a-long-name/" * 4 + "lamp.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a document at a long path, and an ingested collection."""
    document = tmp_path / "docs" / LONG_NAME
    document.parent.mkdir(parents=True)
    document.write_text("# Lamps\n\nKeepers trim the lamps at dusk. Boats pass by at night.\n")
    assert run_command(["ingest", "docs"], folder=tmp_path, environ={}).returncode == 0
    return tmp_path


def show(folder: Path, *arguments: str, **environ: str) -> str:
    """Return what a terminal shows of a command."""
    with open_session(
        ["-m", "semsearch", *arguments], folder, {**BASE, "TERM": "xterm-256color", **environ}
    ) as session:
        session.wait()
        return session.output


@pytest.mark.parametrize("term", ["xterm-256color", "tmux-256color"])
def test_matched_words_are_marked_on_a_terminal(folder: Path, term: str) -> None:
    """The words that the search matched are bold green, in any form."""
    shown = show(folder, "search", "trimming a lamp", TERM=term)
    assert re.findall(r"\x1b\[32m\x1b\[1m(\w+)", shown) == ["trim", "lamps"]
    assert "Boats pass by at night." in shown


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_output_is_plain_without_colour(folder: Path, environ: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal remove all styles; the best part of an answer is then between marks."""
    assert "\x1b" not in show(folder, "search", "lamp", **environ)
    shown = show(folder, "ask", "Which galaxy is nearest?", **environ)
    assert "\x1b" not in shown
    assert "»" in shown


ADDRESS = r"https://search\.example/view/default/docs%2Ffold[\w%-]*lamp\.md"
PUBLIC_URL = {"SEMSEARCH_PUBLIC_URL": "https://search.example/"}


@pytest.mark.parametrize(
    ("arguments", "span"),
    [
        (["search", "lamp"], r"\?start=\d+&end=\d+"),
        (["ask", "Who trims lamps?"], r"\?start=\d+&end=\d+"),
        (["documents"], ""),
    ],
)
def test_places_are_hyperlinks_on_a_terminal(folder: Path, arguments: list[str], span: str) -> None:
    """Only with the address of the service; not on a dumb terminal, and not in a pipe, where --json has the address."""
    link = re.compile(rf"\x1b\]8;;{ADDRESS}{span}\x1b\\docs/[^\x1b]*\x1b\]8;;\x1b\\")
    for environ in ({}, {"NO_COLOR": "1"}):
        assert link.search(show(folder, *arguments, **PUBLIC_URL, **environ))
    assert "\x1b]8" not in show(folder, *arguments)
    assert "\x1b" not in show(folder, *arguments, **PUBLIC_URL, TERM="dumb")
    piped, as_json, without = (
        run_command([*arguments, *options], folder=folder, environ={**BASE, **environ}).stdout
        for options, environ in (([], PUBLIC_URL), (["--json"], PUBLIC_URL), (["--json"], {}))
    )
    assert "example" not in piped
    assert re.search(rf'"url": "{ADDRESS}{span}"', as_json)
    assert '"url"' not in without


def test_tables_fit_the_terminal_and_are_complete_in_pipes(folder: Path) -> None:
    """Long uris lose their middle."""
    lines = show(folder, "documents").splitlines()
    assert all(len(line) <= 70 for line in lines)
    assert re.match(r"docs/fold.*….*lamp\.md ", lines[1])
    assert f"docs/{LONG_NAME}" in run_command(["documents"], folder=folder, environ=BASE).stdout


def test_messages_do_not_tear_the_bar_and_nothing_remains(folder: Path) -> None:
    """Each failure is on a line of its own; the bar is erased at the end, and the cursor is visible again."""
    (folder / "docs" / "bad.pdf").write_bytes(b"not a PDF")
    with open_session(["-m", "semsearch", "ingest", "docs"], folder, {**BASE, "TERM": "xterm-256color"}) as session:
        session.wait(1)
    assert "ingesting" in session.output
    assert re.search(r"(?:^|\n|\r|\x1b\[2K)failed: docs/bad\.pdf: ", session.output)
    rest = session.output[session.output.rindex("ingesting") :]
    assert "\x1b[2K" in rest
    assert "\x1b[?25h" in rest


def test_bar_is_gone_after_ctrl_c(folder: Path) -> None:
    """The exit code is 130, and the summary says what is stored."""
    for number in range(400):
        (folder / "docs" / f"{number}.md").write_text(f"# Note {number}\n\n" + "The tide comes and goes. " * 400)
    with open_session(["-m", "semsearch", "ingest", "docs"], folder, {**BASE, "TERM": "xterm-256color"}) as session:
        session.answer("ingesting", key="\x03")
        session.wait(130)
    rest = session.output[session.output.rindex("\x1b[?25h") :]
    assert "semsearch: interrupted; the documents counted here are stored" in rest
    assert "ingesting" not in rest


def test_quiet_ingest_prints_failures_only(folder: Path) -> None:
    """-q shows neither a bar nor a summary; -v names the documents that are stored."""
    (folder / "docs" / "new.md").write_text("The lamp was mended.")
    assert show(folder, "ingest", "docs", "-q") == ""
    (folder / "docs" / "newer.md").write_text("The lamp was mended again.")
    assert "added: docs/newer.md" in show(folder, "ingest", "docs", "-v")


def test_explanation_is_in_words() -> None:
    """A hit names the rank and the score of each part, and why its source has a weight."""
    explanation = Explanation("q", LegRank(46, 0.386), LegRank(3, 1.5), 0.512, 0.3, 0.1, "changelog", 0.5)
    text = "Version 2 adds lamps."
    hit = Hit(1, "a.md", "A", "", None, 0, 21, text, 0.9, {}, BestSentence(0, 21, text), [explanation])
    words = " ".join(format_hits([hit], "lamps", is_colored=False).split())
    assert "dense rank 46, score 0.386; lexical rank 3, score 1.500; fused score 0.512" in words
    assert "best sentence 0.300; headings 0.100; source weight 0.5 (changelog)" in words
    assert "\x1b[32m" not in words


@pytest.mark.parametrize(
    ("embedded", "chunks", "text"),
    [
        (593, 0, "embedded 593 chunks and stored 0 of them"),
        (49505, 49518, "embedded 49,505 of 49,518 chunks (the other 13 had been embedded before, or repeat another)"),
        (2, 2, "embedded 2 of 2 chunks in"),
    ],
)
def test_sums_explain_themselves(embedded: int, chunks: int, text: str) -> None:
    """The report says why fewer or more chunks were embedded than are stored."""
    report = IngestReport(added=1, embedded_chunks=embedded, chunks=chunks)
    assert text in format_report(report, dry_run=False)


def test_numbers_are_right_aligned_with_separators() -> None:
    """Text columns stay left-aligned."""
    assert format_table(("name", "n"), [("a", 12345), ("bc", 7)]) == "name       n\na     12,345\nbc         7"


def test_names_cannot_control_the_terminal(folder: Path) -> None:
    """Bidirectional controls in uris and headings are escaped, also as JSON, which keeps its meaning."""
    uri = "notes/invoice\u202efdp.exe\u2066\ufeff\U000e0041"
    escaped = r"notes/invoice\u202efdp.exe\u2066\ufeff\udb40\udc41"
    with Library(folder / "indexes") as library:
        library.create("odd").upsert([text_source(uri, "The lighthouse keeper trims the wick.")])
    commands = [["documents"], ["search", "wick"], ["ask", "Who trims the wick?"], ["remove", uri, f"{uri}x"]]
    for arguments in commands[:3]:
        assert escaped in run_command([*arguments, "-c", "odd"], folder=folder, environ=BASE).stdout
        as_json = run_command([*arguments, "-c", "odd", "--json"], folder=folder, environ=BASE).stdout
        assert escaped in as_json
        assert uri in json.dumps(json.loads(as_json), ensure_ascii=False)
    for arguments in commands:
        result = run_command([*arguments, "-c", "odd"], folder=folder, environ=BASE)
        assert not re.search("[\u202e\u2066\ufeff\U000e0041]", result.stdout + result.stderr)


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "\x9b31m", "a\rb", "\u200f", "\u2028", "\ud800"])
def test_messages_cannot_control_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A server or a file may have chosen a part of a message."""
    output.print_err(f"failed: {text}: two\nlines")
    assert re.fullmatch(r"failed: [ -~]*\\u[0-9a-f]{4}[ -~]*: two\nlines\n", capsys.readouterr().err)
