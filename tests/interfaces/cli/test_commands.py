"""The command line: what is printed where, and which exit code it ends with."""

import errno
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from semsearch.core.types.documents import IngestReport
from semsearch.core.types.usage import IngestEstimate, TokenEstimate
from semsearch.interfaces.cli import output as printing
from semsearch.interfaces.cli.commands import cli
from semsearch.interfaces.cli.exit_codes import EXIT
from semsearch.interfaces.cli.main import main
from semsearch.storage.collections.local.store import LocalStore

Run = Callable[..., "Result"]


class Result:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `semsearch ...` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, out, err)

    return command


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Two short documents."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    (folder / "travel.md").write_text("# Travel\n\nA hotel room is paid up to 140 euros a night.\n")
    return folder


def test_the_two_commands(run: Run, docs: Path) -> None:
    """Ingest a folder, ask a question: an answer with a citation, and the files under ./indexes."""
    done = run("ingest", "docs/")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"2 added; embedded 2 of 2 chunks in \d+\.\d s\n", done.out)
    asked = run("ask", "How long is parental leave?")
    assert asked.code == 0
    assert asked.out.startswith(
        "Parental leave is 26 weeks at full pay for each parent. [1]\n\n[1] docs/leave.md › Leave"
    )
    assert "“Parental leave is 26 weeks at full pay for each parent.”" in asked.out
    assert (docs.parent / "indexes" / "default" / "catalog.db").is_file()


def verbs(group: click.Group, before: str = "") -> Iterator[str]:
    """All that can be said, such as `collections create`."""
    for name, command in group.commands.items():
        yield f"{before}{name}"
        if isinstance(command, click.Group):
            yield from verbs(command, f"{before}{name} ")


REPORT = set("added updated unchanged removed chunks embedded_chunks failures usage seconds plan".split())
HIT = set("chunk_id uri title heading page start end text score metadata sentence explanation".split())
ANSWER = set("id answer answered reason sentences citations hits usage model warnings".split())
LEAVE = "docs/leave.md"
SAID: list[tuple[str, list[str], Callable[[Any], object], object]] = [
    ("ingest", ["docs", "--metadata", "team=hr", "--metadata", "year=2025"], lambda found: set(found) >= REPORT, True),
    ("search", ["parental leave"], lambda found: (set(found), set(found["hits"][0])), ({"hits", "took_ms"}, HIT)),
    ("ask", ["How long is parental leave?"], lambda found: set(found) >= ANSWER, True),
    ("documents", [], lambda found: [row["uri"] for row in found], [LEAVE, "docs/travel.md"]),
    ("show", [LEAVE], lambda found: (found["uri"], found["metadata"]), (LEAVE, {"team": "hr", "year": 2025})),
    ("collections", [], lambda found: found, [{"name": "default", "embedder": "local", "documents": 2, "chunks": 2}]),
    ("collections create", ["new"], lambda found: (found["name"], found["documents"]), ("new", 0)),
    ("collections delete", ["new"], lambda found: found, {"deleted": "new"}),
    ("reindex", [], lambda found: found["chunks"], 2),
    ("eval", ["questions.jsonl"], lambda found: (found["means"]["ndcg"], len(found["outcomes"])), (1.0, 1)),
    ("config trust", ["my.toml"], lambda found: found["settings"], {"chat.base_url": "http://127.0.0.1:9/v1"}),
    ("usage", [], lambda found: found, {"by": "day", "rows": [], "budget": [], "headroom": []}),
    ("remove", [LEAVE], lambda found: found, {"removed": [LEAVE], "missing": []}),
]
"""Each verb with what else is said, and what there is to see in its JSON."""


