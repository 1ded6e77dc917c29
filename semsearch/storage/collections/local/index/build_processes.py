"""Portions indexed by processes beside this one: in a thread of it each search would take turns with the indexing.

What a process does not do, because it died or could not be started, is done here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import cycle

from .....core.child_process import Child, cores
from ..rows.terms import Row
from . import wire_format as frames
from .segment_builder import VERSION, Portion, portion
from .term_stream import TOGETHER, portions

MOST = 4
"""Processes: each takes 100 MB, and what is done here in turns would not keep more of them busy."""

SECONDS = 60.0
"""A portion takes a tenth of one."""

_log = logging.getLogger("semsearch.storage.collections")


@contextmanager
def beside(rows: Iterable[Row], count: int) -> Iterator[Iterator[Portion]]:
    """Index so many rows, portion by portion: here if they are a single portion, or there is one core."""
    wanted = min(cores(), -(-count // TOGETHER), MOST)
    if wanted < 2:
        yield map(portion, portions(rows))
        return
    with ExitStack() as stack:
        indexers = [stack.enter_context(closing(_Indexer())) for _ in range(wanted)]
        yield _in_turns(indexers, portions(rows))


def _in_turns(indexers: Sequence[_Indexer], some: Iterable[list[Row]]) -> Iterator[Portion]:
    asked = deque[_Indexer]()
    for rows, indexer in zip(some, cycle(indexers), strict=False):
        if indexer in asked:
            yield asked.popleft().answer()
        indexer.ask(rows)
        asked.append(indexer)
    for indexer in asked:
        yield indexer.answer()


class _Indexer:
    """One process."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._child: Child | None = None
        try:
            self._child = Child(f"{__package__}.build_worker", VERSION)
        except OSError as exc:
            _log.warning("no process can be started to index beside this one, which is slower: %s", exc.strerror)

    def ask(self, rows: list[Row]) -> None:
        """Let it index these rows."""
        self._rows = rows
        if self._child:
            with self._child.within(SECONDS):
                taken = self._child.send(frames.of_rows(rows))
            if not taken:
                self._lose()

    def answer(self) -> Portion:
        """What the rows come to that it was asked for last."""
        if self._child:
            with self._child.within(SECONDS):
                answer = self._child.receive()
            with suppress(ValueError, EOFError):
                if answer is not None:
                    return frames.to_portion(answer)
            self._lose()
        return portion(self._rows)

    def close(self) -> None:
        """End it at once."""
        self._end()

    def _lose(self) -> None:
        status = self._end()
        _log.warning("a process that indexed has ended (status %s); this one does its work, which is slower", status)

    def _end(self) -> int | None:
        child, self._child = self._child, None
        return child.end() if child else None
