"""Protocols of arrays in memory or in a file, which are read only when they are needed. Does no I/O."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class SliceableArray(Protocol):
    """An array that is read by slices, in memory or in a file."""

    def __getitem__(self, part: slice, /) -> Array:
        """Return the elements from `part.start` to `part.stop`."""


class LazyArray(SliceableArray, Protocol):
    """An array that is also read as a whole, in memory or in a file."""

    def read_all(self) -> Array:
        """Return all elements."""


@dataclass(frozen=True, slots=True)
class InMemoryArray:
    """An array in memory, as a `LazyArray`."""

    array: Array

    def __getitem__(self, part: slice) -> Array:
        """Return the elements from `part.start` to `part.stop`."""
        elements: Array = self.array[part]
        return elements

    def read_all(self) -> Array:
        """Return the array."""
        return self.array


def isin_sorted(values: Array, sorted_values: Array) -> npt.NDArray[np.bool_]:
    """Return for each value whether it is one of `sorted_values`, shape (len(values),).

    Fast for few values: `numpy.isin` and `intersect1d` read every sorted value.
    """
    if not len(sorted_values):
        return np.zeros(len(values), np.bool_)
    is_member: npt.NDArray[np.bool_] = (
        sorted_values[np.minimum(sorted_values.searchsorted(values), len(sorted_values) - 1)] == values
    )
    return is_member
