"""Markdown text as blocks: what a person reads, without the marks. Does not know front matter or files."""

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ..types import Locator
from .outline import Outline, table

_MAX_NESTING = 100
"""Text nested deeper is left out by the parser, whose own bound of 20 is ten lists."""


def add_markdown(outline: Outline, text: str, *, first_line: int | None = None) -> None:
    """Append the blocks of a Markdown text; they know their lines if it is known where the text starts."""
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
    writer = _Writer(outline, first_line)
    for token in parser.parse(text):
        writer.take(token)


class _Writer:
    """Takes the tokens one by one; a list is gathered until it ends, or something other than text interrupts it."""

    def __init__(self, outline: Outline, first_line: int | None) -> None:
        self.outline = outline
        self.first_line = first_line
        self.level = 0
        self.at = Locator()
        self.lists: list[int | None] = []
        self.items: list[list[str]] = []
        self.items_at = Locator()
        self.marker: str | None = None
        self.rows: list[list[str]] | None = None

    def take(self, token: Token) -> None:
        if token.map and token.type != "list_item_open":
            self.at = self._lines(token.map)
        take = getattr(self, f"_{token.type}", None)
        if take:
            take(token)

    def _lines(self, span: list[int]) -> Locator:
        if self.first_line is None:
            return Locator()
        return Locator(lines=(self.first_line + span[0], self.first_line + max(span[0], span[1] - 1)))

    def _heading_open(self, token: Token) -> None:
        self.level = int(token.tag[1:])

    def _heading_close(self, token: Token) -> None:
        self.level = 0

    def _inline(self, token: Token) -> None:
        text = _text(token.children or ())
        if self.rows is not None:
            self.rows[-1].append(text)
        elif self.lists:
            self._item_text(text)
        elif self.level:
            if self.level == 1 and self.outline.title is None:
                self.outline.title = text or None
            self.outline.heading(text, self.level, self.at)
        else:
            self.outline.add(text, "paragraph", self.at)

    def _bullet_list_open(self, token: Token) -> None:
        self.lists.append(None)

    def _ordered_list_open(self, token: Token) -> None:
        self.lists.append(int(token.attrGet("start") or 1))

    def _bullet_list_close(self, token: Token) -> None:
        self.lists.pop()
        if not self.lists:
            self._flush()

    _ordered_list_close = _bullet_list_close

    def _list_item_open(self, token: Token) -> None:
        number = self.lists[-1]
        self.marker = "  " * (len(self.lists) - 1) + ("- " if number is None else f"{number}. ")
        if number is not None:
            self.lists[-1] = number + 1

    def _item_text(self, text: str) -> None:
        if self.marker is not None or not self.items:
            self.items.append([(self.marker or "") + text])
            self.marker = None
        else:
            self.items[-1].append(text)
        first = (self.items_at.lines or self.at.lines or (0, 0))[0]
        self.items_at = Locator(lines=self.at.lines and (first, self.at.lines[1]))

    def _flush(self) -> None:
        items = "\n".join(" ".join(texts) for texts in self.items)
        self.outline.add(items, "list", self.items_at)
        self.items, self.items_at = [], Locator()

    def _fence(self, token: Token) -> None:
        self._flush()
        self.outline.add(token.content, "code", self.at)

    _code_block = _fence

    def _html_block(self, token: Token) -> None:
        from .elements import add_html

        self._flush()
        add_html(self.outline, token.content, at=self.at)

    def _table_open(self, token: Token) -> None:
        self._flush()
        self.rows = []
        self.table_at = self.at

    def _tr_open(self, token: Token) -> None:
        if self.rows is not None:
            self.rows.append([])

    def _table_close(self, token: Token) -> None:
        self.outline.add(table(self.rows or []), "table", self.table_at)
        self.rows = None


def _text(tokens: Iterable[Token]) -> str:
    """The words of a line: no marks, no link targets; of a picture, what stands in its place."""
    parts = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak") or token.content.lower().startswith("<br"):
            parts.append(" ")
        elif token.type in ("text", "code_inline", "image"):
            parts.append(token.content)
    return "".join(parts).strip()
