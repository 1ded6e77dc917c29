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

from ...core.errors import SemsearchError, UnavailableError
from ...library import Library
from .server import bind, get_stop_signals, make_server

MIN_WORKER_LIFETIME_SECONDS = 5.0
"""Seconds; a worker that lived no longer has met something that the next will meet too."""

MAX_QUICK_EXITS = 5

POLL_SECONDS = 0.05
"""Between two looks whether a worker has ended, or all are to."""


def serve(
    open_library: Callable[[], Library], host: str, port: int, worker_count: int, on_listening: Callable[[str], None]
) -> None:
    """Serve with so many processes until SIGINT, SIGTERM or SIGHUP; each opens the library for itself.

    Must be called before this process has threads: the workers are made by fork.
    """
    with closing(bind(host, port)) as listener:
        supervisor = _Supervisor(lambda ready: _run_worker(open_library, host, listener, ready))
        supervisor.run(worker_count, on_listening)


@dataclass(slots=True)
class _Supervisor:
    run_worker: Callable[[Callable[[str], None]], None]
    """What a worker does; it is told whom to tell when it listens."""
    children: dict[int, float] = field(default_factory=dict)
    """When each was begun."""
    worker_count: int = 0
    """How many there are to be."""
    is_stopping: bool = False
    quick_exits: int = 0
    stop_signals: Sequence[signal.Signals] = field(default_factory=get_stop_signals)
    url_pipe: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe in which the workers say what they serve."""
    parent_pipe: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe in which nobody writes; it ends when the process that watches does, however that ended."""

    def run(self, worker_count: int, on_listening: Callable[[str], None]) -> None:
        before = {number: signal.signal(number, self._stop_workers) for number in self.stop_signals}
        try:
            for _ in range(worker_count):
                self._start_worker()
            self.worker_count = worker_count
            url = self._wait_for_url()
            if url:
                on_listening(url)
            while self.children:
                self._reap_worker()
            is_short_of_workers = self.lacks_workers
        finally:
            self._stop_workers(signal.SIGTERM, None)
            for number, action in before.items():
                signal.signal(number, action)
            for end in (*self.url_pipe, *self.parent_pipe):
                os.close(end)
        if is_short_of_workers:
            raise UnavailableError(
                "the last worker has ended, and the system lets no other begin; start the service again"
            )
        if self.quick_exits >= MAX_QUICK_EXITS:
            raise UnavailableError("the workers end as soon as they begin; semsearch serve without --workers says why")

    @property
    def lacks_workers(self) -> bool:
        """Whether one could not be begun that was to be."""
        return len(self.children) < self.worker_count and not self.is_stopping

    def _start_worker(self) -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, self.stop_signals
        )  # one of them finds each child known, and none half made
        try:
            child = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stop_signals)
            raise
        if child:
            self.children[child] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stop_signals)
            if self.is_stopping:
                os.kill(child, signal.SIGTERM)
            return
        code = 1
        try:
            for number in self.stop_signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stop_signals)
            os.close(self.parent_pipe[1])
            threading.Thread(target=_exit_with_parent, args=(self.parent_pipe[0],), daemon=True).start()
            self.run_worker(lambda url: _write_line(self.url_pipe[1], url))
            code = 0
        except SemsearchError as exc:
            _write_line(2, f"semsearch: {exc}")
        finally:
            os._exit(code)  # what stands above this process's stack is its parent's

    def _reap_worker(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(POLL_SECONDS)  # a signal that comes just before a wait without end would not be noticed in it
            if self.lacks_workers:
                with suppress(OSError):  # the system has no room for another yet
                    self._start_worker()
            return
        lived = time.monotonic() - self.children.pop(child)
        if self.is_stopping:
            return
        self.quick_exits = self.quick_exits + 1 if lived < MIN_WORKER_LIFETIME_SECONDS else 0
        if self.quick_exits >= MAX_QUICK_EXITS:
            self._stop_workers(signal.SIGTERM, None)
        else:
            with suppress(OSError):  # whoever read it may be gone, and the service goes on
                _write_line(
                    2,
                    f"semsearch: worker {child} ended with {os.waitstatus_to_exitcode(status)};"
                    " another takes its place",
                )
            with suppress(OSError):  # it is tried again, as long as others serve
                self._start_worker()

    def _wait_for_url(self) -> str:
        """The URL that the first worker says; nothing if none ever does."""
        os.set_blocking(self.url_pipe[0], False)
        while self.children and not self.is_stopping:
            with suppress(BlockingIOError):
                return os.read(self.url_pipe[0], 1000).decode().splitlines()[0]
            child, _ = os.waitpid(-1, os.WNOHANG)
            if child:
                self.children.pop(child)
                self.quick_exits = MAX_QUICK_EXITS
                self._stop_workers(signal.SIGTERM, None)
            time.sleep(0.01)
        return ""

    def _stop_workers(self, number: int, frame: object) -> None:
        self.is_stopping = True
        for child in self.children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)


def _run_worker(
    open_library: Callable[[], Library], host: str, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    with open_library() as library:
        make_server(library, host, listener, on_ready).run([listener])


def _exit_with_parent(pipe_descriptor: int) -> None:
    """End this process, as a signal would, when the one that watches is gone."""
    os.read(pipe_descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _write_line(descriptor: int, line: str) -> None:
    os.write(descriptor, f"{line}\n".encode())
