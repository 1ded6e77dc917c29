"""Portions indexed by processes beside this one: in a thread of it each search would take turns with the indexing.

What a process does not do, because it died or could not be started, is done here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import cycle

from .....core.child_process import ChildProcess, count_usable_cores
from ..rows.terms import TermRow
from . import wire_format as frames
from .segment_builder import INDEX_VERSION, IndexPart, build_part
from .term_stream import BATCH_ROWS, batch_rows

MAX_PROCESSES = 4
"""Processes: each takes 100 MB, and what is done here in turns would not keep more of them busy."""

PART_TIMEOUT_SECONDS = 60.0
"""A portion takes a tenth of one."""

_log = logging.getLogger("semsearch.storage.collections")


@contextmanager
def build_in_processes(rows: Iterable[TermRow], row_count: int) -> Iterator[Iterator[IndexPart]]:
    """Index so many rows, portion by portion: here if they are a single portion, or there is one core."""
    wanted = min(count_usable_cores(), -(-row_count // BATCH_ROWS), MAX_PROCESSES)
    if wanted < 2:
        yield map(build_part, batch_rows(rows))
        return
    with ExitStack() as stack:
        indexers = [stack.enter_context(closing(_IndexProcess())) for _ in range(wanted)]
        yield _build_round_robin(indexers, batch_rows(rows))


def _build_round_robin(indexers: Sequence[_IndexProcess], row_batches: Iterable[list[TermRow]]) -> Iterator[IndexPart]:
    asked = deque[_IndexProcess]()
    for rows, indexer in zip(row_batches, cycle(indexers), strict=False):
        if indexer in asked:
            yield asked.popleft().take_result()
        indexer.submit(rows)
        asked.append(indexer)
    for indexer in asked:
        yield indexer.take_result()


class _IndexProcess:
    """One process."""

    def __init__(self) -> None:
        self._rows: list[TermRow] = []
        self._child: ChildProcess | None = None
        try:
            self._child = ChildProcess(f"{__package__}.build_worker", INDEX_VERSION)
        except OSError as exc:
            _log.warning("no process can be started to index beside this one, which is slower: %s", exc.strerror)

    def submit(self, rows: list[TermRow]) -> None:
        """Let it index these rows."""
        self._rows = rows
        if self._child:
            with self._child.kill_after(PART_TIMEOUT_SECONDS):
                taken = self._child.send(frames.encode_rows(rows))
            if not taken:
                self._fall_back()

    def take_result(self) -> IndexPart:
        """What the rows come to that it was asked for last."""
        if self._child:
            with self._child.kill_after(PART_TIMEOUT_SECONDS):
                answer = self._child.receive()
            with suppress(ValueError, EOFError):
                if answer is not None:
                    return frames.decode_part(answer)
            self._fall_back()
        return build_part(self._rows)

    def close(self) -> None:
        """End it at once."""
        self._terminate()

    def _fall_back(self) -> None:
        status = self._terminate()
        _log.warning("a process that indexed has ended (status %s); this one does its work, which is slower", status)

    def _terminate(self) -> int | None:
        child, self._child = self._child, None
        return child.kill_and_wait() if child else None
