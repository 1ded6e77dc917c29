"""OpenDocument texts, presentations and spreadsheets. Does not read formulas or pictures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content, Locator
from ..block_builder import NOWHERE, Outline, line
from ..table_grid import Grid
from ..zip_archive import Archive, local
from .sheet_blocks import add_sheet, commented

MAX_REPEATED = 1_000
"""Of one cell or row; programs fill a sheet to its end by repeating the last one."""

_SHAPES = frozenset({"caption", "circle", "connector", "custom-shape", "ellipse", "frame", "line", "polygon", "rect"})
_ATTACHED = _SHAPES | {"annotation", "note-body", "table"}
_LEFT_OUT = frozenset({"annotation", "note", "tracked-changes", "forms", "sequence-decls", "notes"})


def read(data: bytes) -> Content:
    """Read the body; the title is the one in the properties, else the first heading."""
    archive = Archive(data)
    if archive.has("META-INF/manifest.xml") and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise UnsupportedMedia("it is encrypted; save it without a password")
    outline = Outline(title=_title(archive))
    root = archive.xml("content.xml")
    writer = _Writer(outline, _numbered(root))
    body = root.find("{*}body")
    for part in body if body is not None else ():
        if local(part) == "spreadsheet":
            for table in part.iterfind("{*}table"):
                name = _attribute(table, "name")
                add_sheet(outline, name, _rows(table))
                writer.add_attached(_outermost(table, _SHAPES), Locator(sheet=name))
        else:
            writer.add(part, NOWHERE)
    return outline.content()


def _title(archive: Archive) -> str | None:
    if not archive.has("meta.xml"):
        return None
    return next((line("".join(element.itertext())) for element in archive.xml("meta.xml").iter("{*}title")), "") or None


def _attribute(element: Any, name: str) -> str:
    return next((str(text) for key, text in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _numbered(root: Any) -> frozenset[tuple[str, int]]:
    """The styles of lists that number their items, each with the level it does so at."""
    return frozenset(
        (_attribute(style, "name"), _count(level, "level"))
        for style in root.iterfind("{*}automatic-styles/{*}list-style")
        for level in style.iterfind("{*}list-level-style-number")
        if _attribute(level, "num-format")
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Walks through a text or a presentation."""

    outline: Outline
    numbered: frozenset[tuple[str, int]]
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    """By style and depth how far the last list has counted."""

    def add(self, element: Any, at: Locator) -> None:
        """Add what an element holds; depth is bounded by the parser."""
        page = at.page or 0
        for child in element:
            name = local(child)
            if name == "page":
                page += 1
                self.outline.close_headings()
                self.add(child, Locator(page=page))
            elif name == "h":
                self._add_heading(child, at)
            elif name == "p":
                self.outline.add(line(_text(child)), "paragraph", at)
                self.add_attached(_outermost(child, _ATTACHED), at)
            elif name == "list":
                self._add_list(child, at)
            elif name == "table":
                self.outline.add(_table(child), "table", at)
            elif name == "frame" and _attribute(child, "class") == "title":
                self.outline.heading(_paragraphs(child), 1, at)
            elif name == "notes":
                text = _paragraphs(child)
                self.outline.add(f"Notes: {text}" if text else "", "paragraph", at)
            elif name not in _LEFT_OUT:
                self.add(child, at)

    def _add_heading(self, element: Any, at: Locator) -> None:
        level = _attribute(element, "outline-level")
        text = line(_text(element))
        if self.outline.title is None and level in ("", "1"):
            self.outline.title = text or None
        self.outline.heading(text, int(level) if level in ("1", "2", "3", "4", "5", "6", "7", "8", "9") else 1, at)
        self.add_attached(_outermost(element, _ATTACHED), at)

    def add_attached(self, elements: Iterable[Any], at: Locator) -> None:
        """Shapes, notes, comments and tables that stand inside of a paragraph, a heading or an item."""
        for element in elements:
            name = local(element)
            if name == "table":
                self.outline.add(_table(element), "table", at)
            elif name in _SHAPES:
                self.add(element, at)
            else:
                text = _paragraphs(element)
                kind = "Comment" if name == "annotation" else "Footnote"
                self.outline.add(f"{kind}: {text}" if text else "", "paragraph", at)

    def _add_list(self, element: Any, at: Locator) -> None:
        """Its items; what is attached to one of them follows it, and the list goes on behind."""
        texts: list[str] = []
        for text, attached in self._items(element, 0, _attribute(element, "style-name")):
            texts += [text] if text else []
            if attached:
                self.outline.add("\n".join(texts), "list", at)
                self.add_attached(attached, at)
                texts = []
        self.outline.add("\n".join(texts), "list", at)

    def _items(self, element: Any, depth: int, style: str) -> Iterator[tuple[str, list[Any]]]:
        """One line per item, numbered where the list's style says so, and what is attached to it."""
        numbered = (style, depth + 1) in self.numbered
        goes_on = _attribute(element, "continue-numbering") == "true" or _attribute(element, "continue-list")
        count = self.counts.get((style, depth), 0) if goes_on else 0
        for item in element:
            count = _count(item, "start-value", count + 1) - 1
            first = list(takewhile(lambda child: local(child) != "list", item))
            text, behind = _joined(first), _joined(list(item)[len(first) :])
            count += bool(text)
            self.counts[style, depth] = count
            inside = list(_outermost(item, _ATTACHED | {"list"}))
            mark = f"{'  ' * depth}{f'{count}.' if numbered else '-'} "
            yield mark + text if text else "", [child for child in inside if local(child) != "list"]
            for child in inside:
                if local(child) == "list":
                    yield from self._items(child, depth + 1, _attribute(child, "style-name") or style)
            yield "  " * (depth + 1) + behind if behind else "", []


