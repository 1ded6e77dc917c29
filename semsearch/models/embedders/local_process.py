"""Run the local model in a child process during long runs, while this process reads and writes.

Threads do not help: two threads that compute in Python take turns. The child is started late, because a short run ends
before a process is ready. Until the child is ready, this process embeds the texts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from ...core.child_process import ChildProcess
from ...core.errors import UnavailableError
from ...core.ports import Embedder
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from .local import LocalEmbedder

MIN_TEXTS_FOR_PROCESS = 1_024
"""The child is started after so many texts; it is ready at about the time when these are embedded."""

BATCH_SIZE_FACTOR = 4
"""Multiplies the batch size of the model: after each batch the caller waits until it gets the CPU again."""

_EXIT_WAIT_SECONDS = 1.0

_log = logging.getLogger("semsearch.models.embedders")


class SubprocessEmbedder:
    """The local model, which embeds most texts of a long run in a child process. If that dies, this process goes on."""

    def __init__(self, model: LocalEmbedder, min_texts: int) -> None:
        self.name, self.dim, self.batch_size = model.name, model.dim, BATCH_SIZE_FACTOR * model.batch_size
        self._model = model
        self._texts_until_start = min_texts
        self._child: ChildProcess | None = None
        self._ready = False
        self._closed = False
        self._lock = threading.Lock()

    @property
    def concurrency(self) -> int:
        """2 once the child is ready, because the caller can then prepare the next batch; 1 before."""
        return 2 if self._is_ready() else 1

    @property
    def dense_weights(self) -> Mapping[Language, float]:
        """The weights of the local model."""
        return self._model.dense_weights

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: the model runs on this machine."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return the same vectors as the local model, bit for bit."""
        if self._is_ready():
            return await asyncio.to_thread(self._embed_in_child, texts)
        self._texts_until_start -= len(texts)
        if self._texts_until_start <= 0 and self._child is None:
            self._start_child()
        return await self._model.embed(texts, context, query=query)

    def close(self) -> None:
        """Kill the child at once; a batch that it is embedding fails with UnavailableError."""
        self._closed = True
        if (child := self._child) is not None:
            child.process.kill()  # before the lock: a thread that waits for its response holds it
        with self._lock:
            self._end_child()

    def _start_child(self) -> None:
        try:
            with self._lock:
                self._child = None if self._closed else _start_process()
        except OSError as exc:
            self._texts_until_start = sys.maxsize
            _log.warning(
                "cannot start a process for embeddings (%s); this process embeds all texts, which is slower",
                exc.strerror,
            )

    def _is_ready(self) -> bool:
        """Return whether the child has sent the frame that says it is ready."""
        if self._child is not None and not self._ready:
            with self._lock:
                if (child := self._child) is not None and not self._ready and child.has_output():
                    self._ready = child.receive() is not None
                    if not self._ready:
                        self._fall_back()
        return self._ready

    def _embed_in_child(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            response = b"" if self._closed else self._request(json.dumps(texts).encode())
            if len(response) == len(texts) * self.dim * np.dtype("<f4").itemsize:
                return np.frombuffer(response, "<f4").reshape(len(texts), self.dim)
            if self._closed:
                raise UnavailableError("the embedder was closed before it embedded these texts")
            self._fall_back()
        return self._model.embed_sync(texts)

    def _request(self, request: bytes) -> bytes:
        """Return the child's response, or no bytes if the child dies."""
        child = self._child
        return child.receive() or b"" if child is not None and child.send(request) else b""

    def _fall_back(self) -> None:
        """Stop using a child for the rest of the run."""
        self._texts_until_start = sys.maxsize
        with suppress(subprocess.TimeoutExpired):  # its own exit status says more than that of a kill
            if self._child:
                self._child.process.wait(_EXIT_WAIT_SECONDS)
        status = self._end_child()
        if not self._closed:
            _log.warning(
                "the process for embeddings has ended (status %s); this process embeds the rest, which is slower",
                status,
            )

    def _end_child(self) -> int | None:
        """End the child and return its exit status, or None without a child."""
        child, self._child, self._ready = self._child, None, False
        return child.kill_and_wait() if child else None


@contextmanager
def open_subprocess_embedder(model: LocalEmbedder) -> Iterator[Embedder]:
    """Return the local model for one long run."""
    embedder = SubprocessEmbedder(model, MIN_TEXTS_FOR_PROCESS)
    try:
        yield embedder
    finally:
        embedder.close()


def _start_process() -> ChildProcess:
    return ChildProcess(f"{__package__}.local_worker")
