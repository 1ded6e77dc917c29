"""Convert HTML to blocks, for all readers whose format contains HTML. Drops navigation, but no other visible text.

The tree is walked with pointers, not by recursion, because a page may be nested deeply.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ....core.types.documents import Locator
from ..attribute_limit import check_attributes
from ..block_builder import EMPTY_LOCATOR, MAX_HEADING_CHARACTERS, BlockBuilder, collapse_whitespace
from ..table_grid import TableGrid
from .html_depth import BLOCK_ELEMENTS, HEADING_LEVELS, SEPARATING_CELL_ELEMENTS, validate_depth
from .html_noise import find_noise
from .template_tags import remove_tags

_SKIPPED_ELEMENTS = frozenset(
    {"script", "style", "template", "noscript", "iframe", "title", "annotation", "rp", "-comment"}
)
_SEPARATING_INLINE_ELEMENTS = frozenset({"button", "img", "input", "label", "select", "svg", "textarea", "video"})
"""Inline elements that separate the words around them."""
_BADGE = re.compile(r"\bshields\.io/|\bbadge\b|\bbadge[./_-]", re.IGNORECASE)
"""In the address of an image that shows the state of a build or a version."""
_INTEGER = re.compile(r"\s*(-?[0-9]{1,9})")


def add_html(
    builder: BlockBuilder, html: str, *, locator: Locator = EMPTY_LOCATOR, has_template_tags: bool = False
) -> None:
    """Append the blocks of a page or fragment; set the builder's title if it has none.

    With `has_template_tags` the tags of template languages are removed from its text, but not from its code.
    """
    validate_depth(html)
    check_attributes(html)
    page = LexborHTMLParser(html.encode(errors="replace"))
    title = page.css_first("head > title")  # an SVG image in the body may have a <title> too
    if builder.title is None and title is not None:
        builder.title = collapse_whitespace(title.text()) or None
    walker = _HtmlWalker(builder, locator, has_template_tags)
    if page.root is not None:
        for node, is_opening in _walk_nodes(page.root, find_noise(page)):
            (walker.open_node if is_opening else walker.close_node)(node, str(node.tag))
    walker.flush()


def add_fragment(builder: BlockBuilder, html: str) -> None:
    """Append an HTML fragment below the open headings; its own headings become paragraphs."""
    inner = BlockBuilder(title="")
    add_html(inner, html)
    for block in inner.blocks:
        builder.add(block.text, "paragraph" if block.kind == "heading" else block.kind)


def _walk_nodes(root: LexborNode, noise: frozenset[int]) -> Iterator[tuple[LexborNode, bool]]:
    """Yield every visible node in reading order, twice: when it opens (True) and when it closes (False)."""
    node: LexborNode | None = root
    depth = 0
    while node is not None:
        is_visible = node.tag not in _SKIPPED_ELEMENTS and not (noise and node.mem_id in noise)
        if is_visible:
            yield node, True
            if node.child is not None:
                node, depth = node.child, depth + 1
                continue
            yield node, False
        while node is not None and node.next is None and depth:
            node, depth = node.parent, depth - 1
            if node is not None:
                yield node, False
        node = node.next if node is not None and depth else None


class _HtmlWalker:
    """Collect text until a block ends, then add it to the current table cell, list item, heading or paragraph."""

    def __init__(self, builder: BlockBuilder, locator: Locator, has_template_tags: bool = False) -> None:
        self.builder = builder
        self.has_template_tags = has_template_tags
        self.locator = locator
        self.texts: list[str] = []
        self.heading_level = 0
        self.heading_parts: list[str] = []
        self.lists: list[tuple[int, int] | None] = []
        self.items: list[list[str]] = []
        self.item_marker: str | None = None
        self.is_after_term = False
        self.grids: list[TableGrid | None] = []
        self.is_verbatim = False

    @property
    def grid(self) -> TableGrid | None:
        """The innermost open table; None inside a layout table."""
        return self.grids[-1] if self.grids else None

    def open_node(self, node: LexborNode, tag: str) -> None:
        if tag == "-text":
            self._add_text(node)
        elif tag == "br":
            self.texts.append("\n")
        elif tag in _SEPARATING_INLINE_ELEMENTS:
            self.texts.append(f" {self._read_alt_text(node)} " if tag == "img" else " ")
        elif tag == "q":
            self.texts.append("\u201c")
        elif tag == "table":
            self.flush()
            self.grids.append(None if _is_layout_table(node) else TableGrid())
        elif self.grid is not None:
            self._open_in_table(self.grid, tag)
        elif tag in HEADING_LEVELS or tag == "pre":
            self.flush()
            self.is_verbatim = tag == "pre"
            self.heading_level = HEADING_LEVELS.get(tag, 0)
        elif tag in BLOCK_ELEMENTS:
            self._open_block(node, tag)

    def _add_text(self, node: LexborNode) -> None:
        text = node.text_content or ""
        if self.has_template_tags and "{" in text and not self.is_verbatim and not _is_code(node.parent):
            text = remove_tags(text)
        self.texts.append(text)

    def _read_alt_text(self, image: LexborNode) -> str:
        """Return the alt text of an image that is not a badge."""
        if _BADGE.search(image.attributes.get("src") or ""):
            return ""
        text = image.attributes.get("alt") or ""
        return remove_tags(text) if self.has_template_tags else text

    def _open_in_table(self, grid: TableGrid, tag: str) -> None:
        if tag == "tr":
            grid.open_row()
        if tag in ("td", "th", "caption"):
            self.texts = []
        elif tag in SEPARATING_CELL_ELEMENTS:
            self.texts.append(" ")

    def _open_block(self, node: LexborNode, tag: str) -> None:
        self.end_block()
        if tag in ("ul", "ol", "dl"):
            self._end_heading()
            self.lists.append(_read_list_numbering(node) if tag == "ol" else None)
        elif tag in ("li", "dt", "dd") and self.lists:
            self._open_item(node, tag)

    def _open_item(self, node: LexborNode, tag: str) -> None:
        if tag == "dd" and self.is_after_term and self.items:
            self.items[-1][-1] = self.items[-1][-1].removesuffix(":") + ":"
            self.item_marker = None
        else:
            numbering = self.lists[-1]
            mark = "-"
            if numbering is not None:
                number, step = _read_integer(node, "value", numbering[0]), numbering[1]
                mark = f"{number}."
                self.lists[-1] = number + step, step
            self.item_marker = f"{'  ' * (len(self.lists) - 1)}{mark} "
        self.is_after_term = tag == "dt"

    def close_node(self, node: LexborNode, tag: str) -> None:
        if tag in _SEPARATING_INLINE_ELEMENTS:
            self.texts.append(" ")
        elif tag == "q":
            self.texts.append("\u201d")
        elif tag == "table":
            self._close_table()
        elif self.grid is not None:
            self._close_in_table(self.grid, node, tag)
        elif tag == "pre":
            self._close_verbatim()
        elif tag in HEADING_LEVELS:
            self.end_block()
            self._end_heading(is_closed=True)
        elif tag in BLOCK_ELEMENTS:
            self.end_block()
            if tag in ("ul", "ol", "dl") and self.lists:
                self.lists.pop()
                self.item_marker = "  " * len(self.lists)  # following text continues the item that contains this list
                if not self.lists:
                    self.flush()

    def _close_table(self) -> None:
        grid = self.grids.pop() if self.grids else None
        if grid is None:
            return self.flush()
        self.texts = []
        return self.builder.add(grid.to_text(), "table", self.locator)

    def _close_in_table(self, grid: TableGrid, node: LexborNode, tag: str) -> None:
        if tag in ("td", "th"):
            attributes = node.attributes
            grid.add_cell(
                self._take_text(), _parse_span(attributes.get("colspan")), _parse_span(attributes.get("rowspan"))
            )
        elif tag == "caption":
            self.builder.add(self._take_text(), "paragraph", self.locator)
        elif tag in SEPARATING_CELL_ELEMENTS:
            self.texts.append(" ")

    def _close_verbatim(self) -> None:
        self.builder.add("".join(self.texts).strip("\n"), "code", self.locator)
        self.texts, self.is_verbatim = [], False

    def _end_heading(self, *, is_closed: bool = False) -> None:
        """Add the open heading; of one that is never closed, only the first block is the heading."""
        parts, level = self.heading_parts, self.heading_level
        self.heading_parts, self.heading_level = [], 0
        text = " ".join(parts) if is_closed else "".join(parts[:1])
        if level == 1 and self.builder.title is None:
            self.builder.title = text or None
        if level:
            self.builder.add_heading(text, level, self.locator)
        for part in () if is_closed else parts[1:]:
            self.builder.add(part, "paragraph", self.locator)

    def _take_text(self) -> str:
        text = collapse_whitespace("".join(self.texts))
        self.texts = []
        return text

    def end_block(self) -> None:
        """Add the collected text to the open heading, item or paragraph."""
        if self.is_verbatim:
            self.texts.append("\n")
            return
        text = self._take_text()
        if not text:
            return
        if self.heading_level:
            self.heading_parts.append(text)
            if sum(map(len, self.heading_parts)) > MAX_HEADING_CHARACTERS:
                self._end_heading()
        elif not self.lists:
            self.builder.add(text, "paragraph", self.locator)
        elif self.item_marker is not None or not self.items:
            self.items.append([(self.item_marker or "") + text])
            self.item_marker = None
        else:
            self.items[-1].append(text)

    def flush(self) -> None:
        """End the current block, heading and list."""
        self.is_verbatim = False
        self.end_block()
        self._end_heading()
        self.builder.add("\n".join(" ".join(texts) for texts in self.items), "list", self.locator)
        self.items = []


def _is_code(node: LexborNode | None) -> bool:
    return node is not None and node.tag in ("code", "kbd", "pre", "samp")


def _is_layout_table(table: LexborNode) -> bool:
    """Return whether a table only lays out the page: it contains another table, or has a single column."""
    return len(table.css("table")) > 1 or table.css_first("td + td, td + th, th + td, th + th") is None


def _read_list_numbering(ol: LexborNode) -> tuple[int, int]:
    """Return the first number of a list and the step to the next."""
    if "reversed" not in ol.attributes:
        return _read_integer(ol, "start", 1), 1
    return _read_integer(ol, "start", sum(item.tag == "li" for item in ol.iter())), -1


def _read_integer(node: LexborNode, name: str, default: int) -> int:
    match = _INTEGER.match(node.attributes.get(name) or "")
    return int(match[1]) if match else default


def _parse_span(span: str | None) -> int:
    return int(span[:4]) if span and span.isdecimal() else 1
