"""Encode the map from offsets of a stored text to characters on the pages of its PDF, and select spans of it.

One map is a zlib stream of sections, one for each page: the page and the first offset, each as the difference from the
section before, the length of the section, then four numbers for each run. All numbers are LEB128.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from ..core.types.documents import Span
from ..core.types.pages import PageRun

MAX_MAP_BYTES = 8 << 20
"""Of the encoded map: about 60,000 pages. A larger map is not stored."""
_MAX_DECODED_BYTES = 64 << 20
_MAX_NUMBER_BITS = 35


class InvalidPageMapError(ValueError):
    """The bytes are no map: a reader process that read a hostile file may have sent them."""


def encode_page_map(runs: Iterable[PageRun]) -> bytes:
    """Return the encoded map, empty if there are no runs or too many; the runs ascend in every field but the counts."""
    output = bytearray()
    previous_page, previous_start = 0, 0
    for page, page_runs in groupby(runs, attrgetter("page")):
        section, start = _encode_section(list(page_runs))
        for number in (page - previous_page, start - previous_start, len(section)):
            _append_number(output, number)
        output += section
        previous_page, previous_start = page, start
    encoded = zlib.compress(bytes(output), 9) if output else b""
    return encoded if len(encoded) <= MAX_MAP_BYTES and len(output) <= _MAX_DECODED_BYTES else b""


def _encode_section(runs: Sequence[PageRun]) -> tuple[bytearray, int]:
    """Return the encoded runs of one page, and the offset that the first of them is relative to."""
    section, text_end, index_end = bytearray(), runs[0].text_start, 0
    for run in runs:
        difference = run.index_count - run.text_count
        for number in (
            run.text_start - text_end,
            run.text_count,
            run.index_start - index_end,
            difference * 2 if difference >= 0 else -difference * 2 - 1,
        ):
            _append_number(section, number)
        text_end, index_end = run.text_start + run.text_count, run.index_start + run.index_count
    return section, runs[0].text_start


def select_runs(encoded: bytes, start: int, end: int) -> list[PageRun]:
    """Return the parts of the runs that overlap a span of the text; InvalidPageMapError if the bytes are no map."""
    try:
        data = _decompress(encoded)
        return [
            clipped
            for page, offset, (section_start, section_end) in _iter_sections(data, start, end)
            for run in _iter_runs(data, section_start, section_end, page, offset)
            if (clipped := _clip(run, start, end)) is not None
        ]
    except (zlib.error, IndexError) as exc:
        raise InvalidPageMapError("the map of pages is damaged") from exc


def _decompress(encoded: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    data = decompressor.decompress(encoded, _MAX_DECODED_BYTES)
    if not decompressor.eof:
        raise InvalidPageMapError("the map of pages is too large or cut")
    return data


def _iter_sections(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, Span]]:
    """Yield page, first offset and position of the sections that may overlap the span."""
    pending: tuple[int, int, Span] | None = None
    position, page, offset = 0, 0, 0
    while position < len(data):
        page_step, position = _read_number(data, position)
        offset_step, position = _read_number(data, position)
        size, position = _read_number(data, position)
        page, offset = page + page_step, offset + offset_step
        if pending is not None and offset > start:
            yield pending
        if offset >= end:
            return
        pending = page, offset, (position, position + size)
        position += size
    if pending is not None:
        yield pending


def _iter_runs(data: bytes, position: int, section_end: int, page: int, offset: int) -> Iterator[PageRun]:
    index = 0
    while position < section_end:
        gap, position = _read_number(data, position)
        text_count, position = _read_number(data, position)
        index_gap, position = _read_number(data, position)
        zigzag, position = _read_number(data, position)
        index_count = text_count + (-(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2)
        if index_count < 0:
            raise InvalidPageMapError("the map of pages has a run of a negative length")
        offset, index = offset + gap, index + index_gap
        yield PageRun(page, offset, text_count, index, index_count)
        offset, index = offset + text_count, index + index_count


def _clip(run: PageRun, start: int, end: int) -> PageRun | None:
    """Return the part of a run inside the span, which is all of it where it is one unit."""
    first, last = max(run.text_start, start), min(run.text_start + run.text_count, end)
    if first >= last:
        return None
    if run.text_count != run.index_count:
        return run
    return PageRun(run.page, first, last - first, run.index_start + first - run.text_start, last - first)


def _append_number(output: bytearray, number: int) -> None:
    while number > 127:
        output.append(number & 127 | 128)
        number >>= 7
    output.append(number)


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift >= _MAX_NUMBER_BITS:
            raise InvalidPageMapError("the map of pages has a number out of range")
