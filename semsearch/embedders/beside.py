"""The embedded model beside this process, for long runs: while it embeds, this one reads and writes.

Two threads that compute only take turns. The child is a plain subprocess, because `multiprocessing` would run the
caller's main module again, and it starts late: a short run is over before a process is ready. Until it is, texts are
embedded here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

import numpy as np

from ..accounts import Errand, Order
from ..analysis import Language
from ..errors import Unavailable
from ..pipes import environment, receive, send
from ..ports import Embedder
from ..types import Vectors
from .local import LocalEmbedder

STARTED_AFTER = 1_024
"""Texts of a run after which a process is started: it gets ready while about half as many more are taken in."""

TOGETHER = 4
"""So many times as many texts at once as the model likes: who has asked waits for its turn to compute, each time."""

_GRACE_SECONDS = 1.0
"""Without its pipes it ends by itself."""

_log = logging.getLogger("semsearch.embedders")


class Beside:
    """The embedded model; of many texts, most are embedded by a child. If that dies, the rest is done here."""

    def __init__(self, model: LocalEmbedder, started_after: int) -> None:
        self.name, self.dim, self.at_once = model.name, model.dim, TOGETHER * model.at_once
        self._model = model
        self._left = started_after
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._closed = False
        self._turn = threading.Lock()

    @property
    def concurrency(self) -> int:
        """Two once the child was seen to be ready: then who asks has time for other things."""
        return 2 if self._ready else 1

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
        if self._left <= 0 and self._child is None:
            self._start()
        self._left -= len(texts)
        return await self._model.embed(texts, errand, query=query)

    def close(self) -> None:
        """End the child at once; what it is at is Unavailable."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()  # so that nobody waits for its answer
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
        child = self._child
        if not self._ready and child is not None and child.stdout is not None:
            said = _says_something(child.stdout)
            self._ready = said and receive(child.stdout) is not None
            if said and not self._ready:
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
        if (child := self._child) is None:
            return b""
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, request)
        except OSError:
            return b""
        return receive(child.stdout) or b""

    def _lose(self) -> None:
        """Go on without a child."""
        self._left = sys.maxsize
        status = self._end()
        if not self._closed:
            _log.warning(
                "the process that embedded has ended (status %s); this one does the rest, which is slower", status
            )

    def _end(self) -> int | None:
        """End the child; its status, as far as there was one and it did not hang."""
        child, self._child, self._ready = self._child, None, False
        if child is None:
            return None
        for pipe in (child.stdin, child.stdout):
            with suppress(BrokenPipeError):  # what is left in the buffer has no reader any more
                if pipe:
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_GRACE_SECONDS)
        child.kill()
        return child.wait()


@contextmanager
def beside(model: LocalEmbedder) -> Iterator[Embedder]:
    """The model for one long run."""
    made = Beside(model, STARTED_AFTER)
    try:
        yield made
    finally:
        made.close()


def _says_something(pipe: IO[bytes]) -> bool:
    """Whether something can be read, or it has ended."""
    waiting = select.poll()  # `select.select` knows only the first 1024 descriptors
    waiting.register(pipe, select.POLLIN)
    return bool(waiting.poll(0))


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"{__package__}.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(sys.path),
        start_new_session=True,
    )
