"""Word documents: body, tables, text boxes, notes, comments, headers and footers. No fields, no pictures.

The XML is read directly: a document object model would hide text boxes and notes, and fail on parts that nobody reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....core.types.documents import Content
from ..block_builder import NOWHERE, Outline, line
from ..table_grid import Grid
from ..zip_archive import local
from .chart_data import add_chart
from .docx_numbering import Numbering, value
from .omml import linear
from .opc import Package, reference
from .symbol_fonts import symbol

_LEFT_OUT = frozenset({"del", "moveFrom", "instrText", "delText", "Fallback", "rPr", "pPr", "txbxContent", "sdtPr"})
_LATER = frozenset({"footnoteReference", "endnoteReference", "commentReference"})
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik)\s*(\d)", re.IGNORECASE)
_CODE = re.compile(r"\bcode|preformatted|listing\b|source text", re.IGNORECASE)
_NOT_CODE = re.compile(r"caption|title|number|head", re.IGNORECASE)
_MAX_BASES = 20


@dataclass(frozen=True, slots=True)
class _Style:
    name: str = ""
    base: str = ""
    level: int | None = None
    number: tuple[str, int] | None = None


def read(data: bytes) -> Content:
    """Read the document; its title is the one in its properties, else its title paragraph or first heading."""
    package = Package(data)
    main = package.main()
    writer = _Writer(package, main)
    writer.add(package.archive.xml(main))
    writer.flush()
    writer.add_margins()
    return writer.outline.content()


class _Writer:
    """Walks through the document; items of a list and lines of code are gathered until something else comes."""

    def __init__(self, package: Package, main: str) -> None:
        self.package = package
        self.main = main
        self.outline = Outline()
        self.outline.title = package.title()
        self.styles = {
            value(style, "styleId"): _style(style) for root in package.related(main, "styles") for style in root
        }
        self.numbering = Numbering()
        for root in package.related(main, "numbering"):
            self.numbering.read(root)
        self.notes = {
            (kind, value(note, "id")): note
            for kind in ("footnote", "endnote", "comment")
            for root in package.related(main, f"{kind}s")
            for note in root
        }
        self.charts = {relation: name for relation, (kind, name) in package.relations(main).items() if kind == "chart"}
        self.drawn = set[str]()
        self.items: list[str] = []
        self.code: list[str] = []

    def add(self, element: Any) -> None:
        """Add what an element holds; depth is bounded by the parser."""
        for child in element:
            name = local(child)
            if name == "p":
                self._add_paragraph(child)
            elif name == "tbl":
                self._add_table(child)
            elif name not in _LEFT_OUT:
                self.add(child)

    def flush(self) -> None:
        """End the list or the code so far."""
        self.outline.add("\n".join(self.items), "list")
        self.outline.add("\n".join(self.code), "code")
        self.items, self.code = [], []

    def _add_paragraph(self, paragraph: Any) -> None:
        text = _text(paragraph)
        if text.strip():
            self._place(paragraph, text)
        self._add_attached(paragraph)

    def _place(self, paragraph: Any, text: str) -> None:
        properties = paragraph.find("{*}pPr")
        style = value(properties.find("{*}pStyle")) if properties is not None else ""
        name = self.styles.get(style, _Style(style)).name
        level = self._level(properties, style)
        number = None if level == 0 else self._number(properties, style)
        if _CODE.search(name) and not _NOT_CODE.search(name):
            if self.items:
                self.flush()
            self.code.append(text.rstrip())
            return
        if self.code:
            self.flush()
        if level is not None:
            self.flush()
            self._add_heading(line(text), level, number)
        elif number is not None:
            self.items.append(f"{'  ' * number[1]}{self.numbering.next(*number)} {line(text)}")
        else:
            self.flush()
            self.outline.add(line(text))

    def _add_heading(self, text: str, level: int, number: tuple[str, int] | None) -> None:
        mark = self.numbering.next(*number) if number else "-"
        if self.outline.title is None and level <= 1:
            self.outline.title = text
        self.outline.heading(text if mark == "-" else f"{mark} {text}", level)

    def _bases(self, style: str) -> Iterator[_Style]:
        for _ in range(_MAX_BASES):
            if style not in self.styles:
                return
            yield self.styles[style]
            style = self.styles[style].base

    def _level(self, properties: Any, style: str) -> int | None:
        """1 to 9 for a heading, 0 for the title of the document."""
        own = value(properties.find("{*}outlineLvl")) if properties is not None else ""
        if own.isdecimal():
            return int(own) + 1 if int(own) < 9 else None
        return next((base.level for base in self._bases(style) if base.level is not None), None)

    def _number(self, properties: Any, style: str) -> tuple[str, int] | None:
        own = _number(properties)
        if own is None:
            own = next((base.number for base in self._bases(style) if base.number is not None), None)
        return own if own and own[0] not in ("", "0") else None

    def _add_attached(self, paragraph: Any) -> None:
        """Text boxes anchored in a paragraph, then the notes and comments it refers to."""
        for element in _outermost(paragraph, frozenset({"txbxContent"}), _LEFT_OUT - {"txbxContent"}):
            self.flush()
            self.add(element)
            self.flush()
        for chart in _outermost(paragraph, frozenset({"chart"}), _LEFT_OUT):
            name = self.charts.get(reference(chart), "")
            if name not in self.drawn and self.package.archive.has(name):
                self.drawn.add(name)
                self.flush()
                add_chart(self.outline, self.package.archive.xml(name), NOWHERE)
        for element in _outermost(paragraph, _LATER, _LEFT_OUT):
            kind = local(element).removesuffix("Reference")
            note = self.notes.pop((kind, value(element, "id")), None)
            self._add_note(kind, note)

    def _add_note(self, kind: str, note: Any) -> None:
        text = line(" ".join(map(_text, _paragraphs(note)))) if note is not None else ""
        if not text:
            return
        self.flush()
        author, day = value(note, "author"), value(note, "date")[:10]
        said = ", ".join(filter(None, [kind.capitalize() + (f" by {author}" if author else ""), day]))
        self.outline.add(f"{said}: {text}")

    def _add_table(self, table: Any) -> None:
        rows = [list(_outermost(row, frozenset({"tc"}), _LEFT_OUT)) for row in _rows(table)]
        if all(len(cells) < 2 for cells in rows):
            for cell in (cell for cells in rows for cell in cells):
                self.add(cell)
            return
        self.flush()
        grid = Grid()
        for cells in rows:
            grid.open_row()
            for cell in cells:
                self._add_cell(grid, cell)
        self.outline.add(grid.text(), "table")

    def _add_cell(self, grid: Grid, cell: Any) -> None:
        properties = cell.find("{*}tcPr")
        span, merge = (
            (properties.find("{*}gridSpan"), properties.find("{*}vMerge")) if properties is not None else (None, None)
        )
        text = line(" ".join(self._cell_text(paragraph) for paragraph in _paragraphs(cell)))
        if not text and merge is not None and value(merge) != "restart":
            text = grid.above()
        width = value(span)
        grid.cell(text, int(width[:3]) if width.isdecimal() else 1)

    def _cell_text(self, paragraph: Any) -> str:
        properties = paragraph.find("{*}pPr")
        style = value(properties.find("{*}pStyle")) if properties is not None else ""
        number = self._number(properties, style)
        text = _text(paragraph)
        return f"{self.numbering.next(*number)} {text}" if number and text.strip() else text

    def add_margins(self) -> None:
        """Add headers and footers, each text once however many sections repeat it, and notes that nothing refers to."""
        self.outline.close_headings()
        seen: set[str] = set()
        for kind in ("header", "footer"):
            for root in self.package.related(self.main, kind):
                text = line(" ".join(map(_text, _paragraphs(root))))
                if text and text not in seen:
                    seen.add(text)
                    self.outline.add(text)
        for (kind, _), note in self.notes.items():
            self._add_note(kind, note)


def _style(element: Any) -> _Style:
    name = value(element.find("{*}name"))
    properties = element.find("{*}pPr")
    outline = value(properties.find("{*}outlineLvl")) if properties is not None else ""
    heading = _HEADING.match(name)
    level = int(heading[1]) if heading else int(outline) + 1 if outline.isdecimal() and int(outline) < 9 else None
    if name.lower() == "title":
        level = 0
    return _Style(name, value(element.find("{*}basedOn")), level, _number(properties))


def _number(properties: Any) -> tuple[str, int] | None:
    number = properties.find("{*}numPr") if properties is not None else None
    if number is None:
        return None
    level = value(number.find("{*}ilvl"))
    return value(number.find("{*}numId")), int(level) if level.isdecimal() and len(level) == 1 else 0


def _rows(table: Any) -> Iterator[Any]:
    rows = _outermost(table, frozenset({"tr"}), _LEFT_OUT)
    return (row for row in rows if row.find("{*}trPr/{*}del") is None)


def _paragraphs(element: Any) -> Iterator[Any]:
    """All paragraphs below an element, those of a text box after the one that holds it."""
    for child in element:
        if local(child) == "p":
            yield child
        if local(child) not in _LEFT_OUT or local(child) == "txbxContent":
            yield from _paragraphs(child)


def _outermost(element: Any, names: frozenset[str], left_out: frozenset[str]) -> Iterator[Any]:
    """The elements of these names below one, but not those inside another of them."""
    for child in element:
        if local(child) in names:
            yield child
        elif local(child) not in left_out:
            yield from _outermost(child, names, left_out)


def _text(element: Any) -> str:
    """The text of a paragraph, without what is anchored in it."""
    parts = []
    for child in element:
        name = local(child)
        if name == "t":
            parts.append(child.text or "")
        elif name in ("tab", "ptab"):
            parts.append("\t")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "noBreakHyphen":
            parts.append("-")
        elif name == "sym":
            parts.append(symbol(value(child, "font"), value(child, "char")))
        elif name == "rPr" and _is_set(child.find("{*}vanish")):
            return ""
        elif name == "oMath":
            parts.append(f" {linear(child)} ")
        elif name == "checkBox":
            parts.append(_box(child))
        elif name not in _LEFT_OUT:
            parts.append(_text(child))
    return "".join(parts)


def _box(element: Any) -> str:
    mark = element.find("{*}checked")
    return "☒ " if _is_set(mark if mark is not None else element.find("{*}default")) else "☐ "


def _is_set(switch: Any) -> bool:
    return switch is not None and value(switch) not in ("0", "false", "off")
