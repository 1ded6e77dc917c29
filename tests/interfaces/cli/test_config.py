"""A configuration file that comes with a folder: real commands beside a model server that records what it is sent."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import support.upstream as double
from support.processes import has_exited

pytestmark = pytest.mark.slow

QUESTION = "How long is parental leave?"
KEY = "sk-environment-1a2b3c"
REPO = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class User:
    """A home, a working folder with one document, and the variables of the user's shell."""

    home: Path
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, code: int = 0, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `semsearch ...` in the working folder; it must end with `code`."""
        return self.execute([sys.executable, "-m", "semsearch", *arguments], code, **environ)

    def execute(self, command: list[str], code: int, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with nothing but the user's variables."""
        everything = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environ, **environ}
        done = subprocess.run(
            command, cwd=self.folder, env=everything, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        return done

    def write(self, text: str) -> Path:
        """Write the working folder's file."""
        path = self.folder / "semsearch.toml"
        path.write_text(text)
        return path

    def write_own(self, text: str) -> None:
        """Write the user's own file."""
        path = self.home / ".config" / "semsearch" / "semsearch.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def record(self) -> Path:
        """Where the trusted files are recorded."""
        return self.home / ".local" / "state" / "semsearch" / "trusted.json"


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A user in a folder with a filled collection."""
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    made = User(home, folder)
    made.run("ingest", "leave.md")
    return made


@pytest.fixture
def upstream() -> Iterator[double.Upstream]:
    """A model server that records every request."""
    with double.run_upstream() as upstream:
        yield upstream


def chat(url: str, *more: str) -> str:
    """A file that names a chat model and its server."""
    return "\n".join(["[chat]", f'base_url = "{url}"', 'model = "m"', *more, ""])


def keys(upstream: double.Upstream) -> list[str | None]:
    """The key of every request that arrived."""
    return [call.headers.get("authorization") for call in upstream.calls]


def test_no_key_question_or_passage_goes_to_the_server_of_an_untrusted_file(
    user: User, upstream: double.Upstream
) -> None:
    """`ask` is refused, with the way to allow it, and nothing at all arrives."""
    path = user.write(chat(upstream.url))
    done = user.run("ask", QUESTION, code=6, SEMSEARCH_CHAT__API_KEY=KEY, OPENAI_API_KEY=KEY)
    assert f"{path} is not trusted, and sets chat.base_url" in done.stderr
    assert "semsearch config trust" in done.stderr
    assert KEY not in done.stderr + done.stdout
    assert upstream.calls == []


def test_no_file_is_sent_as_a_key_by_an_untrusted_file(user: User, upstream: double.Upstream, tmp_path: Path) -> None:
    """Neither to a server of the file, nor to that of the environment."""
    secret = tmp_path / "secret.txt"
    secret.write_text("private text")
    user.write(chat(upstream.url, f'api_key_file = "{secret}"'))
    assert "chat.api_key_file" in user.run("ask", QUESTION, code=6).stderr
    user.write(f'[chat]\nmodel = "m"\napi_key_file = "{secret}"\n')
    user.run("ask", QUESTION, code=6, OPENAI_BASE_URL=upstream.url)
    assert upstream.calls == []


def test_no_document_goes_to_the_embeddings_server_of_an_untrusted_file(user: User, upstream: double.Upstream) -> None:
    """Nor does the key for embeddings."""
    user.write(f'[embeddings]\nbase_url = "{upstream.url}"\n')
    arguments = ["ingest", "leave.md", "-c", "remote", "--embedder", f"openai:e@{double.DIM}"]
    done = user.run(*arguments, code=6, SEMSEARCH_EMBEDDINGS__API_KEY=KEY)
    assert "sets embeddings.base_url" in done.stderr
    assert upstream.calls == []


def test_no_text_is_sent_under_a_key_of_an_untrusted_file(user: User, upstream: double.Upstream) -> None:
    """Its owner could read in their account what the user's own server was sent."""
    user.write('[chat]\nmodel = "m"\napi_key = "sk-foreign"\n')
    done = user.run("ask", QUESTION, code=6, OPENAI_BASE_URL=upstream.url)
    assert "sets chat.api_key:" in done.stderr
    assert "sk-foreign" not in done.stderr
    assert upstream.calls == []


@pytest.mark.parametrize("verb", ["search", "documents", "usage", "serve", "serve --workers 2", "script", "python"])
def test_every_door_refuses(user: User, upstream: double.Upstream, verb: str) -> None:
    """The verbs, the service with and without workers, the script and the Python library."""
    user.write(chat(upstream.url))
    commands = {
        "search": [sys.executable, "-m", "semsearch", "search", "leave"],
        "script": [sys.executable, str(REPO / "scripts" / "ingest.py"), "leave.md"],
        "python": [sys.executable, "-c", "import semsearch; semsearch.Library()"],
    }
    command = commands.get(verb) or [sys.executable, "-m", "semsearch", *verb.split()]
    done = user.execute(command, 1 if verb == "python" else 6, SEMSEARCH_CHAT__API_KEY=KEY)
    assert "chat.base_url" in done.stderr
    assert "semsearch config trust" in done.stderr
    assert upstream.calls == []


def test_a_trusted_file_is_used_until_it_changes(user: User, upstream: double.Upstream) -> None:
    """Keys of the environment go to its server; a changed file is refused, and the message says that it changed."""
    path = user.write(chat(upstream.url))
    shown = user.run("config", "trust").stdout
    assert f"{path} sets:\n  chat.base_url = {upstream.url}\n" in shown
    assert json.loads(user.record.read_text()) == {str(path): sha256(path.read_bytes()).hexdigest()}
    user.run("ask", QUESTION, SEMSEARCH_CHAT__API_KEY=KEY)
    assert keys(upstream) == [f"Bearer {KEY}"]
    path.write_text(path.read_text() + "# changed\n")
    refused = user.run("ask", QUESTION, code=6, SEMSEARCH_CHAT__API_KEY=KEY)
    assert f"{path} has changed since it was trusted" in refused.stderr
    assert len(upstream.calls) == 1
    user.run("config", "trust")
    user.run("ask", QUESTION, SEMSEARCH_CHAT__API_KEY=KEY)
    assert len(upstream.calls) == 2


def test_trust_does_not_travel_with_a_copy(user: User, upstream: double.Upstream) -> None:
    """The same bytes in another folder are not trusted; through a link to the trusted folder they are."""
    path = user.write(chat(upstream.url))
    user.run("config", "trust")
    (user.folder / "copy").mkdir()
    (user.folder / "copy" / "semsearch.toml").write_bytes(path.read_bytes())
    User(user.home, user.folder / "copy").run("documents", code=6)
    link = user.folder.parent / "link"
    link.symlink_to(user.folder)
    User(user.home, link).run("documents")


def test_the_openai_key_goes_to_no_server_of_a_file(user: User, upstream: double.Upstream) -> None:
    """Not even to that of a trusted one: it is for OPENAI_BASE_URL, or for OpenAI."""
    user.write(chat(upstream.url))
    user.run("config", "trust")
    user.run("ask", QUESTION, OPENAI_API_KEY=KEY)
    user.run("ask", QUESTION, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=upstream.url)
    assert keys(upstream) == [None, f"Bearer {KEY}"]


@pytest.mark.parametrize("way", ["before", "behind", "variable"])
def test_a_file_that_is_named_is_trusted_and_replaces_the_folder_s(
    user: User, upstream: double.Upstream, way: str
) -> None:
    """By --config before or behind the verb, or by SEMSEARCH_CONFIG; the folder's file is not even looked at."""
    user.write(chat("http://127.0.0.1:9/v1"))
    named = user.home / "named.toml"
    named.write_text(chat(upstream.url, 'api_key_file = "key.txt"'))
    (user.home / "key.txt").write_text("sk-of-the-file\n")
    option = ["--config", str(named)]
    if way == "before":
        user.run(*option, "ask", QUESTION)
    elif way == "behind":
        user.run("ask", QUESTION, *option)
    else:
        user.run("ask", QUESTION, SEMSEARCH_CONFIG=str(named))
    assert keys(upstream) == ["Bearer sk-of-the-file"]
    assert not user.record.exists()


def test_the_option_goes_before_the_variable(user: User) -> None:
    """A file that is named and is not there is an error, never nothing set."""
    done = user.run("documents", "--config", "none.toml", code=2, SEMSEARCH_CONFIG="/dev/null")
    assert "there is no configuration file none.toml" in done.stderr
    user.run("documents", SEMSEARCH_CONFIG="/dev/null")


def test_the_user_s_own_file_is_trusted_and_goes_after_the_folder_s(user: User, upstream: double.Upstream) -> None:
    """Server and key of the user's file hold for a foreign file that only chooses the model."""
    user.write_own(chat(upstream.url, 'api_key = "sk-own"'))
    user.run("ask", QUESTION)
    user.write('[chat]\nmodel = "theirs"\n')
    user.run("ask", QUESTION)
    user.run("ask", QUESTION, SEMSEARCH_CHAT__MODEL="mine")
    assert keys(upstream) == ["Bearer sk-own"] * 3
    assert [call.body["model"] for call in upstream.calls] == ["m", "theirs", "mine"]


def test_a_service_uses_what_was_trusted_when_it_started(user: User, upstream: double.Upstream) -> None:
    """Its workers inherit the decision, also those that replace others: a later change of the file moves no key."""
    user.write(chat(upstream.url))
    user.run("config", "trust")
    environ = {"PATH": os.environ["PATH"], "HOME": str(user.home), "SEMSEARCH_CHAT__API_KEY": KEY}
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, cwd=user.folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        try:
            user.write(chat("http://127.0.0.1:9/v1"))
            workers = workers_of(process)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            while not has_exited(workers[0]) or not has_exited(workers[1]):
                time.sleep(0.02)
            answer = httpx.post(f"{url}/v1/collections/default/ask", json={"question": QUESTION}, timeout=30)
            assert answer.status_code == 200
        finally:
            process.terminate()
    assert keys(upstream) == [f"Bearer {KEY}"]


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that serve for this one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in children.split()]


