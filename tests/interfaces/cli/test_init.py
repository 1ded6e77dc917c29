"""The guided start: real commands, in a terminal and with flags, against a model server that records every request."""

import json
import os
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.command_line import run_command
from support.pty_session import PtySession, open_session
from support.upstream import DIM, ReceivedCall, ScriptedReply, Upstream, error_reply, run_upstream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

KEY = "sk-good-1a2b3c4d"
OPENAI_MODELS = (
    "gpt-6-sol",
    "gpt-5-nano",
    "whisper-1",
    "gpt-6-luna",
    "text-embedding-3-large",
    "text-embedding-3-small",
)
OLLAMA_MODELS = ("nomic-embed-text:latest", "llama3.2:latest", "qwen3:8b")


@dataclass(slots=True)
class Model:
    """Replies of the server to GET /models."""

    names: tuple[str, ...] = OPENAI_MODELS
    key: str | None = KEY
    status: int = 200
    shutdowns: dict[str, Any] = field(default_factory=dict)

    def reply(self, call: ReceivedCall) -> ScriptedReply | None:
        """Return the list of models to a call with the right key."""
        if call.path != "/v1/models" or self.status == 404:
            return None
        if self.key is not None and call.headers.get("authorization") != f"Bearer {self.key}":
            return error_reply(401, f"Incorrect API key provided: {KEY[:8]}***")
        rows = [{"id": name, "object": "model", "shutdown_date": self.shutdowns.get(name)} for name in self.names]
        return ScriptedReply([json.dumps({"object": "list", "data": rows}).encode()])


@pytest.fixture
def listing() -> Model:
    """Return the replies of the server, which a test may change."""
    return Model()


@pytest.fixture
def upstream(listing: Model) -> Iterator[Upstream]:
    """Run a model server with a list of models."""
    with run_upstream() as upstream:
        upstream.reply_rule = listing.reply
        yield upstream


