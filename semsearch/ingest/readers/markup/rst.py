"""Read reStructuredText: headings, paragraphs, lists, tables, literal blocks. Does not run directives."""

import csv
import re
from itertools import pairwise, takewhile

from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace, format_row
from ..encodings import decode
from .line_blocks import LineBlockBuilder

_RULE = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}$")
_ENUMERATOR = r"(?:\d{1,9}|[#a-zA-Z]|[ivxlc]{1,7}|[IVXLC]{1,7})"
_ITEM = re.compile(rf"^(\s*)([*+•-]|{_ENUMERATOR}[.)]|\({_ENUMERATOR}\))\s+(\S.*)$")
_DIRECTIVE = re.compile(r"^\s*\.\.\s+(?:\|[^|]+\|\s+)?([\w:-]+)::(?:\s+(.*))?$")
_FIELD = re.compile(r"^\s*:([\w -]{1,60}):(?:\s+(.*))?$")
_GRID_RULE = re.compile(r"^\s*\+(?:[-=]+\+)+$")
_SIMPLE_RULE = re.compile(r"^\s*={2,}(?:\s+={2,})+$")
_VERBATIM_DIRECTIVES = frozenset(
    {"code", "code-block", "sourcecode", "literalinclude", "parsed-literal", "math", "doctest", "highlight"}
)
_VERBATIM_WITH_ARGUMENT = frozenset({"math", "parsed-literal"})
"""Verbatim directives whose content may begin on the line of the directive."""
_SKIPPED_DIRECTIVES = frozenset(
    {"toctree", "image", "include", "contents", "currentmodule", "module", "index", "meta", "raw"}
)
"""Directives without text."""
_CONTAINER_DIRECTIVES = frozenset({"only", "figure", "container", "rst-class", "cssclass"})
"""Directives whose argument is not text, but whose content is."""
_SUBSTITUTION_NAME = re.compile(r"\|(\S|\S[^|]{0,78}[^|\s])\|_{0,2}")
_MAX_SUBSTITUTION_CHARACTERS = 200
_INLINE_MARKUP = re.compile(
    r"""
    ``(?P<literal>.{1,1000}?)``(?!`)
    | (?::[\w:+.-]{1,60}:)?`(?P<role>[^`]{1,1000})`(?:__?|:[\w-]+:)?
    | (?<![\w*])(?P<stars>\*{1,2})(?=\S)(?P<strong>[^*\n]{1,500}?)(?<=\S)(?P=stars)(?![\w*])
    | (?<!\w)(?P<reference>[^\W_](?:\w*[^\W_])?)__?(?!\w)
    | \|(?P<substitution>\w[^|]{0,80})\|_{0,2}
    """,
    re.VERBOSE,
)
_EMBEDDED_LINK = re.compile(r"^(.*?\S)\s*<[^<>]*>$")
_SUBSTITUTION = re.compile(r"^\s*\.\.\s+\|([^|]{1,80})\|\s+([\w-]+)::(?:\s+(.*))?$")
"""The definition of a substitution; only `replace` gives text, and the name stands for the others."""
_VERSION_NOTES = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}
_TARGET = re.compile(r"^\s*\.\.\s+_")


def read(data: bytes) -> ParsedContent:
    """Read a document; its title is its first heading of level 1."""
    reader = _RstParser(_replace_substitutions(decode(data).expandtabs(4).split("\n")))
    reader.run()
    return reader.line_builder.builder.build()


def _replace_substitutions(lines: list[str]) -> list[str]:
    """Return the lines with the texts of their substitutions in place of the names; a definition becomes a comment.

    Indented lines keep the names, because they may be code.
    """
    definitions = {number: match for number, text in enumerate(lines) if (match := _SUBSTITUTION.match(text))}
    texts = {
        match[1]: match[3][:_MAX_SUBSTITUTION_CHARACTERS]
        for match in definitions.values()
        if match[2] == "replace" and match[3]
    }
    replaced = lines.copy()
    for number, text in enumerate(lines) if definitions else ():
        if number in definitions:
            replaced[number] = f"{' ' * _measure_indent(text)}.. substitution"
        elif not text[:1].isspace():
            replaced[number] = _SUBSTITUTION_NAME.sub(lambda name: texts.get(name[1], name[0]), text)
    return replaced


