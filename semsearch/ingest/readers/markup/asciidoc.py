"""Read AsciiDoc: headings, paragraphs, lists, tables, listings. Does not follow include directives."""

import re
from itertools import takewhile

from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..encodings import decode
from ..table_grid import TableGrid
from .front_matter import split_front_matter
from .line_blocks import LineBlockBuilder

_HEADING = re.compile(r"^(={1,6}|#{1,6})\s+(\S.*)$")
_UNDERLINE = re.compile(r"^([=~^+-])\1{2,}$")
_UNDERLINE_MARKS = "=-~^+"
"""The underline characters of headings, by level."""
_ITEM = re.compile(r"^\s*(\*{1,5}|-|\.{1,5}|(?:\d{1,9}|[a-zA-Z])\.|[ivxIVX]{1,7}\)|<(?:\d{1,9}|\.)>)\s+(\S.*)$")
_TERM = re.compile(r"^\s*(\S.{0,200}?)(?:::+|;;)(?:\s+(.*))?$")
_FENCE = re.compile(r"^(-{4,}+|\.{4,}+|```++|\+{4,}+|/{4,}+)\s*\S*$")
_TABLE = re.compile(r"^[|,:!]={3,}$")
_BLOCK_DELIMITER = re.compile(r"^(?:={4,}|\*{4,}|_{4,}|--|\+|<<<|'''|\[.*\]|//.*)$")
_ATTRIBUTE = re.compile(r"^:!?([\w-]+)!?:(?:\s+(.*))?$")
_CAPTION = re.compile(r"^\.([^\s.].*)$")
_MACRO = re.compile(r"\b([a-z]+):{1,2}([^\s\[\]]{0,500})\[([^\[\]]{0,500})\]")
_SKIPPED_MACROS = frozenset({"include", "ifeval"})
_NAMED_ATTRIBUTES = re.compile(r"(?:^|,)\s*[\w-]+=.*$")
_ALT = re.compile(r'(?:^\s*|\balt=)(?:"([^"]*)"|([^,"=]*)(?=,|$))')
_LINK = re.compile(r"\b(https?://[^\s\[\]]{1,2000})\[([^\[\]]{0,500})\]")
_REFERENCE = re.compile(r"<<([^<>,]{1,200})(?:,([^<>]{1,500}))?>>")
_CELL_SPECIFIER = r"(?:(?<!\S)(?:(\d*)(?:\.(\d+))?([+*]))?[<^>]?(?:\.[<^>])?[adehlmsv]?)?"
_CELL_PATTERNS = {mark: re.compile(_CELL_SPECIFIER + re.escape(mark)) for mark in "|!"}
"""The start of a cell: its mark, preceded by optional spans, alignment and style."""
_COLUMNS = re.compile(r"""\bcols\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\],]*))""")
_MAX_COLUMNS = 1_000
_INLINE_MARKUP = re.compile(r"(?<![\w*`])([*_`#]{1,2})(?=\S)([^*_`#\n]{1,500}?)(?<=\S)\1(?![\w*`])")


def read(data: bytes) -> ParsedContent:
    """Read a document; its title is the heading of level 1."""
    text = decode(data)
    front_matter = split_front_matter(text)
    line_builder = LineBlockBuilder(BlockBuilder(title=front_matter.title))
    lines = text.split("\n")
    number = front_matter.first_line - 1
    while number < len(lines):
        text = lines[number].rstrip()
        fence, table = _FENCE.match(text), _TABLE.match(text)
        if fence or table:
            end = _find_closing_line(lines, number, text if table else fence[1] if fence else "")
            locator = Locator(lines=(number + 1, min(end + 1, len(lines))))
            column_count = _read_column_count(lines[max(0, number - 3) : number]) if table else None
            _add_delimited_block(line_builder, lines[number + 1 : end], locator, text, column_count)
            number = end
        elif level := _get_underlined_level(line_builder, text, lines[number + 1] if number + 1 < len(lines) else ""):
            line_builder.add_heading(strip_markup(text), level, number + 1, last_line=number + 2)
            number += 1
        else:
            _add_line(line_builder, text, number + 1)
        number += 1
    line_builder.flush_and_reset()
    return line_builder.builder.build()


def _get_underlined_level(line_builder: LineBlockBuilder, text: str, next_line: str) -> int:
    """Return the level of a heading whose underline has about its length; 0 if it is not a heading."""
    next_line = next_line.rstrip()
    if (
        line_builder.is_in_paragraph
        or not text[:1].isalnum()
        or not _UNDERLINE.match(next_line)
        or abs(len(text) - len(next_line)) > 1
    ):
        return 0
    return _UNDERLINE_MARKS.index(next_line[0]) + 1


def _find_closing_line(lines: list[str], start: int, mark: str) -> int:
    return next((number for number in range(start + 1, len(lines)) if lines[number].rstrip() == mark), len(lines))


def _read_column_count(lines_above: list[str]) -> int:
    """Return the number of columns that the lines directly above a table state; 0 if they do not."""
    for text in takewhile(lambda text: text.startswith(("[", ".")), reversed(lines_above)):
        if cols_attribute := _COLUMNS.search(text):
            columns = next(filter(None, cols_attribute.groups()), "").strip()
            if not columns or columns.startswith("{"):  # an attribute reference, whose value is unknown
                return 0
            if columns.isdecimal():
                return min(int(columns[:6]), _MAX_COLUMNS)
            return min(sum(map(_read_column_repeat, re.split("[,;]", columns))), _MAX_COLUMNS)
    return 0