def test_json_of_every_verb(run: Run, docs: Path) -> None:
    """With --json each prints one JSON value with the documented fields; `serve` runs on, `config` is no verb alone."""
    (docs.parent / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    (docs.parent / "my.toml").write_text("[chat]\nbase_url = 'http://127.0.0.1:9/v1'\n")
    for verb, arguments, look, expected in SAID:
        done = run(*verb.split(), *arguments, "--json")
        assert (done.code, verb, look(done.json)) == (0, verb, expected)
    assert {verb for verb, *_ in SAID} == {*verbs(cli)} - {"serve", "config"}


def test_the_flag_stands_anywhere(run: Run, docs: Path) -> None:
    """Before the verb as well; filters are JSON or pairs, and a citation counts the characters that `show` prints."""
    run("ingest", "docs", "--metadata", "team=hr", "--metadata", "year=2025")
    narrowed = run("--json", "search", "leave", "--filter", "team=hr", "--filter", '{"year": {"$gte": 2024}}')
    assert narrowed.json["hits"][0]["metadata"] == {"team": "hr", "year": 2025}
    citation = run("--json", "ask", "How long is parental leave?").json["citations"][0]
    text = run("show", "--json", citation["uri"]).json["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"]


HINT = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"


def test_a_key_without_a_chat_model_is_said_once(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, whether the answer is printed for people, or as JSON, which has it too."""
    run("ingest", "docs")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    asked = run("ask", "How long is parental leave?")
    assert (asked.code, asked.err) == (0, f"semsearch: {HINT}\n")
    assert "OPENAI_API_KEY" not in asked.out
    as_json = run("ask", "How long is parental leave?", "--json")
    assert (as_json.json["warnings"], as_json.err) == ([HINT], f"semsearch: {HINT}\n")
    (docs.parent / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    assert run("search", "hotel").err == run("eval", "questions.jsonl").err == ""
    assert run("eval", "questions.jsonl", "--ask").err == f"semsearch: {HINT}\n"


def test_a_chosen_chat_model_needs_no_hint(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the settings, or for one answer."""
    run("ingest", "docs")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    named = run("ask", "How long is parental leave?", "--model", "m", "--json")
    assert (named.err, len(named.json["warnings"])) == ("", 1)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")  # not asked: nothing fits the question
    monkeypatch.setenv("SEMSEARCH_CHAT__MODEL", "m")
    chosen = run("ask", "Which galaxy is nearest?", "--json")
    assert (chosen.err, chosen.json["model"], chosen.json["warnings"]) == ("", "m", [])


def test_text_for_people(run: Run, docs: Path) -> None:
    """Without --json there are lines a person can read."""
    run("ingest", "docs")
    assert run("documents").out.splitlines()[0].split() == ["document", "type", "chunks", "characters"]
    assert run("collections").out.splitlines()[1].split() == ["default", "local", "2", "2"]
    assert "140 euros" in run("search", "hotel").out
    assert run("show", "docs/travel.md").out == "Travel\n\nA hotel room is paid up to 140 euros a night.\n"
    assert run("remove", "docs/travel.md").out == "removed 1 document\n"
    assert run("ask", "Which galaxy is nearest?").out.startswith(
        "The documents do not seem to hold the answer.\nNearest:\n"
    )


def test_collections_are_made_and_deleted(run: Run) -> None:
    """Making, listing, deleting."""
    assert run("collections", "create", "notes").code == 0
    assert "notes" in run("collections").out
    assert run("collections", "delete", "notes", "--json").json == {"deleted": "notes"}
    assert run("collections", "--json").json == []


def test_collections_that_cannot_be_read_are_named(run: Run, tmp_path: Path) -> None:
    """Those that can be are listed, and the code is 1."""
    run("collections", "create", "damaged")
    run("collections", "create", "notes")
    (tmp_path / "indexes" / "damaged" / "catalog.db").write_bytes(b"no database at all, but as long as one" * 100)
    done = run("collections", "--json")
    assert (done.code, [row["name"] for row in done.json]) == (1, ["notes"])
    assert done.err.startswith("failed: damaged: ")
    assert run("collections", "create", "more").code == 0


def test_stdin(run: Run, docs: Path) -> None:
    """- reads a document, a question or a query from stdin."""
    assert run("ingest", "-", "--uri", "notes/today.md", stdin=b"# Today\n\nThe lamp was mended.").code == 0
    assert "mended" in run("search", "-", stdin=b"lamp").out
    assert "mended" in run("ask", "-", stdin=b"What was mended with the lamp?\n").out
    assert run("ingest", "-", stdin=b"x").code == 2
    assert run("ingest", "-", "docs", "--uri", "x", stdin=b"x").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ask", "x"], 3, "there is no collection 'default'; make one: semsearch ingest PATH"),
        (["search", "x", "-c", "nowhere"], 3, "semsearch ingest PATH"),
        (["ingest", "nowhere"], 3, "nowhere does not exist"),
        (["ingest", "docs", "-c", "Bad Name"], 2, "cannot name a collection"),
        (["ingest", "docs", "--embedder", "bert"], 2, "unknown embedder 'bert'"),
        (["ingest", "docs", "--metadata", "novalue"], 2, "key=value"),
        (["ingest", "docs", "--metadata", "=x"], 2, "a field is named by 1 to"),
        (["ingest", "docs", "--metadata", 'x={"a": 1}'], 2, "metadata 'x'"),
        (["ingest", "docs", "--metadata", "x=NaN"], 2, "NaN is not JSON"),
        (["ingest", ""], 2, "a path is empty"),
        (["ingest", "docs", "--batch"], 2, "--batch is for embeddings from a server"),
        (["collections", "create", "x", "--embedder", "onnx:nowhere"], 3, "there is no folder"),
        (["ingest"], 2, "Missing argument"),
        (["frobnicate"], 2, "No such command"),
        (["serve", "--host", "0.0.0.0"], 6, "127.0.0.1"),
        (["serve", "--port", "x"], 2, "not a valid integer"),
    ],
)
def test_errors_say_what_and_end_with_their_code(
    run: Run, docs: Path, arguments: list[str], code: int, said: str
) -> None:
    """Nothing on stdout, one message with a way out on stderr, no traceback."""
    done = run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_errors_on_a_collection(run: Run, docs: Path) -> None:
    """What is refused on a collection that exists."""
    run("ingest", "docs")
    assert run("show", "docs/nothing.md").code == 3
    assert "list them: semsearch documents" in run("show", "docs/nothing.md").err
    assert run("remove", "docs/nothing.md").code == 3
    assert "list them: semsearch documents -c default" in run("remove", "docs/nothing.md").err
    assert run("search", " ").code == 2
    assert run("search", "x", "-k", "0").code == 2
    assert run("search", "x", "--filter", "{bad").code == 2
    assert run("search", "x", "--filter", '{"year": 2024, "year": 1}').code == 2
    assert run("search", "x", "--filter", '{"year": NaN}').code == 2
    assert run("search", "x", "--filter", '{"a": {"$bad": 1}}').code == 2
    assert run("ingest", "docs", "--embedder", "openai:text-embedding-3-small").code == 4


