"""Results that hold for one commit of a collection, by key."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MAX_RESULTS = 256
"""Results that are cached per commit; beyond that all are dropped."""

_T = TypeVar("_T")


class CommitCache(Generic[_T]):
    """The results of the last commit that was asked for. Threads that need the same result compute it once."""

    def __init__(self) -> None:
        self._results: tuple[int, dict[Hashable, _T]] = (0, {})
        self._lock = threading.Lock()

    def get(self, seq: int, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Return the result of `key` in commit `seq`; compute it if it is not cached."""
        cached_seq, results = self._results
        if cached_seq == seq and key in results:
            return results[key]
        with self._lock:
            cached_seq, results = self._results
            if cached_seq != seq or len(results) >= MAX_RESULTS:
                results = {}
            if key not in results:
                results = {**results, key: compute()}
                self._results = seq, results
            return results[key]
