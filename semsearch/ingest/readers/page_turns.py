"""Work on the pages of one file one after the other, and remember the pages that fail. Starts no process.

So a file with slow pages keeps one page process at most, and each of its pages does so once per `FAILURE_SECONDS`.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...core.errors import DeadlineError, SemsearchError, UnavailableError, UnsupportedMediaError

FAILURE_SECONDS = 300.0
"""Time in which work that failed is not tried again."""

CROWD_SECONDS = 5.0
"""Time that further threads wait for a file for which one waits already: a slow one must not keep them all."""

MAX_FAILURES = 1_000
KILL_SECONDS = 1.0
"""Time that a process which is too slow may take to end."""

Work = tuple[str, tuple[int, ...]]
"""What is done, and the numbers of its pages."""


class PageTurns:
    """The files that are worked on now, by hash, and the work that failed lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._change = threading.Condition()
        self._busy_files: set[str] = set()
        self._awaited_files: set[str] = set()
        self._failures: OrderedDict[tuple[str, Work], tuple[float, type[SemsearchError], str]] = OrderedDict()

    @contextmanager
    def take(self, sha256: str, works: Sequence[Work], seconds: float) -> Iterator[None]:
        """Wait until no other thread works on this file; raise the error of one of `works` if it failed lately.

        A failure of the block is remembered for the first of `works`. UnavailableError after `seconds` of waiting.
        """
        with self._change:
            self._check_failures(sha256, works)
            self._wait(sha256, seconds)
            self._check_failures(sha256, works)
            self._busy_files.add(sha256)
        try:
            yield
        except (DeadlineError, UnsupportedMediaError) as exc:
            self._remember(sha256, works[0], exc)
            raise
        finally:
            with self._change:
                self._busy_files.discard(sha256)
                self._change.notify_all()

    def _wait(self, sha256: str, seconds: float) -> None:
        """Wait, with the lock, until no other thread works on this file."""
        is_first = sha256 not in self._awaited_files
        self._awaited_files.add(sha256)
        try:
            seconds = seconds + KILL_SECONDS if is_first else min(seconds, CROWD_SECONDS)
            if not self._change.wait_for(lambda: sha256 not in self._busy_files, seconds):
                raise UnavailableError("other pages of the file are being rendered; try again in a few seconds")
        finally:
            if is_first:
                self._awaited_files.discard(sha256)

    def _check_failures(self, sha256: str, works: Sequence[Work]) -> None:
        for work in works:
            failed_at, kind, message = self._failures.get((sha256, work), (0.0, SemsearchError, ""))
            if message and self._clock() < failed_at + FAILURE_SECONDS:
                raise kind(message)

    def _remember(self, sha256: str, work: Work, error: SemsearchError) -> None:
        """Remember a failure, and drop the oldest ones."""
        with self._change:
            self._failures.pop((sha256, work), None)
            self._failures[sha256, work] = self._clock(), type(error), str(error)
            while len(self._failures) > MAX_FAILURES:
                self._failures.popitem(last=False)
