"""Build index parts in child processes: in a thread, indexing would compete with searches for the interpreter lock.

A part that a process does not return, because it died or could not be started, is built in this process.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import cycle

from .....core.child_process import ChildProcess, count_usable_cores
from ..rows.terms import TermRow
from . import wire_format
from .segment_builder import INDEX_VERSION, IndexPart, build_part
from .term_stream import BATCH_ROWS, SERVING_BATCH_ROWS, batch_rows

MAX_ROWS_IN_PROCESS = 2_048
"""Up to this many rows are indexed here while a search waits. Where all words differ they take 1.8 s, else a tenth of
it; the start of a process takes .3 s."""

MAX_BACKGROUND_ROWS_IN_PROCESS = BATCH_ROWS
"""Up to this many rows are indexed here while no search waits, in up to twice that time."""

BACKGROUND_NICENESS = 10
"""Searches in this process have priority over an index that none of them waits for."""

MAX_PROCESSES = 4
"""Each process takes 100 MB, and the round-robin in this process would not keep more of them busy."""

PART_TIMEOUT_SECONDS = 60.0
"""A part takes a tenth of a second."""

_log = logging.getLogger("semsearch.storage.collections")


@contextmanager
def build_in_processes(
    rows: Iterable[TermRow], row_count: int, *, search_waits: bool = False
) -> Iterator[Iterator[IndexPart]]:
    """Yield an iterator over the index parts of these rows; no process is started for few rows."""
    if row_count <= (MAX_ROWS_IN_PROCESS if search_waits else MAX_BACKGROUND_ROWS_IN_PROCESS):
        yield map(build_part, batch_rows(rows, SERVING_BATCH_ROWS))
        return
    process_count = min(count_usable_cores(), -(-row_count // BATCH_ROWS), MAX_PROCESSES)
    niceness = 0 if search_waits else BACKGROUND_NICENESS
    with ExitStack() as stack:
        processes = [stack.enter_context(closing(_IndexProcess(niceness))) for _ in range(process_count)]
        yield _build_round_robin(processes, batch_rows(rows))


def _build_round_robin(processes: Sequence[_IndexProcess], row_batches: Iterable[list[TermRow]]) -> Iterator[IndexPart]:
    busy = deque[_IndexProcess]()
    for rows, process in zip(row_batches, cycle(processes), strict=False):
        if process in busy:
            yield busy.popleft().take_result()
        process.submit(rows)
        busy.append(process)
    for process in busy:
        yield process.take_result()


class _IndexProcess:
    """One child process; it falls back to this process when it fails."""

    def __init__(self, niceness: int) -> None:
        self._rows: list[TermRow] = []
        self._child: ChildProcess | None = None
        try:
            self._child = ChildProcess(f"{__package__}.build_worker", INDEX_VERSION, str(niceness))
        except OSError as exc:
            _log.warning("no index process can be started, so that indexing is slower: %s", exc.strerror)

    def submit(self, rows: list[TermRow]) -> None:
        """Send these rows to the process."""
        self._rows = rows
        if self._child:
            with self._child.kill_after(PART_TIMEOUT_SECONDS):
                was_sent = self._child.send(wire_format.encode_rows(rows))
            if not was_sent:
                self._fall_back()

    def take_result(self) -> IndexPart:
        """Return the index part of the rows that were submitted last."""
        if self._child:
            with self._child.kill_after(PART_TIMEOUT_SECONDS):
                frame = self._child.receive()
            with suppress(ValueError, EOFError):
                if frame is not None:
                    return wire_format.decode_part(frame)
            self._fall_back()
        return build_part(self._rows)

    def close(self) -> None:
        """Kill the process."""
        self._terminate()

    def _fall_back(self) -> None:
        status = self._terminate()
        _log.warning(
            "an index process has ended (status %s); its part is built in this process, which is slower", status
        )

    def _terminate(self) -> int | None:
        child, self._child = self._child, None
        return child.kill_and_wait() if child else None
