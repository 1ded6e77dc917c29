"""A service with a few documents and a chat model that works, for the tests and the proofs of the page."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.http_service import document_path, run_service
from support.small_chat_model import SmallChatModel, cite_with
from support.upstream import KEY, Upstream, run_upstream

from semsearch.core.endpoints import Endpoint, Secret
from semsearch.core.settings import Settings

from .sample_pdf import make_sample_pdf

COLLECTION = "default"
MODEL = "m"
WAIT_SECONDS = 60
PUMPS_URI, HARBOUR_URI, WINCH_URI, STORES_URI = "docs/pumps.md", "docs/harbour.md", "docs/winch.pdf", "docs/stores.csv"
DOCUMENTS = {
    PUMPS_URI: (
        "text/markdown",
        b"# Pumps\n\n## Alarms\n\nThe alarm E-417 means that the pump is dry. Do not restart it before it has cooled."
        b" Call the engineer on duty.\n\n## Service\n\n```sh\npumpctl stop --all\n```\n\nFilters are changed every"
        b" second month.\n",
    ),
    HARBOUR_URI: (
        "text/markdown",
        b"# Harbour\n\nVisitors moor at the north wall. A berth costs 14 euros a night in summer. The gate closes at"
        b" ten in the evening.\n",
    ),
    STORES_URI: ("text/csv", b"part,shelf,count\nimpeller,B4,7\nseal,B5,40\nfuse,C1,112\n"),
    WINCH_URI: ("application/pdf", make_sample_pdf()),
}
METADATA = {PUMPS_URI: '{"team":"engine"}', HARBOUR_URI: '{"team":"harbour"}'}


_FOLLOW_UP = re.compile(r"Question to word again: (.*)\Z", re.DOTALL)


def make_model() -> Upstream:
    """Return a chat model that answers with the best sentence of its prompt, cited."""
    answer = SmallChatModel(cite_with("[[{id}.{s}]]"))

    def reply(messages: list[dict[str, str]]) -> str:
        follow_up = _FOLLOW_UP.search(messages[-1]["content"])
        prompts = [message for message in messages if "\nQuestion: " in message["content"]]
        return follow_up[1] if follow_up else answer([messages[0], prompts[-1]])  # turns of before have no passages

    upstream = Upstream()
    upstream.answer = reply
    return upstream


@dataclass(frozen=True, slots=True)
class Sample:
    """A running service with its client and its chat model."""

    client: httpx.Client
    upstream: Upstream

    @property
    def url(self) -> str:
        """The address of the page."""
        return str(self.client.base_url).rstrip("/")


@contextmanager
def run_sample(folder: Path) -> Iterator[Sample]:
    """Yield the service with its documents, in this process."""
    with run_upstream(make_model()) as upstream:
        settings = Settings(chat=Endpoint(upstream.url, Secret(KEY)), chat_model=MODEL)
        with run_service(folder, settings) as client:
            add_documents(client)
            yield Sample(client, upstream)


def add_documents(client: httpx.Client) -> None:
    """Create the collection and add the documents."""
    client.put(f"/v1/collections/{COLLECTION}").raise_for_status()
    for uri, (media_type, data) in DOCUMENTS.items():
        query = {"metadata": METADATA[uri]} if uri in METADATA else {}
        headers = {"content-type": media_type}
        client.put(document_path(COLLECTION, uri), content=data, headers=headers, params=query).raise_for_status()


@dataclass(slots=True)
class ServerProcess:
    """`semsearch serve` in a process of its own, which can be killed and started again at the same port."""

    folder: Path
    upstream_url: str | None = None
    port: int = 0
    process: "subprocess.Popen[str] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server and wait until it listens."""
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        environ["SEMSEARCH_DATA_DIR"] = str(self.folder)
        if self.upstream_url:
            environ |= {"SEMSEARCH_CHAT__BASE_URL": self.upstream_url, "SEMSEARCH_CHAT__MODEL": MODEL}
        command = [sys.executable, "-m", "semsearch", "serve", "--port", str(self.port), "--no-access-log"]
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, cwd=self.folder.parent)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        address = re.search(r"http://[\w.]+:(\d+)", line)
        assert address, f"the service did not print its address: {line}"
        self.port = int(address[1])

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        if self.process is not None and self.process.stderr is not None:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()


@contextmanager
def run_server_process(folder: Path, upstream_url: str | None = None) -> Iterator[ServerProcess]:
    """Yield a started server process; kill it when the block ends."""
    folder.mkdir(exist_ok=True)
    server = ServerProcess(folder, upstream_url)
    server.start()
    try:
        yield server
    finally:
        server.kill()
