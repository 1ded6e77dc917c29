"""Arrays that may lie in a file, of which nothing is read before it is needed. Knows no file."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class SliceableArray(Protocol):
    """What is read in slices: an array, or one that lies in a file."""

    def __getitem__(self, part: slice, /) -> Array:
        """The numbers from `part.start` to `part.stop`."""


class LazyArray(Protocol):
    """What is read whole."""

    def read_all(self) -> Array:
        """All of it."""


@dataclass(frozen=True, slots=True)
class InMemoryArray:
    """An array that is at hand, as a `Whole`."""

    array: Array

    def read_all(self) -> Array:
        """All of it."""
        return self.array


def isin_sorted(values: Array, sorted_values: Array) -> npt.NDArray[np.bool_]:
    """Which of a few numbers are among many in order; `numpy.isin` and `intersect1d` look at each of the many."""
    if not len(sorted_values):
        return np.zeros(len(values), np.bool_)
    found: npt.NDArray[np.bool_] = (
        sorted_values[np.minimum(sorted_values.searchsorted(values), len(sorted_values) - 1)] == values
    )
    return found