@dataclass(frozen=True, slots=True)
class User:
    """A home folder, a working folder with a key file, and the environment of the user."""

    home: Path
    folder: Path
    environ: dict[str, str]

    @property
    def config(self) -> Path:
        """The configuration file of the user."""
        return self.home / ".config" / "semsearch" / "semsearch.toml"

    @property
    def table(self) -> dict[str, Any]:
        """The content of the configuration file."""
        return tomllib.loads(self.config.read_text())

    def init(self, *arguments: str, code: int = 0, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run `semsearch init ...` without a terminal; it must exit with `code`, and print no key."""
        return self.run("init", *arguments, code=code, **environ)

    def run(self, *arguments: str, code: int = 0, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command without a terminal; it must exit with `code`, and print no key."""
        completed = run_command(list(arguments), folder=self.folder, environ={**self.environ, **environ})
        assert completed.returncode == code, completed.stderr + completed.stdout
        assert KEY not in completed.stderr + completed.stdout
        return completed

    def ask(self, *arguments: str) -> Any:
        """Run `semsearch init ...` in a terminal."""
        return open_session(["-m", "semsearch", "init", *arguments], self.folder, self.environ)

    def write_config(self, text: str) -> None:
        """Write the configuration file as an editor would: readable for all."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)

    def find_secrets(self) -> list[str]:
        """Return the files below home and the working folder that contain the key."""
        files = [path for root in (self.home, self.folder) for path in root.rglob("*") if path.is_file()]
        return sorted(path.name for path in files if KEY.encode() in path.read_bytes())


@pytest.fixture
def user(tmp_path: Path, upstream: Upstream) -> User:
    """Return a user for whom `openai` is the server of the test."""
    home, folder = tmp_path / "home", tmp_path / "project"
    for path in (home, folder):
        path.mkdir()
    (folder / "key.txt").write_text(f"{KEY}\n")
    (folder / "key.txt").chmod(0o600)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "OPENAI_BASE_URL": upstream.url, "COLUMNS": "200"}
    return User(home, folder, environ)


def get_mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_flags_write_a_private_file_with_the_cheapest_models(user: User, upstream: Upstream) -> None:
    """One free request checks the key; the file refers to the key file; a model about to be shut down is not chosen."""
    result = json.loads(user.init("--server", "openai", "--key-file", "key.txt", "--json").stdout)
    key_file = str(user.folder / "key.txt")
    assert user.table == {
        "chat": {"api_key_file": key_file, "model": "gpt-6-luna"},
        "embeddings": {"api_key_file": key_file, "embedder": "openai:text-embedding-3-small"},
    }
    assert [(call.path, call.headers["authorization"]) for call in upstream.calls] == [("/v1/models", f"Bearer {KEY}")]
    assert (get_mode(user.config), get_mode(user.config.parent)) == (0o600, 0o700)
    assert [path.name for path in user.config.parent.iterdir()] == ["semsearch.toml"]
    assert user.find_secrets() == ["key.txt"]
    assert (result["path"], result["written"], result["key_file"]) == (str(user.config), True, key_file)
    assert result["costs"] == {"question_usd": 0.00035, "thousand_pages_usd": 0.018}
    assert result["prices"]["gpt-6-luna"]["since"] == "2026-09-22"


def test_the_written_file_leads_to_an_answer(user: User, upstream: Upstream) -> None:
    """After init, ingest and ask need no flag: the models, the server and the key come from the file."""
    (user.folder / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    user.init("--server", "openai", "--key-file", "key.txt", "--embedding-model", f"text-embedding-3-small@{DIM}")
    user.run("ingest", "leave.md")
    answer = json.loads(user.run("ask", "How long is parental leave?", "--json").stdout)
    assert (answer["kind"], answer["model"]) == ("generated", "gpt-6-luna")
    assert {call.path: call.body.get("model") for call in upstream.calls[1:]} == {
        "/v1/embeddings": "text-embedding-3-small",
        "/v1/chat/completions": "gpt-6-luna",
    }
    assert {call.headers["authorization"] for call in upstream.calls} == {f"Bearer {KEY}"}
    (row,) = json.loads(user.run("collections", "--json").stdout)
    assert row["embedder"] == f"openai:text-embedding-3-small@{DIM}"


def test_a_session_asks_for_everything(user: User, upstream: Upstream) -> None:
    """A typed key is not shown, is stored in a file of its own, and works; the costs are shown before the choice."""
    session: PtySession
    with user.ask() as session:
        session.answer("Server [openai]: ")
        session.answer("Key [type]: ")
        session.answer("Key (not shown): ", KEY)
        session.expect("accepts the key and has 6 models.")
        session.expect("gpt-6-luna  $0.10  $0.50   $0.00035    2026-09-22")
        session.answer("Chat model [gpt-6-luna]: ", "gpt-6-lunar")
        session.expect("has no model 'gpt-6-lunar'; the nearest of its models: gpt-6-luna")
        session.answer("Chat model [gpt-6-luna]: ", "gpt-6-sol")
        session.expect("$0.006")
        session.answer("Embedding model [text-embedding-3-small]: ")
        session.expect("The key goes to")
        session.answer("Write it? [Y/n]: ")
        session.wait()
    key_file = user.config.parent / "openai.key"
    assert KEY not in session.output
    assert (key_file.read_text(), get_mode(key_file)) == (f"{KEY}\n", 0o600)
    assert user.table["chat"] == {"api_key_file": str(key_file), "model": "gpt-6-sol"}
    assert user.find_secrets() == ["key.txt", "openai.key"]
    assert "A question costs about $0.007 with gpt-6-sol" in session.output
    assert "existing collections keep their embedder" in session.output
    assert "semsearch ingest docs/" in session.output
    assert {call.path for call in upstream.calls} == {"/v1/models"}


def test_an_aborted_session_writes_nothing(user: User) -> None:
    """After Ctrl-D, or no as the last answer, there is neither a configuration file nor a key file."""
    for last, code in (("n\n", 0), ("\x04", 130)):
        with user.ask("--server", "openai", "--chat-model", "none", "--embedding-model", "local") as session:
            session.answer("Key [type]: ")
            session.answer("Key (not shown): ", KEY)
            session.answer("Write it? [Y/n]: ", key=last)
            session.wait(code)
    assert not user.config.parent.exists()
    assert user.find_secrets() == ["key.txt"]


def test_a_local_server_needs_no_key(user: User, upstream: Upstream, listing: Model) -> None:
    """Its models come from its list; neither OPENAI_API_KEY nor a question about a key is involved."""
    listing.key, listing.names = None, OLLAMA_MODELS
    user.environ["OPENAI_API_KEY"] = KEY
    del user.environ["OPENAI_BASE_URL"]
    with user.ask() as session:
        session.answer("Server [openai]: ", upstream.url)
        session.answer("Chat model [llama3.2:latest]: ", "qwen3:8b")
        session.answer("Embedding model [nomic-embed-text:latest]: ")
        session.answer("Write it? [Y/n]: ")
        session.wait()
    assert user.table == {
        "chat": {"base_url": upstream.url, "model": "qwen3:8b"},
        "embeddings": {"base_url": upstream.url, "embedder": "openai:nomic-embed-text:latest"},
    }
    assert "authorization" not in upstream.calls[0].headers
    assert "A question costs nothing with qwen3:8b: its server runs on this machine." in session.output


def test_a_key_can_be_in_a_variable(user: User, upstream: Upstream) -> None:
    """Only its name is stored, the key is used later, and a variable that is not set is named."""
    user.init("--server", upstream.url, "--key-env", "GATEWAY_KEY", "--embedding-model", "local", GATEWAY_KEY=KEY)
    assert user.table["chat"] == {"base_url": upstream.url, "api_key_env": "GATEWAY_KEY", "model": "gpt-6-sol"}
    (user.folder / "leave.md").write_text("Parental leave is 26 weeks.\n")
    user.run("ingest", "leave.md")
    user.run("ask", "How long is parental leave?", GATEWAY_KEY=KEY)
    assert upstream.calls[-1].headers["authorization"] == f"Bearer {KEY}"
    assert "the environment variable GATEWAY_KEY is not set" in user.run("ask", "parental leave", code=5).stderr


EXISTING = """\
# my settings
[chat]
api_key = "sk-old-5e6f7g"   # to be moved
max_tokens = 300

[budget]
day_usd = 5  # enough
"""


def test_an_existing_file_is_kept_until_confirmed(user: User) -> None:
    """The difference is shown without the old key; --yes writes it; comments and other settings stay."""
    user.write_config(EXISTING)
    arguments = ("--server", "openai", "--key-file", "key.txt")
    kept = user.init(*arguments, code=4)
    assert user.config.read_text() == EXISTING
    assert '+model = "gpt-6-luna"' in kept.stderr
    assert "-api_key = (not shown)" in kept.stderr
    assert "exists and was kept as it is; with --yes the change above is written" in kept.stderr
    written = user.init(*arguments, "--yes")
    assert "sk-old" not in kept.stderr + written.stderr + written.stdout
    new_text = user.config.read_text()
    assert new_text.startswith("# my settings\n[chat]\nmax_tokens = 300\n")
    assert "\n[budget]\nday_usd = 5  # enough\n" in new_text
    assert "api_key =" not in new_text
    assert get_mode(user.config) == 0o600
    assert "has these settings already; nothing was written" in user.init(*arguments).stdout


def test_the_key_of_the_file_is_kept(user: User, upstream: Upstream) -> None:
    """A second call for the same server needs no flag for the key; another server does not get the key."""
    user.init("--server", "openai", "--key-file", "key.txt")
    user.init("--server", "openai", "--chat-model", "gpt-6-sol", "--yes")
    assert user.table["chat"] == {"api_key_file": str(user.folder / "key.txt"), "model": "gpt-6-sol"}
    user.init("--server", f"{upstream.url}/", "--yes", code=5)
    assert "authorization" not in upstream.calls[-1].headers


def test_no_server_needs_no_network(user: User, upstream: Upstream) -> None:
    """The built-in model embeds, answers are excerpts of the documents, and no request is sent."""
    result = json.loads(user.init("--server", "none", "--json").stdout)
    assert user.table == {"embeddings": {"embedder": "local"}}
    assert (result["chat_model"], result["embedder"], result["costs"]["question_usd"]) == (None, "local", 0)
    user.init("--server", "none", "--chat-model", "m", "--yes", code=2)
    assert upstream.calls == []


def test_without_the_check_no_request_is_sent(user: User, upstream: Upstream) -> None:
    """The proposals come from the price table; for another server the chat model must be named."""
    result = json.loads(user.init("--server", "openai", "--key-env", "LATER", "--no-check", "--json").stdout)
    assert (result["chat_model"], result["key_env"]) == ("gpt-6-luna", "LATER")
    assert "key and models were not checked" in result["notes"]
    assert "--chat-model" in user.init("--server", upstream.url, "--no-check", "--yes", code=2).stderr
    assert upstream.calls == []


def test_a_shutdown_in_the_list_is_respected(user: User, listing: Model) -> None:
    """A model with a date is not proposed; if it is chosen, the date is a note."""
    listing.shutdowns = {"gpt-6-luna": "2027-03-01"}
    arguments = ("--server", "openai", "--key-file", "key.txt", "--json", "--yes")
    assert json.loads(user.init(*arguments).stdout)["chat_model"] == "gpt-6-sol"
    notes = json.loads(user.init(*arguments, "--chat-model", "gpt-6-luna").stdout)["notes"]
    assert "gpt-6-luna is shut down on 2027-03-01: choose another model before" in notes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("", 2, "use flags: --server openai|URL|none, --key-file FILE or --key-env NAME, --chat-model"),
        ("--yes", 2, "use flags: --server"),
        ("--server openai", 2, "OpenAI needs a key: use --key-file FILE or --key-env NAME, or set OPENAI_API_KEY"),
        ("--server openai --key-file bad.txt", 5, "/v1/models rejected the key (401): correct the key"),
        ("--server URL", 5, "/v1/models requires a key (401): name it with --key-file FILE or --key-env NAME"),
        ("--server openai --key-file none.txt", 3, "there is no key file none.txt"),
        (f"--server openai --key-file {KEY}", 3, "there is no key file [key]; the flag takes a path"),
        (f"--server openai --key-env {KEY}", 2, "takes the name of an environment variable, not the key itself"),
        ("--server openai --key-env UNSET", 2, "the environment variable UNSET is not set"),
        ("--server openai --key-env SEMSEARCH_CHAT__API_KEY", 2, "is a setting of its own"),
        ("--server openai --key-file empty.txt", 2, "there is no key in empty.txt"),
        ("--server openai --key-file text.txt", 2, "text.txt holds no key"),
        ("--server openai --key-file key.txt --chat-model gpt-6-lunar", 3, "nearest of its models: gpt-6-luna"),
        ("--server openai --key-file key.txt --embedding-model embedding-3-small", 3, "text-embedding-3-small"),
        ("--server OPENAI", 2, "names no server: use openai, none, or a base URL"),
        ("--server https://name:pass@host/v1", 2, "'host/v1' names no server"),
        ("--server http://127.0.0.1:9/v1", 5, "no connection to http://127.0.0.1:9/v1/models"),
        ("--server openai --key-file key.txt --config mine.toml", 2, "call it without --config"),
    ],
)
def test_refused_calls_write_nothing(user: User, upstream: Upstream, arguments: str, code: int, message: str) -> None:
    """Each has a message with the remedy and an exit code of the contract, and repeats no key."""
    for name, text in {"bad.txt": "sk-bad-9z8y", "empty.txt": "\n", "text.txt": "two words"}.items():
        (user.folder / name).write_text(text)
    completed = user.init(*arguments.replace("URL", upstream.url).split(), code=code)
    assert message in completed.stderr
    assert "sk-" not in completed.stderr
    assert completed.stdout == ""
    assert list(user.home.iterdir()) == []


def test_a_server_without_a_list_is_named(user: User, upstream: Upstream, listing: Model) -> None:
    """The message says how to go on without the check; an address without /v1 gets the likely one."""
    listing.status = 404
    message = user.init("--server", upstream.url, code=5).stderr
    assert f"{upstream.url} has no list of models (404)" in message
    assert "--no-check --chat-model NAME" in message
    base = upstream.url.removesuffix("/v1")
    assert f"most addresses end with /v1: --server {upstream.url}" in user.init("--server", base, code=5).stderr
    user.init("--server", upstream.url, "--no-check", "--chat-model", "m", "--embedding-model", "local")
    assert user.table["chat"] == {"base_url": upstream.url, "model": "m"}


def test_the_openai_key_goes_to_no_other_server(user: User, upstream: Upstream) -> None:
    """OPENAI_API_KEY is refused for a URL, and not sent there later if the file names it."""
    del user.environ["OPENAI_BASE_URL"]
    user.environ["OPENAI_API_KEY"] = KEY
    refused = user.init("--server", upstream.url, "--key-env", "OPENAI_API_KEY", code=2)
    assert "OPENAI_API_KEY goes only to OpenAI, or to the server of OPENAI_BASE_URL" in refused.stderr
    user.write_config(f'[chat]\nbase_url = "{upstream.url}"\nmodel = "m"\napi_key_env = "OPENAI_API_KEY"\n')
    (user.folder / "leave.md").write_text("Parental leave is 26 weeks.\n")
    user.run("ingest", "leave.md")
    user.run("ask", "How long is parental leave?")
    assert [call.headers.get("authorization") for call in upstream.calls] == [None]


def test_settings_that_go_before_the_file_are_named(user: User) -> None:
    """A variable or a file of the folder that hides a written setting is a note."""
    (user.folder / "semsearch.toml").write_text('[chat]\nmodel = "theirs"\n')
    notes = json.loads(user.init("--server", "openai", "--key-file", "key.txt", "--json").stdout)["notes"]
    assert any(note.startswith("here chat.model is theirs: ") for note in notes)


def test_a_linked_file_stays_a_link(user: User) -> None:
    """The file that the link names is changed: dotfiles are often kept elsewhere."""
    (user.folder / "dotfile.toml").write_text("keep_days = 30\n")
    user.config.parent.mkdir(parents=True)
    user.config.symlink_to(user.folder / "dotfile.toml")
    user.init("--server", "none", "--yes")
    assert user.config.is_symlink()
    assert user.table == {"keep_days": 30, "embeddings": {"embedder": "local"}}


@pytest.mark.parametrize("text", ["chat = [", "[chat]\nmodle = 1\n", 'chat = {model = "m"}\n'])
def test_a_file_that_cannot_be_changed_is_kept(user: User, text: str) -> None:
    """Invalid files, unknown settings and forms that cannot be edited safely are errors."""
    user.write_config(text)
    user.init("--server", "openai", "--key-file", "key.txt", "--yes", code=4 if "{" in text else 2)
    assert user.config.read_text() == text
