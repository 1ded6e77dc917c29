"""The `ingest` command and `collections delete` as processes: summaries, failures, interrupts, questions."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.command_line import run_command
from support.upstream import HANG, ScriptedReply, run_upstream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

SEMSEARCH = [sys.executable, "-m", "semsearch"]
SPEC = "openai:text-embedding-3-small"


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `semsearch ...` in a folder, without a terminal."""
    return run_command(list(arguments), folder=folder, environ={**os.environ, **(env or {})})


def make_server_env(url: str) -> dict[str, str]:
    """Return the settings of a server of embeddings."""
    return {"SEMSEARCH_EMBEDDINGS__BASE_URL": url, "SEMSEARCH_EMBEDDINGS__API_KEY": "sk-none"}


def list_collections(folder: Path) -> list[str]:
    """Return the names of the collections."""
    return [row["name"] for row in json.loads(run(folder, "collections", "--json").stdout)]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with one document, images and installed dependencies."""
    folder = tmp_path / "docs"
    (folder / "node_modules" / "x").mkdir(parents=True)
    (folder / "node_modules" / "x" / "README.md").write_text("# x")
    (folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    for number in range(2_000):
        (folder / f"{number}.png").write_bytes(b"\x89PNG")
    (folder / "all.zip").write_bytes(b"PK")
    return folder


def test_skipped_files_are_one_line(docs: Path) -> None:
    """The exit code is 0 and stderr is empty; -v names a bounded number, and --json too."""
    done = run(docs.parent, "ingest", "docs")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "skipped 2,001 files: 2,000 images, 1 archive; 1 folder: 1 with dependencies"
    ]
    named = run(docs.parent, "ingest", "docs", "-v").stderr.splitlines()
    assert len(named) == 103
    assert "skipped: docs/node_modules/: it holds installed dependencies" in named
    assert named[-1] == "skipped: 1,900 more"
    report = json.loads(run(docs.parent, "ingest", "docs", "--json").stdout)
    assert (report["skipped"], len(report["skips"]), report["skips_omitted"]) == (2_002, 102, 1_900)
    assert report["skipped_by_kind"] == {"archive": 1, "dependencies": 1, "image": 2_000}


def test_originals_without_space_are_one_line(docs: Path) -> None:
    """The documents are stored; files of a folder need no space."""
    (docs.parent / "lone.md").write_text("# Lamp\n")
    no_space = {"SEMSEARCH_ORIGINALS__GIB": "0"}
    assert "original" not in run(docs.parent, "ingest", "docs", env=no_space).stdout
    done = run(docs.parent, "ingest", "lone.md", env=no_space)
    assert (done.returncode, done.stderr) == (0, "")
    line = "1 original not kept: SEMSEARCH_ORIGINALS__GIB allows no more space for originals"
    assert done.stdout.splitlines()[1:] == [line]
    assert json.loads(run(docs.parent, "ingest", "lone.md", "--json").stdout)["originals_not_kept"] == 0


def test_named_file_of_unknown_type_is_a_failure(docs: Path) -> None:
    """The user wants it, so that silence would mislead; no empty collection stays behind."""
    done = run(docs.parent, "ingest", "docs/0.png")
    assert done.returncode == 1
    assert done.stderr.startswith("failed: 0.png: there is no reader for")
    assert list_collections(docs.parent) == []


def test_url_is_wrong_usage_with_the_remedy(tmp_path: Path) -> None:
    """The exit code is 2, and nothing is created."""
    done = run(tmp_path, "ingest", "https://docs.example.org/guide/")
    assert (done.returncode, done.stdout) == (2, "")
    assert "wget --mirror --no-parent --convert-links https://docs.example.org/guide/" in done.stderr
    assert not (tmp_path / "indexes").exists()


@pytest.mark.parametrize("spec", [SPEC, "openai:unknown-dimension"])
def test_unreachable_server_fails_fast_and_leaves_no_collection(docs: Path, spec: str) -> None:
    """The message names URL and setting; the same command works when the server runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    start = time.monotonic()
    done = subprocess.run(  # a process, because waits between retries are removed in this one
        [*SEMSEARCH, "ingest", "docs/leave.md", "--embedder", spec],
        cwd=docs.parent, env={**os.environ, **make_server_env(url)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert time.monotonic() - start < 10  # with its retries it takes a minute at most; the process starts in one second
    assert f"no connection to {url}/embeddings (connection refused)" in done.stderr
    assert "SEMSEARCH_EMBEDDINGS__BASE_URL" in done.stderr
    assert list_collections(docs.parent) == []


def test_interrupt_before_the_first_commit_leaves_no_collection(docs: Path) -> None:
    """An existing collection is kept, even if it is empty."""
    with run_upstream() as upstream:
        env = {**os.environ, **make_server_env(upstream.url)}
        run(docs.parent, "collections", "create", "kept", "--embedder", SPEC, env=env)
        upstream.reply_rule = lambda call: ScriptedReply([HANG])
        for name in ("new", "kept"):
            upstream.calls.clear()
            command = [*SEMSEARCH, "ingest", "docs/leave.md", "-c", name, "--embedder", SPEC]
            with subprocess.Popen(command, cwd=docs.parent, env=env, stderr=subprocess.PIPE, text=True) as process:
                while not upstream.calls:
                    assert process.poll() is None
                    time.sleep(0.02)
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 130
    assert list_collections(docs.parent) == ["kept"]


def answer_question(folder: Path, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal and type an answer; return the exit code and what the terminal shows."""
    master, slave = pty.openpty()
    with subprocess.Popen([*SEMSEARCH, *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave) as process:
        os.write(master, answer)
        code = process.wait(30)
    os.close(slave)
    shown = os.read(master, 65_536).decode()
    os.close(master)
    return code, shown


def test_delete_asks_on_a_terminal(docs: Path) -> None:
    """Only yes deletes; --yes does not ask; without a terminal --yes is needed."""
    run(docs.parent, "ingest", "docs/leave.md", "-c", "one")
    refused = run(docs.parent, "collections", "delete", "one")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "add --yes" in refused.stderr
    assert run(docs.parent, "collections", "delete", "nowhere").returncode == 3
    code, shown = answer_question(docs.parent, b"\n", "collections", "delete", "one")
    assert code == 6
    assert "Delete the collection one with 1 document? [y/N]" in shown
    assert answer_question(docs.parent, b"\x04", "collections", "delete", "one")[0] == 130  # end of input
    assert list_collections(docs.parent) == ["one"]
    assert answer_question(docs.parent, b"y\n", "collections", "delete", "one")[0] == 0
    run(docs.parent, "ingest", "docs/leave.md", "-c", "one")
    assert run(docs.parent, "collections", "delete", "one", "--yes").returncode == 0
    assert list_collections(docs.parent) == []


def test_damaged_collection_can_be_deleted(docs: Path) -> None:
    """The question leaves out the number of its documents."""
    run(docs.parent, "ingest", "docs/leave.md", "-c", "one")
    (docs.parent / "indexes" / "one" / "catalog.db").write_bytes(b"not a database, but as long as one" * 100)
    code, shown = answer_question(docs.parent, b"y\n", "collections", "delete", "one")
    assert (code, list_collections(docs.parent)) == (0, [])
    assert "Delete the collection one?" in shown
