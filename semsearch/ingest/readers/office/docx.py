"""Word documents: body, tables, text boxes, notes, comments, headers and footers. No fields, no pictures.

The XML is read directly: a document object model would hide text boxes and notes, and fail on parts that nobody reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....core.types.documents import ParsedContent
from ..block_builder import EMPTY_LOCATOR, BlockBuilder, collapse_whitespace
from ..table_grid import TableGrid
from ..zip_archive import local_name
from .chart_data import add_chart
from .docx_numbering import Numbering, get_attribute
from .omml import format_equation
from .opc import OpcPackage, get_relationship_id
from .symbol_fonts import decode_symbol

_SKIPPED_ELEMENTS = frozenset(
    {"del", "moveFrom", "instrText", "delText", "Fallback", "rPr", "pPr", "txbxContent", "sdtPr"}
)
_NOTE_REFERENCES = frozenset({"footnoteReference", "endnoteReference", "commentReference"})
_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik)\s*(\d)", re.IGNORECASE)
_CODE_STYLE = re.compile(r"\bcode|preformatted|listing\b|source text", re.IGNORECASE)
_NON_CODE_STYLE = re.compile(r"caption|title|number|head", re.IGNORECASE)
_MAX_STYLE_DEPTH = 20


@dataclass(frozen=True, slots=True)
class _Style:
    name: str = ""
    base_style: str = ""
    heading_level: int | None = None
    list_level: tuple[str, int] | None = None


def read(data: bytes) -> ParsedContent:
    """Read the document; its title is the one in its properties, else its title paragraph or first heading."""
    package = OpcPackage(data)
    main = package.find_main_part()
    writer = _DocumentWriter(package, main)
    writer.add_children(package.archive.read_xml(main))
    writer.flush()
    writer.add_headers_and_footers()
    return writer.builder.build()


class _DocumentWriter:
    """Walks through the document; items of a list and lines of code are gathered until something else comes."""

    def __init__(self, package: OpcPackage, main_part: str) -> None:
        self.package = package
        self.main_part = main_part
        self.builder = BlockBuilder()
        self.builder.title = package.read_title()
        self.styles = {
            get_attribute(style, "styleId"): _parse_style(style)
            for root in package.read_related_parts(main_part, "styles")
            for style in root
        }
        self.numbering = Numbering()
        for root in package.read_related_parts(main_part, "numbering"):
            self.numbering.read_definitions(root)
        self.notes = {
            (kind, get_attribute(note, "id")): note
            for kind in ("footnote", "endnote", "comment")
            for root in package.read_related_parts(main_part, f"{kind}s")
            for note in root
        }
        self.charts = {
            relation: name
            for relation, (kind, name) in package.read_relationships(main_part).items()
            if kind == "chart"
        }
        self.drawn_charts = set[str]()
        self.items: list[str] = []
        self.code_lines: list[str] = []

    def add_children(self, element: Any) -> None:
        """Add what an element holds; depth is bounded by the parser."""
        for child in element:
            name = local_name(child)
            if name == "p":
                self._add_paragraph(child)
            elif name == "tbl":
                self._add_table(child)
            elif name not in _SKIPPED_ELEMENTS:
                self.add_children(child)

    def flush(self) -> None:
        """End the list or the code so far."""
        self.builder.add("\n".join(self.items), "list")
        self.builder.add("\n".join(self.code_lines), "code")
        self.items, self.code_lines = [], []

    def _add_paragraph(self, paragraph: Any) -> None:
        text = _read_text(paragraph)
        if text.strip():
            self._add_text(paragraph, text)
        self._add_attached(paragraph)

    def _add_text(self, paragraph: Any, text: str) -> None:
        properties = paragraph.find("{*}pPr")
        style = get_attribute(properties.find("{*}pStyle")) if properties is not None else ""
        name = self.styles.get(style, _Style(style)).name
        level = self._find_heading_level(properties, style)
        number = None if level == 0 else self._find_list_level(properties, style)
        if _CODE_STYLE.search(name) and not _NON_CODE_STYLE.search(name):
            if self.items:
                self.flush()
            self.code_lines.append(text.rstrip())
            return
        if self.code_lines:
            self.flush()
        if level is not None:
            self.flush()
            self._add_heading(collapse_whitespace(text), level, number)
        elif number is not None:
            self.items.append(f"{'  ' * number[1]}{self.numbering.next_label(*number)} {collapse_whitespace(text)}")
        else:
            self.flush()
            self.builder.add(collapse_whitespace(text))

    def _add_heading(self, text: str, level: int, list_level: tuple[str, int] | None) -> None:
        mark = self.numbering.next_label(*list_level) if list_level else "-"
        if self.builder.title is None and level <= 1:
            self.builder.title = text
        self.builder.add_heading(text if mark == "-" else f"{mark} {text}", level)

    def _iter_styles(self, style: str) -> Iterator[_Style]:
        for _ in range(_MAX_STYLE_DEPTH):
            if style not in self.styles:
                return
            yield self.styles[style]
            style = self.styles[style].base_style

    def _find_heading_level(self, properties: Any, style: str) -> int | None:
        """1 to 9 for a heading, 0 for the title of the document."""
        own = get_attribute(properties.find("{*}outlineLvl")) if properties is not None else ""
        if own.isdecimal():
            return int(own) + 1 if int(own) < 9 else None
        return next((base.heading_level for base in self._iter_styles(style) if base.heading_level is not None), None)

    def _find_list_level(self, properties: Any, style: str) -> tuple[str, int] | None:
        own = _parse_list_level(properties)
        if own is None:
            own = next((base.list_level for base in self._iter_styles(style) if base.list_level is not None), None)
        return own if own and own[0] not in ("", "0") else None

    def _add_attached(self, paragraph: Any) -> None:
        """Text boxes anchored in a paragraph, then the notes and comments it refers to."""
        for element in _iter_outermost(paragraph, frozenset({"txbxContent"}), _SKIPPED_ELEMENTS - {"txbxContent"}):
            self.flush()
            self.add_children(element)
            self.flush()
        for chart in _iter_outermost(paragraph, frozenset({"chart"}), _SKIPPED_ELEMENTS):
            name = self.charts.get(get_relationship_id(chart), "")
            if name not in self.drawn_charts and self.package.archive.has_member(name):
                self.drawn_charts.add(name)
                self.flush()
                add_chart(self.builder, self.package.archive.read_xml(name), EMPTY_LOCATOR)
        for element in _iter_outermost(paragraph, _NOTE_REFERENCES, _SKIPPED_ELEMENTS):
            kind = local_name(element).removesuffix("Reference")
            note = self.notes.pop((kind, get_attribute(element, "id")), None)
            self._add_note(kind, note)

    def _add_note(self, kind: str, note: Any) -> None:
        text = collapse_whitespace(" ".join(map(_read_text, _iter_paragraphs(note)))) if note is not None else ""
        if not text:
            return
        self.flush()
        author, day = get_attribute(note, "author"), get_attribute(note, "date")[:10]
        said = ", ".join(filter(None, [kind.capitalize() + (f" by {author}" if author else ""), day]))
        self.builder.add(f"{said}: {text}")

    def _add_table(self, table: Any) -> None:
        rows = [list(_iter_outermost(row, frozenset({"tc"}), _SKIPPED_ELEMENTS)) for row in _iter_rows(table)]
        if all(len(cells) < 2 for cells in rows):
            for cell in (cell for cells in rows for cell in cells):
                self.add_children(cell)
            return
        self.flush()
        grid = TableGrid()
        for cells in rows:
            grid.open_row()
            for cell in cells:
                self._add_cell(grid, cell)
        self.builder.add(grid.to_text(), "table")

    def _add_cell(self, grid: TableGrid, cell: Any) -> None:
        properties = cell.find("{*}tcPr")
        span, merge = (
            (properties.find("{*}gridSpan"), properties.find("{*}vMerge")) if properties is not None else (None, None)
        )
        text = collapse_whitespace(" ".join(self._read_cell_text(paragraph) for paragraph in _iter_paragraphs(cell)))
        if not text and merge is not None and get_attribute(merge) != "restart":
            text = grid.get_text_above()
        width = get_attribute(span)
        grid.add_cell(text, int(width[:3]) if width.isdecimal() else 1)

    def _read_cell_text(self, paragraph: Any) -> str:
        properties = paragraph.find("{*}pPr")
        style = get_attribute(properties.find("{*}pStyle")) if properties is not None else ""
        number = self._find_list_level(properties, style)
        text = _read_text(paragraph)
        return f"{self.numbering.next_label(*number)} {text}" if number and text.strip() else text

    def add_headers_and_footers(self) -> None:
        """Add headers and footers, each text once however many sections repeat it, and notes that nothing refers to."""
        self.builder.close_headings()
        seen: set[str] = set()
        for kind in ("header", "footer"):
            for root in self.package.read_related_parts(self.main_part, kind):
                text = collapse_whitespace(" ".join(map(_read_text, _iter_paragraphs(root))))
                if text and text not in seen:
                    seen.add(text)
                    self.builder.add(text)
        for (kind, _), note in self.notes.items():
            self._add_note(kind, note)


def _parse_style(element: Any) -> _Style:
    name = get_attribute(element.find("{*}name"))
    properties = element.find("{*}pPr")
    outline = get_attribute(properties.find("{*}outlineLvl")) if properties is not None else ""
    heading = _HEADING_STYLE.match(name)
    level = int(heading[1]) if heading else int(outline) + 1 if outline.isdecimal() and int(outline) < 9 else None
    if name.lower() == "title":
        level = 0
    return _Style(name, get_attribute(element.find("{*}basedOn")), level, _parse_list_level(properties))


def _parse_list_level(properties: Any) -> tuple[str, int] | None:
    number = properties.find("{*}numPr") if properties is not None else None
    if number is None:
        return None
    level = get_attribute(number.find("{*}ilvl"))
    return get_attribute(number.find("{*}numId")), int(level) if level.isdecimal() and len(level) == 1 else 0


def _iter_rows(table: Any) -> Iterator[Any]:
    rows = _iter_outermost(table, frozenset({"tr"}), _SKIPPED_ELEMENTS)
    return (row for row in rows if row.find("{*}trPr/{*}del") is None)


def _iter_paragraphs(element: Any) -> Iterator[Any]:
    """All paragraphs below an element, those of a text box after the one that holds it."""
    for child in element:
        if local_name(child) == "p":
            yield child
        if local_name(child) not in _SKIPPED_ELEMENTS or local_name(child) == "txbxContent":
            yield from _iter_paragraphs(child)


def _iter_outermost(element: Any, names: frozenset[str], skipped: frozenset[str]) -> Iterator[Any]:
    """The elements of these names below one, but not those inside another of them."""
    for child in element:
        if local_name(child) in names:
            yield child
        elif local_name(child) not in skipped:
            yield from _iter_outermost(child, names, skipped)


def _read_text(element: Any) -> str:
    """The text of a paragraph, without what is anchored in it."""
    parts = []
    for child in element:
        name = local_name(child)
        if name == "t":
            parts.append(child.text or "")
        elif name in ("tab", "ptab"):
            parts.append("\t")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "noBreakHyphen":
            parts.append("-")
        elif name == "sym":
            parts.append(decode_symbol(get_attribute(child, "font"), get_attribute(child, "char")))
        elif name == "rPr" and _is_set(child.find("{*}vanish")):
            return ""
        elif name == "oMath":
            parts.append(f" {format_equation(child)} ")
        elif name == "checkBox":
            parts.append(_format_checkbox(child))
        elif name not in _SKIPPED_ELEMENTS:
            parts.append(_read_text(child))
    return "".join(parts)


def _format_checkbox(element: Any) -> str:
    mark = element.find("{*}checked")
    return "☒ " if _is_set(mark if mark is not None else element.find("{*}default")) else "☐ "


def _is_set(element: Any) -> bool:
    return element is not None and get_attribute(element) not in ("0", "false", "off")
