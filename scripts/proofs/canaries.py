"""Prove that no secret is written where it does not belong.

A service and commands run with logs at level DEBUG, against a model server that fails in many ways and repeats the
keys. Each planted secret is then searched, in several encodings, in all that was written: logs, replies, outputs, the
data directory and the command lines of all processes.
"""

import argparse
import base64
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from support.http_service import send_raw
from support.upstream import CUT, ReceivedCall, ScriptedReply, Upstream, error_reply, run_upstream

from semsearch.access.secrets import format_key, hash_secret
from semsearch.core.types.access import ALL_SCOPES, AccessKey, KeyGrants
from semsearch.storage.ledger.local.ledger import LocalLedger

DEBUGGED_COMMAND = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stderr);"
    " from semsearch.interfaces.cli.main import main; sys.argv[0] = 'semsearch'; main()"
)
WAIT_SECONDS = 60

_CATALOG = r"data/\w+/(catalog\.db|originals/|index\.).*"
_LEDGER = r"data/ledger\.db.*"
_REPLY = r"(reply|output) .*"
ALLOWED: Mapping[str, str | None] = {
    "OPENAI_API_KEY": None,
    "key in the environment": None,
    "key in a file": None,
    "key in a configuration file": None,
    "password of a proxy": None,
    "user of a base URL": None,
    "Authorization of a client": None,
    "cookie of a client": None,
    "access key": None,
    "query string": None,
    "user of a request target": None,
    "upstream message about a key": None,
    "upstream error page": None,
    "upstream error field": None,
    "upstream header": None,
    "question": f"{_LEDGER}|{_REPLY}",
    "comment": f"{_LEDGER}|{_REPLY}",
    "document": f"{_CATALOG}|{_LEDGER}|{_REPLY}",
    "metadata": f"{_CATALOG}|{_LEDGER}|{_REPLY}",
}
"""Where each secret may be: texts of users in the databases that store them and in what their owner asked for."""


@dataclass
class Sweep:
    """The secrets of a run, and all that was written, by its place."""

    tokens: Mapping[str, str] = field(default_factory=lambda: {name: secrets.token_hex(16) for name in ALLOWED})
    written: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, data: bytes | str) -> None:
        """Add what was written at a place."""
        self.written[place] = self.written.get(place, b"") + (data.encode() if isinstance(data, str) else data)

    def add_folder(self, folder: Path) -> None:
        """Add the files of a data directory with their names."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(f"data/{path.relative_to(folder)}", path.read_bytes())

    def find_leaks(self) -> list[str]:
        """Return where secrets are that may not be there."""
        patterns = {name: _make_pattern(token) for name, token in self.tokens.items()}
        return [
            f"{name} is in {place}"
            for place, data in self.written.items()
            for name, pattern in patterns.items()
            if pattern.search(data) and not re.fullmatch(ALLOWED[name] or "(?!)", place)
        ]

    def list_missed(self) -> list[str]:
        """Return the secrets of users that are not found where they are stored, so that the search would be blind."""
        patterns = {name: _make_pattern(token) for name, token in self.tokens.items() if ALLOWED[name]}
        return [
            name
            for name, pattern in patterns.items()
            if not any(pattern.search(data) for place, data in self.written.items() if place.startswith("data/"))
        ]


def _make_pattern(token: str) -> re.Pattern[bytes]:
    """Return a pattern of both ends of a token, as they are, as UTF-16, as hexadecimal and as base64."""
    parts = [token[:12].encode(), token[-12:].encode()]
    encoded = [base64.b64encode(b"x" * shift + token.encode())[4:-4] for shift in range(3)]
    variants = [
        *parts,
        *(part.decode().encode("utf-16-le") for part in parts),
        *(part.hex().encode() for part in parts),
    ]
    return re.compile(b"|".join(map(re.escape, [*variants, *encoded])), re.IGNORECASE)


class LeakyUpstream(Upstream):
    """A model server that repeats keys and secrets of its own in answers, headers and errors."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        super().__init__()
        self.keys: set[str] = set()
        self.mode = "works"
        self._tokens = tokens
        self.reply_rule = self._reply
        self.modes: Mapping[str, Callable[[str], ScriptedReply | None]] = {
            "works": lambda key: None,  # the first: after many faults the service does not call the server for a time
            "rejected key": lambda key: error_reply(
                401, f"Incorrect API key: {tokens['upstream message about a key']}"
            ),
            "key in the error": lambda key: error_reply(400, f"no {key}", code=key, param=key),
            "error fields": lambda key: ScriptedReply(
                [json.dumps({"error": {"message": "failed", "trace": tokens["upstream error field"], "key": key}})], 422
            ),
            "broken JSON": lambda key: ScriptedReply([f'{{"data": "{tokens["upstream error page"]}{key}']),
            "error page": lambda key: ScriptedReply(
                [f"<html>{tokens['upstream error page']} {key}</html>"], 500, {"content-type": "text/html"}
            ),
            "cut": lambda key: ScriptedReply(["{", CUT]),
            "redirect": lambda key: ScriptedReply([], 302, {"location": f"http://127.0.0.1:9/?key={key}"}),
        }

    def _reply(self, call: ReceivedCall) -> ScriptedReply | None:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        self.keys.add(key)
        return self.modes[self.mode](key)

    async def _send_reply(self, reply: ScriptedReply, receive: Any, send: Any) -> None:
        key = self.calls[-1].headers.get("authorization", "")
        headers = {**reply.headers, "x-trace": self._tokens["upstream header"], "x-key": key}
        await super()._send_reply(ScriptedReply(reply.parts, reply.status, headers), receive, send)


