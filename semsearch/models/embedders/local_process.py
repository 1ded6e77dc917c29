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

from ...core.child_process import Child
from ...core.errors import Unavailable
from ...core.ports import Embedder
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import Errand, Order
from .local import LocalEmbedder

STARTED_AFTER = 1_024
"""Texts of a run for which a process is started: it gets ready while these are embedded, or soon after."""

TOGETHER = 4
"""So many times as many texts at once as the model likes: who has asked waits for its turn to compute, each time."""

_GRACE_SECONDS = 1.0

_log = logging.getLogger("semsearch.models.embedders")


class Beside:
    """The embedded model; of many texts, most are embedded by a child. If that dies, the rest is done here."""

    def __init__(self, model: LocalEmbedder, started_after: int) -> None:
        self.name, self.dim, self.at_once = model.name, model.dim, TOGETHER * model.at_once
        self._model = model
        self._left = started_after
        self._child: Child | None = None
        self._ready = False
        self._closed = False
        self._turn = threading.Lock()

    @property
    def concurrency(self) -> int:
        """Two once the child is ready: then who asks has time for other things."""
        return 2 if self._is_ready() else 1

    @property
    def weights(self) -> Mapping[Language, float]:
        """Those of the model."""
        return self._model.weights

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None: it is on this machine."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """As the model does, to the bit."""
        if self._is_ready():
            return await asyncio.to_thread(self._asked, texts)
        self._left -= len(texts)
        if self._left <= 0 and self._child is None:
            self._start()
        return await self._model.embed(texts, errand, query=query)

    def close(self) -> None:
        """End the child at once; what it is at is Unavailable."""
        self._closed = True
        if (child := self._child) is not None:
            child.process.kill()  # so that nobody waits for its answer
        with self._turn:
            self._end()

    def _start(self) -> None:
        try:
            with self._turn:
                self._child = None if self._closed else _started()
        except OSError as exc:
            self._left = sys.maxsize
            _log.warning("no process can be started to embed beside this one, which is slower: %s", exc.strerror)

    def _is_ready(self) -> bool:
        """Whether the child has said that it is ready, or says it now."""
        if self._child is not None and not self._ready:
            with self._turn:
                if (child := self._child) is not None and not self._ready and child.has_spoken():
                    self._ready = child.receive() is not None
                    if not self._ready:
                        self._lose()
        return self._ready

    def _asked(self, texts: Sequence[str]) -> Vectors:
        with self._turn:
            answer = b"" if self._closed else self._answer(json.dumps(texts).encode())
            if len(answer) == len(texts) * self.dim * np.dtype("<f4").itemsize:
                return np.frombuffer(answer, "<f4").reshape(len(texts), self.dim)
            if self._closed:
                raise Unavailable("the run is over")
            self._lose()
        return self._model.vectors(texts)

    def _answer(self, request: bytes) -> bytes:
        """What the child answers; nothing if it dies."""
        child = self._child
        return child.receive() or b"" if child is not None and child.send(request) else b""

    def _lose(self) -> None:
        """Go on without a child."""
        self._left = sys.maxsize
        with suppress(subprocess.TimeoutExpired):  # what it ended with by itself tells more than that it was killed
            if self._child:
                self._child.process.wait(_GRACE_SECONDS)
        status = self._end()
        if not self._closed:
            _log.warning(
                "the process that embedded has ended (status %s); this one does the rest, which is slower", status
            )

    def _end(self) -> int | None:
        """End the child; its status, if there was one."""
        child, self._child, self._ready = self._child, None, False
        return child.end() if child else None


@contextmanager
def beside(model: LocalEmbedder) -> Iterator[Embedder]:
    """The model for one long run."""
    made = Beside(model, STARTED_AFTER)
    try:
        yield made
    finally:
        made.close()


def _started() -> Child:
    return Child(f"{__package__}.local_worker")