def test_a_damaged_record_trusts_nothing(user: User, upstream: double.Upstream) -> None:
    """It is an error for whoever needs it, and is not replaced; a file that needs no trust works all the same."""
    user.write(chat(upstream.url))
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


def test_without_a_home_nothing_is_trusted(user: User, upstream: double.Upstream) -> None:
    """The record is nowhere, and a relative XDG_STATE_HOME, which would be the folder's own, is not taken."""
    path = user.write(chat(upstream.url))
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


def test_trust_shows_what_it_allows_but_no_secret(user: User) -> None:
    """With what a terminal would obey escaped; the record is for its owner alone."""
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


def test_what_is_not_there_cannot_be_trusted(user: User) -> None:
    """Nor can what is no TOML."""
    assert "there is no semsearch.toml" in user.run("config", "trust", code=3).stderr
    user.write("chat = [")
    assert "is not valid TOML" in user.run("config", "trust", code=2).stderr
    assert not user.record.exists()


def test_files_that_are_trusted_at_once_are_all_trusted(user: User) -> None:
    """No process undoes what another has just recorded."""
    paths = [user.folder / f"{number}.toml" for number in range(8)]
    for path in paths:
        path.write_text(chat("http://127.0.0.1:9/v1"))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda path: user.run("config", "trust", str(path)), paths))
    assert set(json.loads(user.record.read_text())) == set(map(str, paths))
    assert [path.name for path in user.record.parent.iterdir() if path.name.startswith(".")] == []