@contextmanager
def _watch_command_lines(sweep: Sweep) -> Iterator[None]:
    """Add the command lines of all processes that run meanwhile."""
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    sweep.written[f"process {path.parent.name}"] = path.read_bytes()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def make_environment(folder: Path, url: str, tokens: Mapping[str, str]) -> dict[str, str]:
    """Write the files that hold secrets, and return the environment of all processes."""
    (folder / "key").write_text(tokens["key in a file"])
    config = f'[check]\nmodel = "judge"\nbase_url = "{url}"\napi_key = "{tokens["key in a configuration file"]}"\n'
    (folder / "semsearch.toml").write_text(config)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(folder),
        "SEMSEARCH_DATA_DIR": str(folder / "data"),
        "SEMSEARCH_CONFIG": str(folder / "semsearch.toml"),
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": tokens["OPENAI_API_KEY"],
        "SEMSEARCH_CHAT__BASE_URL": url,
        "SEMSEARCH_CHAT__MODEL": "m",
        "SEMSEARCH_CHAT__API_KEY": tokens["key in the environment"],
        "SEMSEARCH_EMBEDDINGS__BASE_URL": url,
        "SEMSEARCH_EMBEDDINGS__API_KEY_FILE": str(folder / "key"),
        "HTTP_PROXY": f"http://user:{tokens['password of a proxy']}@127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


def run_commands(sweep: Sweep, environment: Mapping[str, str], folder: Path) -> None:
    """Run commands, and add their output and log; texts come from stdin, as arguments are visible to all."""
    question, document = (sweep.tokens[name] for name in ("question", "document"))
    proxied = {"SEMSEARCH_CHAT__BASE_URL": "http://models.example/v1"}
    with_user = {"SEMSEARCH_CHAT__BASE_URL": f"http://user:{sweep.tokens['user of a base URL']}@127.0.0.1:9/v1"}
    default_key = {name: "" for name in environment if name.startswith(("SEMSEARCH_CHAT__A", "SEMSEARCH_CHAT__B"))}
    ask = ["ask", "-"]
    runs: list[tuple[list[str], str, Mapping[str, str]]] = [
        (["ingest", "-", "--uri", "a.md", "-v"], f"# Lamps\n\nThe lamp {document} is lit at dusk.", {}),
        (["ingest", "-", "--uri", "b.pdf"], document, {}),
        (["ingest", "-", "--uri", "c.md", "-c", "remote", "--embedder", "openai:m@32"], document, {}),
        (["search", "-", "--explain"], question, {}),
        (ask, f"When is the lamp {question} lit?", {}),
        (ask, f"When is the lamp {question} lit?", proxied),
        (ask, f"When is the lamp {question} lit?", with_user),
        (ask, f"When is the lamp {question} lit?", default_key),
        (["usage", "--json"], "", {}),
        (["documents", "--json"], "", {}),
        (["config", "trust", str(folder / "semsearch.toml")], "", {}),
        (["collections"], "", {}),
    ]
    for arguments, stdin, changes in runs:
        environ = {name: value for name, value in {**environment, **changes}.items() if value}
        command = [sys.executable, "-c", DEBUGGED_COMMAND, *arguments]
        result = subprocess.run(
            command,
            input=stdin.encode(),
            env=environ,
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=WAIT_SECONDS,
        )
        sweep.add(f"output of {arguments[0]}", result.stdout)
        sweep.add(f"log of {arguments[0]}", result.stderr)


