"""Run Python modules as child processes that exchange frames with the parent through pipes.

Uses plain subprocesses: `multiprocessing` would either run the caller's main module again, or inherit its locks.
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
from .settings import read_instruction_variables


class ChildProcess:
    """One child process. Only one thread may use it at a time."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start `python -m module`; OSError if the process cannot be started."""
        self.process = subprocess.Popen(
            [sys.executable or "", "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**read_instruction_variables(), **build_child_environment(sys.path)},
            process_group=0,  # Ctrl-C must not reach it; a new session would make its priority independent of ours
        )

    def send(self, *parts: bytes) -> bool:
        """Send one frame for each part; return False if the child ended before it read them."""
        assert self.process.stdin is not None
        try:
            send(self.process.stdin, *parts)
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        """Wait for a frame; return None if the child ended or sent an invalid frame."""
        assert self.process.stdout is not None
        return receive(self.process.stdout)

    def has_output(self) -> bool:
        """Return whether a frame can be received now, or the child has ended."""
        assert self.process.stdout is not None
        poller = select.poll()  # `select.select` supports only descriptors below 1024
        poller.register(self.process.stdout, select.POLLIN)
        return bool(poller.poll(0))

    @contextmanager
    def kill_after(self, seconds: float) -> Iterator[threading.Event]:
        """Kill the child if the block takes longer, which ends a pending `receive`; the yielded event is then set."""
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
        """Kill the child, close its pipes, and return its exit status; leaves no zombie."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # nobody reads the rest of the buffer any more
                if pipe:
                    pipe.close()
        return self.process.wait()


def count_usable_cores(cgroup_root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use: its CPU affinity, limited by the CPU quota of its container."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = map(int, _read_cpu_quota(cgroup_root))
        if quota > 0:
            return max(1, min(available, ceil(quota / period)))
    return available


def _read_cpu_quota(cgroup_root: Path) -> list[str]:
    """Return quota and period in microseconds, as text; the quota is "max" where there is no limit."""
    if (file := cgroup_root / "cpu.max").exists():
        return file.read_text().split()
    return [
        (cgroup_root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
    ]  # cgroups version 1
