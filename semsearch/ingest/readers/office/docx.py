"""Read Word documents: body, tables, text boxes, notes, comments, headers and footers. No field codes or images.

The XML is read directly: python-docx hides text boxes and notes, and fails on damaged parts that hold no text.
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
    """Read a document; its title is that of its properties, else its title paragraph or first heading of level 1."""
    package = OpcPackage(data)
    main = package.find_main_part()
    writer = _DocumentWriter(package, main)
    writer.add_children(package.archive.read_xml(main))
    writer.flush()
    writer.add_headers_and_footers()
    return writer.builder.build()


class _DocumentWriter:
    """Convert the document tree to blocks; list items and code lines are collected until another block follows."""

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
        """Add the content of an element; the parser bounds the depth of the recursion."""
        for child in element:
            name = local_name(child)
            if name == "p":
                self._add_paragraph(child)
            elif name == "tbl":
                self._add_table(child)
            elif name not in _SKIPPED_ELEMENTS:
                self.add_children(child)

    def flush(self) -> None:
        """Add the collected list or code."""
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
        list_level = None if level == 0 else self._find_list_level(properties, style)
        if _CODE_STYLE.search(name) and not _NON_CODE_STYLE.search(name):
            if self.items:
                self.flush()
            self.code_lines.append(text.rstrip())
            return
        if self.code_lines:
            self.flush()
        if level is not None:
            self.flush()
            self._add_heading(collapse_whitespace(text), level, list_level)
        elif list_level is not None:
            self.items.append(
                f"{'  ' * list_level[1]}{self.numbering.next_label(*list_level)} {collapse_whitespace(text)}"
            )
        else:
            self.flush()
            self.builder.add(collapse_whitespace(text))

    def _add_heading(self, text: str, level: int, list_level: tuple[str, int] | None) -> None:
        label = self.numbering.next_label(*list_level) if list_level else "-"
        if self.builder.title is None and level <= 1:
            self.builder.title = text
        self.builder.add_heading(text if label == "-" else f"{label} {text}", level)

    def _iter_styles(self, style: str) -> Iterator[_Style]:
        for _ in range(_MAX_STYLE_DEPTH):
            if style not in self.styles:
                return
            yield self.styles[style]
            style = self.styles[style].base_style

    def _find_heading_level(self, properties: Any, style: str) -> int | None:
        """Return 1 to 9 for a heading, 0 for the title of the document, None for other paragraphs."""
        outline_level = get_attribute(properties.find("{*}outlineLvl")) if properties is not None else ""
        if outline_level.isdecimal():
            return int(outline_level) + 1 if int(outline_level) < 9 else None
        return next(
            (inherited.heading_level for inherited in self._iter_styles(style) if inherited.heading_level is not None),
            None,
        )

    def _find_list_level(self, properties: Any, style: str) -> tuple[str, int] | None:
        list_level = _parse_list_level(properties)
        if list_level is None:
            list_level = next(
                (inherited.list_level for inherited in self._iter_styles(style) if inherited.list_level is not None),
                None,
            )
        return list_level if list_level and list_level[0] not in ("", "0") else None

    def _add_attached(self, paragraph: Any) -> None:
        """Add the text boxes and charts anchored in a paragraph, then the notes and comments that it refers to."""
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
        author, date = get_attribute(note, "author"), get_attribute(note, "date")[:10]
        prefix = ", ".join(filter(None, [kind.capitalize() + (f" by {author}" if author else ""), date]))
        self.builder.add(f"{prefix}: {text}")

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
        column_span = get_attribute(span)
        grid.add_cell(text, int(column_span[:3]) if column_span.isdecimal() else 1)

    def _read_cell_text(self, paragraph: Any) -> str:
        properties = paragraph.find("{*}pPr")
        style = get_attribute(properties.find("{*}pStyle")) if properties is not None else ""
        list_level = self._find_list_level(properties, style)
        text = _read_text(paragraph)
        return f"{self.numbering.next_label(*list_level)} {text}" if list_level and text.strip() else text

    def add_headers_and_footers(self) -> None:
        """Add headers and footers, each distinct text once, and the notes that no paragraph refers to."""
        self.builder.close_headings()
        seen_texts: set[str] = set()
        for kind in ("header", "footer"):
            for root in self.package.read_related_parts(self.main_part, kind):
                text = collapse_whitespace(" ".join(map(_read_text, _iter_paragraphs(root))))
                if text and text not in seen_texts:
                    seen_texts.add(text)
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
    """Yield all paragraphs below an element; those of a text box follow the paragraph that contains it."""
    for child in element:
        if local_name(child) == "p":
            yield child
        if local_name(child) not in _SKIPPED_ELEMENTS or local_name(child) == "txbxContent":
            yield from _iter_paragraphs(child)


def _iter_outermost(element: Any, names: frozenset[str], skipped: frozenset[str]) -> Iterator[Any]:
    """Yield the elements with these names below one, but not those nested in another of them."""
    for child in element:
        if local_name(child) in names:
            yield child
        elif local_name(child) not in skipped:
            yield from _iter_outermost(child, names, skipped)


def _read_text(element: Any) -> str:
    """Return the text of a paragraph, without text boxes and notes anchored in it."""
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
    checked = element.find("{*}checked")
    return "☒ " if _is_set(checked if checked is not None else element.find("{*}default")) else "☐ "


def _is_set(element: Any) -> bool:
    return element is not None and get_attribute(element) not in ("0", "false", "off")
