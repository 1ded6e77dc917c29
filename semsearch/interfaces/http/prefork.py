"""Several worker processes that serve one port, and the supervisor that starts them. Does not serve itself.

Workers share the mapped files of a collection, and each sees what the others write. A worker that dies is replaced. If
workers die right after their start, again and again, all stop; they also stop when the supervisor is gone.
"""

import math
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import SemsearchError, UnavailableError
from ...core.settings import LogFormat
from ...library import Library
from . import limits
from .application_log import format_notice
from .garbage_collection import prepare_for_serving
from .prometheus_metrics import remove_gauges
from .server import bind, get_stop_signals, make_server

MIN_WORKER_LIFETIME_SECONDS = 5.0
"""A worker that lived shorter than this failed for a reason that will stop the next one too."""

MAX_QUICK_EXITS = 5
"""Quick exits in a row after which the service stops."""

POLL_SECONDS = 0.05
"""Between two checks for workers that exited and for a stop signal."""


def serve(
    open_library: Callable[[], Library],
    host: str,
    port: int,
    worker_count: int,
    on_listening: Callable[[str], None],
    *,
    may_be_exposed: bool = False,
    has_access_log: bool = False,
    log_format: LogFormat = "text",
) -> None:
    """Serve with `worker_count` processes until SIGINT, SIGTERM or SIGHUP. Each opens the library itself.

    Call it before this process has threads: the workers are forks.
    """
    with closing(bind(host, port, may_be_exposed=may_be_exposed)) as listener, _metrics_folder() as metrics_folder:

        def run_worker(on_ready: Callable[[str], None]) -> None:
            def on_worker_listening(url: str) -> None:
                prepare_for_serving()
                on_ready(url)

            with open_library() as library:
                server = make_server(
                    library,
                    host,
                    listener,
                    on_worker_listening,
                    has_access_log=has_access_log,
                    worker_count=worker_count,
                    metrics_folder=metrics_folder,
                )
                server.run([listener])

        supervisor = _Supervisor(run_worker, listener, metrics_folder, log_format)
        supervisor.run(worker_count, on_listening)


@dataclass(slots=True)
class _Supervisor:
    run_worker: Callable[[Callable[[str], None]], None]
    """Runs in each worker. Its argument is to be called with the URL once the worker listens."""
    listener: socket.socket
    """Shared by the workers."""
    metrics_folder: Path
    log_format: LogFormat
    children: dict[int, float] = field(default_factory=dict)
    """Start time of each worker, by pid."""
    worker_count: int = 0
    """Target number of workers; 0 until they are started."""
    is_stopping: bool = False
    kill_time: float = math.inf
    """When workers are killed that have not stopped."""
    quick_exits: int = 0
    stop_signals: Sequence[signal.Signals] = field(default_factory=get_stop_signals)
    url_pipe: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe to which the workers write their URL."""
    parent_pipe: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe without writes. It closes with the supervisor, however that ends."""

    def run(self, worker_count: int, on_listening: Callable[[str], None]) -> None:
        previous_handlers = {number: signal.signal(number, self._stop_workers) for number in self.stop_signals}
        try:
            for _ in range(worker_count):
                self._start_worker()
            self.worker_count = worker_count
            url = self._wait_for_url()
            if url:
                on_listening(url)
            while self.children:
                self._reap_worker()
                if time.monotonic() > self.kill_time:
                    self._signal_workers(signal.SIGKILL)
            is_short_of_workers = self.lacks_workers
        finally:
            self._stop_workers(signal.SIGTERM, None)
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)
            for descriptor in (*self.url_pipe, *self.parent_pipe):
                os.close(descriptor)
        if is_short_of_workers:
            raise UnavailableError(
                "the last worker exited, and the system cannot start another; start the service again"
            )
        if self.quick_exits >= MAX_QUICK_EXITS:
            raise UnavailableError(
                "the workers exit right after their start; run semsearch serve without --workers to see why"
            )

    @property
    def lacks_workers(self) -> bool:
        """Whether a worker is missing that could not be started."""
        return len(self.children) < self.worker_count and not self.is_stopping

    def _start_worker(self) -> None:
        # a signal must not arrive between the fork and the entry in `children`
        signal.pthread_sigmask(signal.SIG_BLOCK, self.stop_signals)
        if self.is_stopping:  # the listener is closed
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stop_signals)
            return
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
        exit_code = 1
        try:
            for number in self.stop_signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.stop_signals)
            os.close(self.parent_pipe[1])
            threading.Thread(target=_exit_with_parent, args=(self.parent_pipe[0],), daemon=True).start()
            self.run_worker(lambda url: _write_line(self.url_pipe[1], url))
            exit_code = 0
        except SemsearchError as exc:
            _write_line(2, format_notice(self.log_format, "error", f"semsearch: {exc}"))
        finally:
            os._exit(exit_code)  # never return into the parent's stack frames

    def _reap_worker(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(POLL_SECONDS)  # not a blocking wait: a signal that arrives just before it would go unnoticed
            if self.lacks_workers:
                with suppress(OSError):  # the system still refuses another process
                    self._start_worker()
            return
        lifetime = time.monotonic() - self.children.pop(child)
        remove_gauges(self.metrics_folder, child)
        if self.is_stopping:
            return
        self.quick_exits = self.quick_exits + 1 if lifetime < MIN_WORKER_LIFETIME_SECONDS else 0
        if self.quick_exits >= MAX_QUICK_EXITS:
            self._stop_workers(signal.SIGTERM, None)
        else:
            with suppress(OSError):  # stderr may be closed; the service goes on
                message = f"semsearch: worker {child} exited with {os.waitstatus_to_exitcode(status)}; it is replaced"
                _write_line(2, format_notice(self.log_format, "warning", message))
            with suppress(OSError):  # tried again at each poll while other workers serve
                self._start_worker()

    def _wait_for_url(self) -> str:
        """Return the URL that the first worker writes; empty if the workers stop before."""
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
        if not self.is_stopping:
            self.is_stopping = True
            self.kill_time = time.monotonic() + limits.WORKER_STOP_SECONDS
        self.listener.close()  # else clients that connect after the workers have closed it would wait for an answer
        self._signal_workers(signal.SIGTERM)

    def _signal_workers(self, number: signal.Signals) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                os.kill(child, number)


@contextmanager
def _metrics_folder() -> Iterator[Path]:
    """Yield a private folder in which the workers share their metrics, and remove it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="semsearch-metrics-", ignore_cleanup_errors=True)
    except OSError as exc:
        raise UnavailableError(
            f"no temporary folder for the metrics of the workers can be made: {exc.strerror}; set TMPDIR to a folder"
            " that can be written"
        ) from exc
    with folder as path:
        yield Path(path)


def _exit_with_parent(pipe_descriptor: int) -> None:
    """Send SIGTERM to this process when the supervisor is gone."""
    os.read(pipe_descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _write_line(descriptor: int, line: str) -> None:
    os.write(descriptor, f"{line}\n".encode())
