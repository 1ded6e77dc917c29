"""Read OpenDocument texts, presentations and spreadsheets. Does not read formulas or images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import Locator, ParsedContent
from ..block_builder import EMPTY_LOCATOR, BlockBuilder, collapse_whitespace
from ..table_grid import TableGrid
from ..zip_archive import ZipArchive, local_name
from .sheet_blocks import add_sheet, append_comment

MAX_REPEATS = 1_000
"""Repeats kept of one cell or row: programs fill a sheet to its end by repeating the last one."""

_SHAPES = frozenset({"caption", "circle", "connector", "custom-shape", "ellipse", "frame", "line", "polygon", "rect"})
_ATTACHED_ELEMENTS = _SHAPES | {"annotation", "note-body", "table"}
_SKIPPED_ELEMENTS = frozenset({"annotation", "note", "tracked-changes", "forms", "sequence-decls", "notes"})


def read(data: bytes) -> ParsedContent:
    """Read the body; the title is that of the properties, else the first heading of level 1."""
    archive = ZipArchive(data)
    if archive.has_member("META-INF/manifest.xml") and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise UnsupportedMediaError("it is encrypted; save it without a password")
    builder = BlockBuilder(title=_read_title(archive))
    root = archive.read_xml("content.xml")
    writer = _DocumentWriter(builder, _find_numbered_styles(root))
    body = root.find("{*}body")
    for part in body if body is not None else ():
        if local_name(part) == "spreadsheet":
            for table in part.iterfind("{*}table"):
                name = _get_attribute(table, "name")
                add_sheet(builder, name, _iter_rows(table))
                writer.add_attached(_iter_outermost(table, _SHAPES), Locator(sheet=name))
        else:
            writer.add_children(part, EMPTY_LOCATOR)
    return builder.build()


def _read_title(archive: ZipArchive) -> str | None:
    if not archive.has_member("meta.xml"):
        return None
    return (
        next(
            (
                collapse_whitespace("".join(element.itertext()))
                for element in archive.read_xml("meta.xml").iter("{*}title")
            ),
            "",
        )
        or None
    )


def _get_attribute(element: Any, name: str) -> str:
    return next((str(text) for key, text in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _find_numbered_styles(root: Any) -> frozenset[tuple[str, int]]:
    """Return (style name, level) of the list styles that number their items."""
    return frozenset(
        (_get_attribute(style, "name"), _read_count(level, "level"))
        for style in root.iterfind("{*}automatic-styles/{*}list-style")
        for level in style.iterfind("{*}list-level-style-number")
        if _get_attribute(level, "num-format")
    )


@dataclass(frozen=True, slots=True)
class _DocumentWriter:
    """Convert the tree of a text or presentation to blocks."""

    builder: BlockBuilder
    numbered_styles: frozenset[tuple[str, int]]
    item_counts: dict[tuple[str, int], int] = field(default_factory=dict)
    """(Style, depth) to the number of the last item."""

    def add_children(self, element: Any, locator: Locator) -> None:
        """Add the content of an element; the parser bounds the depth of the recursion."""
        page = locator.page or 0
        for child in element:
            name = local_name(child)
            if name == "page":
                page += 1
                self.builder.close_headings()
                self.add_children(child, Locator(page=page))
            elif name == "h":
                self._add_heading(child, locator)
            elif name == "p":
                self.builder.add(collapse_whitespace(_read_text(child)), "paragraph", locator)
                self.add_attached(_iter_outermost(child, _ATTACHED_ELEMENTS), locator)
            elif name == "list":
                self._add_list(child, locator)
            elif name == "table":
                self.builder.add(_format_table(child), "table", locator)
            elif name == "frame" and _get_attribute(child, "class") == "title":
                self.builder.add_heading(_read_paragraphs(child), 1, locator)
            elif name == "notes":
                text = _read_paragraphs(child)
                self.builder.add(f"Notes: {text}" if text else "", "paragraph", locator)
            elif name not in _SKIPPED_ELEMENTS:
                self.add_children(child, locator)

    def _add_heading(self, element: Any, locator: Locator) -> None:
        level = _get_attribute(element, "outline-level")
        text = collapse_whitespace(_read_text(element))
        if self.builder.title is None and level in ("", "1"):
            self.builder.title = text or None
        self.builder.add_heading(
            text, int(level) if level in ("1", "2", "3", "4", "5", "6", "7", "8", "9") else 1, locator
        )
        self.add_attached(_iter_outermost(element, _ATTACHED_ELEMENTS), locator)

    def add_attached(self, elements: Iterable[Any], locator: Locator) -> None:
        """Add shapes, notes, comments and tables that are inside a paragraph, heading or item."""
        for element in elements:
            name = local_name(element)
            if name == "table":
                self.builder.add(_format_table(element), "table", locator)
            elif name in _SHAPES:
                self.add_children(element, locator)
            else:
                text = _read_paragraphs(element)
                kind = "Comment" if name == "annotation" else "Footnote"
                self.builder.add(f"{kind}: {text}" if text else "", "paragraph", locator)

    def _add_list(self, element: Any, locator: Locator) -> None:
        """Add the items of a list; attached elements follow their item, and the list continues after them."""
        texts: list[str] = []
        for text, attached in self._iter_items(element, 0, _get_attribute(element, "style-name")):
            texts += [text] if text else []
            if attached:
                self.builder.add("\n".join(texts), "list", locator)
                self.add_attached(attached, locator)
                texts = []
        self.builder.add("\n".join(texts), "list", locator)

    def _iter_items(self, element: Any, depth: int, style: str) -> Iterator[tuple[str, list[Any]]]:
        """Yield (line, attached elements) for each item; numbered if the list's style says so."""
        is_numbered = (style, depth + 1) in self.numbered_styles
        continued_list = _get_attribute(element, "continue-list")
        is_continued = bool(continued_list) or _get_attribute(element, "continue-numbering") == "true"
        count = self.item_counts.get((style, depth), 0) if is_continued else 0
        for item in element:
            count = _read_count(item, "start-value", count + 1) - 1
            leading_elements = list(takewhile(lambda child: local_name(child) != "list", item))
            text = _join_paragraphs(leading_elements)
            trailing_text = _join_paragraphs(list(item)[len(leading_elements) :])
            count += bool(text)
            self.item_counts[style, depth] = count
            attached = list(_iter_outermost(item, _ATTACHED_ELEMENTS | {"list"}))
            label = f"{'  ' * depth}{f'{count}.' if is_numbered else '-'} "
            yield label + text if text else "", [child for child in attached if local_name(child) != "list"]
            for child in attached:
                if local_name(child) == "list":
                    yield from self._iter_items(child, depth + 1, _get_attribute(child, "style-name") or style)
            yield "  " * (depth + 1) + trailing_text if trailing_text else "", []


