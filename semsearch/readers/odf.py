"""OpenDocument texts, presentations and spreadsheets. Does not read formulas or pictures."""

from collections.abc import Iterator
from typing import Any

from ..errors import UnsupportedMedia
from ..types import Content, Locator
from .archives import Archive, local
from .grids import Grid
from .outline import NOWHERE, Outline, line
from .sheets import add_sheet

MAX_REPEATED = 1_000
"""Of one cell or row; programs fill a sheet to its end by repeating the last one."""

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_LEFT_OUT = frozenset({"annotation", "note", "tracked-changes", "forms", "sequence-decls", "notes"})


def read(data: bytes) -> Content:
    """Read the body; the title is the one in the properties, else the first heading."""
    archive = Archive(data)
    if archive.has("META-INF/manifest.xml") and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise UnsupportedMedia("it is encrypted; save it without a password")
    outline = Outline(title=_title(archive))
    body = archive.xml("content.xml").find("{*}body")
    for part in body if body is not None else ():
        if local(part) == "spreadsheet":
            for table in part.iterfind("{*}table"):
                add_sheet(outline, _attribute(table, "name"), _rows(table))
        else:
            _add(outline, part, NOWHERE)
    return outline.content()


def _title(archive: Archive) -> str | None:
    if not archive.has("meta.xml"):
        return None
    return next((line("".join(element.itertext())) for element in archive.xml("meta.xml").iter("{*}title")), "") or None


def _attribute(element: Any, name: str) -> str:
    return next((str(text) for key, text in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _add(outline: Outline, element: Any, at: Locator) -> None:
    """Add what an element holds; depth is bounded by the parser."""
    page = at.page or 0
    for child in element:
        name = local(child)
        if name == "page":
            page += 1
            outline.close_headings()
            _add(outline, child, Locator(page=page))
        elif name == "h":
            _add_heading(outline, child, at)
        elif name == "p":
            _add_paragraph(outline, child, at)
        elif name == "list":
            outline.add("\n".join(_items(child, 0, _attribute(child, "style-name"))), "list", at)
        elif name == "table":
            _add_table(outline, child, at)
        elif name == "frame" and _attribute(child, "class") == "title":
            outline.heading(line(" ".join(map(_text, child.iter("{*}p")))), 1, at)
        elif name == "notes":
            text = line(" ".join(map(_text, child.iter("{*}p"))))
            outline.add(f"Notes: {text}" if text else "", "paragraph", at)
        elif name not in _LEFT_OUT:
            _add(outline, child, at)


def _add_heading(outline: Outline, element: Any, at: Locator) -> None:
    level = _attribute(element, "outline-level")
    text = line(_text(element))
    if outline.title is None and level in ("", "1"):
        outline.title = text or None
    outline.heading(text, int(level) if level in ("1", "2", "3", "4", "5", "6", "7", "8", "9") else 1, at)


def _add_paragraph(outline: Outline, paragraph: Any, at: Locator) -> None:
    """Its own text, then the boxes, notes and comments that are anchored in it."""
    outline.add(line(_text(paragraph)), "paragraph", at)
    for element in paragraph.iter("{*}text-box", "{*}note-body", "{*}annotation"):
        if local(element) == "text-box":
            _add(outline, element, at)
        else:
            text = line(" ".join(map(_text, element.iter("{*}p"))))
            kind = "Comment" if local(element) == "annotation" else "Footnote"
            outline.add(f"{kind}: {text}" if text else "", "paragraph", at)


def _items(element: Any, depth: int, style: str) -> Iterator[str]:
    """One line per item, numbered where the list's style says so."""
    numbered = _is_numbered(element, depth, style)
    count = 0
    for item in element:
        text = " ".join(filter(None, (line(_text(child)) for child in item if local(child) in ("p", "h"))))
        if text:
            count += 1
            yield f"{'  ' * depth}{f'{count}.' if numbered else '-'} {text}"
        for child in item:
            if local(child) == "list":
                yield from _items(child, depth + 1, _attribute(child, "style-name") or style)


def _is_numbered(element: Any, depth: int, style: str) -> bool:
    path = f"{{*}}automatic-styles/{{*}}list-style/{{*}}list-level-style-number[@{_TEXT}level='{depth + 1}']"
    levels = element.getroottree().getroot().iterfind(path)
    return any(_attribute(level.getparent(), "name") == style and _attribute(level, "num-format") for level in levels)


def _add_table(outline: Outline, element: Any, at: Locator) -> None:
    grid = Grid()
    for row in _outermost(element, "table-row"):
        grid.open_row()
        for cell in row:
            if local(cell) == "table-cell":
                text = line(" ".join(map(_text, cell.iter("{*}p", "{*}h"))))
                grid.cell(text, _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned"))
    outline.add(grid.text(), "table", at)


def _rows(table: Any) -> Iterator[list[str]]:
    for row in _outermost(table, "table-row"):
        cells: list[str] = []
        for cell in row:
            text = line(" ".join(map(_text, cell.iterfind("{*}p"))))
            cells += [text] * min(_count(cell, "number-columns-repeated"), MAX_REPEATED)
        while cells and not cells[-1]:
            cells.pop()
        times = _count(row, "number-rows-repeated")
        # an empty row that is repeated to the end of the sheet keeps the numbers of no row after it
        yield from [cells] * min(times, MAX_REPEATED if cells else 100_000)


def _outermost(element: Any, name: str) -> Iterator[Any]:
    for child in element:
        if local(child) == name:
            yield child
        else:
            yield from _outermost(child, name)


def _count(element: Any, name: str) -> int:
    text = _attribute(element, name)
    return int(text[:7]) if text.isascii() and text.isdecimal() else 1


def _text(element: Any) -> str:
    """The text of a paragraph; white space is an element in this format."""
    parts = [element.text or ""]
    for child in element:
        name = local(child)
        if name in ("tab", "line-break", "s"):
            parts.append(" ")
        elif name not in _LEFT_OUT and name not in ("frame", "custom-shape"):
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
