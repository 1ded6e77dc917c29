"""AsciiDoc, as far as it is text: headings, paragraphs, lists, tables, listings. Includes nothing."""

import re
from itertools import takewhile

from ....core.types.documents import Content, Locator
from ..block_builder import Outline, line
from ..encodings import decode
from ..table_grid import Grid
from .line_blocks import Prose

_HEADING = re.compile(r"^(={1,6}|#{1,6})\s+(\S.*)$")
_UNDERLINE = re.compile(r"^([=~^+-])\1{2,}$")
_UNDERLINES = "=-~^+"
"""The marks below headings of two lines, by level."""
_ITEM = re.compile(r"^\s*(\*{1,5}|-|\.{1,5}|(?:\d{1,9}|[a-zA-Z])\.|[ivxIVX]{1,7}\)|<(?:\d{1,9}|\.)>)\s+(\S.*)$")
_TERM = re.compile(r"^\s*(\S.{0,200}?)(?:::+|;;)(?:\s+(.*))?$")
_FENCE = re.compile(r"^(-{4,}+|\.{4,}+|```++|\+{4,}+|/{4,}+)\s*\S*$")
_TABLE = re.compile(r"^[|,:!]={3,}$")
_FRAME = re.compile(r"^(?:={4,}|\*{4,}|_{4,}|--|\+|<<<|'''|\[.*\]|//.*)$")
_ATTRIBUTE = re.compile(r"^:!?([\w-]+)!?:(?:\s+(.*))?$")
_CAPTION = re.compile(r"^\.([^\s.].*)$")
_MACRO = re.compile(r"\b([a-z]+):{1,2}([^\s\[\]]{0,500})\[([^\[\]]{0,500})\]")
_UNSAID = frozenset({"include", "ifeval"})
_NAMED = re.compile(r"(?:^|,)\s*[\w-]+=.*$")
_ALT = re.compile(r'(?:^\s*|\balt=)(?:"([^"]*)"|([^,"=]*)(?=,|$))')
_LINK = re.compile(r"\b(https?://[^\s\[\]]{1,2000})\[([^\[\]]{0,500})\]")
_REFERENCE = re.compile(r"<<([^<>,]{1,200})(?:,([^<>]{1,500}))?>>")
_CELL = r"(?:(?<!\S)(?:(\d*)(?:\.(\d+))?([+*]))?[<^>]?(?:\.[<^>])?[adehlmsv]?)?"
_CELLS = {mark: re.compile(_CELL + re.escape(mark)) for mark in "|!"}
"""Where a cell begins, with what may stand before its mark: spans, places and a style."""
_COLUMNS = re.compile(r"""\bcols\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\],]*))""")
_MAX_COLUMNS = 1_000
_STRONG = re.compile(r"(?<![\w*`])([*_`#]{1,2})(?=\S)([^*_`#\n]{1,500}?)(?<=\S)\1(?![\w*`])")


def read(data: bytes) -> Content:
    """Read the text; its title is the heading with one equals sign."""
    prose = Prose(Outline())
    lines = decode(data).split("\n")
    number = 0
    while number < len(lines):
        text = lines[number].rstrip()
        fence, table = _FENCE.match(text), _TABLE.match(text)
        if fence or table:
            end = _closing(lines, number, text if table else fence[1] if fence else "")
            at = Locator(lines=(number + 1, min(end + 1, len(lines))))
            width = _width(lines[max(0, number - 3) : number]) if table else None
            _add_enclosed(prose, lines[number + 1 : end], at, text, width)
            number = end
        elif level := _underlined(prose, text, lines[number + 1] if number + 1 < len(lines) else ""):
            prose.heading(plain(text), level, number + 1, last=number + 2)
            number += 1
        else:
            _take(prose, text, number + 1)
        number += 1
    prose.end()
    return prose.outline.content()


def _underlined(prose: Prose, text: str, below: str) -> int:
    """The level of a heading that is underlined about as long as it is; 0 if it is none."""
    below = below.rstrip()
    if prose.in_paragraph or not text[:1].isalnum() or not _UNDERLINE.match(below) or abs(len(text) - len(below)) > 1:
        return 0
    return _UNDERLINES.index(below[0]) + 1


def _closing(lines: list[str], start: int, mark: str) -> int:
    return next((number for number in range(start + 1, len(lines)) if lines[number].rstrip() == mark), len(lines))


