"""Prove that slow and half-sent uploads lock nobody out, take no memory and leave nothing behind.

Two attacks from the loopback, each against a service of its own: more slow sockets than a process may open descriptors,
and half-sent files of which many are open at once.
"""

import argparse
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

DESCRIPTORS = 128
"""Limit of each process in the attack with slow sockets, as by `ulimit -n`."""
SECONDS_BETWEEN_BYTES = 8
MAX_GROWTH_MB = 32
_JSON = "application/json"
_TEMPORARY_FILE = re.compile(r".*/(#\d+|tmp\w+) \(deleted\)$")
"""As Python opens them, with and without O_TMPFILE."""
STEADY_LOOKS = 6
"""Looks at the number of open descriptors in which it must stay the same: none is accepted or closed any more."""
_SEARCH_PATH = "/v1/collections/hb/search"


@dataclass(slots=True)
class Attacked:
    """A service under attack; `errors` are the facts that contradict the proof."""

    process: "subprocess.Popen[str]"
    port: int
    folder: Path
    errors: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, body: bytes = b"", media_type: str = _JSON) -> bytes:
        """Return the response to a request on a connection of its own, empty if there is none."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {media_type}\r\n"
        with suppress(OSError), self.connect() as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        return b""

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def expect_ok(self, what: str, response: bytes) -> None:
        """Record an error unless the response is a success."""
        if not response.startswith(b"HTTP/1.1 200 "):
            self.errors.append(f"{what}: {response[:200]!r}")

    def list_pids(self) -> list[int]:
        """Return the process and its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, path.read_text().split())]

    def get_memory_mb(self) -> int:
        """Return the resident memory of all processes."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self.list_pids())
        return sum(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) for status in statuses) // 1024

    def count_descriptors(self) -> int:
        """Return the number of sockets and of nameless temporary files that all processes have open.

        A worker opens the files of an index with its first request to it, whenever that comes.
        """
        descriptors = self._read_descriptors()
        return sum(target.startswith("socket:") or bool(_TEMPORARY_FILE.match(target)) for target in descriptors)

    def count_temporary_files(self) -> int:
        """Return the number of nameless temporary files that all processes have open."""
        return sum(bool(_TEMPORARY_FILE.match(target)) for target in self._read_descriptors())

    def _read_descriptors(self) -> list[str]:
        targets = []
        for pid in self.list_pids():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    targets.append(os.readlink(descriptor))
        return targets


@contextmanager
def run_attacked(folder: Path, workers: int, descriptors: int | None, other_collections: int = 0) -> Iterator[Attacked]:
    """Start a service with a collection `hb`, whose processes may open so many descriptors; stop it at the end."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(folder), "serve", "--port", "0", "--no-access-log"]
    set_limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (descriptors, descriptors)) if descriptors else None
    process = subprocess.Popen(
        [*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True, preexec_fn=set_limit
    )
    assert process.stderr is not None
    url = re.search(r"http://[\w.]+:(\d+)", process.stderr.readline())
    log_reader = threading.Thread(target=process.stderr.read)  # an unread pipe would block the service
    log_reader.start()
    try:
        assert url, "the service did not print its URL"
        attacked = Attacked(process, int(url[1]), folder)
        for name in ("hb", *(f"other{number}" for number in range(other_collections))):
            attacked.expect_ok("create", attacked.request("PUT", f"/v1/collections/{name}"))
            for _ in range(4 * workers):  # opens the collection in each worker
                path = f"/v1/collections/{name}/documents/lamp"
                attacked.expect_ok("warm up", attacked.request("PUT", path, b"The lamp is lit.", "text/plain"))
        yield attacked
    finally:
        process.terminate()
        process.wait(30)
        log_reader.join()
        process.stderr.close()


def prove_slow_sockets(
    folder: Path, *, seconds: float, workers: int = 1, other_collections: int = 0
) -> tuple[Sequence[float], list[str]]:
    """Let slow sockets send a byte from time to time. Return how long /healthz took each time, and errors.

    Other collections are open too, whose files take descriptors.
    """
    head = f"POST {_SEARCH_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode()
    times = []
    with run_attacked(folder, workers, DESCRIPTORS, other_collections) as attacked, ExitStack() as stack:
        sockets = [stack.enter_context(attacked.connect()) for _ in range((DESCRIPTORS + 2) * workers)]
        for connection in sockets:
            _send(connection, head)
        # until all workers have accepted them: the last ones may close a connection whose request has not arrived yet
        _wait_until(lambda: _is_steady(attacked.count_descriptors) and bool(attacked.request("GET", "/healthz")))
        end = time.monotonic() + seconds
        next_byte = 0.0
        while time.monotonic() < end:
            if time.monotonic() >= next_byte:
                next_byte = time.monotonic() + SECONDS_BETWEEN_BYTES
                for connection in sockets:
                    _send(connection, b" ")
            started = time.monotonic()
            attacked.expect_ok("healthz", attacked.request("GET", "/healthz"))
            times.append(time.monotonic() - started)
            attacked.expect_ok("search", attacked.request("POST", _SEARCH_PATH, b'{"query": "lamp"}'))
            time.sleep(0.5)
    return times, attacked.errors


def prove_half_uploads(
    folder: Path, *, uploads: int = 24, megabytes: int = 57, sent_megabytes: int = 56, workers: int = 1
) -> tuple[Sequence[int], list[str]]:
    """Send most of some files, then hang up. Return the memory in MB before, during and after, and errors."""
    with run_attacked(folder, workers, None) as attacked:
        text = b"The lamp is lit at dusk.\n" * 20_000
        upload = partial(attacked.request, "PUT", _path("large"), text, "text/plain")
        attacked.expect_ok("upload", upload())  # opens the files of an index
        memory, descriptors = [attacked.get_memory_mb()], attacked.count_descriptors()
        with ExitStack() as stack:
            for number in range(uploads):
                connection = stack.enter_context(attacked.connect())
                _send(connection, _upload_head(number, megabytes << 20))
                for _ in range(sent_megabytes):
                    _send(connection, b"x" * (1 << 20))
            time.sleep(3)  # longer than a fast client pauses
            memory.append(attacked.get_memory_mb())
            if not attacked.count_temporary_files():
                attacked.errors.append("no temporary file of an upload is seen, so none that is left would be")
            attacked.expect_ok("another upload", upload())
            attacked.expect_ok("healthz", attacked.request("GET", "/healthz"))
        _wait_until(lambda: attacked.count_descriptors() <= descriptors + 3 * workers)
        memory.append(attacked.get_memory_mb())
        _check_rest(attacked, memory, descriptors + 3 * workers)
    return memory, attacked.errors


def _check_rest(attacked: Attacked, memory: Sequence[int], max_descriptors: int) -> None:
    if memory[1] - memory[0] > MAX_GROWTH_MB:
        attacked.errors.append(f"half-sent uploads took {memory[1] - memory[0]} MB")
    if attacked.count_descriptors() > max_descriptors:
        attacked.errors.append(f"{attacked.count_descriptors()} descriptors are open")
    if others := {path.name for path in attacked.folder.iterdir()} - {"hb", "library.lock"}:
        attacked.errors.append(f"the data directory has {sorted(others)}")


def _path(uri: str) -> str:
    return f"/v1/collections/hb/documents/{uri}"


def _upload_head(number: int, size: int) -> bytes:
    return f"PUT {_path(f'{number}.txt')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()


def _send(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # the service has closed it
        connection.sendall(data)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_steady(count: Callable[[], int]) -> bool:
    """Return whether a number stays the same for a while."""
    first = count()
    for _ in range(STEADY_LOOKS):
        time.sleep(0.05)
        if count() != first:
            return False
    return True


def main() -> None:
    """Run the proof."""
    parser = argparse.ArgumentParser(prog="scripts/prove slow_uploads", description=__doc__)
    parser.add_argument("--seconds", type=float, default=72, help="duration of the attack with slow sockets")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--other-collections", type=int, default=4, help="open beside the attacked one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        times, errors = prove_slow_sockets(
            Path(name) / "slow",
            seconds=options.seconds,
            workers=options.workers,
            other_collections=options.other_collections,
        )
        print(f"/healthz answered {len(times)} times, the slowest in {max(times) * 1000:.0f} ms")
        memory, more_errors = prove_half_uploads(Path(name) / "half", workers=options.workers)
        print(f"memory before, during and after half-sent uploads: {', '.join(map(str, memory))} MB")
    for error in [*errors, *more_errors]:
        print(error, file=sys.stderr)
    sys.exit(bool(errors or more_errors))


if __name__ == "__main__":
    main()
