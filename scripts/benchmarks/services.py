"""The measured services: fill each with the same texts and vectors, start it, build its requests, parse its replies.

Each service runs in a process of its own on a free port. Only processes that were started here are ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np

from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import SearchMode
from semsearch.models.embedders.local import LocalEmbedder

from . import load_client, machine, peer_environment
from .collection_builder import fill_collection

START_SECONDS = 120
SERVER_CORE = 0
CLIENT_CORE = 1
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
COLLECTION_NAME = "bench"


@dataclass(frozen=True, slots=True)
class ServiceData:
    """Texts and vectors to fill a service with, and the folder for the service's files."""

    folder: Path
    texts: list[str]
    vectors: Vectors


class Service(Protocol):
    """One service. `name` is its name in the tables."""

    name: str

    def fill(self, data: ServiceData) -> None:
        """Store the texts by the fastest way."""

    def build_command(self, port: int) -> tuple[list[str], Mapping[str, str]]:
        """Return the command that starts the service, and the environment variables that it needs."""

    def health_path(self, port: int) -> str:
        """Return a path that answers 200 as soon as searches work."""

    def build_requests(self, port: int, questions: Sequence[str], vectors: Vectors) -> list[bytes]:
        """Return a search request for ten hits for each question."""

    def parse_rows(self, reply: bytes) -> list[int]:
        """Return the rows of the stored texts in a reply, best first."""

    def embedding_cpu_seconds(self, questions: Sequence[str]) -> float:
        """Return the CPU seconds to embed these questions if the service's client embeds them, else 0."""


class Semsearch:
    """semsearch itself, through its command."""

    def __init__(self, mode: SearchMode = "dense") -> None:
        self.name = "semsearch"
        self._mode = mode

    def fill(self, data: ServiceData) -> None:
        """Store the texts."""
        self.folder = data.folder / "indexes"
        self._rows = {text: row for row, text in enumerate(data.texts)}
        if not self.folder.exists():
            fill_collection(self.folder, COLLECTION_NAME, data.texts, data.vectors)

    def build_command(self, port: int) -> tuple[list[str], Mapping[str, str]]:
        """Return `semsearch serve`."""
        program = str(Path(sys.executable).with_name("semsearch"))
        return [program, "serve", "--port", str(port), "--data-dir", str(self.folder)], {}

    def health_path(self, port: int) -> str:
        """Return the path of its health."""
        return "/healthz"

    def build_requests(self, port: int, questions: Sequence[str], vectors: Vectors) -> list[bytes]:
        """Return searches by text."""
        return self.build_searches(questions)

    def build_searches(self, questions: Sequence[str], raw_filter: Mapping[str, Any] | None = None) -> list[bytes]:
        """Return searches by text with an optional filter."""
        path, options = f"/v1/collections/{COLLECTION_NAME}/search", {"k": 10, "mode": self._mode, "filter": raw_filter}
        bodies = ({"query": question, **options} for question in questions)
        return [load_client.build_request("POST", path, json.dumps(body).encode()) for body in bodies]

    def parse_rows(self, reply: bytes) -> list[int]:
        """Return the rows of the hits' texts."""
        return [self._rows[hit["text"]] for hit in json.loads(reply)["hits"]]

    def embedding_cpu_seconds(self, questions: Sequence[str]) -> float:
        """Return 0: the server embeds the questions."""
        return 0.0


class Txtai:
    """txtai behind its own API, with semsearch's built-in model as its external embedding function."""

    def __init__(self, *, content: bool = True) -> None:
        self.name = "txtai" if content else "txtai, ids only"
        self._content = content

    def fill(self, data: ServiceData) -> None:
        """Index the texts in a process of its own."""
        self._folder = data.folder / ("txtai" if self._content else "txtai-ids")
        if not self._folder.exists():
            peer_environment.run_peer_verb(
                "txtai_fill", {"folder": str(self._folder), "content": self._content, **_save_files(data)}
            )

    def build_command(self, port: int) -> tuple[list[str], Mapping[str, str]]:
        """Return its application under uvicorn."""
        settings = self._folder.with_suffix(".yml")
        method = "  method: external\n  transform: peer_process.embed\n"
        settings.write_text(f"path: {self._folder}\nembeddings:\n{method}  content: {json.dumps(self._content)}\n")
        arguments = ["-m", "uvicorn", "txtai.api:app", "--port", str(port), "--log-level", "warning"]
        return [str(peer_environment.PYTHON), *arguments], {"CONFIG": str(settings)}

    def health_path(self, port: int) -> str:
        """Return a search: txtai has no health path."""
        return "/search?query=ready&limit=1"

    def build_requests(self, port: int, questions: Sequence[str], vectors: Vectors) -> list[bytes]:
        """Return searches by text."""
        return [load_client.build_request("GET", f"/search?query={quote(question)}&limit=10") for question in questions]

    def parse_rows(self, reply: bytes) -> list[int]:
        """Return its ids, which are rows."""
        return [int(hit["id"]) for hit in json.loads(reply)]

    def embedding_cpu_seconds(self, questions: Sequence[str]) -> float:
        """Return 0: the server calls its external function."""
        return 0.0