def _join_paragraphs(parts: Iterable[Any]) -> str:
    return " ".join(
        filter(None, (collapse_whitespace(_read_text(part)) for part in parts if local_name(part) in ("p", "h")))
    )


def _read_paragraphs(element: Any) -> str:
    return collapse_whitespace(" ".join(map(_read_text, element.iter("{*}p"))))


def _format_table(element: Any) -> str:
    grid = TableGrid()
    for row in _iter_outermost(element, frozenset({"table-row"})):
        grid.open_row()
        for cell in row:
            if local_name(cell) == "table-cell":
                text = collapse_whitespace(" ".join(map(_read_text, cell.iter("{*}p", "{*}h"))))
                grid.add_cell(
                    text, _read_count(cell, "number-columns-spanned"), _read_count(cell, "number-rows-spanned")
                )
    return grid.to_text()


def _iter_rows(table: Any) -> Iterator[list[str]]:
    for row in _iter_outermost(table, frozenset({"table-row"})):
        cells: list[str] = []
        for cell in row:
            text = collapse_whitespace(" ".join(map(_read_text, cell.iterfind("{*}p"))))
            comments = [_read_paragraphs(comment) for comment in cell.iterfind("{*}annotation")]
            text = append_comment(text, " ".join(comments)) if comments else text
            cells += [text] * min(_read_count(cell, "number-columns-repeated"), MAX_REPEATS)
        while cells and not cells[-1]:
            cells.pop()
        repeat_count = _read_count(row, "number-rows-repeated")
        # empty rows count for the row numbers of later rows, but no row follows those at the end of the sheet
        yield from [cells] * min(repeat_count, MAX_REPEATS if cells else 100_000)


def _iter_outermost(element: Any, names: frozenset[str]) -> Iterator[Any]:
    """Yield the elements with these names below one, but not those nested in another of them."""
    for child in element:
        if local_name(child) in names:
            yield child
        else:
            yield from _iter_outermost(child, names)


def _read_count(element: Any, name: str, default: int = 1) -> int:
    text = _get_attribute(element, name)
    return int(text[:7]) if text.isascii() and text.isdecimal() else default


def _read_text(element: Any) -> str:
    """Return the text of a paragraph; this format has elements for white space."""
    parts = [element.text or ""]
    for child in element:
        name = local_name(child)
        if name in ("tab", "line-break", "s"):
            parts.append(" ")
        elif name not in _SKIPPED_ELEMENTS and name not in _SHAPES:
            parts.append(_read_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
