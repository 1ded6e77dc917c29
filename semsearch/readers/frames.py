"""What travels between a reader child and its parent, in length-prefixed frames. Does not start or end either.

Answers are JSON, never pickle: the child has read a hostile file.
"""

import json
import struct
from typing import IO, Any

from ..types import Block, Content, Locator

MAX_FRAME_BYTES = 1 << 30
_LENGTH = struct.Struct(">Q")


def send(stream: IO[bytes], *parts: bytes) -> None:
    """Write one frame for each part."""
    for part in parts:
        stream.write(_LENGTH.pack(len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read one frame; None if the other side has ended, or says something absurd."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        return None
    body = stream.read(length)
    return body if len(body) == length else None


def packed(content: Content) -> bytes:
    """Return the frame of what was read; each path of headings is in it once, however many blocks stand below it."""
    paths: dict[tuple[str, ...], int] = {}
    blocks = [
        [block.text, block.kind, paths.setdefault(at.headings, len(paths)), at.page, at.sheet, at.lines]
        for block, at in ((block, block.locator) for block in content.blocks)
    ]
    answer = {"title": content.title, "paths": list(paths), "blocks": blocks}
    return json.dumps(answer, ensure_ascii=False).encode()


def unpacked(answer: dict[str, Any]) -> Content:
    """Return what was read, from the JSON of its frame."""
    paths = [tuple(path) for path in answer["paths"]]
    blocks = (
        Block(text, kind, Locator(paths[path], page, sheet, lines and (lines[0], lines[1])))
        for text, kind, path, page, sheet, lines in answer["blocks"]
    )
    return Content(tuple(blocks), answer["title"])
