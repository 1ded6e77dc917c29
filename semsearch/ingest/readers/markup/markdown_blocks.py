"""Convert Markdown text to blocks without markup. Does not handle front matter or files."""

import re
from collections.abc import Iterable, Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, reference
from markdown_it.token import Token

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder, format_table
from .markdown_rules import add_dialect_rules
from .template_tags import read_captions

_MAX_NESTING = 100
"""The parser drops text that is nested deeper; its default of 20 is only ten nested lists."""
_PERMALINK = re.compile(r"(?:\s*[¶§🔗])+$|\s+#$")
"""The sign of a link to a heading, at its end."""
_INCLUDES = re.compile(
    r"""(?:\s*(?:\{\{#\w+\s[^{}\n]{1,500}\}\}|-{1,5}8<-{1,5}\s*(?:"[^"\n]{1,500}")?)[ \t]*$)+\s*""", re.MULTILINE
)
"""Lines that include code from other files: generators replace them also inside code."""
_TABLE_TAG = re.compile(r"<(/?)table\b", re.IGNORECASE)


def add_markdown(builder: BlockBuilder, text: str, *, first_line: int | None = None) -> None:
    """Append the blocks of a Markdown text; their locators have lines if `first_line` is given."""
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
    parser.block.ruler.at("reference", _parse_reference)
    add_dialect_rules(parser)
    writer = _TokenWriter(builder, first_line)
    for token in _join_html_tables(parser, parser.parse(text)):
        writer.write_token(token)


def _parse_reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a link reference definition, and return whether it is one.

    A footnote of a single word looks like one, but is kept as text.
    """
    if state.src.startswith("[^", state.bMarks[start] + state.tShift[start]):
        return False
    return reference(state, start, end, silent)


def _join_html_tables(parser: MarkdownIt, tokens: Sequence[Token]) -> list[Token]:
    """Join the tokens between <table> and </table>: for the parser, an HTML block ends at every blank line."""
    joined: list[Token] = []
    depth = first = 0
    for token in tokens:
        if depth and token.level < joined[first].level:
            depth = 0
        joined.append(token)
        if token.type == "html_block" and not (depth and token.level > joined[first].level):
            depth, first = _count_open_tables(token.content, depth), first if depth else len(joined) - 1
            if not depth and first < len(joined) - 1:
                joined[first:] = [_join_tokens(parser, joined[first:])]
    return joined


def _count_open_tables(html: str, depth: int) -> int:
    """Return how many tables are open after a piece of HTML."""
    for tag in _TABLE_TAG.finditer(html):
        depth = max(0, depth - 1) if tag[1] else depth + 1
    return depth


def _join_tokens(parser: MarkdownIt, tokens: Sequence[Token]) -> Token:
    html = parser.renderer.render(tokens, parser.options, {})
    first, last = tokens[0].map or [0, 0], tokens[-1].map or [0, 0]
    return Token("html_block", "", 0, level=tokens[0].level, map=[first[0], last[1]], content=html)


class _TokenWriter:
    """Write tokens as blocks; a list is collected until it ends or a block other than text interrupts it."""

    def __init__(self, builder: BlockBuilder, first_line: int | None) -> None:
        self.builder = builder
        self.first_line = first_line
        self.heading_level = 0
        self.locator = Locator()
        self.lists: list[int | None] = []
        self.items: list[list[str]] = []
        self.items_locator = Locator()
        self.item_marker: str | None = None
        self.rows: list[list[str]] | None = None

    def write_token(self, token: Token) -> None:
        if token.map and token.type != "list_item_open":
            self.locator = self._make_locator(token.map)
        handle = getattr(self, f"_{token.type}", None)
        if handle:
            handle(token)

    def _make_locator(self, span: list[int]) -> Locator:
        if self.first_line is None:
            return Locator()
        return Locator(lines=(self.first_line + span[0], self.first_line + max(span[0], span[1] - 1)))

    def _heading_open(self, token: Token) -> None:
        self.heading_level = int(token.tag[1:])

    def _heading_close(self, token: Token) -> None:
        self.heading_level = 0

    def _inline(self, token: Token) -> None:
        children = token.children or ()
        text = _render_text(children)
        if self.rows is not None:
            self.rows[-1].append(text)
        elif self.lists:
            self._add_item_text(text)
        elif self.heading_level:
            text = _PERMALINK.sub("", text)
            if self.heading_level == 1 and self.builder.title is None:
                self.builder.title = text or None
            self.builder.add_heading(text, self.heading_level, self.locator)
        else:
            text = "" if _has_only_images(children) else text or _render_captions(children)
            self.builder.add(text, "paragraph", self.locator)

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
        self.item_marker = "  " * (len(self.lists) - 1) + ("- " if number is None else f"{number}. ")
        if number is not None:
            self.lists[-1] = number + 1

    def _add_item_text(self, text: str) -> None:
        if self.item_marker is not None or not self.items:
            self.items.append([(self.item_marker or "") + text])
            self.item_marker = None
        else:
            self.items[-1].append(text)
        first = (self.items_locator.lines or self.locator.lines or (0, 0))[0]
        self.items_locator = Locator(lines=self.locator.lines and (first, self.locator.lines[1]))

    def _flush(self) -> None:
        items = "\n".join(" ".join(texts) for texts in self.items)
        self.builder.add(items, "list", self.items_locator)
        self.items, self.items_locator = [], Locator()

    def _fence(self, token: Token) -> None:
        self._flush()
        if not _INCLUDES.fullmatch(token.content):
            self.builder.add(token.content, "code", self.locator)

    _code_block = _fence

    def _html_block(self, token: Token) -> None:
        from .html_blocks import add_html

        self._flush()
        self.builder.add(read_captions(token.content), "paragraph", self.locator)
        add_html(self.builder, token.content, locator=self.locator, has_template_tags=True)

    def _table_open(self, token: Token) -> None:
        self._flush()
        self.rows = []
        self.table_locator = self.locator

    def _tr_open(self, token: Token) -> None:
        if self.rows is not None:
            self.rows.append([])

    def _table_close(self, token: Token) -> None:
        self.builder.add(format_table(self.rows or []), "table", self.table_locator)
        self.rows = None


def _render_text(tokens: Iterable[Token]) -> str:
    """Return the text of a line without markup and link targets; an image is replaced by its alt text."""
    parts = []
    for token in tokens:
        is_break = token.type == "html_inline" and token.content.lower().startswith("<br")
        if is_break or token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type in ("text", "code_inline", "image"):
            parts.append(token.content)
    return "".join(parts).strip()


def _has_only_images(tokens: Sequence[Token]) -> bool:
    """Return whether a paragraph shows images, such as badges, and no text."""
    has_text = any(token.content.strip() for token in tokens if token.type in ("text", "code_inline"))
    return not has_text and any(token.type == "image" for token in tokens)


def _render_captions(tokens: Iterable[Token]) -> str:
    """Return the captions of the components in a paragraph without text."""
    return read_captions("".join(token.content for token in tokens if token.type == "html_inline"))
