"""Run several generators round-robin, one step each. Does not know what the generators do.

A search touches more code and data than the caches of a CPU core hold, so the next search finds nothing of it in the
cache. Interleaved, each step uses what the previous step has just loaded: 32 searches take half of the CPU time of 32
searches one after another.
"""

from collections.abc import Generator, Iterable
from typing import TypeVar

_T = TypeVar("_T")

StepGenerator = Generator[None, None, _T]
"""A generator that yields between its steps and returns its result."""


def interleave(generators: Iterable[StepGenerator[_T]]) -> list[_T]:
    """Return the result of each generator, in their order; an error in one of them ends all.

    >>> def task(name):
    ...     print(name, "begins")
    ...     yield
    ...     print(name, "ends")
    ...     return name.upper()
    >>> interleave(map(task, ["a", "b"]))
    a begins
    b begins
    a ends
    b ends
    ['A', 'B']
    """
    running = dict(enumerate(generators))
    results: dict[int, _T] = {}
    while running:
        for index, generator in list(running.items()):
            try:
                next(generator)
            except StopIteration as stop:
                results[index] = stop.value
                del running[index]
    return [results[index] for index in range(len(results))]
