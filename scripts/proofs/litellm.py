"""semsearch against a server that nobody here wrote: the LiteLLM proxy, with replies of its own mock models.

The proxy is installed into .venv-litellm when it is first needed, started on a free loopback port, and stopped.
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
from semsearch.core.types.answers import Answer, Delta, GenerationOptions
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
    """The proxy's own program, in an environment of its own."""
    program = folder / "bin" / "litellm"
    if not program.exists():
        print(f"installing {PACKAGE} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PACKAGE]
        subprocess.run(pip, check=True)
    return program


@contextmanager
def run_proxy(program: Path, folder: Path) -> Iterator[str]:
    """The URL of a proxy that runs until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.yaml").write_text(CONFIG)
    # nothing of this environment reaches it, and it fetches no list of prices
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
    until = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise SystemExit(f"the proxy did not start; the end of its log:\n{log.read_text()[-2000:]}")


class Proof:
    """The checks, each a promise about a real server."""

    def __init__(self, url: str, folder: Path) -> None:
        self.endpoint = Endpoint(url, Secret(KEY), timeout=30)
        self.settings = Settings(
            data_dir=folder, embeddings=self.endpoint, chat=self.endpoint, chat_model="prose", max_batch_inputs=1
        )

    def run(self) -> list[str]:
        """Check everything; return what did not hold."""
        wrong = []
        checks: list[Callable[[], None]] = [
            self.vectors_are_stored_and_searched,
            self.an_answer_is_streamed_and_counted,
            self.a_sentence_without_a_citation_is_no_answer,
            self.a_busy_model_is_unavailable,
            self.a_broken_model_is_tried_again_and_named,
            self.an_unknown_model_is_named,
            self.a_wrong_key_is_refused_unseen,
        ]
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                check()
                print(f"holds: {name}")
            except (AssertionError, SemsearchError) as exc:
                wrong.append(f"{name}: {type(exc).__name__}: {exc}")
                print(f"FAILS: {wrong[-1]}")
        return wrong

    @contextmanager
    def library(self, settings: Settings | None = None) -> Iterator[tuple[Library, Collection]]:
        """A library with one document in one collection."""
        with Library(settings=settings or self.settings) as library:
            handbook = library.create("handbook", embedder="openai:vectors")
            handbook.upsert([text_source("leave.txt", REPLY_TEXT)])
            yield library, handbook

    def vectors_are_stored_and_searched(self) -> None:
        """Embeddings come through, and are counted as the server counts them."""
        with self.library() as (library, handbook):
            assert handbook.search("leave", mode="dense")[0].uri == "leave.txt"
            assert library.ledger.usage("model")[0].input_tokens > 0

    def an_answer_is_streamed_and_counted(self) -> None:
        """Text in pieces, and the usage of its last event in the answer and in the ledger, not an estimate."""
        with self.library() as (library, handbook):
            before = _model_usage(library, "prose")
            *events, last = handbook.stream("How long is leave?", options=GenerationOptions(policy="off"))
            assert isinstance(last, Answer)
            assert last.answer == REPLY_TEXT
            assert sum(isinstance(event, Delta) for event in events) >= 1
            assert last.usage.prompt_tokens > 0
            assert last.usage.completion_tokens > 0
            assert not last.usage.estimated, last.usage
            assert _model_usage(library, "prose").prompt_tokens - before.prompt_tokens == last.usage.prompt_tokens

    def a_sentence_without_a_citation_is_no_answer(self) -> None:
        """What the model says is true, but it cites nothing, twice."""
        with self.library() as (_, handbook):
            answer = handbook.ask("How long is leave?")
            assert (answer.answered, answer.reason) == (False, "unsupported")

    def a_busy_model_is_unavailable(self) -> None:
        """A 429 ends in Unavailable, with the way out."""
        assert "busy" in _error_message(UnavailableError, lambda: self._ask("busy"))

    def a_broken_model_is_tried_again_and_named(self) -> None:
        """A 500 is tried three times at most."""
        with self.library(replace(self.settings, chat_model="broken")) as (library, handbook):
            assert "500" in _error_message(SemsearchError, lambda: _ask(handbook))
            rows = [row for row in library.ledger.usage("model") if row.name == "broken"]
            assert 1 <= rows[0].requests <= 3, rows
            assert rows[0].input_tokens == 0

    def an_unknown_model_is_named(self) -> None:
        """The error has the model's name."""
        assert "nosuch" in _error_message(UpstreamError, lambda: self._ask("nosuch"))

    def a_wrong_key_is_refused_unseen(self) -> None:
        """And it stands in no message."""
        wrong = "sk-wrong-0123456789"
        settings = replace(self.settings, chat=replace(self.endpoint, key=Secret(wrong)))
        assert wrong not in _error_message(SemsearchError, lambda: self._ask("prose", settings))

    def _ask(self, model: str, settings: Settings | None = None) -> None:
        with self.library(replace(settings or self.settings, chat_model=model)) as (_, handbook):
            _ask(handbook)


def _ask(handbook: Collection) -> None:
    handbook.ask("How long is leave?")


def _model_usage(library: Library, model: str) -> Usage:
    rows = [row for row in library.ledger.usage("model") if row.name == model]
    return Usage(prompt_tokens=sum(row.input_tokens for row in rows))


def _error_message(error_type: type[SemsearchError], action: Callable[[], None]) -> str:
    """What the error of this kind says that `deed` must end in."""
    try:
        action()
    except error_type as exc:
        return str(exc)
    raise AssertionError(f"no {error_type.__name__}")


def main() -> None:
    """Start the proxy, check, stop it, and end with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="scripts/prove litellm", description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".venv-litellm"), help="where the proxy is installed")
    program = install_proxy(parser.parse_args().venv.absolute())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with run_proxy(program, folder) as url:
            wrong = Proof(url, folder / "indexes").run()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
