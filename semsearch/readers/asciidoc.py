"""AsciiDoc, as far as it is text: headings, paragraphs, lists, tables, listings. Includes nothing."""

import re

from ..types import Content, Locator
from .encodings import decode
from .outline import Outline, line, row
from .prose import Prose

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
_CELL = r"(?:(?<!\S)(?:\d*(?:\.\d+)?[+*])?[<^>]?(?:\.[<^>])?[adehlmsv]?)?"
_CELLS = {mark: re.compile(_CELL + re.escape(mark)) for mark in "|!"}
"""Where a cell begins, with what may stand before its mark: spans, places and a style."""
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


def _add_enclosed(prose: Prose, lines: list[str], at: Locator, mark: str, *, is_table: bool) -> None:
    prose.interrupt()
    if is_table:
        prose.outline.add(_table(lines, mark[0]), "table", at)
    elif not mark.startswith("//"):
        prose.outline.add("\n".join(lines), "code", at)


def _table(lines: list[str], separator: str) -> str:
    """One row per line where rows are written so; else as many cells in a row as the first line has."""
    cells, width = list[str](), 0
    for text in filter(None, map(str.strip, lines)):
        first, *found = map(
            plain, _CELLS[separator].split(text) if separator in _CELLS else ("", *text.split(separator))
        )
        if first and cells:
            cells[-1] = f"{cells[-1]} {first}"
        elif first:
            found = [first, *found]
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