class _RstParser:
    """Parse the lines in one pass; underline characters of headings get their levels in the order of first use."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = [text.rstrip() for text in lines]
        self.line_builder = LineBlockBuilder(BlockBuilder())
        self.heading_levels: dict[str, int] = {}
        self.item_indent = 0
        self.line_index = 0

    def run(self) -> None:
        while self.line_index < len(self.lines):
            text = self.lines[self.line_index]
            if not text:
                self.line_builder.add_blank_line()
                self.line_index += 1
            elif not (
                self._try_heading(text) or self._try_table(text) or self._try_directive(text) or self._try_session(text)
            ):
                self._add_line(text)
        self.line_builder.flush_and_reset()

    def _get_line(self, index: int) -> str:
        return self.lines[index] if 0 <= index < len(self.lines) else ""

    def _try_heading(self, text: str) -> bool:
        next_line, rule = self._get_line(self.line_index + 1), _RULE.match(text)
        if rule and next_line and self._get_line(self.line_index + 2) == text:
            self._add_heading(next_line, text[0] * 2, 3)
        elif not rule and _RULE.match(next_line) and not text[0].isspace() and len(next_line) >= min(len(text), 4):
            self._add_heading(text, next_line[0], 2)
        elif rule and not next_line:  # a transition
            self.line_builder.flush_and_reset()
            self.line_index += 1
        else:
            return False
        return True

    def _add_heading(self, text: str, mark: str, lines: int) -> None:
        level = self.heading_levels.setdefault(mark, len(self.heading_levels) + 1)
        self.line_builder.add_heading(strip_markup(text), level, self.line_index + 1, last_line=self.line_index + lines)
        self.line_index += lines

    def _try_table(self, text: str) -> bool:
        if not _GRID_RULE.match(text) and not _SIMPLE_RULE.match(text):
            return False
        first = self.line_index
        rows = self._read_grid_table() if _GRID_RULE.match(text) else self._read_simple_table(text)
        self._flush(_measure_indent(text))
        self.line_builder.builder.add(
            "\n".join(filter(None, rows)), "table", Locator(lines=(first + 1, self.line_index))
        )
        return True

    def _read_grid_table(self) -> list[str]:
        rows: list[list[str]] = []
        cells: list[list[str]] = []
        while self._get_line(self.line_index).strip().startswith(("+", "|")):
            text = self.lines[self.line_index].strip()
            parts = text.strip("|").split("|") if text.startswith("|") else []
            if not parts:
                rows.append([" ".join(texts) for texts in cells])
                cells = []
            if len(cells) == len(parts):
                for texts, row in zip(cells, parts, strict=True):
                    texts.append(row)
            else:
                cells += [[row] for row in parts]
            self.line_index += 1
        rows.append([" ".join(texts) for texts in cells])
        return [format_row(map(strip_markup, row)) for row in rows]

    def _read_simple_table(self, rule: str) -> list[str]:
        starts = [column.start() for column in re.finditer(r"=+", rule)]
        ends = [*starts[1:], None]
        first, self.line_index = self.line_index, self._find_simple_table_end(rule)
        return [
            format_row(strip_markup(text[start:end]) for start, end in zip(starts, ends, strict=True))
            for text in self.lines[first : self.line_index]
            if not _SIMPLE_RULE.match(text)
        ]

    def _find_simple_table_end(self, rule: str) -> int:
        """Return the index of the line after a simple table.

        It ends with its third rule, or with the second before an empty line. A table that has neither ends at the
        first blank line before text that does not fit its columns.
        """
        gaps = [slice(left.end(), right.start()) for left, right in pairwise(re.finditer(r"=+", rule))]
        rules = blank = 0
        for number in range(self.line_index, len(self.lines)):
            text = self.lines[number]
            if not text:
                blank = blank or number
            elif _SIMPLE_RULE.match(text):
                rules += 1
                if rules == 3 or (rules == 2 and not self._get_line(number + 1)):
                    return number + 1
            elif blank and any(text[gap].strip() for gap in gaps):
                break
        return blank or len(self.lines)

    def _try_session(self, text: str) -> bool:
        """Parse an interpreter session, up to an empty line; return whether there is one."""
        if not text.lstrip().startswith(">>> ") or self.line_builder.is_in_paragraph:
            return False
        first, margin = self.line_index, _measure_indent(text)
        while self._get_line(self.line_index):
            self.line_index += 1
        lines = [line[min(margin, _measure_indent(line)) :] for line in self.lines[first : self.line_index]]
        self._flush(margin)
        self.line_builder.builder.add("\n".join(lines), "code", Locator(lines=(first + 1, self.line_index)))
        return True

    def _try_directive(self, text: str) -> bool:
        directive, indent = _DIRECTIVE.match(text), _measure_indent(text)
        if directive:
            name, argument = directive[1].rpartition(":")[2], directive[2] or ""
            if name in _SKIPPED_DIRECTIVES:
                self._skip_block(indent)
                return True
            number, self.line_index = self.line_index + 1, self.line_index + 1
            self._flush(indent)
            options = self._read_options(indent)
            if name == "csv-table":
                self._add_csv_table(indent, argument, number, options)
            elif name in _VERBATIM_DIRECTIVES:
                self._add_literal(indent, argument if name in _VERBATIM_WITH_ARGUMENT else "", number)
            elif argument and name not in _CONTAINER_DIRECTIVES:
                text = f"{_VERSION_NOTES.get(name, '')} {strip_markup(argument)}".strip()
                self.line_builder.add_paragraph_line(text, number, is_indented=indent > 0)
            return True
        is_bare = text.strip() == ".."
        if is_bare or (text.lstrip().startswith(".. ") and not text.lstrip().startswith(".. [")):
            # a bare ".." and a target end with the next blank line, a comment does not
            is_empty = not self._get_line(self.line_index + 1) and (is_bare or _TARGET.match(text) is not None)
            self._skip_block(indent, has_body=not is_empty)
            return True
        return False

    def _flush(self, indent: int) -> None:
        """Flush the open block; an indented one may be inside a list, whose numbering then continues."""
        if indent:
            self.line_builder.flush()
        else:
            self.line_builder.flush_and_reset()

    def _skip_block(self, indent: int, *, has_body: bool = True) -> None:
        if indent:
            self.line_builder.add_blank_line()
        else:
            self.line_builder.flush_and_reset()
        self.line_index += 1
        if has_body:
            self._take_indented_lines(indent)

    def _read_options(self, indent: int) -> dict[str, str]:
        options = {}
        while (option := _FIELD.match(self._get_line(self.line_index))) and _measure_indent(
            self.lines[self.line_index]
        ) > indent:
            options[option[1]] = option[2] or ""
            self.line_index += 1
        return options

    def _add_csv_table(self, indent: int, title: str, line_number: int, options: dict[str, str]) -> None:
        """Add a table that is written as CSV, after its title."""
        if title:
            self.line_builder.add_paragraph_line(strip_markup(title), line_number, is_indented=indent > 0)
            self.line_builder.flush()
        first, lines = self._take_indented_lines(indent)
        last = first + len(lines) - sum(1 for _ in takewhile(lambda text: not text, reversed(lines)))
        delimiter = {"tab": "\t", "space": " "}.get(options.get("delim", ","), options.get("delim", ","))
        header, body = [options.get("header", "")], [f"{text.strip()}\n" for text in lines]
        try:
            rows = [
                format_row(map(strip_markup, cells))
                for part, mark in ((header, ","), (body, delimiter))
                for cells in csv.reader(part, delimiter=mark, skipinitialspace=True)
            ]
        except (csv.Error, TypeError):  # a cell that is too long, or an invalid delimiter
            rows = [*header, *map(str.strip, body)]
        self.line_builder.builder.add(
            "\n".join(filter(None, rows)), "table", Locator(lines=(line_number, last if lines else line_number))
        )

    def _take_indented_lines(self, indent: int) -> tuple[int, list[str]]:
        """Consume the following lines that are indented deeper; return the index of the first, and the lines."""
        while self.line_index < len(self.lines) and not self.lines[self.line_index]:
            self.line_index += 1
        first = self.line_index
        while self.line_index < len(self.lines) and (
            not self.lines[self.line_index] or _measure_indent(self.lines[self.line_index]) > indent
        ):
            self.line_index += 1
        return first, self.lines[first : self.line_index]

    def _add_literal(self, indent: int, head: str = "", line_number: int = 0) -> None:
        """Add the lines that are indented deeper as code, after a `head` from line `line_number`."""
        first, lines = self._take_indented_lines(indent)
        margin = min((_measure_indent(text) for text in lines if text), default=0)
        code = "\n".join(text[margin:] for text in lines).rstrip()
        last = first + 1 + code.count("\n") if code else line_number
        if not code and not head:
            return self.line_builder.add_blank_line()
        self.line_builder.flush()
        locator = Locator(lines=(line_number if head else first + 1, last))
        return self.line_builder.builder.add("\n".join(filter(None, (head, code))), "code", locator)

    def _add_line(self, text: str) -> None:
        item, number = _ITEM.match(text), self.line_index + 1
        if item and not self._is_item_start(item):
            item = None
        indent = _measure_indent(text)
        body = item[3] if item else text
        is_literal = text.endswith("::")
        if is_literal:
            body = body.removesuffix("::") + (":" if len(text.strip()) > 2 else "")
        self.line_index += 1
        if item:
            self.item_indent = indent
            mark = item[2] if item[2][-1] in ".)" else "-"
            self.line_builder.start_item(strip_markup(body), number, depth=min(indent // 2, 5), mark=mark)
        elif stripped := strip_markup(body):
            self.line_builder.add_paragraph_line(stripped, number, is_indented=indent > 0)
        if is_literal and not self._get_line(self.line_index):
            self._add_literal(item.start(3) if item else indent)

    def _is_item_start(self, item: re.Match[str]) -> bool:
        """Return whether a match starts an item; a wrapped line of text may begin with a number, initial or dash."""
        is_wrapped = self.line_builder.is_in_item and len(item[1]) > self.item_indent and item[2][-1] in ".)"
        return not self.line_builder.is_in_paragraph and not is_wrapped


def _measure_indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def strip_markup(text: str) -> str:
    """Return a line without markup; links are replaced by their text, and literals are kept unchanged.

    >>> strip_markup("See `the docs <https://x.org>`_ of ``foo_``, and **not** those of |other|.")
    'See the docs of foo_, and not those of other.'
    """
    return collapse_whitespace(_INLINE_MARKUP.sub(_remove_markup, text))


def _remove_markup(match: re.Match[str]) -> str:
    if match["role"] and (link := _EMBEDDED_LINK.match(match["role"])):
        return link[1]
    if match["strong"]:
        return match["strong"].replace("``", "")
    return str(next(filter(None, match.group("literal", "role", "reference", "substitution"))))
