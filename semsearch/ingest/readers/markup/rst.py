"""reStructuredText, as far as it is text: headings, paragraphs, lists, tables, literal blocks. Runs nothing."""

import csv
import re
from itertools import pairwise, takewhile

from ....core.types.documents import Content, Locator
from ..block_builder import Outline, line, row
from ..encodings import decode
from .line_blocks import Prose

_RULE = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}$")
_ENUMERATOR = r"(?:\d{1,9}|[#a-zA-Z]|[ivxlc]{1,7}|[IVXLC]{1,7})"
_ITEM = re.compile(rf"^(\s*)([*+•-]|{_ENUMERATOR}[.)]|\({_ENUMERATOR}\))\s+(\S.*)$")
_DIRECTIVE = re.compile(r"^\s*\.\.\s+(?:\|[^|]+\|\s+)?([\w:-]+)::(?:\s+(.*))?$")
_FIELD = re.compile(r"^\s*:([\w -]{1,60}):(?:\s+(.*))?$")
_GRID = re.compile(r"^\s*\+(?:[-=]+\+)+$")
_SIMPLE = re.compile(r"^\s*={2,}(?:\s+={2,})+$")
_VERBATIM = frozenset(
    {"code", "code-block", "sourcecode", "literalinclude", "parsed-literal", "math", "doctest", "highlight"}
)
_HEADED = frozenset({"math", "parsed-literal"})
"""Verbatim, and it may begin behind the name."""
_SILENT = frozenset({"toctree", "image", "include", "contents", "currentmodule", "module", "index", "meta", "raw"})
"""What is in these is not text."""
_UNNAMED = frozenset({"only", "figure", "container", "rst-class", "cssclass"})
"""What stands behind the name of these is not text, but what they hold is."""
_MARKED = re.compile(
    r"""
    ``(?P<literal>.{1,1000}?)``(?!`)
    | (?::[\w:+.-]{1,60}:)?`(?P<role>[^`]{1,1000})`(?:__?|:[\w-]+:)?
    | (?<![\w*])(?P<stars>\*{1,2})(?=\S)(?P<strong>[^*\n]{1,500}?)(?<=\S)(?P=stars)(?![\w*])
    | (?<!\w)(?P<reference>[^\W_](?:\w*[^\W_])?)__?(?!\w)
    | \|(?P<substitution>\w[^|]{0,80})\|_{0,2}
    """,
    re.VERBOSE,
)
_LINK = re.compile(r"^(.*?\S)\s*<[^<>]*>$")
_TARGET = re.compile(r"^\s*\.\.\s+_")


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
        self.item_indent = 0
        self.at = 0

    def run(self) -> None:
        while self.at < len(self.lines):
            text = self.lines[self.at]
            if not text:
                self.prose.pause()
                self.at += 1
            elif not (self._heading(text) or self._table(text) or self._directive(text) or self._session(text)):
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
        self._interrupt(_indent(text))
        self.prose.outline.add("\n".join(filter(None, rows)), "table", Locator(lines=(first + 1, self.at)))
        return True

    def _grid(self) -> list[str]:
        rows: list[list[str]] = []
        cells: list[list[str]] = []
        while self._line_at(self.at).strip().startswith(("+", "|")):
            text = self.lines[self.at].strip()
            parts = text.strip("|").split("|") if text.startswith("|") else []
            if not parts:
                rows.append([" ".join(texts) for texts in cells])
                cells = []
            if len(cells) == len(parts):
                for texts, part in zip(cells, parts, strict=True):
                    texts.append(part)
            else:
                cells += [[part] for part in parts]
            self.at += 1
        rows.append([" ".join(texts) for texts in cells])
        return [row(map(plain, part)) for part in rows]

    def _simple(self, rule: str) -> list[str]:
        starts = [column.start() for column in re.finditer(r"=+", rule)]
        ends = [*starts[1:], None]
        first, self.at = self.at, self._end_of_simple(rule)
        return [
            row(plain(text[start:end]) for start, end in zip(starts, ends, strict=True))
            for text in self.lines[first : self.at]
            if not _SIMPLE.match(text)
        ]

    def _end_of_simple(self, rule: str) -> int:
        """Behind the third rule, or the second before an empty line, if only rows are above; else behind those."""
        gaps = [slice(one.end(), other.start()) for one, other in pairwise(re.finditer(r"=+", rule))]
        rules = blank = 0
        for number in range(self.at, len(self.lines)):
            text = self.lines[number]
            if not text:
                blank = blank or number
            elif _SIMPLE.match(text):
                rules += 1
                if rules == 3 or (rules == 2 and not self._line_at(number + 1)):
                    return number + 1
            elif blank and any(text[gap].strip() for gap in gaps):
                break
        return blank or len(self.lines)

    def _session(self, text: str) -> bool:
        """Take what was typed into an interpreter and what it said, up to an empty line."""
        if not text.lstrip().startswith(">>> ") or self.prose.in_paragraph:
            return False
        first, margin = self.at, _indent(text)
        while self._line_at(self.at):
            self.at += 1
        lines = [said[min(margin, _indent(said)) :] for said in self.lines[first : self.at]]
        self._interrupt(margin)
        self.prose.outline.add("\n".join(lines), "code", Locator(lines=(first + 1, self.at)))
        return True

    def _directive(self, text: str) -> bool:
        directive, indent = _DIRECTIVE.match(text), _indent(text)
        if directive:
            name, argument = directive[1].rpartition(":")[2], directive[2] or ""
            if name in _SILENT:
                self._leave_out(indent)
                return True
            number, self.at = self.at + 1, self.at + 1
            self._interrupt(indent)
            options = self._options(indent)
            if name == "csv-table":
                self._separated(indent, argument, number, options)
            elif name in _VERBATIM:
                self._literal(indent, argument if name in _HEADED else "", number)
            elif argument and name not in _UNNAMED:
                self.prose.paragraph(plain(argument), number, indented=indent > 0)
            return True
        bare = text.strip() == ".."
        if bare or (text.lstrip().startswith(".. ") and not text.lstrip().startswith(".. [")):
            # a bare ".." and a target end with the next blank line, a comment does not
            ends = not self._line_at(self.at + 1) and (bare or _TARGET.match(text) is not None)
            self._leave_out(indent, body=not ends)
            return True
        return False

    def _interrupt(self, indent: int) -> None:
        """End what is open; what is indented may stand inside a list that goes on."""
        if indent:
            self.prose.interrupt()
        else:
            self.prose.end()

    def _leave_out(self, indent: int, *, body: bool = True) -> None:
        if indent:
            self.prose.pause()
        else:
            self.prose.end()
        self.at += 1
        if body:
            self._indented(indent)

    def _options(self, indent: int) -> dict[str, str]:
        options = {}
        while (option := _FIELD.match(self._line_at(self.at))) and _indent(self.lines[self.at]) > indent:
            options[option[1]] = option[2] or ""
            self.at += 1
        return options

    def _separated(self, indent: int, title: str, number: int, options: dict[str, str]) -> None:
        """Add a table that is written as CSV, below its title."""
        if title:
            self.prose.paragraph(plain(title), number, indented=indent > 0)
            self.prose.interrupt()
        first, lines = self._indented(indent)
        last = first + len(lines) - sum(1 for _ in takewhile(lambda text: not text, reversed(lines)))
        delimiter = {"tab": "\t", "space": " "}.get(options.get("delim", ","), options.get("delim", ","))
        header, body = [options.get("header", "")], [f"{text.strip()}\n" for text in lines]
        try:
            rows = [
                row(map(plain, cells))
                for part, mark in ((header, ","), (body, delimiter))
                for cells in csv.reader(part, delimiter=mark, skipinitialspace=True)
            ]
        except (csv.Error, TypeError):  # a cell that is too long, or no delimiter
            rows = [*header, *map(str.strip, body)]
        self.prose.outline.add(
            "\n".join(filter(None, rows)), "table", Locator(lines=(number, last if lines else number))
        )

    def _indented(self, indent: int) -> tuple[int, list[str]]:
        """Take the lines that follow and are indented deeper."""
        while self.at < len(self.lines) and not self.lines[self.at]:
            self.at += 1
        first = self.at
        while self.at < len(self.lines) and (not self.lines[self.at] or _indent(self.lines[self.at]) > indent):
            self.at += 1
        return first, self.lines[first : self.at]

    def _literal(self, indent: int, head: str = "", number: int = 0) -> None:
        """Take the lines that are indented deeper as code, below a head that stands on line `number`."""
        first, lines = self._indented(indent)
        margin = min((_indent(text) for text in lines if text), default=0)
        code = "\n".join(text[margin:] for text in lines).rstrip()
        last = first + 1 + code.count("\n") if code else number
        if not code and not head:
            return self.prose.pause()
        self.prose.interrupt()
        at = Locator(lines=(number if head else first + 1, last))
        return self.prose.outline.add("\n".join(filter(None, (head, code))), "code", at)

    def _line(self, text: str) -> None:
        item, number = _ITEM.match(text), self.at + 1
        if item and not self._begins_item(item):
            item = None
        indent = _indent(text)
        body = item[3] if item else text
        literal = text.endswith("::")
        if literal:
            body = body.removesuffix("::") + (":" if len(text.strip()) > 2 else "")
        self.at += 1
        if item:
            self.item_indent = indent
            mark = item[2] if item[2][-1] in ".)" else "-"
            self.prose.item(plain(body), number, depth=min(indent // 2, 5), mark=mark)
        elif shown := plain(body):
            self.prose.paragraph(shown, number, indented=indent > 0)
        if literal and not self._line_at(self.at):
            self._literal(item.start(3) if item else indent)

    def _begins_item(self, item: re.Match[str]) -> bool:
        """A line of running text may begin with a number or an initial, and with a dash."""
        wrapped = self.prose.in_item and len(item[1]) > self.item_indent and item[2][-1] in ".)"
        return not self.prose.in_paragraph and not wrapped


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def plain(text: str) -> str:
    """Return a line without its marks; of a link, the text that stands for it, and what is literal as it is.

    >>> plain("See `the docs <https://x.org>`_ of ``foo_``, and **not** those of |other|.")
    'See the docs of foo_, and not those of other.'
    """
    return line(_MARKED.sub(_unmarked, text))


def _unmarked(marked: re.Match[str]) -> str:
    if marked["role"] and (link := _LINK.match(marked["role"])):
        return link[1]
    if marked["strong"]:
        return marked["strong"].replace("``", "")
    return str(next(filter(None, marked.group("literal", "role", "reference", "substitution"))))
