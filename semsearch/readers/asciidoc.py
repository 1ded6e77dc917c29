"""AsciiDoc, as far as it is text: headings, paragraphs, lists, tables, listings. Includes nothing."""

import re

from ..types import Content, Locator
from .encodings import decode
from .outline import Outline, line, row
from .prose import Prose

_HEADING = re.compile(r"^(={1,6}|#{1,6})\s+(\S.*)$")
_ITEM = re.compile(r"^\s*([*-]+|\.{1,5}|\d+\.|<(?:\d+|\.)>)\s+(\S.*)$")
_TERM = re.compile(r"^\s*(\S.{0,200}?)(?:::+|;;)(?:\s+(.*))?$")
_FENCE = re.compile(r"^(-{4,}|\.{4,}|```+|\+{4,}|/{4,})\s*\S*$")
_TABLE = re.compile(r"^[|,:!]={3,}$")
_FRAME = re.compile(r"^(?:={4,}|\*{4,}|_{4,}|--|\+|<<<|'''|\[.*\]|//.*)$")
_ATTRIBUTE = re.compile(r"^:!?([\w-]+)!?:(?:\s+(.*))?$")
_CAPTION = re.compile(r"^\.([^\s.].*)$")
_MACRO = re.compile(r"\b[a-z]+:{1,2}[^\s\[\]]{0,500}\[([^\[\]]{0,500})\]")
_LINK = re.compile(r"\b(https?://[^\s\[\]]{1,2000})\[([^\[\]]{0,500})\]")
_REFERENCE = re.compile(r"<<([^<>,]{1,200})(?:,([^<>]{1,500}))?>>")
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
            _add_enclosed(prose, lines[number + 1 : end], at, text, is_table=bool(table))
            number = end
        else:
            _take(prose, text, number + 1)
        number += 1
    prose.end()
    return prose.outline.content()


def _closing(lines: list[str], start: int, mark: str) -> int:
    return next((number for number in range(start + 1, len(lines)) if lines[number].rstrip() == mark), len(lines))


def _add_enclosed(prose: Prose, lines: list[str], at: Locator, mark: str, *, is_table: bool) -> None:
    prose.end()
    if is_table:
        prose.outline.add(_table(lines, mark[0]), "table", at)
    elif not mark.startswith("//"):
        prose.outline.add("\n".join(lines), "code", at)


def _table(lines: list[str], separator: str) -> str:
    """One row per line where rows are written so; else as many cells in a row as the first line has."""
    cells, width = list[str](), 0
    for text in filter(None, map(str.strip, lines)):
        parts = text.split(separator)
        found = [plain(part) for part in (parts[1:] if separator in "|!" else parts)]
        if (
            separator in "|!"
            and parts[0].strip()
            and cells
            and not re.fullmatch(r"[\d.+*<>^]*[a-z]?", parts[0].strip())
        ):
            cells[-1] = f"{cells[-1]} {plain(parts[0])}"
        width = width or len(found)
        cells += found
    return "\n".join(filter(None, (row(cells[at : at + width]) for at in range(0, len(cells), max(1, width)))))


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
    elif item:
        prose.item(plain(item[2]), number, depth=_depth(item[1]), numbered=item[1][0] in ".0123456789")
    elif caption:
        prose.end()
        prose.paragraph(plain(caption[1]), number)
        prose.end()
    elif term := _TERM.match(text):
        prose.item(f"{plain(term[1])}: {plain(term[2] or '')}".strip(), number)
    else:
        prose.paragraph(plain(text), number)


def _depth(mark: str) -> int:
    return len(mark) - 1 if mark[0] in "*." else 0


def plain(text: str) -> str:
    """Return a line without its marks; of a link or a macro, the text that stands for it."""
    text = _LINK.sub(lambda link: link[2].removesuffix("^") or link[1], text)
    text = _MACRO.sub(r"\1", text)
    text = _REFERENCE.sub(lambda reference: reference[2] or reference[1], text)
    return line(_STRONG.sub(r"\2", text).removesuffix(" +"))
