"""Prove that semsearch works with the LiteLLM proxy, which replies with its own mock models.

The first run installs the proxy into .venv-litellm. Each run starts it on a free loopback port and stops it.
"""

import argparse
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import SemsearchError, UnavailableError, UpstreamError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import GenerationOptions
from semsearch.core.types.answers import Answer, Delta
from semsearch.core.types.usage import Usage

PACKAGE = "litellm[proxy]>=1.80,<2"
START_TIMEOUT_SECONDS = 90
REPLY_TEXT = "Leave lasts five days."
KEY = f"sk-{secrets.token_hex(12)}"
CONFIG = f"""
model_list:
  - model_name: prose
    litellm_params: {{model: openai/prose, api_key: none, mock_response: "{REPLY_TEXT}"}}
  - model_name: busy
    litellm_params: {{model: openai/busy, api_key: none, mock_response: "litellm.RateLimitError"}}
  - model_name: broken
    litellm_params: {{model: openai/broken, api_key: none, mock_response: "litellm.InternalServerError"}}
  - model_name: vectors
    litellm_params: {{model: openai/vectors, api_key: none, mock_response: [0.5, 0.25, 0.125]}}
general_settings:
  master_key: {KEY}
litellm_settings:
  num_retries: 0
router_settings:
  disable_cooldowns: true
"""


def install_proxy(folder: Path) -> Path:
    """Return the path of the proxy's program; install it into an environment of its own if it is missing."""
    program = folder / "bin" / "litellm"
    if not program.exists():
        print(f"installing {PACKAGE} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PACKAGE]
        subprocess.run(pip, check=True)
    return program


@contextmanager
def run_proxy(program: Path, folder: Path) -> Iterator[str]:
    """Start the proxy and yield its URL; stop it when the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.yaml").write_text(CONFIG)
    # the proxy inherits no other variable, and does not download the price list
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [
        str(program),
        "--config",
        "config.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--telemetry",
        "False",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise SystemExit(f"the proxy did not start. The end of its log:\n{log.read_text()[-2000:]}")


class Proof:
    """Checks of the behaviour with a real server."""

    def __init__(self, url: str, folder: Path) -> None:
        self.endpoint = Endpoint(url, Secret(KEY), timeout=30)
        self.settings = Settings(
            data_dir=folder, embeddings=self.endpoint, chat=self.endpoint, chat_model="prose", max_batch_inputs=1
        )

    def run(self) -> list[str]:
        """Run all checks; return the failures."""
        failures = []
        checks: list[Callable[[], None]] = [
            self.vectors_are_stored_and_searched,
            self.an_answer_is_streamed_and_counted,
            self.a_sentence_without_a_citation_gets_the_only_one_that_supports_it,
            self.a_busy_model_is_unavailable,
            self.a_broken_model_is_retried_and_named,
            self.an_unknown_model_is_named,
            self.a_wrong_key_is_rejected_and_not_shown,
        ]
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                check()
                print(f"passed: {name}")
            except (AssertionError, SemsearchError) as exc:
                failures.append(f"{name}: {type(exc).__name__}: {exc}")
                print(f"FAILED: {failures[-1]}")
        return failures

    @contextmanager
    def library(self, settings: Settings | None = None) -> Iterator[tuple[Library, Collection]]:
        """Open a library with one document in one collection."""
        with Library(settings=settings or self.settings) as library:
            handbook = library.create("handbook", embedder="openai:vectors")
            handbook.upsert([text_source("leave.txt", REPLY_TEXT)])
            yield library, handbook

    def vectors_are_stored_and_searched(self) -> None:
        """Embeddings are stored and searched, and their tokens are counted as the server counts them."""
        with self.library() as (library, handbook):
            assert handbook.search("leave", mode="dense")[0].uri == "leave.txt"
            assert library.ledger.usage("model")[0].input_tokens > 0

    def an_answer_is_streamed_and_counted(self) -> None:
        """The text arrives in pieces; answer and ledger have the usage of the last event, not an estimate."""
        with self.library() as (library, handbook):
            before = _model_usage(library, "prose")
            *events, last = handbook.stream("How long is leave?", options=GenerationOptions(policy="off"))
            assert isinstance(last, Answer)
            assert last.text == REPLY_TEXT
            assert sum(isinstance(event, Delta) for event in events) >= 1
            assert last.usage.prompt_tokens > 0
            assert last.usage.completion_tokens > 0
            assert not last.usage.estimated, last.usage
            assert _model_usage(library, "prose").prompt_tokens - before.prompt_tokens == last.usage.prompt_tokens

    def a_sentence_without_a_citation_gets_the_only_one_that_supports_it(self) -> None:
        """A true answer without citations is cited where a single passage says so."""
        with self.library() as (_, handbook):
            answer = handbook.ask("How long is leave?")
            assert (answer.answered, [citation.quote for citation in answer.citations]) == (True, [REPLY_TEXT])

    def a_busy_model_is_unavailable(self) -> None:
        """A 429 raises UnavailableError with the remedy."""
        assert "busy" in _error_message(UnavailableError, lambda: self._ask("busy"))

    def a_broken_model_is_retried_and_named(self) -> None:
        """A 500 is tried at most three times."""
        with self.library(replace(self.settings, chat_model="broken")) as (library, handbook):
            assert "500" in _error_message(SemsearchError, lambda: _ask(handbook))
            rows = [row for row in library.ledger.usage("model") if row.name == "broken"]
            assert 1 <= rows[0].requests <= 3, rows
            assert rows[0].input_tokens == 0

    def an_unknown_model_is_named(self) -> None:
        """The error contains the name of the model."""
        assert "nosuch" in _error_message(UpstreamError, lambda: self._ask("nosuch"))

    def a_wrong_key_is_rejected_and_not_shown(self) -> None:
        """A wrong key is an error whose message does not contain the key."""
        key = "sk-wrong-0123456789"
        settings = replace(self.settings, chat=replace(self.endpoint, key=Secret(key)))
        assert key not in _error_message(SemsearchError, lambda: self._ask("prose", settings))

    def _ask(self, model: str, settings: Settings | None = None) -> None:
        with self.library(replace(settings or self.settings, chat_model=model)) as (_, handbook):
            _ask(handbook)


def _ask(handbook: Collection) -> None:
    handbook.ask("How long is leave?")


def _model_usage(library: Library, model: str) -> Usage:
    rows = [row for row in library.ledger.usage("model") if row.name == model]
    return Usage(prompt_tokens=sum(row.input_tokens for row in rows))


def _error_message(error_type: type[SemsearchError], action: Callable[[], None]) -> str:
    """Return the message of the error of this type that `action` must raise."""
    try:
        action()
    except error_type as exc:
        return str(exc)
    raise AssertionError(f"no {error_type.__name__}")


def main() -> None:
    """Start the proxy, run the checks, stop it, and exit with 1 on a failure."""
    parser = argparse.ArgumentParser(prog="scripts/prove litellm", description=__doc__)
    parser.add_argument(
        "--venv", type=Path, default=Path(".venv-litellm"), help="environment of the proxy (%(default)s)"
    )
    program = install_proxy(parser.parse_args().venv.absolute())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with run_proxy(program, folder) as url:
            failures = Proof(url, folder / "indexes").run()
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