def _width(above: list[str]) -> int:
    """The number of columns that the lines right above a table state; 0 if they do not."""
    for text in takewhile(lambda text: text.startswith(("[", ".")), reversed(above)):
        if stated := _COLUMNS.search(text):
            columns = next(filter(None, stated.groups()), "").strip()
            if not columns or columns.startswith("{"):  # an attribute, which may stand for any number
                return 0
            if columns.isdecimal():
                return min(int(columns[:6]), _MAX_COLUMNS)
            return min(sum(map(_times, re.split("[,;]", columns))), _MAX_COLUMNS)
    return 0


def _times(column: str) -> int:
    times, star, _ = column.strip().partition("*")
    return int(times[:3]) if star and times.isdecimal() else 1


def _add_enclosed(prose: Prose, lines: list[str], at: Locator, mark: str, width: int | None) -> None:
    """Add what stands between two marks: a table if it has a width, which may be 0."""
    prose.interrupt()
    if width is not None:
        prose.outline.add(_table(lines, mark[0], width), "table", at)
    elif not mark.startswith("//"):
        prose.outline.add("\n".join(lines), "code", at)


def _table(lines: list[str], separator: str, width: int) -> str:
    """As many cells in a row as the table has columns; if it does not say, as many as its first line has."""
    found = list[tuple[list[str], int, int]]()
    for text in filter(None, map(str.strip, lines)):
        first, cells = _cells(text, separator)
        if first and found:
            found[-1][0].append(first)
        elif first:
            cells = [([first], 1, 1), *cells]
        found += cells
        width = width or sum(across for _, across, _ in cells)
    grid = Grid()
    for texts, across, down in found:
        if grid.full(width):
            grid.open_row()
        grid.cell(" ".join(texts), across, down)
    return grid.text()


def _cells(text: str, separator: str) -> tuple[str, list[tuple[list[str], int, int]]]:
    """What a line has for the cell before it, and its own cells with how far they span across and down."""
    if separator not in _CELLS:
        return "", [([plain(cell)], 1, 1) for cell in text.split(separator)]
    marks = list(_CELLS[separator].finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    cells = list[tuple[list[str], int, int]]()
    for mark, end in zip(marks, ends, strict=False):
        across, down = (min(int(number[:4]), _MAX_COLUMNS) if number else 1 for number in mark.group(1, 2))
        said = plain(text[mark.end() : end])
        cells += [([said], 1, 1) for _ in range(across)] if mark[3] == "*" else [([said], across, down)]
    return plain(text[: marks[0].start()] if marks else text), cells


def _take(prose: Prose, text: str, number: int) -> None:
    heading, item, caption = _HEADING.match(text), _ITEM.match(text), _CAPTION.match(text)
    attribute = _ATTRIBUTE.match(text)
    if heading:
        prose.heading(plain(heading[2]), len(heading[1]), number)
    elif attribute:
        if attribute[1] in ("title", "doctitle", "description") and attribute[2]:
            prose.paragraph(plain(attribute[2]), number)
            prose.end()
    elif not text or _FRAME.match(text):
        prose.pause(keeps_list=text == "+")
    elif item and not prose.in_paragraph:
        _add_item(prose, item[1], plain(item[2]), number)
    elif caption:
        prose.end()
        prose.paragraph(plain(caption[1]), number)
        prose.end()
    elif (term := _TERM.match(text)) and not prose.in_paragraph:
        prose.item(f"{plain(term[1])}: {plain(term[2] or '')}".strip(), number)
    elif shown := plain(text):
        prose.paragraph(shown, number)
    else:
        prose.pause()


def _add_item(prose: Prose, mark: str, text: str, number: int) -> None:
    if mark[0] in "*-":
        kind, shown = mark, "-"
    elif mark[0] == ".":
        kind, shown = mark, "#."
    elif mark[0] == "<":
        kind, shown = "<", "#." if mark == "<.>" else f"{mark[1:-1]}."
    else:
        kind, shown = "1", mark
    prose.item(text, number, depth=prose.depth(kind), mark=shown)


def plain(text: str) -> str:
    """Return a line without its marks; of a link or a macro, the text that stands for it."""
    text = _LINK.sub(lambda link: _NAMED.sub("", link[2]).removesuffix("^") or link[1], text)
    text = _MACRO.sub(_said, text)
    text = _REFERENCE.sub(lambda reference: reference[2] or reference[1], text)
    return line(_STRONG.sub(r"\2", text).removesuffix(" +"))


def _said(macro: re.Match[str]) -> str:
    """What a reader sees of a macro: what stands in place of a picture, else its text without named attributes."""
    name, target, text = macro.groups()
    if name in _UNSAID:
        return ""
    if name == "image":
        alt = _ALT.search(text)
        return (alt[1] or alt[2] or "") if alt else ""
    return _NAMED.sub("", text) if target else text
