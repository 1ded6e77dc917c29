"""The machine of a measurement, and CPU seconds and memory of processes as the kernel counts them.

Does not start or stop processes. Linux only: it reads /proc.
"""

import os
import platform
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
"""Cores that this process may use, read before it is pinned to one."""


def describe_machine() -> str:
    """Return the time, the processor, the number of cores, the load and the Python version."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {model[1] if model else platform.machine()}, {os.cpu_count()} cores,"
        f" load {load}, Python {platform.python_version()}"
    )


def list_process_tree(pid: int) -> list[int]:
    """Return the ids of a process and of its running descendants."""
    pids = [pid]
    for parent in pids:
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in _read_file(tasks).split()]
    return pids


def tree_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process tree, including children that have ended."""
    return sum(_process_cpu_seconds(member) for member in list_process_tree(pid))


def own_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _process_cpu_seconds(pid: int) -> float:
    fields = _read_file(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS if fields else 0.0


def private_bytes(pid: int) -> int:
    """Return the private dirty memory of a process tree. Mapped files do not count: the kernel can drop them."""
    return sum(_read_kib(f"/proc/{member}/smaps_rollup", "Private_Dirty") for member in list_process_tree(pid)) * 1024


def peak_bytes(pid: int) -> int:
    """Return the sum of the peak resident memory of the processes of a tree."""
    return sum(_read_kib(f"/proc/{member}/status", "VmHWM") for member in list_process_tree(pid)) * 1024


def _read_kib(path: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", _read_file(Path(path)), re.MULTILINE)
    return int(match[1]) if match else 0


def _read_file(path: Path) -> str:
    """Return the text of a file in /proc, empty if its process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def measure_cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds that a call takes in all threads of this process."""
    start = time.process_time()
    function()
    return time.process_time() - start


def pin(pid: int, core: int) -> None:
    """Pin a process and its future children to one core. Do nothing on a machine with one core."""
    if len(_CORES) > 1:
        os.sched_setaffinity(pid, {_CORES[core % len(_CORES)]})


@contextmanager
def restore_affinity() -> Iterator[None]:
    """Restore the cores of this process when the block ends."""
    cores = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pin this process, and the processes that it starts in the block, to one core."""
    with restore_affinity():
        pin(0, core)
        yield
