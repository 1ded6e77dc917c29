"""Rows, and what they come to, as bytes for the pipes of a child. Starts none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import chain

import numpy as np

from ..rows.terms import Row
from .arrays import Made, Numbers
from .postings import Postings
from .segment_builder import Portion
from .term_stream import BETWEEN_ROWS


def of_rows(rows: Sequence[Row]) -> bytes:
    """Return the frame of some rows."""
    return BETWEEN_ROWS.join(chain.from_iterable((str(chunk_id), *texts) for chunk_id, *texts in rows)).encode()


def to_rows(frame: bytes) -> list[Row]:
    """Return the rows of a frame."""
    parts = iter(frame.decode().split(BETWEEN_ROWS))
    return [(int(chunk_id), title, body) for chunk_id, title, body in zip(parts, parts, parts, strict=True)]


def of_portion(portion: Portion) -> bytes:
    """Return the frame of a portion."""
    file = BytesIO()
    for index in (portion.words, portion.grams):
        for column in index.columns().values():
            np.save(file, column, allow_pickle=False)
    for column in (portion.sentences, portion.sizes):
        np.save(file, column, allow_pickle=False)
    return file.getvalue()


def to_portion(frame: bytes) -> Portion:
    """Return the portion of a frame."""
    columns = _columns(BytesIO(frame))
    return Portion(_postings(columns), _postings(columns), next(columns), next(columns))


def _columns(file: BytesIO) -> Iterator[Numbers]:
    while True:
        yield np.load(file, allow_pickle=False)


def _postings(columns: Iterator[Numbers]) -> Postings:
    ids, lengths, hashes, starts, rows, counts = (next(columns) for _ in range(6))
    return Postings(Made(ids), lengths, Made(hashes), starts, rows, counts)