def test_some_inputs_failed(run: Run, docs: Path) -> None:
    """Failures are named on stderr, the rest is done, and the code is 1."""
    (docs / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    (docs / "empty.md").write_bytes(b"")
    done = run("ingest", "docs")
    assert done.code == 1
    assert "2 added" in done.out
    assert "2 failed" in done.out
    assert "failed: docs/photo.jpg: " in done.err
    assert "failed: docs/empty.md: " in done.err


def test_where_nothing_was_stored_that_is_said(run: Run, docs: Path) -> None:
    """There was something to do, and it failed."""
    (docs / "empty.md").write_bytes(b"")
    assert run("ingest", "docs/empty.md", "--dry-run").out.startswith(
        "nothing would be stored; would embed 0 of 0 chunks"
    )
    done = run("ingest", "docs/empty.md")
    assert done.code == 1
    assert re.fullmatch(r"nothing was stored; embedded 0 of 0 chunks in \d+\.\d s; 1 failed\n", done.out)


@pytest.mark.parametrize(
    ("texts", "usd", "said"),
    [
        (1, None, "1 text in 1 request: likely 9 tokens, at most 20; cost unknown, until the model's price stands in"),
        (2, 0.5, "2 texts in 1 request: likely 9 tokens, at most 20; likely 0.5 USD, at most 0.5 USD; time 3 s"),
    ],
)
def test_a_plan_in_words(texts: int, usd: float | None, said: str) -> None:
    """Where a cost is not known it says what would make it so."""
    plan = IngestEstimate(texts, 1, TokenEstimate(9, 20), usd, usd, 3.0)
    assert printing.format_report(IngestReport(plan=plan), dry_run=True).splitlines()[-1].startswith(said)


def test_what_is_refused_makes_no_collection(run: Run, docs: Path) -> None:
    """An embedder that was not meant is not bound to it."""
    assert run("ingest", "docs", "--batch").code == 2
    assert run("collections", "--json").json == []


def test_the_data_directory_is_left_out(run: Run, docs: Path) -> None:
    """Where a folder above it is ingested, and nobody asked for what the library keeps there."""
    run("collections", "create", "notes")
    for _ in range(2):
        done = run("ingest", ".", "--root", "all")
        assert (done.code, done.err) == (0, "")
    assert [row["uri"] for row in run("documents", "--json").json] == ["all/docs/leave.md", "all/docs/travel.md"]


@pytest.mark.parametrize("place", ["file", "file/below"])
@pytest.mark.parametrize("verb", [verb for verb in verbs(cli) if verb.split()[0] != "config"])
def test_a_data_directory_that_is_none_is_named(run: Run, docs: Path, tmp_path: Path, verb: str, place: str) -> None:
    """By every verb, before it does anything."""
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "questions.jsonl").write_text(json.dumps({"query": "parental leave", "relevant": [LEAVE]}))
    arguments = {said: given for said, given, *_ in SAID}
    done = run("--data-dir", place, *verb.split(), *arguments.get(verb, []))
    assert (done.code, done.out) == (7, "")
    assert f"the data directory {tmp_path / place}" in done.err


