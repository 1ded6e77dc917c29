"""Encode rows and index parts as frames for the pipes of an index process. Starts no process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import chain

import numpy as np

from ..rows.terms import TermRow
from .arrays import Array, InMemoryArray
from .postings import Postings
from .segment_builder import IndexPart
from .term_stream import ROW_SEPARATOR


def encode_rows(rows: Sequence[TermRow]) -> bytes:
    """Encode rows as one frame."""
    return ROW_SEPARATOR.join(chain.from_iterable((str(chunk_id), *texts) for chunk_id, *texts in rows)).encode()


def decode_rows(frame: bytes) -> list[TermRow]:
    """Decode the rows of a frame."""
    parts = iter(frame.decode().split(ROW_SEPARATOR))
    return [(int(chunk_id), title, body) for chunk_id, title, body in zip(parts, parts, parts, strict=True)]


def encode_part(part: IndexPart) -> bytes:
    """Encode an index part as one frame."""
    file = BytesIO()
    for index in (part.postings, part.trigram_postings):
        for column in index.to_columns().values():
            np.save(file, column, allow_pickle=False)
    for column in (part.sentence_terms, part.sentence_sizes):
        np.save(file, column, allow_pickle=False)
    return file.getvalue()


def decode_part(frame: bytes) -> IndexPart:
    """Decode the index part of a frame; ValueError or EOFError if it is malformed."""
    columns = _read_columns(BytesIO(frame))
    return IndexPart(_read_postings(columns), _read_postings(columns), next(columns), next(columns))


def _read_columns(file: BytesIO) -> Iterator[Array]:
    while True:
        yield np.load(file, allow_pickle=False)


def _read_postings(columns: Iterator[Array]) -> Postings:
    ids, lengths, hashes, starts, rows, counts = (next(columns) for _ in range(6))
    return Postings(InMemoryArray(ids), lengths, InMemoryArray(hashes), starts, rows, counts)
