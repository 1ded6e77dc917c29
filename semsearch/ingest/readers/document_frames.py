"""Encode a chunked document as frames of bounded size, and decode them. Does not start processes or write files.

The frames are JSON, never pickle: the process that sends them may have read a hostile file. The first one is the
header; the others begin with the letter of their part: text, blocks or chunks. Each is read without the others.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from ...core.types.documents import (
    BLOCK_SEPARATOR,
    Block,
    BlockPosition,
    Chunk,
    ChunkTerms,
    Document,
    Locator,
)
from ...text.chunk_terms import analyze_chunks
from ..page_map import MAX_MAP_BYTES

TEXT_PART = b"t"
BLOCKS_PART = b"b"
CHUNKS_PART = b"c"

TEXT_CHARACTERS = 1 << 18
BLOCKS = 2_048
CHUNKS = 256
"""Size of one frame of each part."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the parts contain together."""

    title: str
    characters: int
    blocks: int
    chunks: int
    page_map: bytes = b""


def encode_document(document: Document, chunks: Sequence[Chunk]) -> Iterator[bytes]:
    """Yield the header and all parts of a document; the terms of its chunks only if these are more than a frame."""
    text = document.text
    header = {
        "title": document.title,
        "characters": len(text),
        "blocks": len(document.blocks),
        "chunks": len(chunks),
        "page_map": b64encode(document.page_map).decode(),
    }
    yield _dump(b"", header)
    for start in range(0, len(text), TEXT_CHARACTERS):
        yield TEXT_PART + text[start : start + TEXT_CHARACTERS].encode()
    positions = document.iter_block_positions()
    while batch := list(islice(positions, BLOCKS)):
        yield _dump(BLOCKS_PART, _encode_blocks(batch))
    for start in range(0, len(chunks), CHUNKS):
        part = chunks[start : start + CHUNKS]
        terms = analyze_chunks(part) if len(chunks) > CHUNKS else iter(())
        yield _dump(CHUNKS_PART, [_encode_chunk(chunk, next(terms, None)) for chunk in part])


def decode_header(frame: bytes) -> Header:
    """Return the header; ValueError, TypeError or KeyError if it is not valid."""
    fields = orjson.loads(frame)
    page_map = b64decode(fields["page_map"], validate=True)
    header = Header(
        str(fields["title"]),
        int(fields["characters"]),
        int(fields["blocks"]),
        int(fields["chunks"]),
        page_map if len(page_map) <= MAX_MAP_BYTES else b"",
    )
    if min(header.characters, header.blocks, header.chunks) < 0:
        raise ValueError("a negative count")
    return header


def decode_blocks(frame: bytes) -> Iterator[BlockPosition]:
    """Yield the positions of a part of blocks."""
    fields = orjson.loads(frame[1:])
    paths = [tuple(path) for path in fields["paths"]]
    for start, end, kind, path, page, sheet, lines in fields["blocks"]:
        yield BlockPosition(start, end, kind, Locator(paths[path], page, sheet, lines and (lines[0], lines[1])))


def decode_chunks(frame: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a part."""
    for start, end, text, heading, page, prefix, spans, role, terms in orjson.loads(frame[1:]):
        if end - start != len(text):
            raise ValueError("a chunk whose text is not as long as its span")
        offsets = iter(spans)
        sentences = tuple(zip(offsets, offsets, strict=True))
        yield Chunk(start, end, text, heading, page, prefix, sentences, role, terms and ChunkTerms(*terms))


def join_blocks(text: str, positions: Iterable[BlockPosition]) -> Iterator[Block]:
    """Yield the blocks of a text, whose separators must be where the positions say."""
    end = -len(BLOCK_SEPARATOR)
    for position in positions:
        if position.start != end + len(BLOCK_SEPARATOR):
            raise ValueError("a block that does not follow the one before")
        end = position.end
        yield Block(text[position.start : end], position.kind, position.locator)


def _dump(part: bytes, value: Any) -> bytes:
    return part + orjson.dumps(value)  # json takes four times as long, there and back


def _encode_blocks(positions: Sequence[BlockPosition]) -> dict[str, Any]:
    """Return the positions; they refer to their heading path, which is sent once for each part, by index."""
    paths: dict[tuple[str, ...], int] = {}
    blocks = [
        (
            start,
            end,
            kind,
            paths.setdefault(locator.headings, len(paths)),
            locator.page,
            locator.sheet,
            locator.lines,
        )
        for start, end, kind, locator in positions
    ]
    return {"paths": list(paths), "blocks": blocks}


def _encode_chunk(chunk: Chunk, terms: ChunkTerms | None) -> tuple[Any, ...]:
    return (
        chunk.start,
        chunk.end,
        chunk.text,
        chunk.heading,
        chunk.page,
        chunk.embedding_prefix,
        [offset for sentence in chunk.sentences for offset in sentence],
        chunk.role,
        terms and tuple(terms),
    )