def test_a_narrow_terminal_is_written_to(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow it is."""
    monkeypatch.setenv("COLUMNS", "4")
    run("ingest", "docs")
    for verb in (["search", "hotel"], ["ask", "How much is a hotel room?"], ["usage"]):
        assert run(*verb).code == 0


def test_prune_and_dry_run(run: Run, docs: Path) -> None:
    """--dry-run says what would be done and changes nothing, not even a folder; --prune is guarded."""
    assert "would embed 2 of 2" in run("ingest", "docs", "--dry-run").out
    assert not (docs.parent / "indexes").exists()
    for n in range(6):
        (docs / f"{n}.txt").write_text(f"Note {n} on lamps.")
    run("ingest", "docs")
    for path in docs.glob("*.txt"):
        path.unlink()
    refused = run("ingest", "docs", "--prune")
    assert refused.code == 6
    assert "--yes" in refused.err
    assert "6 removed" in run("ingest", "docs", "--prune", "--yes").out


def test_a_second_job_is_told_who_is_at_work(run: Run, docs: Path) -> None:
    """While one process ingests, another gets exit 4 with its process id."""
    from semsearch.core.file_locks import hold_lock

    run("ingest", "docs")
    with hold_lock(docs.parent / "indexes" / "default" / "job.lock", wait_seconds=0, operation="test"):
        done = run("ingest", "docs")
    assert done.code == 4
    assert str(os.getpid()) in done.err


def test_a_port_in_use(run: Run) -> None:
    """Serving on a taken port ends with a conflict that names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port)
    assert done.code == 4
    assert port in done.err


def test_every_error_has_an_exit_code() -> None:
    """The table is complete."""
    from semsearch.core import errors

    names = {cls.name for cls in errors.SemsearchError.__subclasses__()}
    assert names == set(EXIT)


def test_no_bar_and_no_colour_without_a_terminal(run: Run, docs: Path) -> None:
    """What is piped holds no escape sequence."""
    done = run("ingest", "docs")
    assert "\x1b" not in done.out + done.err


