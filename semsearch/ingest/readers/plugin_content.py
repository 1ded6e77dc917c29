"""Read a source with a plugin, and check what it returns: one wrong block would make the stored document unreadable."""

from collections.abc import Callable
from typing import Any, get_args

from ...core.errors import TooLargeError, UnsupportedMediaError
from ...core.plugins import Plugin, convert_exceptions
from ...core.types.documents import Block, BlockKind, Locator, ParsedContent
from ..limits import MAX_BLOCKS, MAX_TEXT_CHARACTERS
from .block_builder import MAX_HEADING_CHARACTERS

_KINDS: tuple[str, ...] = get_args(BlockKind)


def read_with_plugin(plugin: Plugin, data: bytes) -> ParsedContent:
    """Return the content that the plugin reads from `data`; UnsupportedMediaError if it fails or is not valid."""
    reader = plugin.load()
    with convert_exceptions(
        lambda reason: UnsupportedMediaError(f"it is damaged, or {plugin.distribution} has a defect: {reason}")
    ):
        content = reader(data)
    if problem := _find_problem(content):
        raise UnsupportedMediaError(f"{plugin.distribution} returned {problem}; report it to the author of the plugin")
    if len(content.blocks) > MAX_BLOCKS or sum(len(block.text) for block in content.blocks) > MAX_TEXT_CHARACTERS:
        limits = f"{MAX_TEXT_CHARACTERS:,} characters or {MAX_BLOCKS:,} paragraphs"
        raise TooLargeError(f"it contains more text than {limits}; split it")
    return ParsedContent(tuple(content.blocks), content.title)


def _find_problem(content: Any) -> str | None:
    """Return what is wrong with the result of a reader; None if it is valid."""
    if not isinstance(content, ParsedContent):
        return f"a {type(content).__name__}, not a ParsedContent"
    if not isinstance(content.title, str | None):
        return "a title that is neither a text nor None"
    if not isinstance(content.blocks, tuple | list):
        return "blocks that are not a tuple"
    return next(filter(None, map(_find_block_problem, content.blocks)), None)


def _find_block_problem(block: Any) -> str | None:
    if not isinstance(block, Block) or not isinstance(block.text, str) or not isinstance(block.locator, Locator):
        return f"{block!r:.80}, not a Block of a text and a Locator"
    if block.kind not in _KINDS:
        return f"a block of kind {block.kind!r:.40}, not {', '.join(_KINDS)}"
    locator = block.locator
    if not isinstance(locator.headings, tuple) or not all(map(_is_heading, locator.headings)):
        return f"headings that are not a tuple of texts of at most {MAX_HEADING_CHARACTERS} characters"
    if block.kind == "heading" and locator.headings[-1:] != (block.text,):
        return f"the heading {block.text!r:.80} without itself at the end of its headings"
    if not isinstance(locator.sheet, str | None) or not _is_optional(locator.page, _is_number):
        return f"{locator!r:.120}, whose page is not a number from 1, or whose sheet is not a text"
    return None if _is_optional(locator.lines, _is_range) else f"the lines {locator.lines!r:.40}, not (first, last)"


def _is_heading(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_HEADING_CHARACTERS


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _is_optional(value: Any, is_valid: Callable[[Any], bool]) -> bool:
    return value is None or is_valid(value)
