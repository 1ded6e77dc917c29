"""The embedded model beside this process, for long runs: while it embeds, this one reads and writes.

Two threads that compute only take turns. The child is started late: a short run is over before a process is ready.
Until it is, texts are embedded here.
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
"""Texts of a run for which a process is started: it gets ready while these are embedded, or soon after."""

BATCH_SIZE_FACTOR = 4
"""So many times as many texts at once as the model likes: who has asked waits for its turn to compute, each time."""

_GRACE_SECONDS = 1.0

_log = logging.getLogger("semsearch.models.embedders")


class SubprocessEmbedder:
    """The embedded model; of many texts, most are embedded by a child. If that dies, the rest is done here."""

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
        """Two once the child is ready: then who asks has time for other things."""
        return 2 if self._is_ready() else 1

    @property
    def dense_weights(self) -> Mapping[Language, float]:
        """Those of the model."""
        return self._model.dense_weights

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """None: it is on this machine."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """As the model does, to the bit."""
        if self._is_ready():
            return await asyncio.to_thread(self._embed_in_child, texts)
        self._texts_until_start -= len(texts)
        if self._texts_until_start <= 0 and self._child is None:
            self._start_child()
        return await self._model.embed(texts, context, query=query)

    def close(self) -> None:
        """End the child at once; what it is at is Unavailable."""
        self._closed = True
        if (child := self._child) is not None:
            child.process.kill()  # so that nobody waits for its answer
        with self._lock:
            self._end_child()

    def _start_child(self) -> None:
        try:
            with self._lock:
                self._child = None if self._closed else _start_process()
        except OSError as exc:
            self._texts_until_start = sys.maxsize
            _log.warning("no process can be started to embed beside this one, which is slower: %s", exc.strerror)

    def _is_ready(self) -> bool:
        """Whether the child has said that it is ready, or says it now."""
        if self._child is not None and not self._ready:
            with self._lock:
                if (child := self._child) is not None and not self._ready and child.has_output():
                    self._ready = child.receive() is not None
                    if not self._ready:
                        self._fall_back()
        return self._ready

    def _embed_in_child(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            answer = b"" if self._closed else self._request(json.dumps(texts).encode())
            if len(answer) == len(texts) * self.dim * np.dtype("<f4").itemsize:
                return np.frombuffer(answer, "<f4").reshape(len(texts), self.dim)
            if self._closed:
                raise UnavailableError("the run is over")
            self._fall_back()
        return self._model.embed_sync(texts)

    def _request(self, request: bytes) -> bytes:
        """What the child answers; nothing if it dies."""
        child = self._child
        return child.receive() or b"" if child is not None and child.send(request) else b""

    def _fall_back(self) -> None:
        """Go on without a child."""
        self._texts_until_start = sys.maxsize
        with suppress(subprocess.TimeoutExpired):  # what it ended with by itself tells more than that it was killed
            if self._child:
                self._child.process.wait(_GRACE_SECONDS)
        status = self._end_child()
        if not self._closed:
            _log.warning(
                "the process that embedded has ended (status %s); this one does the rest, which is slower", status
            )

    def _end_child(self) -> int | None:
        """End the child; its status, if there was one."""
        child, self._child, self._ready = self._child, None, False
        return child.kill_and_wait() if child else None


@contextmanager
def open_subprocess_embedder(model: LocalEmbedder) -> Iterator[Embedder]:
    """The model for one long run."""
    embedder = SubprocessEmbedder(model, MIN_TEXTS_FOR_PROCESS)
    try:
        yield embedder
    finally:
        embedder.close()


def _start_process() -> ChildProcess:
    return ChildProcess(f"{__package__}.local_worker")