@pytest.mark.slow
def test_a_bar_on_a_terminal(docs: Path) -> None:
    """Where stderr is a terminal there is a bar, and stdout stays clean."""
    import pty

    master, slave = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(docs.parent / "ix"), "ingest", str(docs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, env=environ, check=True, timeout=60)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "ingesting" in shown
    assert b"2 added" in done.stdout


def test_documents_cannot_write_to_the_terminal(run: Run, docs: Path) -> None:
    """Escape sequences in a document are not passed on."""
    (docs / "evil.txt").write_bytes(b"The lamp \x1b]0;title\x07\x1b[31m is red.")
    run("ingest", "docs")
    for verb in (["search", "lamp red"], ["show", "docs/evil.txt"], ["ask", "Which colour is the lamp?"]):
        assert "\x1b" not in run(*verb).out


@pytest.mark.slow
def test_the_script_is_the_verb(docs: Path) -> None:
    """scripts/ingest.py is `semsearch ingest`."""
    script = Path(__file__).parents[3] / "scripts" / "ingest.py"
    command = [sys.executable, str(script), str(docs), "--data-dir", str(docs.parent / "ix"), "--json"]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["added"] == 2


def test_an_answer_is_written_from_as_many_hits_as_its_help_says(run: Run, tmp_path: Path) -> None:
    """Where neither the request nor the profile says; and a request's own number counts."""
    lamps = tmp_path / "lamps"
    lamps.mkdir()
    for number in range(30):
        (lamps / f"{number}.txt").write_text(
            f"The lamp of tower {number} burns {number + 3} litres of oil in a night.\n"
        )
    assert run("ingest", "lamps").code == 0
    (said,) = re.findall(r"profile says, else (\d+)\.", " ".join(run("ask", "--help").out.split()))
    assert len(run("ask", "How much oil does a lamp burn?", "--json").json["hits"]) == int(said)
    assert len(run("ask", "How much oil does a lamp burn?", "-k", "3", "--json").json["hits"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["search lamp", "ask lamp?", "show big.txt", "documents", "ingest big.txt"])
def test_an_output_without_room_is_an_error(tmp_path: Path, verb: str) -> None:
    """One line and exit 7; a pipe that nobody reads from any more is no failure."""
    (tmp_path / "big.txt").write_text("The lamp is in the tower.\n" * 8_000)
    semsearch, pipe = [sys.executable, "-m", "semsearch"], subprocess.PIPE
    subprocess.run([*semsearch, "ingest", "big.txt"], cwd=tmp_path, check=True, capture_output=True)
    command = [*semsearch, *verb.split()]
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=pipe, text=True, cwd=tmp_path, timeout=30, check=False)
    assert ran.returncode == 7
    assert ran.stderr == "semsearch: the output cannot be written: No space left on device\n"
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_a_lost_log_ends_with_7_until_the_loss_is_accepted(run: Run, docs: Path) -> None:
    """The verb that says so sets the number, and makes the index of what is left."""
    assert run("ingest", "docs/").code == 0
    folder = docs.parent / "indexes" / "default"
    with closing(LocalStore(folder)) as store:
        store.remove(["docs/leave.md"])
        shutil.copytree(folder, folder.with_name("killed"))
    (folder.with_name("killed") / "catalog.db-wal").unlink()
    for verb in (["documents"], ["search", "leave"], ["reindex"], ["ingest", "docs/"]):
        refused = run(*verb, "-c", "killed")
        assert (refused.code, refused.out) == (7, "")
        assert re.search(
            r"at commit \d+, but commit\.seq at \d+: .*semsearch reindex --accept-loss -c killed", refused.err
        )
    assert run("reindex", "--accept-loss", "-c", "killed").code == 0
    assert "docs/leave.md" in run("documents", "-c", "killed").out


def test_a_failed_sync_of_a_first_ingest_ends_with_7(run: Run, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the library's folder, which says that there is a collection."""
    sync = os.fsync

    def failing(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) == docs.parent / "indexes":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    done = run("ingest", "docs/")
    assert done.code == 7
    assert "added" not in done.out
