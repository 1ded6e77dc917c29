"""Arrays that may lie in a file, of which nothing is read before it is needed. Knows no file."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


class Sliced(Protocol):
    """What is read in slices: an array, or one that lies in a file."""

    def __getitem__(self, part: slice, /) -> Numbers:
        """The numbers from `part.start` to `part.stop`."""


class Whole(Protocol):
    """What is read whole."""

    def whole(self) -> Numbers:
        """All of it."""


@dataclass(frozen=True, slots=True)
class Made:
    """An array that is at hand, as a `Whole`."""

    array: Numbers

    def whole(self) -> Numbers:
        """All of it."""
        return self.array


def among(some: Numbers, ascending: Numbers) -> npt.NDArray[np.bool_]:
    """Which of a few numbers are among many in order; `numpy.isin` and `intersect1d` look at each of the many."""
    if not len(ascending):
        return np.zeros(len(some), np.bool_)
    found: npt.NDArray[np.bool_] = ascending[np.minimum(ascending.searchsorted(some), len(ascending) - 1)] == some
    return found
