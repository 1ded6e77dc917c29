"""Trust in configuration files: real commands, and a model server that records every request."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from support.command_line import run_command
from support.processes import has_exited
from support.upstream import DIM, Upstream, run_upstream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

QUESTION = "How long is parental leave?"
KEY = "sk-environment-1a2b3c"
REPO = Path(__file__).parents[3]
SEMSEARCH = [sys.executable, "-m", "semsearch"]


@dataclass(frozen=True, slots=True)
class User:
    """A home folder, a working folder, and the environment variables of the user."""

    home: Path
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, code: int = 0, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `semsearch ...` in the working folder; it must exit with `code`."""
        completed = run_command(list(arguments), folder=self.folder, environ=self.make_environ(environ))
        assert completed.returncode == code, completed.stderr
        return completed

    def execute(self, command: list[str], code: int, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a process, with the environment of the user only; it must exit with `code`."""
        completed = subprocess.run(
            command, cwd=self.folder, env=self.make_environ(environ), capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert completed.returncode == code, completed.stderr
        return completed

    def make_environ(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the user with more variables."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environ, **more}

    def write(self, text: str) -> Path:
        """Write the configuration file of the working folder."""
        path = self.folder / "semsearch.toml"
        path.write_text(text)
        return path

    def write_own(self, text: str) -> None:
        """Write the configuration file of the user."""
        path = self.home / ".config" / "semsearch" / "semsearch.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def record(self) -> Path:
        """The record of trusted files."""
        return self.home / ".local" / "state" / "semsearch" / "trusted.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a collection of one document; tests copy it."""
    user = User(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("project"))
    (user.folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    user.run("ingest", "leave.md")
    return user.folder


@pytest.fixture
def user(tmp_path: Path, project: Path) -> User:
    """Return a user in a folder with a collection of one document."""
    home = tmp_path / "home"
    home.mkdir()
    return User(home, shutil.copytree(project, tmp_path / "project"))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Run a model server that records every request."""
    with run_upstream() as upstream:
        yield upstream


def make_chat_table(url: str, *lines: str) -> str:
    """Return a configuration file with a chat model, its server and further lines."""
    return "\n".join(["[chat]", f'base_url = "{url}"', 'model = "m"', *lines, ""])


def received_keys(upstream: Upstream) -> list[str | None]:
    """Return the Authorization header of every request."""
    return [call.headers.get("authorization") for call in upstream.calls]


def test_no_key_question_or_passage_goes_to_the_server_of_an_untrusted_file(user: User, upstream: Upstream) -> None:
    """`ask` is refused with the remedy, and the server gets no request."""
    path = user.write(make_chat_table(upstream.url))
    completed = user.run("ask", QUESTION, code=6, SEMSEARCH_CHAT__API_KEY=KEY, OPENAI_API_KEY=KEY)
    assert f"{path} is not trusted, and sets chat.base_url" in completed.stderr
    assert "semsearch config trust" in completed.stderr
    assert KEY not in completed.stderr + completed.stdout
    assert upstream.calls == []


def test_no_file_is_sent_as_a_key_by_an_untrusted_file(user: User, upstream: Upstream, tmp_path: Path) -> None:
    """Neither the server of the file nor that of the environment gets the content of another file."""
    secret = tmp_path / "secret.txt"
    secret.write_text("private text")
    user.write(make_chat_table(upstream.url, f'api_key_file = "{secret}"'))
    assert "chat.api_key_file" in user.run("ask", QUESTION, code=6).stderr
    user.write(f'[chat]\nmodel = "m"\napi_key_file = "{secret}"\n')
    user.run("ask", QUESTION, code=6, OPENAI_BASE_URL=upstream.url)
    assert upstream.calls == []


def test_no_document_goes_to_the_embeddings_server_of_an_untrusted_file(user: User, upstream: Upstream) -> None:
    """The server gets no request, so neither documents nor the key for embeddings."""
    user.write(f'[embeddings]\nbase_url = "{upstream.url}"\n')
    arguments = ["ingest", "leave.md", "-c", "remote", "--embedder", f"openai:e@{DIM}"]
    completed = user.run(*arguments, code=6, SEMSEARCH_EMBEDDINGS__API_KEY=KEY)
    assert "sets embeddings.base_url" in completed.stderr
    assert upstream.calls == []


def test_no_text_is_sent_under_a_key_of_an_untrusted_file(user: User, upstream: Upstream) -> None:
    """The owner of the key could read the texts in their account at the server of the user."""
    user.write('[chat]\nmodel = "m"\napi_key = "sk-foreign"\n')
    completed = user.run("ask", QUESTION, code=6, OPENAI_BASE_URL=upstream.url)
    assert "sets chat.api_key:" in completed.stderr
    assert "sk-foreign" not in completed.stderr
    assert upstream.calls == []


def test_no_stored_answer_is_deleted_by_an_untrusted_file(user: User, tmp_path: Path) -> None:
    """An answer of the user's own data directory is kept until the file that shortens `keep_days` is trusted."""
    (user.folder / "indexes").rename(tmp_path / "own")
    user.environ["SEMSEARCH_DATA_DIR"] = str(tmp_path / "own")
    user.run("ask", QUESTION)
    with closing(sqlite3.connect(tmp_path / "own" / "ledger.db")) as ledger:
        ledger.execute("UPDATE answer SET created = created - 3 * 86400")
        ledger.commit()
        (old_answer,) = ledger.execute("SELECT id FROM answer")
    path = user.write("keep_days = 1\n[embeddings]\ncache_gib = 0.01\n")
    completed = user.run("ask", QUESTION, code=6)
    assert f"{path} is not trusted, and sets keep_days, embeddings.cache_gib" in completed.stderr
    assert "semsearch config trust" in completed.stderr
    with closing(sqlite3.connect(tmp_path / "own" / "ledger.db")) as ledger:
        assert ledger.execute("SELECT id FROM answer").fetchall() == [old_answer]
        user.run("config", "trust")
        user.run("ask", QUESTION)
        assert old_answer not in ledger.execute("SELECT id FROM answer").fetchall()


@pytest.mark.parametrize(
    "entry_point", ["search", "documents", "usage", "serve", "serve --workers 2", "script", "python"]
)
def test_every_entry_point_refuses_an_untrusted_file(user: User, upstream: Upstream, entry_point: str) -> None:
    """Commands, the service with and without workers, the script and the Python library refuse it."""
    user.write(make_chat_table(upstream.url))
    commands = {
        "search": [*SEMSEARCH, "search", "leave"],
        "script": [sys.executable, str(REPO / "scripts" / "ingest.py"), "leave.md"],
        "python": [sys.executable, "-c", "import semsearch; semsearch.Library()"],
    }
    command = commands.get(entry_point) or [*SEMSEARCH, *entry_point.split()]
    completed = user.execute(command, 1 if entry_point == "python" else 6, SEMSEARCH_CHAT__API_KEY=KEY)
    assert "chat.base_url" in completed.stderr
    assert "semsearch config trust" in completed.stderr
    assert upstream.calls == []


def test_a_trusted_file_is_used_until_it_changes(user: User, upstream: Upstream) -> None:
    """Keys of the environment go to its server; a changed file is refused with a message that states the change."""
    path = user.write(make_chat_table(upstream.url))
    output = user.run("config", "trust").stdout
    assert f"{path} sets:\n  chat.base_url = {upstream.url}\n" in output
    assert json.loads(user.record.read_text()) == {str(path): sha256(path.read_bytes()).hexdigest()}
    user.run("ask", QUESTION, SEMSEARCH_CHAT__API_KEY=KEY)
    assert received_keys(upstream) == [f"Bearer {KEY}"]
    path.write_text(path.read_text() + "# changed\n")
    refused = user.run("ask", QUESTION, code=6, SEMSEARCH_CHAT__API_KEY=KEY)
    assert f"{path} has changed since it was trusted" in refused.stderr
    assert len(upstream.calls) == 1
    user.run("config", "trust")
    user.run("ask", QUESTION, SEMSEARCH_CHAT__API_KEY=KEY)
    assert len(upstream.calls) == 2


def test_a_copy_of_a_trusted_file_is_not_trusted(user: User, upstream: Upstream) -> None:
    """The same bytes in another folder are not trusted; a link to the trusted folder is."""
    path = user.write(make_chat_table(upstream.url))
    user.run("config", "trust")
    (user.folder / "copy").mkdir()
    (user.folder / "copy" / "semsearch.toml").write_bytes(path.read_bytes())
    User(user.home, user.folder / "copy").run("documents", code=6)
    link = user.folder.parent / "link"
    link.symlink_to(user.folder)
    User(user.home, link).run("documents")


def test_the_openai_key_goes_to_no_server_of_a_file(user: User, upstream: Upstream) -> None:
    """OPENAI_API_KEY goes only to OPENAI_BASE_URL or to OpenAI, not to the server of a trusted file."""
    user.write(make_chat_table(upstream.url))
    user.run("config", "trust")
    user.run("ask", QUESTION, OPENAI_API_KEY=KEY)
    user.run("ask", QUESTION, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=upstream.url)
    assert received_keys(upstream) == [None, f"Bearer {KEY}"]


@pytest.mark.parametrize("source", ["option before", "option after", "variable"])
def test_a_named_file_is_trusted_and_replaces_that_of_the_folder(user: User, upstream: Upstream, source: str) -> None:
    """--config, before or after the command, or SEMSEARCH_CONFIG names it; the file of the folder is not read."""
    user.write(make_chat_table("http://127.0.0.1:9/v1"))
    named = user.home / "named.toml"
    named.write_text(make_chat_table(upstream.url, 'api_key_file = "key.txt"'))
    (user.home / "key.txt").write_text("sk-of-the-file\n")
    option = ["--config", str(named)]
    if source == "option before":
        user.run(*option, "ask", QUESTION)
    elif source == "option after":
        user.run("ask", QUESTION, *option)
    else:
        user.run("ask", QUESTION, SEMSEARCH_CONFIG=str(named))
    assert received_keys(upstream) == ["Bearer sk-of-the-file"]
    assert not user.record.exists()


def test_the_config_option_overrides_the_variable(user: User) -> None:
    """A named file that does not exist is an error, not an empty configuration."""
    completed = user.run("documents", "--config", "none.toml", code=2, SEMSEARCH_CONFIG="/dev/null")
    assert "there is no configuration file none.toml" in completed.stderr
    user.run("documents", SEMSEARCH_CONFIG="/dev/null")


def test_the_file_of_the_user_is_trusted_and_overridden_by_that_of_the_folder(user: User, upstream: Upstream) -> None:
    """A folder's file that sets only the model is used with the server and key of the user's file."""
    user.write_own(make_chat_table(upstream.url, 'api_key = "sk-own"'))
    user.run("ask", QUESTION)
    user.write('[chat]\nmodel = "theirs"\n')
    user.run("ask", QUESTION)
    user.run("ask", QUESTION, SEMSEARCH_CHAT__MODEL="mine")
    assert received_keys(upstream) == ["Bearer sk-own"] * 3
    assert [call.body["model"] for call in upstream.calls] == ["m", "theirs", "mine"]


def test_a_service_keeps_the_settings_of_its_start(user: User, upstream: Upstream) -> None:
    """Workers, also those that replace others, use them: a later change of the file sends no key elsewhere."""
    user.write(make_chat_table(upstream.url))
    user.run("config", "trust")
    environ = {"PATH": os.environ["PATH"], "HOME": str(user.home), "SEMSEARCH_CHAT__API_KEY": KEY}
    command = [*SEMSEARCH, "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, cwd=user.folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        try:
            user.write(make_chat_table("http://127.0.0.1:9/v1"))
            workers = list_workers(process)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            while not has_exited(workers[0]) or not has_exited(workers[1]):
                time.sleep(0.02)
            response = httpx.post(f"{url}/v1/collections/default/ask", json={"question": QUESTION}, timeout=30)
            assert response.status_code == 200
        finally:
            process.terminate()
    assert received_keys(upstream) == [f"Bearer {KEY}"]


def list_workers(process: "subprocess.Popen[str]") -> list[int]:
    """Return the process ids of the workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in children.split()]


def test_with_a_damaged_record_no_file_is_trusted(user: User, upstream: Upstream) -> None:
    """A damaged record is an error and is not replaced; a file that needs no trust works."""
    user.write(make_chat_table(upstream.url))
    user.run("config", "trust")
    for damaged in ("{", "[]", '{"a": 1}', "\udcff"):
        user.record.write_bytes(damaged.encode(errors="surrogateescape"))
        assert f"{user.record} is damaged: remove it" in user.run("ask", QUESTION, code=7).stderr
        user.run("config", "trust", code=7)
        assert user.record.read_bytes() == damaged.encode(errors="surrogateescape")
    user.record.unlink()
    user.record.mkdir()
    assert f"{user.record} cannot be read" in user.run("ask", QUESTION, code=7).stderr
    assert upstream.calls == []
    user.write("[search]\nper_document = 1\n")
    user.run("documents")


def test_without_a_home_folder_no_file_is_trusted(user: User, upstream: Upstream) -> None:
    """There is no record; a relative XDG_STATE_HOME, which would be below the working folder, is ignored."""
    path = user.write(make_chat_table(upstream.url))
    (user.folder / "state" / "semsearch").mkdir(parents=True)
    record = {str(path): sha256(path.read_bytes()).hexdigest()}
    (user.folder / "state" / "semsearch" / "trusted.json").write_text(json.dumps(record))
    user.run("ask", QUESTION, code=6, HOME="")
    user.run("ask", QUESTION, code=6, HOME="", XDG_STATE_HOME="state")
    assert "set XDG_STATE_HOME or HOME" in user.run("config", "trust", code=7, HOME="").stderr
    state = user.home / "state"
    user.run("config", "trust", HOME="", XDG_STATE_HOME=str(state))
    assert (state / "semsearch" / "trusted.json").exists()
    user.run("ask", QUESTION, HOME="", XDG_STATE_HOME=str(state))


def test_trust_prints_the_settings_without_secrets(user: User) -> None:
    """Control characters are escaped; only the owner can read the record."""
    user.write(
        'data_dir = "/srv/\\u001b[31mindexes"\n[chat]\nbase_url = "https://api.openai.com:pw@127.0.0.1:9/v1"\n'
        'api_key = "sk-inside"\nmodel = "m"\n[access]\ntoken = "sk-access"\n'
    )
    out = user.run("config", "trust").stdout
    assert out.splitlines()[1:5] == [
        "  access = (not shown)",
        "  data_dir = /srv/\\x1b[31mindexes",
        "  chat.base_url = https://…@127.0.0.1:9/v1",
        "  chat.api_key = (not shown)",
    ]
    assert "sk-" not in out
    assert "model" not in out
    assert stat.S_IMODE(user.record.stat().st_mode) == 0o600
    assert stat.S_IMODE(user.record.parent.stat().st_mode) == 0o700


def test_a_missing_or_invalid_file_cannot_be_trusted(user: User) -> None:
    """A missing file exits with 3, invalid TOML with 2; nothing is recorded."""
    assert "there is no semsearch.toml" in user.run("config", "trust", code=3).stderr
    user.write("chat = [")
    assert "is not valid TOML" in user.run("config", "trust", code=2).stderr
    assert not user.record.exists()


def test_concurrent_trust_commands_lose_no_entry(user: User) -> None:
    """No process overwrites the entry of another."""
    paths = [user.folder / f"{number}.toml" for number in range(8)]
    for path in paths:
        path.write_text(make_chat_table("http://127.0.0.1:9/v1"))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda path: user.execute([*SEMSEARCH, "config", "trust", str(path)], 0), paths))
    assert set(json.loads(user.record.read_text())) == set(map(str, paths))
    assert [path.name for path in user.record.parent.iterdir() if path.name.startswith(".")] == []