class Chroma:
    """chroma's own server. Its clients embed, so it gets precomputed vectors."""

    name = "chroma"

    def __init__(self) -> None:
        self._embedder = LocalEmbedder()

    def fill(self, data: ServiceData) -> None:
        """Add the texts and vectors in a process of its own."""
        self._folder = data.folder / "chroma"
        if not self._folder.exists():
            peer_environment.run_peer_verb("chroma_fill", {"folder": str(self._folder), **_save_files(data)})
        self._collection = (self._folder / "collection.txt").read_text()

    def build_command(self, port: int) -> tuple[list[str], Mapping[str, str]]:
        """Return `chroma run`."""
        program = str(peer_environment.PYTHON.with_name("chroma"))
        command = [program, "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(port)]
        return command, {"ANONYMIZED_TELEMETRY": "False"}

    def health_path(self, port: int) -> str:
        """Return the path of its heartbeat."""
        return "/api/v2/heartbeat"

    def build_requests(self, port: int, questions: Sequence[str], vectors: Vectors) -> list[bytes]:
        """Return searches by vector."""
        path = f"/api/v2/tenants/default_tenant/databases/default_database/collections/{self._collection}/query"
        query_options = {"n_results": 10, "include": ["documents", "distances"]}
        bodies = ({"query_embeddings": [vector], **query_options} for vector in vectors.tolist())
        return [load_client.build_request("POST", path, json.dumps(body).encode()) for body in bodies]

    def parse_rows(self, reply: bytes) -> list[int]:
        """Return its ids, which are rows."""
        return [int(row) for row in json.loads(reply)["ids"][0]]

    def embedding_cpu_seconds(self, questions: Sequence[str]) -> float:
        """Return the CPU seconds of the embedding function of a client."""
        return machine.measure_cpu_seconds(lambda: [self._embedder.embed_sync([question]) for question in questions])


@dataclass(frozen=True, slots=True)
class RunningService:
    """A started service that accepts requests."""

    service: Service
    pid: int
    port: int


@contextmanager
def run_service(service: Service, *, core: int | None = SERVER_CORE) -> Iterator[RunningService]:
    """Start a service and wait until it answers; end it when the block ends."""
    port = _find_free_port()
    command, environment = service.build_command(port)
    inherited = {**peer_environment.build_environment(), **_ONE_THREAD, **environment}
    log = peer_environment.LOGS / f"{service.name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=inherited, stdout=output, stderr=output, start_new_session=True)
    try:
        if core is not None:
            machine.pin(process.pid, core)
        _wait_until_ready(process, f"http://127.0.0.1:{port}{service.health_path(port)}", log)
        yield RunningService(service, process.pid, port)
    finally:
        _stop_process(process)


def compute_recall(replies: Sequence[Sequence[int]], stored: Vectors, queries: Vectors, k: int = 10) -> float:
    """Return recall@k against an exact scan. A row with the score of the exact k-th row counts as found."""
    total = 0.0
    for rows, vector in zip(replies, queries, strict=True):
        scores = stored @ vector
        threshold = np.partition(scores, -k)[-k] - 1e-6
        total += sum(scores[row] >= threshold for row in set(rows[:k])) / k
    return total / len(replies)


def _save_files(data: ServiceData) -> dict[str, str]:
    """Save texts and vectors for a process of the peers' environment; return the paths."""
    texts, vectors = data.folder / "texts.json", data.folder / "vectors.npy"
    if not vectors.exists():
        texts.write_text(json.dumps(data.texts))
        np.save(vectors, data.vectors)
    return {"texts": str(texts), "vectors": str(vectors)}


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as response:
            if response.status == 200:
                return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not answer; see its log {log}")


def _stop_process(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children; some services leave their children running."""
    pids = machine.list_process_tree(process.pid)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
