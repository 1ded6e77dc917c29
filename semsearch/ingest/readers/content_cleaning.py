"""Clean what a reader returns: its texts, headings and title."""

from ...core.types.documents import Block, Locator, ParsedContent
from ...text.cleaning import clean


def clean_content(content: ParsedContent) -> ParsedContent:
    """Return the content without invisible characters and empty blocks; its map is kept if that changes no block."""
    blocks = []
    for block in content.blocks:
        text = clean(block.text).strip("\n").rstrip()
        if block.kind != "code":
            text = text.lstrip()
        if text:
            locator = _clean_locator(block.locator)
            is_unchanged = text == block.text and locator is block.locator
            blocks.append(block if is_unchanged else Block(text, block.kind, locator))
    title = clean(content.title or "").strip() or None
    page_map = content.page_map if content.page_map and blocks == list(content.blocks) else b""
    return ParsedContent(tuple(blocks), title, page_map)


def _clean_locator(locator: Locator) -> Locator:
    if not locator.headings and locator.sheet is None:
        return locator
    headings = tuple(filter(None, (clean(heading).strip() for heading in locator.headings)))
    return Locator(headings, locator.page, locator.sheet and clean(locator.sheet), locator.lines)
