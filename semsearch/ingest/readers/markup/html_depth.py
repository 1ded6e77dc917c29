"""Bound the nesting depth of HTML before it is parsed, and classify its elements. Extracts no text.

The parser scans all open elements at each new block and at each unmatched end tag, so its time grows with the square
of the depth. This module tracks the open elements by the parser's rules in one pass: a simpler count could be evaded.
"""

import re
from collections import defaultdict

from ....core.errors import UnsupportedMediaError

MAX_DEPTH = 5_000
"""Open layout elements; pages that people write have far fewer."""
MAX_PARSER_STEPS = 300_000_000
"""Open elements that the parser may scan for one page: about a second of its time."""

BLOCK_ELEMENTS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer
    form head header hgroup hr html legend li main menu nav ol option p section summary tbody td tfoot th thead tr ul
    """.split()
)
"""Elements that start a new line."""
HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}
"""The level of each heading."""
SEPARATING_CELL_ELEMENTS = BLOCK_ELEMENTS | HEADING_LEVELS.keys() | {"pre"}
"""Elements that separate words in a table cell, where all text is on one line."""

_TAG = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?P<ends>/?)(?P<name>[a-z][^\s<>/]*+)(?P<attributes>[^<>]*+)",
    re.DOTALL | re.IGNORECASE,
)
_RAW_TEXT_ENDS = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
"""Elements whose content is raw text, and the pattern that ends each."""
_LAYOUT_ELEMENTS = frozenset("div section article blockquote ul ol dl table form fieldset center".split())
_LAYOUT_START_TAG = re.compile(rf"<(?:{'|'.join(sorted(_LAYOUT_ELEMENTS))})\b", re.IGNORECASE)
_FOREIGN_ROOTS = ("svg", "math")
"""Inside these, `<x/>` closes itself, and <script> or <title> may contain elements."""
_INTEGRATION_POINTS = ("foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext")
"""Inside foreign elements, these contain HTML again."""
_VOID_OR_IMPLICITLY_CLOSED = frozenset(
    """
    a area base body br button caption col colgroup dd dt embed h1 h2 h3 h4 h5 h6 head hr html img input keygen li link
    meta nobr optgroup option p param rb rp rt rtc source tbody td tfoot th thead tr track wbr
    """.split()
)
"""Elements that have no content, or that a following element ends."""
_SCOPE_MARKERS = ("applet", "marquee", "object", "table", "template")
"""An end tag inside these does not close an element that was opened outside."""
_SPECIAL_ELEMENTS = (
    BLOCK_ELEMENTS | set(_SCOPE_MARKERS) | set("dir frameset listing noscript plaintext pre search select".split())
) - _VOID_OR_IMPLICITLY_CLOSED
"""An end tag of an inline element or a form inside these does not close one that was opened outside."""
_FOREIGN_BREAKOUT_TAGS = frozenset(
    """
    b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta nobr
    ol p pre ruby s small span strike strong sub sup table tt u ul var
    """.split()
)
"""These start tags end all foreign elements."""


def validate_depth(html: str) -> None:
    """Raise UnsupportedMediaError if the page would take the parser too long, by the open elements at each tag."""
    tag_count = html.count("<")
    if (
        tag_count * (tag_count - html.count("</")) <= MAX_PARSER_STEPS
        and len(_LAYOUT_START_TAG.findall(html)) <= MAX_DEPTH
    ):
        return  # nearly always: too few elements to exceed a limit in any order
    open_elements = _OpenElements()
    steps = offset = 0
    while tag := _TAG.search(html, offset):
        offset = tag.end()
        name = (tag["name"] or "").lower()
        if name in (("p", "br") if tag["ends"] else _FOREIGN_BREAKOUT_TAGS):
            open_elements.leave_foreign()
        if name in SEPARATING_CELL_ELEMENTS or (tag["ends"] and not open_elements.positions[name]):
            steps += len(open_elements.names)
        if name in _VOID_OR_IMPLICITLY_CLOSED or not name:
            pass
        elif tag["ends"]:
            open_elements.close(name)
        elif name in _FOREIGN_ROOTS or open_elements.is_foreign():
            if not tag["attributes"].endswith("/"):
                open_elements.open(name)
        elif name in _RAW_TEXT_ENDS:
            offset = _RAW_TEXT_ENDS[name].search(html, offset).end()  # type: ignore[union-attr]  # matches at the end of the text at the latest
        else:
            open_elements.open(name)
        if open_elements.layout_depth > MAX_DEPTH or steps > MAX_PARSER_STEPS:
            raise UnsupportedMediaError(f"its elements are nested more than {MAX_DEPTH:,} deep; simplify the page")


class _OpenElements:
    """The stack of open elements, with the positions of each name: no operation gets slower with the depth."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.positions: defaultdict[str, list[int]] = defaultdict(list)
        self.special_positions: list[int] = []
        self.layout_depth = 0

    def open(self, name: str) -> None:
        """Push an element."""
        self.positions[name].append(len(self.names))
        if name in _SPECIAL_ELEMENTS:
            self.special_positions.append(len(self.names))
        self.layout_depth += name in _LAYOUT_ELEMENTS
        self.names.append(name)

    def close(self, name: str) -> None:
        """Close the last element of this name and all inside it, unless a scope inside it prevents that."""
        position = self._find_last(name)
        if name == "form" or name not in _SPECIAL_ELEMENTS:
            scope_position = self.special_positions[-1] if self.special_positions else -1
        else:
            scope_position = self._find_last("template") if name == "table" else self._find_last(*_SCOPE_MARKERS)
        if position >= scope_position:
            self._truncate(position)

    def is_foreign(self) -> bool:
        """Return whether the innermost element is inside SVG or MathML."""
        if not (self.positions["svg"] or self.positions["math"]):  # nearly always
            return False
        return self._find_last(*_FOREIGN_ROOTS) > self._find_last(*_INTEGRATION_POINTS)

    def leave_foreign(self) -> None:
        """Close SVG and MathML elements, up to one that contains HTML."""
        while self.is_foreign():
            self._truncate(self._find_last(*_FOREIGN_ROOTS))

    def _find_last(self, *names: str) -> int:
        return max(self.positions[name][-1] if self.positions[name] else -1 for name in names)

    def _truncate(self, position: int) -> None:
        while 0 <= position < len(self.names):
            name = self.names.pop()
            self.positions[name].pop()
            if name in _SPECIAL_ELEMENTS:
                self.special_positions.pop()
            self.layout_depth -= name in _LAYOUT_ELEMENTS
