"""HTML as blocks, for every reader that meets some. Leaves out navigation, and judges nothing else of a page.

The tree is walked with pointers, never by recursion: a page may be nested as deep as its author likes.
"""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ....core.types.documents import Locator
from ..block_builder import MAX_HEADING_CHARACTERS, NOWHERE, Outline, line
from ..table_grid import Grid
from .html_depth import APART_IN_CELLS, BLOCKS, HEADINGS, check_depth

_SKIPPED = frozenset({"script", "style", "template", "noscript", "iframe", "title", "annotation", "rp", "-comment"})
_APART = frozenset({"button", "img", "input", "label", "select", "svg", "textarea", "video"})
"""Inline, but nobody reads them as one word with what is beside them."""
_NOT_SHOWN = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.IGNORECASE)
_INTEGER = re.compile(r"\s*(-?[0-9]{1,9})")


def add_html(outline: Outline, html: str, *, at: Locator = NOWHERE) -> None:
    """Append the blocks of a page or of a piece of one; its title is taken if the outline has none yet."""
    check_depth(html)
    page = LexborHTMLParser(html.encode(errors="replace"))
    title = page.css_first("head > title")  # a picture in the text may have a title of its own
    if outline.title is None and title is not None:
        outline.title = line(title.text()) or None
    skipped = _SKIPPED | {"nav"} if page.css_first("main, article, [role=main]") is not None else _SKIPPED
    walk = _Walk(outline, at)
    if page.root is not None:
        for node, opens in _events(page.root, skipped, _hidden(page)):
            (walk.open if opens else walk.close)(node, str(node.tag))
    walk.flush()


def add_fragment(outline: Outline, html: str) -> None:
    """Append a piece of HTML below the open headings; its own open none."""
    inner = Outline(title="")
    add_html(inner, html)
    for block in inner.blocks:
        outline.add(block.text, "paragraph" if block.kind == "heading" else block.kind)


def _hidden(page: LexborHTMLParser) -> frozenset[int]:
    """The elements that are not shown, as far as they say so; a body that waits for its script is."""
    return frozenset(
        node.mem_id
        for node in page.css("[hidden]:not([hidden=until-found]), [style*=display i]")
        if node.tag not in ("html", "body")
        and ("hidden" in node.attributes or _NOT_SHOWN.search(node.attributes.get("style") or ""))
    )


def _events(root: LexborNode, skipped: frozenset[str], hidden: frozenset[int]) -> Iterator[tuple[LexborNode, bool]]:
    """Every node that is shown as it opens (True) and as it closes (False), in reading order."""
    node: LexborNode | None = root
    depth = 0
    while node is not None:
        seen = node.tag not in skipped and not (hidden and node.mem_id in hidden)
        if seen:
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