def _read_column_repeat(column: str) -> int:
    times, star, _ = column.strip().partition("*")
    return int(times[:3]) if star and times.isdecimal() else 1


def _add_delimited_block(
    line_builder: LineBlockBuilder, lines: list[str], locator: Locator, mark: str, column_count: int | None
) -> None:
    """Add the lines of a delimited block: a table if `column_count` is not None (0 if unknown), else code."""
    line_builder.flush()
    if column_count is not None:
        line_builder.builder.add(_format_table(lines, mark[0], column_count), "table", locator)
    elif not mark.startswith("//"):
        line_builder.builder.add("\n".join(lines), "code", locator)


def _format_table(lines: list[str], separator: str, column_count: int) -> str:
    """Return the text of a table, with `column_count` cells per row, or as many as its first line has."""
    table_cells = list[tuple[list[str], int, int]]()
    for text in filter(None, map(str.strip, lines)):
        continuation, cells = _parse_cells(text, separator)
        if continuation and table_cells:
            table_cells[-1][0].append(continuation)
        elif continuation:
            cells = [([continuation], 1, 1), *cells]
        table_cells += cells
        column_count = column_count or sum(column_span for _, column_span, _ in cells)
    grid = TableGrid()
    for texts, column_span, row_span in table_cells:
        if grid.is_row_full(column_count):
            grid.open_row()
        grid.add_cell(" ".join(texts), column_span, row_span)
    return grid.to_text()


def _parse_cells(text: str, separator: str) -> tuple[str, list[tuple[list[str], int, int]]]:
    """Return the text of a line before its first mark, which continues the last cell, and its own cells.

    A cell is (texts, column span, row span).
    """
    if separator not in _CELL_PATTERNS:
        return "", [([strip_markup(cell)], 1, 1) for cell in text.split(separator)]
    marks = list(_CELL_PATTERNS[separator].finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    cells = list[tuple[list[str], int, int]]()
    for mark, end in zip(marks, ends, strict=False):
        column_span, row_span = (min(int(number[:4]), _MAX_COLUMNS) if number else 1 for number in mark.group(1, 2))
        content = strip_markup(text[mark.end() : end])
        cells += (
            [([content], 1, 1) for _ in range(column_span)] if mark[3] == "*" else [([content], column_span, row_span)]
        )
    return strip_markup(text[: marks[0].start()] if marks else text), cells


def _add_line(line_builder: LineBlockBuilder, text: str, number: int) -> None:
    heading, item, caption = _HEADING.match(text), _ITEM.match(text), _CAPTION.match(text)
    attribute = _ATTRIBUTE.match(text)
    if heading:
        line_builder.add_heading(strip_markup(heading[2]), len(heading[1]), number)
    elif attribute:
        if attribute[1] in ("title", "doctitle", "description") and attribute[2]:
            line_builder.add_paragraph_line(strip_markup(attribute[2]), number)
            line_builder.flush_and_reset()
    elif not text or _BLOCK_DELIMITER.match(text):
        line_builder.add_blank_line(keeps_list=text == "+")
    elif item and not line_builder.is_in_paragraph:
        _add_item(line_builder, item[1], strip_markup(item[2]), number)
    elif caption:
        line_builder.flush_and_reset()
        line_builder.add_paragraph_line(strip_markup(caption[1]), number)
        line_builder.flush_and_reset()
    elif (term := _TERM.match(text)) and not line_builder.is_in_paragraph:
        line_builder.start_item(f"{strip_markup(term[1])}: {strip_markup(term[2] or '')}".strip(), number)
    elif stripped := strip_markup(text):
        line_builder.add_paragraph_line(stripped, number)
    else:
        line_builder.add_blank_line()


def _add_item(line_builder: LineBlockBuilder, mark: str, text: str, number: int) -> None:
    if mark[0] in "*-":
        list_kind, label = mark, "-"
    elif mark[0] == ".":
        list_kind, label = mark, "#."
    elif mark[0] == "<":
        list_kind, label = "<", "#." if mark == "<.>" else f"{mark[1:-1]}."
    else:
        list_kind, label = "1", mark
    line_builder.start_item(text, number, depth=line_builder.get_item_depth(list_kind), mark=label)


def strip_markup(text: str) -> str:
    """Return a line without markup; links and macros are replaced by their text."""
    text = _LINK.sub(lambda link: _NAMED_ATTRIBUTES.sub("", link[2]).removesuffix("^") or link[1], text)
    text = _MACRO.sub(_expand_macro, text)
    text = _REFERENCE.sub(lambda reference: reference[2] or reference[1], text)
    return collapse_whitespace(_INLINE_MARKUP.sub(r"\2", text).removesuffix(" +"))


def _expand_macro(macro: re.Match[str]) -> str:
    """Return the visible text of a macro: the alt text of an image, else its text without named attributes."""
    name, target, text = macro.groups()
    if name in _SKIPPED_MACROS:
        return ""
    if name == "image":
        alt = _ALT.search(text)
        return (alt[1] or alt[2] or "") if alt else ""
    return _NAMED_ATTRIBUTES.sub("", text) if target else text
