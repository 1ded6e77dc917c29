"""reStructuredText, as far as it is text: headings, paragraphs, lists, tables, literal blocks. Runs nothing."""

import re

from ..types import Content, Locator
from .encodings import decode
from .outline import Outline, line, row
from .prose import Prose

_RULE = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}$")
_ITEM = re.compile(r"^(\s*)([*+•-]|(?:\d+|[#a-zA-Z])[.)]|\(\w\))\s+(\S.*)$")
_DIRECTIVE = re.compile(r"^\s*\.\.\s+(?:\|[^|]+\|\s+)?([\w:-]+)::(?:\s+(.*))?$")
_FIELD = re.compile(r"^\s*:([\w -]{1,60}):(?:\s+(.*))?$")
_GRID = re.compile(r"^\s*\+(?:[-=]+\+)+$")
_SIMPLE = re.compile(r"^\s*={2,}(?:\s+={2,})+$")
_VERBATIM = frozenset(
    {"code", "code-block", "sourcecode", "literalinclude", "parsed-literal", "math", "doctest", "highlight"}
)
_SILENT = frozenset({"toctree", "image", "include", "contents", "currentmodule", "module", "index", "meta", "raw"})
"""What is in these is not text."""
_UNNAMED = frozenset({"only", "figure", "container", "class"})
"""What stands behind the name of these is not text, but what they hold is."""
_ROLE = re.compile(r"(?::[\w:+.-]+:)?`([^`]{1,1000})`(?:__?|:[\w-]+:)?")
_TARGET = re.compile(r"^(.*?\S)\s*<[^<>]*>$")
_STRONG = re.compile(r"(?<![\w*])(\*{1,2})(?=\S)([^*\n]{1,500}?)(?<=\S)\1(?![\w*])")
_REFERENCE = re.compile(r"\b(\w+)__?(?=\W|$)(?<!__init__)|\|(\w[^|]{0,80})\|_{0,2}")


def read(data: bytes) -> Content:
    """Read the text; its title is its first heading."""
    reader = _Reader(decode(data).expandtabs(4).split("\n"))
    reader.run()
    return reader.prose.outline.content()


class _Reader:
    """Goes through the lines once; the marks under headings take their levels in the order of first use."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = [text.rstrip() for text in lines]
        self.prose = Prose(Outline())
        self.levels: dict[str, int] = {}
        self.at = 0

    def run(self) -> None:
        while self.at < len(self.lines):
            text = self.lines[self.at]
            if not text:
                self.prose.pause()
                self.at += 1
            elif not (self._heading(text) or self._table(text) or self._directive(text)):
                self._line(text)
        self.prose.end()

    def _line_at(self, number: int) -> str:
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def _heading(self, text: str) -> bool:
        below, rule = self._line_at(self.at + 1), _RULE.match(text)
        if rule and below and self._line_at(self.at + 2) == text:
            self._add_heading(below, text[0] * 2, 3)
        elif not rule and _RULE.match(below) and not text[0].isspace() and len(below) >= min(len(text), 4):
            self._add_heading(text, below[0], 2)
        elif rule and not below:  # a line across the page
            self.prose.end()
            self.at += 1
        else:
            return False
        return True

    def _add_heading(self, text: str, mark: str, lines: int) -> None:
        level = self.levels.setdefault(mark, len(self.levels) + 1)
        self.prose.heading(plain(text), level, self.at + 1, last=self.at + lines)
        self.at += lines

    def _table(self, text: str) -> bool:
        if not _GRID.match(text) and not _SIMPLE.match(text):
            return False
        first = self.at
        rows = self._grid() if _GRID.match(text) else self._simple(text)
        self.prose.end()
        self.prose.outline.add("\n".join(filter(None, rows)), "table", Locator(lines=(first + 1, self.at)))
        return True

    def _grid(self) -> list[str]:
        rows: list[list[str]] = []
        cells: list[str] = []
        while self._line_at(self.at).strip().startswith(("+", "|")):
            text = self.lines[self.at].strip()
            parts = text.strip("|").split("|") if text.startswith("|") else []
            if not parts:
                rows.append(cells)
                cells = []
            cells = (
                [f"{a} {b}" for a, b in zip(cells, parts, strict=True)] if len(cells) == len(parts) else cells + parts
            )
            self.at += 1
        return [row(map(plain, part)) for part in [*rows, cells]]

    def _simple(self, rule: str) -> list[str]:
        starts = [column.start() for column in re.finditer(r"=+", rule)]
        ends = [*starts[1:], None]
        rows: list[str] = []
        rules = 0
        while rules < 3 and (text := self._line_at(self.at)):
            if _SIMPLE.match(text):
                rules += 1
            else:
                rows.append(row(plain(text[start:end]) for start, end in zip(starts, ends, strict=True)))
            self.at += 1
            if rules == 2 and not self._line_at(self.at):
                break
        return rows

    def _directive(self, text: str) -> bool:
        directive = _DIRECTIVE.match(text)
        if directive:
            name, argument = directive[1].rpartition(":")[2], directive[2] or ""
            number, self.at = self.at, self.at + 1
            self.prose.end()
            self._options()
            if name in _VERBATIM:
                self._literal()
            elif name in _SILENT:
                self._indented()
            elif argument and name not in _UNNAMED:
                self.prose.paragraph(plain(argument), number + 1)
            return True
        if (text.lstrip().startswith(".. ") and not text.lstrip().startswith(".. [")) or text.strip() == "..":
            self.prose.end()  # a comment or a target
            self.at += 1
            self._indented()
            return True
        return False

    def _options(self) -> None:
        while _FIELD.match(self._line_at(self.at)) and self.lines[self.at][0].isspace():
            self.at += 1

    def _indented(self) -> tuple[int, list[str]]:
        """Take the indented lines that follow."""
        while self.at < len(self.lines) and not self.lines[self.at]:
            self.at += 1
        first = self.at
        while self.at < len(self.lines) and (not self.lines[self.at] or self.lines[self.at][0].isspace()):
            self.at += 1
        return first, self.lines[first : self.at]

    def _literal(self) -> None:
        first, lines = self._indented()
        indent = min((len(text) - len(text.lstrip()) for text in lines if text), default=0)
        code = "\n".join(text[indent:] for text in lines).rstrip()
        self.prose.outline.add(code, "code", Locator(lines=(first + 1, first + 1 + code.count("\n"))))

    def _line(self, text: str) -> None:
        literal = text.endswith("::")
        item, number = _ITEM.match(text), self.at + 1
        shown = plain(text.removesuffix("::") + (":" if literal and len(text.strip()) > 2 else "") if literal else text)
        self.at += 1
        if item:
            indent = min(len(item[1]) // 2, 5)
            self.prose.item(line(_after(shown)), number, depth=indent, numbered=item[2][0] in "0123456789#")
        elif shown:
            self.prose.paragraph(shown, number, indented=text[0].isspace())
        if literal and not self._line_at(self.at):
            self.prose.end()
            self._literal()


def _after(text: str) -> str:
    """What follows the mark of an item."""
    return text.split(maxsplit=1)[1] if " " in text.strip() else text


def plain(text: str) -> str:
    """Return a line without its marks; of a link, the text that stands for it."""
    text = re.sub(r"``([^`]{1,1000})``", "\x00\\1\x00", text)
    text = _ROLE.sub(lambda role: target[1] if (target := _TARGET.match(role[1])) else role[1], text)
    text = _REFERENCE.sub(lambda name: name[1] or name[2], _STRONG.sub(r"\2", text))
    return line(text.replace("\x00", ""))
