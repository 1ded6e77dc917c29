"""Processes of our own that answer through pipes.

They are plain subprocesses: `multiprocessing` would either run the caller's main module again, or inherit its locks.
"""

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path

from .framing import build_child_environment, receive, send


class ChildProcess:
    """One process, with which one thread at a time talks."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start `python -m module`; OSError if that is not possible."""
        self.process = subprocess.Popen(
            [sys.executable or "", "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=build_child_environment(sys.path),
            process_group=0,  # out of reach of Ctrl-C; in a session of its own its priority would mean nothing to us
        )

    def send(self, *parts: bytes) -> bool:
        """Send a frame for each part; False if it died before it had read them."""
        assert self.process.stdin is not None
        try:
            send(self.process.stdin, *parts)
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        """Wait for a frame; None if it died before, or says something absurd."""
        assert self.process.stdout is not None
        return receive(self.process.stdout)

    def has_output(self) -> bool:
        """Whether there is something to receive, or it has ended."""
        assert self.process.stdout is not None
        waiting = select.poll()  # `select.select` knows only the first 1024 descriptors
        waiting.register(self.process.stdout, select.POLLIN)
        return bool(waiting.poll(0))

    @contextmanager
    def kill_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kill it if the block takes longer, which ends what waits for it; the event tells."""
        timed_out = threading.Event()
        timer = threading.Timer(seconds, self._kill_on_timeout, [timed_out])
        timer.daemon = True
        timer.start()
        try:
            yield timed_out
        finally:
            timer.cancel()

    def _kill_on_timeout(self, timed_out: threading.Event) -> None:
        timed_out.set()
        self.process.kill()

    def kill_and_wait(self) -> int:
        """Kill it, and leave neither a zombie nor an open pipe; its status."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # what is left in the buffer has no reader any more
                if pipe:
                    pipe.close()
        return self.process.wait()


def count_usable_cores(cgroup_root: Path = Path("/sys/fs/cgroup")) -> int:
    """That this process may use: those it may run on, and no more than a quota of its container allows."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = map(int, _read_cpu_quota(cgroup_root))
        if quota > 0:
            return max(1, min(available, ceil(quota / period)))
    return available


def _read_cpu_quota(cgroup_root: Path) -> list[str]:
    """Microseconds of all cores together, of so many of the clock; ValueError follows from `max`, which is no limit."""
    if (file := cgroup_root / "cpu.max").exists():
        return file.read_text().split()
    return [
        (cgroup_root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
    ]  # cgroups of version 1