@contextmanager
def _run_service(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Start the service with its log at level DEBUG in `folder`, yield its URL, and stop it."""
    command = [sys.executable, "-c", DEBUGGED_COMMAND, "serve", "--port", "0"]
    log_path = folder / "service.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        while not (url := re.search(r"serves (http://[\w.:]+)", log_path.read_text("utf-8", "replace"))):
            if process.poll() is not None:
                raise RuntimeError(f"the service ended: {log_path.read_text('utf-8', 'replace')}")
            threading.Event().wait(0.05)
        yield url[1]
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def run_requests(sweep: Sweep, client: httpx.Client, upstream: LeakyUpstream, number: int) -> None:
    """Store a document, and ask, in every mode of the model server; then send requests that are refused."""
    tokens = sweep.tokens
    document = {
        "uri": f"{number}.txt",
        "text": f"Room {number} has {tokens['document']}.",
        "metadata": {"note": tokens["metadata"]},
    }
    sends: list[tuple[str, str, Any]] = [
        ("PUT", "/v1/collections/hb", None),
        ("PUT", "/v1/collections/remote", {"embedder": "openai:m@32"}),
        ("POST", "/v1/collections/remote/documents", {"documents": [document]}),
        ("POST", "/v1/collections/hb/documents", {"documents": [document]}),
        ("POST", "/v1/collections/remote/search", {"query": f"room {tokens['question']}"}),
        ("POST", "/v1/collections/hb/search", {"query": f"room {tokens['question']}", "k": "x"}),
    ]
    for mode in upstream.modes:
        upstream.mode = mode
        body = {"question": f"What has room {number}, {tokens['question']}, in {mode}?"}
        asks = [("POST", "/v1/collections/hb/ask", {**body, "stream": stream}) for stream in (False, True)]
        for method, path, content in [*sends, *asks]:
            _send(sweep, client, method, path, content)
        if mode == "works":
            _send_feedback(sweep, client, number)
    upstream.mode = "works"
    _send_refused(sweep, client)


def _send(sweep: Sweep, client: httpx.Client, method: str, path: str, content: Any = None) -> httpx.Response:
    reply = client.request(method, path, json=content) if content is not None else client.request(method, path)
    sweep.add(f"reply to {method} {path.partition('?')[0]}", f"{reply.headers!r}\n{reply.text}")
    return reply


def _send_feedback(sweep: Sweep, client: httpx.Client, number: int) -> None:
    upstream_body = {"question": f"What has room {number}?"}
    answer = _send(sweep, client, "POST", "/v1/collections/hb/ask", upstream_body).json()
    _send(sweep, client, "POST", f"/v1/answers/{answer['id']}/feedback", {"comment": sweep.tokens["comment"]})
    _send(sweep, client, "GET", f"/v1/answers/{answer['id']}")


def _send_refused(sweep: Sweep, client: httpx.Client) -> None:
    """Send requests that no route serves, or that routes refuse, and read what the service says about itself."""
    query = sweep.tokens["query string"]
    _send(sweep, client, "POST", "/v1/sign-in")
    for path in (
        "/v1/collections",
        "/v1/keys",
        "/v1/me",
        "/v1/usage",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/v1/collections/hb",
        "/nope",
    ):
        _send(sweep, client, "GET", f"{path}?token={query}")
    _send(sweep, client, "GET", f"/v1/usage?by={query}")
    host = f"{client.base_url.host}:{client.base_url.port}"
    user = sweep.tokens["user of a request target"]
    headers = f"host: {host}\r\nauthorization: Bearer {sweep.tokens['Authorization of a client']}\r\nconnection: close"
    for target in (f"http://u:{user}@{host}/v1/collections", "/v1/collections"):
        for body in ("", "content-length: 3\r\n\r\n{a:", "content-length: x"):
            raw = f"POST {target} HTTP/1.1\r\n{headers}\r\n{body}\r\n\r\n"
            sweep.add("reply to raw bytes", send_raw(client, raw.encode()))


def store_key(data_folder: Path, token: str) -> str:
    """Store an access key whose secret contains the token, and return the key."""
    secret = token.ljust(43, "A")
    grants = KeyGrants("canaries", "local", ALL_SCOPES)
    with closing(LocalLedger(data_folder)) as ledger:
        ledger.add_key(AccessKey("c" * 12, grants, hash_secret(secret), time.time()))
    return format_key("c" * 12, secret)


def prove(folder: Path, rounds: int) -> tuple[Counter[str], list[str]]:
    """Run commands and requests, and search all that was written; return counts, and the errors."""
    sweep = Sweep()
    upstream = LeakyUpstream(sweep.tokens)
    with run_upstream(upstream), _watch_command_lines(sweep):
        environment = make_environment(folder, upstream.url, sweep.tokens)
        headers = {
            "authorization": f"Bearer {store_key(folder / 'data', sweep.tokens['access key'])}",
            "cookie": f"session={sweep.tokens['cookie of a client']}",
        }
        for number in range(rounds):
            run_commands(sweep, environment, folder)
            with (
                _run_service(environment, folder) as url,
                httpx.Client(base_url=url, headers=headers, timeout=WAIT_SECONDS, trust_env=False) as client,
            ):
                run_requests(sweep, client, upstream, number)
                sweep.add_folder(folder / "data")  # with the write-ahead logs
            sweep.add("log of the service", (folder / "service.log").read_bytes())
    sweep.add_folder(folder / "data")
    errors = [*sweep.find_leaks(), *(f"the search does not find: {name}" for name in sweep.list_missed())]
    unsent = [name for name in tuple(ALLOWED)[:4] if sweep.tokens[name] not in upstream.keys]
    errors += [f"{name} was not sent to the model server" for name in unsent if name != "key in a configuration file"]
    counts = Counter(re.split(r"[ /]", place)[0] for place in sweep.written)
    counts["bytes"] = sum(map(len, sweep.written.values()))
    return counts, errors


def main() -> None:
    """Prove, print the counts, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove canaries", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    with tempfile.TemporaryDirectory() as folder:
        counts, errors = prove(Path(folder), parser.parse_args().rounds)
    print(f"{len(ALLOWED)} secrets, {', '.join(f'{count:,} {name}' for name, count in sorted(counts.items()))}")
    print("\n".join(errors) or "no secret where it does not belong")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
