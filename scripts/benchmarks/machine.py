"""What a measurement ran on, and what processes cost: CPU seconds and memory, as the kernel counts them.

Does not start or stop anything. Linux only: it reads /proc.
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
"""Before this process was kept on one of them."""


def describe_machine() -> str:
    """Name the processor, the cores, the load and the Python."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {model[1] if model else platform.machine()}, {os.cpu_count()} cores,"
        f" load {load}, Python {platform.python_version()}"
    )


def list_process_tree(pid: int) -> list[int]:
    """The process and all that descend from it and still run."""
    pids = [pid]
    for parent in pids:
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in _read_file(tasks).split()]
    return pids


def tree_cpu_seconds(pid: int) -> float:
    """CPU seconds of a process tree, those of its ended children included."""
    return sum(_process_cpu_seconds(each) for each in list_process_tree(pid))


def own_cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _process_cpu_seconds(pid: int) -> float:
    fields = _read_file(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS if fields else 0.0


def private_bytes(pid: int) -> int:
    """Memory that only this process tree holds: mapped files that could be dropped do not count."""
    return sum(_read_kib(f"/proc/{each}/smaps_rollup", "Private_Dirty") for each in list_process_tree(pid)) * 1024


def peak_bytes(pid: int) -> int:
    """The most memory that the processes of this tree have held so far."""
    return sum(_read_kib(f"/proc/{each}/status", "VmHWM") for each in list_process_tree(pid)) * 1024


def _read_kib(path: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", _read_file(Path(path)), re.MULTILINE)
    return int(match[1]) if match else 0


def _read_file(path: Path) -> str:
    """The text of a file of the kernel's, empty if its process is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


def measure_cpu_seconds(function: Callable[[], object]) -> float:
    """CPU seconds that a call takes in this process, all its threads together."""
    began = time.process_time()
    function()
    return time.process_time() - began


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there are several; what it starts later stays there too."""
    if len(_CORES) > 1:
        os.sched_setaffinity(pid, {_CORES[core % len(_CORES)]})


@contextmanager
def restore_affinity() -> Iterator[None]:
    """Whatever core the block keeps this process on, it has those that it had before."""
    cores = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process and what it starts on one core for a while."""
    with restore_affinity():
        pin(0, core)
        yield