class _Walk:
    """Gathers text until a block ends. Inside a table it goes to the cell, inside a list to the item."""

    def __init__(self, outline: Outline, at: Locator) -> None:
        self.outline = outline
        self.at = at
        self.texts: list[str] = []
        self.level = 0
        self.heading: list[str] = []
        self.lists: list[tuple[int, int] | None] = []
        self.items: list[list[str]] = []
        self.marker: str | None = None
        self.term = False
        self.grids: list[Grid | None] = []
        self.verbatim = False

    @property
    def grid(self) -> Grid | None:
        """The table that takes the text; None also inside one that only lays out the page."""
        return self.grids[-1] if self.grids else None

    def open(self, node: LexborNode, tag: str) -> None:
        if tag == "-text":
            self.texts.append(node.text_content or "")
        elif tag == "br":
            self.texts.append("\n")
        elif tag in _APART:
            self.texts.append(f" {node.attributes.get('alt') or ''} " if tag == "img" else " ")
        elif tag == "q":
            self.texts.append("\u201c")
        elif tag == "table":
            self.flush()
            self.grids.append(None if _lays_out(node) else Grid())
        elif self.grid is not None:
            self._open_in_table(self.grid, tag)
        elif tag in HEADINGS or tag == "pre":
            self.flush()
            self.verbatim = tag == "pre"
            self.level = HEADINGS.get(tag, 0)
        elif tag in BLOCKS:
            self._open_block(node, tag)

    def _open_in_table(self, grid: Grid, tag: str) -> None:
        if tag == "tr":
            grid.open_row()
        if tag in ("td", "th", "caption"):
            self.texts = []
        elif tag in APART_IN_CELLS:
            self.texts.append(" ")

    def _open_block(self, node: LexborNode, tag: str) -> None:
        self.end_block()
        if tag in ("ul", "ol", "dl"):
            self._end_heading()
            self.lists.append(_numbers(node) if tag == "ol" else None)
        elif tag in ("li", "dt", "dd") and self.lists:
            self._open_item(node, tag)

    def _open_item(self, node: LexborNode, tag: str) -> None:
        if tag == "dd" and self.term and self.items:
            self.items[-1][-1] = self.items[-1][-1].removesuffix(":") + ":"
            self.marker = None
        else:
            numbers = self.lists[-1]
            mark = "-"
            if numbers is not None:
                number, step = _integer(node, "value", numbers[0]), numbers[1]
                mark = f"{number}."
                self.lists[-1] = number + step, step
            self.marker = f"{'  ' * (len(self.lists) - 1)}{mark} "
        self.term = tag == "dt"

    def close(self, node: LexborNode, tag: str) -> None:
        if tag in _APART:
            self.texts.append(" ")
        elif tag == "q":
            self.texts.append("\u201d")
        elif tag == "table":
            self._close_table()
        elif self.grid is not None:
            self._close_in_table(self.grid, node, tag)
        elif tag == "pre":
            self._close_verbatim()
        elif tag in HEADINGS:
            self.end_block()
            self._end_heading(closed=True)
        elif tag in BLOCKS:
            self.end_block()
            if tag in ("ul", "ol", "dl") and self.lists:
                self.lists.pop()
                self.marker = "  " * len(self.lists)  # what follows goes on with the item around this list
                if not self.lists:
                    self.flush()

    def _close_table(self) -> None:
        grid = self.grids.pop() if self.grids else None
        if grid is None:
            return self.flush()
        self.texts = []
        return self.outline.add(grid.text(), "table", self.at)

    def _close_in_table(self, grid: Grid, node: LexborNode, tag: str) -> None:
        if tag in ("td", "th"):
            span = node.attributes
            grid.cell(self._taken(), _count(span.get("colspan")), _count(span.get("rowspan")))
        elif tag == "caption":
            self.outline.add(self._taken(), "paragraph", self.at)
        elif tag in APART_IN_CELLS:
            self.texts.append(" ")

    def _close_verbatim(self) -> None:
        self.outline.add("".join(self.texts).strip("\n"), "code", self.at)
        self.texts, self.verbatim = [], False

    def _end_heading(self, *, closed: bool = False) -> None:
        """Add the heading that is open; what was never closed is one only as far as its first block."""
        parts, level = self.heading, self.level
        self.heading, self.level = [], 0
        text = " ".join(parts) if closed else "".join(parts[:1])
        if level == 1 and self.outline.title is None:
            self.outline.title = text or None
        if level:
            self.outline.heading(text, level, self.at)
        for part in () if closed else parts[1:]:
            self.outline.add(part, "paragraph", self.at)

    def _taken(self) -> str:
        text = line("".join(self.texts))
        self.texts = []
        return text

    def end_block(self) -> None:
        """Put the text gathered so far where it belongs."""
        if self.verbatim:
            self.texts.append("\n")
            return
        text = self._taken()
        if not text:
            return
        if self.level:
            self.heading.append(text)
            if sum(map(len, self.heading)) > MAX_HEADING_CHARACTERS:
                self._end_heading()
        elif not self.lists:
            self.outline.add(text, "paragraph", self.at)
        elif self.marker is not None or not self.items:
            self.items.append([(self.marker or "") + text])
            self.marker = None
        else:
            self.items[-1].append(text)

    def flush(self) -> None:
        """End the block, and with it the list so far."""
        self.verbatim = False
        self.end_block()
        self._end_heading()
        self.outline.add("\n".join(" ".join(texts) for texts in self.items), "list", self.at)
        self.items = []


def _lays_out(table: LexborNode) -> bool:
    """Whether a table only arranges a page: it holds another table, or has no two cells side by side."""
    return len(table.css("table")) > 1 or table.css_first("td + td, td + th, th + td, th + th") is None


def _numbers(ol: LexborNode) -> tuple[int, int]:
    """The first number of a list, and the step to the next."""
    if "reversed" not in ol.attributes:
        return _integer(ol, "start", 1), 1
    return _integer(ol, "start", sum(item.tag == "li" for item in ol.iter())), -1


def _integer(node: LexborNode, name: str, default: int) -> int:
    found = _INTEGER.match(node.attributes.get(name) or "")
    return int(found[1]) if found else default


def _count(span: str | None) -> int:
    return int(span[:4]) if span and span.isdecimal() else 1
