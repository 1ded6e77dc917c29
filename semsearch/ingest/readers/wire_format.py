"""Encode and decode what a reader process and its parent send to each other. Does not start processes.

The format is JSON, never pickle: the process may have read a hostile file.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import astuple
from typing import Any

from ...core.plugins import Plugin
from ...core.types.documents import Block, Locator, ParsedContent
from ..page_map import MAX_MAP_BYTES


def encode_content(content: ParsedContent) -> bytes:
    """Return the content as the bytes of a frame; blocks refer to their heading path, which is sent once, by index."""
    paths: dict[tuple[str, ...], int] = {}
    blocks = [
        [
            block.text,
            block.kind,
            paths.setdefault(block.locator.headings, len(paths)),
            block.locator.page,
            block.locator.sheet,
            block.locator.lines,
        ]
        for block in content.blocks
    ]
    page_map = b64encode(content.page_map).decode()
    response = {"title": content.title, "paths": list(paths), "blocks": blocks, "page_map": page_map}
    return json.dumps(response, ensure_ascii=False).encode()


def decode_content(response: dict[str, Any]) -> ParsedContent:
    """Return the content from the parsed JSON of a frame."""
    paths = [tuple(path) for path in response["paths"]]
    blocks = (
        Block(text, kind, Locator(paths[path], page, sheet, lines and (lines[0], lines[1])))
        for text, kind, path, page, sheet, lines in response["blocks"]
    )
    page_map = b64decode(response["page_map"], validate=True)
    return ParsedContent(tuple(blocks), response["title"], page_map if len(page_map) <= MAX_MAP_BYTES else b"")


def encode_plugin(plugin: Plugin | None) -> bytes:
    """Return the plugin as the bytes of a frame, empty if there is none: the process need not look for plugins."""
    return b"" if plugin is None else json.dumps(astuple(plugin)).encode()


def decode_plugin(frame: bytes) -> Plugin | None:
    """Return the plugin of a frame."""
    return Plugin(*json.loads(frame)) if frame else None
