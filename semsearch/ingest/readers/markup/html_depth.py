"""How deep the elements of a page are nested, by the rules of HTML, and what elements there are. Reads no text.

The parser looks through all open elements at each new block, and at each end of what is not open, so that depth costs
its square. Who is open is told here as the parser will tell it, in one pass: what is easier would be easy to deceive.
"""

import re
from collections import defaultdict

from ....core.errors import UnsupportedMediaError

MAX_DEPTH = 5_000
"""Of what people nest."""
MAX_PARSER_STEPS = 300_000_000
"""Looks at open elements that a page may cost: they take the parser a second."""

BLOCK_ELEMENTS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer
    form head header hgroup hr html legend li main menu nav ol option p section summary tbody td tfoot th thead tr ul
    """.split()
)
"""Elements that stand on lines of their own."""
HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}
"""The level of each heading."""
SEPARATING_CELL_ELEMENTS = BLOCK_ELEMENTS | HEADING_LEVELS.keys() | {"pre"}
"""What is not one word with what is beside it, where all is on one line."""

_TAG = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?P<ends>/?)(?P<name>[a-z][^\s<>/]*+)(?P<attributes>[^<>]*+)",
    re.DOTALL | re.IGNORECASE,
)
_RAW_TEXT_ENDS = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
"""Elements in which there are none, and what ends each."""
_LAYOUT_ELEMENTS = frozenset("div section article blockquote ul ol dl table form fieldset center".split())
_LAYOUT_START_TAG = re.compile(rf"<(?:{'|'.join(sorted(_LAYOUT_ELEMENTS))})\b", re.IGNORECASE)
_FOREIGN_ROOTS = ("svg", "math")
"""Only in these an element ends where it begins if it says so, and a script or a title may hold others."""
_INTEGRATION_POINTS = ("foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext")
"""In these, inside of the foreign ones, the page's own elements stand."""
_VOID_OR_IMPLICITLY_CLOSED = frozenset(
    """
    a area base body br button caption col colgroup dd dt embed h1 h2 h3 h4 h5 h6 head hr html img input keygen li link
    meta nobr optgroup option p param rb rp rt rtc source tbody td tfoot th thead tr track wbr
    """.split()
)
"""Elements that hold nothing, or that the next ones end."""
_SCOPE_MARKERS = ("applet", "marquee", "object", "table", "template")
"""Nothing ends from inside of these that was begun outside."""
_SPECIAL_ELEMENTS = (
    BLOCK_ELEMENTS | set(_SCOPE_MARKERS) | set("dir frameset listing noscript plaintext pre search select".split())
) - _VOID_OR_IMPLICITLY_CLOSED
"""What is inline, or a form, does not end from inside of these either."""
_FOREIGN_BREAKOUT_TAGS = frozenset(
    """
    b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta nobr
    ol p pre ruby s small span strike strong sub sup table tt u ul var
    """.split()
)
"""With these whatever is foreign has ended."""


def validate_depth(html: str) -> None:
    """Refuse what would take the parser too long, by the elements that are open at each tag."""
    tags = html.count("<")
    if tags * (tags - html.count("</")) <= MAX_PARSER_STEPS and len(_LAYOUT_START_TAG.findall(html)) <= MAX_DEPTH:
        return  # nearly always: however they stand, there are too few of them
    opened = _OpenElements()
    steps = at = 0
    while tag := _TAG.search(html, at):
        at = tag.end()
        name = (tag["name"] or "").lower()
        if name in (("p", "br") if tag["ends"] else _FOREIGN_BREAKOUT_TAGS):
            opened.leave_foreign()
        if name in SEPARATING_CELL_ELEMENTS or (tag["ends"] and not opened.positions[name]):
            steps += len(opened.names)
        if name in _VOID_OR_IMPLICITLY_CLOSED or not name:
            pass
        elif tag["ends"]:
            opened.close(name)
        elif name in _FOREIGN_ROOTS or opened.is_foreign():
            if not tag["attributes"].endswith("/"):
                opened.open(name)
        elif name in _RAW_TEXT_ENDS:
            at = _RAW_TEXT_ENDS[name].search(html, at).end()  # type: ignore[union-attr]  # at the text's end at the latest
        else:
            opened.open(name)
        if opened.layout_depth > MAX_DEPTH or steps > MAX_PARSER_STEPS:
            raise UnsupportedMediaError(
                f"its elements are nested more than {MAX_DEPTH:,} deep: no page that people read"
            )


class _OpenElements:
    """The elements that are open, and where each name stands among them: nothing here takes longer if it is deep."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.positions: defaultdict[str, list[int]] = defaultdict(list)
        self.special_positions: list[int] = []
        self.layout_depth = 0

    def open(self, name: str) -> None:
        """Open an element in the last one."""
        self.positions[name].append(len(self.names))
        if name in _SPECIAL_ELEMENTS:
            self.special_positions.append(len(self.names))
        self.layout_depth += name in _LAYOUT_ELEMENTS
        self.names.append(name)

    def close(self, name: str) -> None:
        """Close the last element of this name and all inside, unless one of those lets nothing end from there."""
        at = self._find_last(name)
        if name == "form" or name not in _SPECIAL_ELEMENTS:
            bound = self.special_positions[-1] if self.special_positions else -1
        else:
            bound = self._find_last("template") if name == "table" else self._find_last(*_SCOPE_MARKERS)
        if at >= bound:
            self._truncate(at)

    def is_foreign(self) -> bool:
        """Whether the last one is part of a drawing or of a formula."""
        if not (self.positions["svg"] or self.positions["math"]):  # nearly always
            return False
        return self._find_last(*_FOREIGN_ROOTS) > self._find_last(*_INTEGRATION_POINTS)

    def leave_foreign(self) -> None:
        """Close drawings and formulas, up to one that holds a piece of page."""
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
