"""Several processes that serve one port together, and one that watches over them. Does not serve itself.

They share the mapped files of a collection, and whatever one writes the others see. One that dies is replaced; where
they die at once, again and again, all end; and so they do when nobody watches over them any more.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field

from ...core.errors import SemsearchError, Unavailable
from ...library import Library
from .server import bind, server_of, stops

SHORT_LIFE = 5.0
"""Seconds; a worker that lived no longer has met something that the next will meet too."""

MOST_SHORT_LIVES = 5

LOOK_SECONDS = 0.05
"""Between two looks whether a worker has ended, or all are to."""


def serve(opened: Callable[[], Library], host: str, port: int, workers: int, listening: Callable[[str], None]) -> None:
    """Serve with so many processes until SIGINT, SIGTERM or SIGHUP; each opens the library for itself.

    Must be called before this process has threads: the workers are made by fork.
    """
    with closing(bind(host, port)) as listener:
        watch = _Watch(lambda ready: _work(opened, host, listener, ready))
        watch.run(workers, listening)


@dataclass(slots=True)
class _Watch:
    work: Callable[[Callable[[str], None]], None]
    """What a worker does; it is told whom to tell when it listens."""
    children: dict[int, float] = field(default_factory=dict)
    """When each was begun."""
    wanted: int = 0
    """How many there are to be."""
    stopping: bool = False
    short_lives: int = 0
    stops: Sequence[signal.Signals] = field(default_factory=stops)
    words: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe in which the workers say what they serve."""
    life: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe in which nobody writes; it ends when the process that watches does, however that ended."""

    def run(self, workers: int, listening: Callable[[str], None]) -> None:
        before = {number: signal.signal(number, self._stop) for number in self.stops}
        try:
            for _ in range(workers):
                self._begin()
            self.wanted = workers
            url = self._first_word()
            if url:
                listening(url)
            while self.children:
                self._look()
            alone = self.lacks
        finally:
            self._stop(signal.SIGTERM, None)
            for number, action in before.items():
                signal.signal(number, action)
            for end in (*self.words, *self.life):
                os.close(end)
        if alone:
            raise Unavailable("the last worker has ended, and the system lets no other begin; start the service again")
        if self.short_lives >= MOST_SHORT_LIVES:
            raise Unavailable("the workers end as soon as they begin; semsearch serve without --workers says why")

    @property
    def lacks(self) -> bool:
        """Whether one could not be begun that was to be."""
        return len(self.children) < self.wanted and not self.stopping

    def _begin(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self.stops)  # one of them finds each child known, and none half made
        try:
            child = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stops)
            raise
        if child:
            self.children[child] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stops)
            if self.stopping:
                os.kill(child, signal.SIGTERM)
            return
        code = 1
        try:
            for number in self.stops:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stops)
            os.close(self.life[1])
            threading.Thread(target=_end_after, args=(self.life[0],), daemon=True).start()
            self.work(lambda url: _say(self.words[1], url))
            code = 0
        except SemsearchError as exc:
            _say(2, f"semsearch: {exc}")
        finally:
            os._exit(code)  # what stands above this process's stack is its parent's

    def _look(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(LOOK_SECONDS)  # a signal that comes just before a wait without end would not be noticed in it
            if self.lacks:
                with suppress(OSError):  # the system has no room for another yet
                    self._begin()
            return
        lived = time.monotonic() - self.children.pop(child)
        if self.stopping:
            return
        self.short_lives = self.short_lives + 1 if lived < SHORT_LIFE else 0
        if self.short_lives >= MOST_SHORT_LIVES:
            self._stop(signal.SIGTERM, None)
        else:
            with suppress(OSError):  # whoever read it may be gone, and the service goes on
                _say(
                    2,
                    f"semsearch: worker {child} ended with {os.waitstatus_to_exitcode(status)};"
                    " another takes its place",
                )
            with suppress(OSError):  # it is tried again, as long as others serve
                self._begin()

    def _first_word(self) -> str:
        """The URL that the first worker says; nothing if none ever does."""
        os.set_blocking(self.words[0], False)
        while self.children and not self.stopping:
            with suppress(BlockingIOError):
                return os.read(self.words[0], 1000).decode().splitlines()[0]
            child, _ = os.waitpid(-1, os.WNOHANG)
            if child:
                self.children.pop(child)
                self.short_lives = MOST_SHORT_LIVES
                self._stop(signal.SIGTERM, None)
            time.sleep(0.01)
        return ""

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True
        for child in self.children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


def _work(opened: Callable[[], Library], host: str, listener: socket.socket, ready: Callable[[str], None]) -> None:
    with opened() as library:
        server_of(library, host, listener, ready).run([listener])


def _end_after(life: int) -> None:
    """End this process, as a signal would, when the one that watches is gone."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _say(descriptor: int, line: str) -> None:
    os.write(descriptor, f"{line}\n".encode())
