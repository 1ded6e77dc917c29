"""The terms of each chunk's sentences as numbers, row by row: what a question is held against.

To split and number the terms of a chunk that was not met yet takes longer than all else that is done with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...packed import rows_of
from .arrays import Numbers, Whole
from .blocks import BLOCK, Column

_PIECE = 16 * BLOCK


@dataclass(frozen=True, slots=True)
class Sentences:
    """Rows in the order of `ids`; row i from `starts[i]` to `starts[i + 1]`."""

    ids: Whole
    """Chunk id of each row, 64-bit, ascending."""
    starts: Column
    numbers: Column
    """As `packed.rows_of` makes them, one after the other."""

    def of(self, chunk_ids: Sequence[int]) -> dict[int, npt.NDArray[np.uint32]]:
        """The rows of those of these chunks that are here."""
        ids, wanted = self.ids.whole(), np.array(chunk_ids, np.int64)
        rows = np.minimum(ids.searchsorted(wanted), len(ids) - 1)
        here = ids[rows] == wanted
        rows = rows[here]
        bounds = zip(self.starts.take(rows).tolist(), self.starts.take(rows + 1).tolist(), strict=True)
        return {
            chunk_id: self.numbers[start:end]
            for chunk_id, (start, end) in zip(wanted[here].tolist(), bounds, strict=True)
        }


class Made:
    """The numbers of all rows in pieces, as a file is written; when they are through, `starts` is known."""

    def __init__(self, bodies: Iterable[str]) -> None:
        """`bodies` are those of `terms.Row`."""
        self._bodies = bodies
        self._ends = [0]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each row begins, and the end of the last."""
        return np.cumsum(self._ends)

    def numbers(self) -> Iterator[Numbers]:
        """All rows, cut without regard to where one ends."""
        room, size = [np.empty(0, np.uint32)], 0
        for row in rows_of(body.split("\n")[:-1] for body in self._bodies):
            self._ends.append(len(row))
            room.append(row)
            size += len(row)
            if size > _PIECE:
                joined = np.concatenate(room)
                whole = size - size % BLOCK
                yield joined[:whole]
                room, size = [joined[whole:]], size - whole
        yield np.concatenate(room)
