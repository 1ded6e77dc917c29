"""Portions indexed by processes beside this one: in a thread of it each search would take turns with the indexing.

What a process does not do, because it died or could not be started, is done here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

from ...processes import Child, cores
from . import frames
from .indexing import Portion, portion
from .occurrences import TOGETHER, portions
from .terms import Row

MOST = 4
"""Processes: each takes 100 MB, and what is done here in turns would not keep more of them busy."""

_log = logging.getLogger("semsearch.stores")


@contextmanager
def indexed(rows: Iterable[Row], count: int) -> Iterator[Iterator[Portion]]:
    """Index so many rows, portion by portion: here if there is only one portion, or one core."""
    wanted = min(cores(), -(-count // TOGETHER), MOST)
    if wanted < 2:
        yield map(portion, portions(rows))
        return
    indexers = [_Indexer() for _ in range(wanted)]
    try:
        yield _in_turns(indexers, portions(rows))
    finally:
        for indexer in indexers:
            indexer.end()


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
            self._child = Child(f"{__package__}.child")
        except OSError as exc:
            _log.warning("no process can be started to index beside this one, which is slower: %s", exc.strerror)

    def ask(self, rows: list[Row]) -> None:
        """Let it index these rows."""
        self._rows = rows
        if self._child and not self._child.send(frames.of_rows(rows)):
            self._lose()

    def answer(self) -> Portion:
        """What the rows come to that it was asked for last."""
        answer = self._child.receive() if self._child else None
        if answer is not None:
            return frames.portion(answer)
        self._lose()
        return portion(self._rows)

    def _lose(self) -> None:
        if self._child:
            _log.warning("a process that indexed has ended; this one does its work, which is slower")
            self.end()

    def end(self) -> None:
        """End it at once."""
        if self._child:
            self._child.end()
            self._child = None