def _joined(parts: Iterable[Any]) -> str:
    return " ".join(filter(None, (line(_text(part)) for part in parts if local(part) in ("p", "h"))))


def _paragraphs(element: Any) -> str:
    return line(" ".join(map(_text, element.iter("{*}p"))))


def _table(element: Any) -> str:
    grid = Grid()
    for row in _outermost(element, frozenset({"table-row"})):
        grid.open_row()
        for cell in row:
            if local(cell) == "table-cell":
                text = line(" ".join(map(_text, cell.iter("{*}p", "{*}h"))))
                grid.cell(text, _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned"))
    return grid.text()


def _rows(table: Any) -> Iterator[list[str]]:
    for row in _outermost(table, frozenset({"table-row"})):
        cells: list[str] = []
        for cell in row:
            text = line(" ".join(map(_text, cell.iterfind("{*}p"))))
            comments = [_paragraphs(comment) for comment in cell.iterfind("{*}annotation")]
            text = commented(text, " ".join(comments)) if comments else text
            cells += [text] * min(_count(cell, "number-columns-repeated"), MAX_REPEATED)
        while cells and not cells[-1]:
            cells.pop()
        times = _count(row, "number-rows-repeated")
        # an empty row that is repeated to the end of the sheet keeps the numbers of no row after it
        yield from [cells] * min(times, MAX_REPEATED if cells else 100_000)


def _outermost(element: Any, names: frozenset[str]) -> Iterator[Any]:
    """The elements of these names below one, but not those inside another of them."""
    for child in element:
        if local(child) in names:
            yield child
        else:
            yield from _outermost(child, names)


def _count(element: Any, name: str, default: int = 1) -> int:
    text = _attribute(element, name)
    return int(text[:7]) if text.isascii() and text.isdecimal() else default


def _text(element: Any) -> str:
    """The text of a paragraph; white space is an element in this format."""
    parts = [element.text or ""]
    for child in element:
        name = local(child)
        if name in ("tab", "line-break", "s"):
            parts.append(" ")
        elif name not in _LEFT_OUT and name not in _SHAPES:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
