"""The parts of a document that a reader process sends, in memory or in a temporary file, and documents made of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import overload

from ..core.errors import TooLargeError
from ..core.types.documents import BlockPosition, Chunk, ChunkedDocument, Document
from ..core.unnamed_file import UnnamedFile
from .limits import MAX_BUFFERED_BYTES, MAX_RESPONSE_BYTES
from .readers.document_frames import (
    BLOCKS_PART,
    CHUNKS,
    CHUNKS_PART,
    TEXT_PART,
    Header,
    decode_blocks,
    decode_chunks,
    join_blocks,
)


class FrameSpool:
    """The parts of a document in the order in which they came: in memory, or in a file without a name if they are many.

    The file is deleted with this object, and by the kernel if the process is killed.
    """

    def __init__(self, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self._max_buffered_bytes = max_buffered_bytes
        self._buffer: dict[bytes, list[bytes]] = {}
        self._file: UnnamedFile | None = None
        self._places: dict[bytes, list[tuple[int, int]]] = {}
        self._size = 0

    @property
    def is_buffered(self) -> bool:
        """Whether all parts are in memory."""
        return self._file is None

    def add(self, frame: bytes) -> None:
        """Append a frame; OSError if there is no space, TooLargeError if the parts are too many."""
        self._size += len(frame)
        if self._size > MAX_RESPONSE_BYTES:
            raise TooLargeError(f"its parts have more than {MAX_RESPONSE_BYTES:,} bytes; split it")
        if self._file is None:
            self._buffer.setdefault(frame[:1], []).append(frame)
            if self._size > self._max_buffered_bytes:
                self._move_to_file()
        else:
            self._write(self._file, frame)

    def count(self, part: bytes) -> int:
        """Return the number of frames of a part."""
        return len((self._buffer if self._file is None else self._places).get(part, ()))

    def read(self, part: bytes, number: int) -> bytes:
        """Return one frame of a part."""
        if self._file is None:
            return self._buffer[part][number]
        return self._file.read(*self._places[part][number])

    def iterate(self, part: bytes) -> Iterator[bytes]:
        """Yield the frames of a part."""
        return (self.read(part, number) for number in range(self.count(part)))

    def _move_to_file(self) -> None:
        self._file = UnnamedFile()
        buffer, self._buffer = self._buffer, {}
        for frames in buffer.values():
            for frame in frames:
                self._write(self._file, frame)

    def _write(self, file: UnnamedFile, frame: bytes) -> None:
        self._places.setdefault(frame[:1], []).append((file.append(frame), len(frame)))


@dataclass(frozen=True)
class SpooledDocument(Document):
    """A document whose text and blocks are read from a spool; `blocks` is empty."""

    spool: FrameSpool = field(default_factory=FrameSpool, compare=False)

    @cached_property
    def text(self) -> str:
        """The canonical text; takes its whole size in memory."""
        return "".join(self._iter_texts())

    def iter_segments(self, size: int) -> Iterator[str]:
        """Yield the canonical text in segments of `size` characters."""
        buffer = ""
        for text in self._iter_texts():
            buffer += text
            end = len(buffer) - len(buffer) % size
            for start in range(0, end, size):
                yield buffer[start : start + size]
            buffer = buffer[end:]
        if buffer:
            yield buffer

    def iter_block_positions(self) -> Iterator[BlockPosition]:
        """Yield span, kind and locator of each block."""
        for frame in self.spool.iterate(BLOCKS_PART):
            yield from decode_blocks(frame)

    def _iter_texts(self) -> Iterator[str]:
        return (frame[1:].decode() for frame in self.spool.iterate(TEXT_PART))


class SpooledChunks(Sequence[Chunk]):
    """The chunks of a document in a spool."""

    def __init__(self, spool: FrameSpool, count: int) -> None:
        self._spool = spool
        self._count = count

    def __len__(self) -> int:
        """Return the number of chunks."""
        return self._count

    def __iter__(self) -> Iterator[Chunk]:
        """Yield each chunk."""
        for frame in self._spool.iterate(CHUNKS_PART):
            yield from decode_chunks(frame)

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, index: int | slice) -> Chunk | Sequence[Chunk]:
        """Return one chunk, or several; reads the frames that have them."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        number = range(self._count)[index]
        return list(decode_chunks(self._spool.read(CHUNKS_PART, number // CHUNKS)))[number % CHUNKS]


def assemble_document(document: Document, spool: FrameSpool, header: Header) -> ChunkedDocument:
    """Return the document with its parts, which stay in their file if there is one; ValueError if they are invalid."""
    if not spool.is_buffered:
        validate_parts(spool, header)
        fields = {name: getattr(document, name) for name in document.__dataclass_fields__}
        return ChunkedDocument(SpooledDocument(**fields, spool=spool), SpooledChunks(spool, header.chunks))
    text = "".join(frame[1:].decode() for frame in spool.iterate(TEXT_PART))
    blocks = join_blocks(text, (position for frame in spool.iterate(BLOCKS_PART) for position in decode_blocks(frame)))
    return ChunkedDocument(
        replace(document, blocks=tuple(blocks)),
        [chunk for frame in spool.iterate(CHUNKS_PART) for chunk in decode_chunks(frame)],
    )


def validate_parts(spool: FrameSpool, header: Header) -> None:
    """Raise ValueError, TypeError, KeyError or IndexError if the parts are not those of the header.

    Everything is decoded once: a frame that is not valid would else be noticed in the middle of a write.
    """
    _expect(header.characters, sum(len(frame[1:].decode()) for frame in spool.iterate(TEXT_PART)))
    end = _last_end(position for frame in spool.iterate(BLOCKS_PART) for position in decode_blocks(frame))
    _expect(header.characters, end)
    counts = [sum(1 for _ in decode_chunks(frame)) for frame in spool.iterate(CHUNKS_PART)]
    _expect(header.chunks, sum(counts))
    if any(count != CHUNKS for count in counts[:-1]):
        raise ValueError("a part of chunks that is not full")


def _last_end(positions: Iterable[BlockPosition]) -> int:
    end = 0
    for position in positions:
        if not end <= position.start <= position.end:
            raise ValueError("a block that overlaps the one before")
        end = position.end
    return end


def _expect(expected: int, actual: int) -> None:
    if expected != actual:
        raise ValueError(f"{actual} characters or chunks, not {expected}")
