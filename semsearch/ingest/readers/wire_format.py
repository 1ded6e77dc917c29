"""What a reader child answers, as the bytes of a frame. Does not start or end it.

Answers are JSON, never pickle: the child has read a hostile file.
"""

import json
from typing import Any

from ...core.types.documents import Block, Locator, ParsedContent


def encode_content(content: ParsedContent) -> bytes:
    """Return the frame of what was read; each path of headings is in it once, however many blocks stand below it."""
    paths: dict[tuple[str, ...], int] = {}
    blocks = [
        [block.text, block.kind, paths.setdefault(at.headings, len(paths)), at.page, at.sheet, at.lines]
        for block, at in ((block, block.locator) for block in content.blocks)
    ]
    answer = {"title": content.title, "paths": list(paths), "blocks": blocks}
    return json.dumps(answer, ensure_ascii=False).encode()


def decode_content(answer: dict[str, Any]) -> ParsedContent:
    """Return what was read, from the JSON of its frame."""
    paths = [tuple(path) for path in answer["paths"]]
    blocks = (
        Block(text, kind, Locator(paths[path], page, sheet, lines and (lines[0], lines[1])))
        for text, kind, path, page, sheet, lines in answer["blocks"]
    )
    return ParsedContent(tuple(blocks), answer["title"])
