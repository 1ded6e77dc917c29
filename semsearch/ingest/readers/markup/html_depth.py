"""How deep the elements of a page are nested, by the rules of HTML, and what elements there are. Reads no text.

The parser looks through all open elements at each new block, and at each end of what is not open, so that depth costs
its square. Who is open is told here as the parser will tell it, in one pass: what is easier would be easy to deceive.
"""

import re
from collections import defaultdict

from ....core.errors import UnsupportedMedia

MAX_DEPTH = 5_000
"""Of what people nest."""
MAX_STEPS = 300_000_000
"""Looks at open elements that a page may cost: they take the parser a second."""

BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer
    form head header hgroup hr html legend li main menu nav ol option p section summary tbody td tfoot th thead tr ul
    """.split()
)
"""Elements that stand on lines of their own."""
HEADINGS = {f"h{level}": level for level in range(1, 7)}
"""The level of each heading."""
APART_IN_CELLS = BLOCKS | HEADINGS.keys() | {"pre"}
"""What is not one word with what is beside it, where all is on one line."""

_TAG = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?P<ends>/?)(?P<name>[a-z][^\s<>/]*+)(?P<attributes>[^<>]*+)",
    re.DOTALL | re.IGNORECASE,
)
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
"""Elements in which there are none, and what ends each."""
_LAYOUT = frozenset("div section article blockquote ul ol dl table form fieldset center".split())
_BEGINS_LAYOUT = re.compile(rf"<(?:{'|'.join(sorted(_LAYOUT))})\b", re.IGNORECASE)
_FOREIGN = ("svg", "math")
"""Only in these an element ends where it begins if it says so, and a script or a title may hold others."""
_POINTS = ("foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext")
"""In these, inside of the foreign ones, the page's own elements stand."""
_ENDED = frozenset(
    """
    a area base body br button caption col colgroup dd dt embed h1 h2 h3 h4 h5 h6 head hr html img input keygen li link
    meta nobr optgroup option p param rb rp rt rtc source tbody td tfoot th thead tr track wbr
    """.split()
)
"""Elements that hold nothing, or that the next ones end."""
_SCOPES = ("applet", "marquee", "object", "table", "template")
"""Nothing ends from inside of these that was begun outside."""
_SPECIAL = (BLOCKS | set(_SCOPES) | set("dir frameset listing noscript plaintext pre search select".split())) - _ENDED
"""What is inline, or a form, does not end from inside of these either."""
_NEVER_FOREIGN = frozenset(
    """
    b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta nobr
    ol p pre ruby s small span strike strong sub sup table tt u ul var
    """.split()
)
"""With these whatever is foreign has ended."""


def check_depth(html: str) -> None:
    """Refuse what would take the parser too long, by the elements that are open at each tag."""
    tags = html.count("<")
    if tags * (tags - html.count("</")) <= MAX_STEPS and len(_BEGINS_LAYOUT.findall(html)) <= MAX_DEPTH:
        return  # nearly always: however they stand, there are too few of them
    opened = _Opened()
    steps = at = 0
    while tag := _TAG.search(html, at):
        at = tag.end()
        name = (tag["name"] or "").lower()
        if name in (("p", "br") if tag["ends"] else _NEVER_FOREIGN):
            opened.leave_foreign()
        if name in APART_IN_CELLS or (tag["ends"] and not opened.places[name]):
            steps += len(opened.names)
        if name in _ENDED or not name:
            pass
        elif tag["ends"]:
            opened.end(name)
        elif name in _FOREIGN or opened.is_foreign():
            if not tag["attributes"].endswith("/"):
                opened.begin(name)
        elif name in _RAW:
            at = _RAW[name].search(html, at).end()  # type: ignore[union-attr]  # at the text's end at the latest
        else:
            opened.begin(name)
        if opened.layout > MAX_DEPTH or steps > MAX_STEPS:
            raise UnsupportedMedia(f"its elements are nested more than {MAX_DEPTH:,} deep: no page that people read")


class _Opened:
    """The elements that are open, and where each name stands among them: nothing here takes longer if it is deep."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.places: defaultdict[str, list[int]] = defaultdict(list)
        self.special: list[int] = []
        self.layout = 0

    def begin(self, name: str) -> None:
        """Open an element in the last one."""
        self.places[name].append(len(self.names))
        if name in _SPECIAL:
            self.special.append(len(self.names))
        self.layout += name in _LAYOUT
        self.names.append(name)

    def end(self, name: str) -> None:
        """Close the last element of this name and all inside, unless one of those lets nothing end from there."""
        at = self._last(name)
        if name == "form" or name not in _SPECIAL:
            bound = self.special[-1] if self.special else -1
        else:
            bound = self._last("template") if name == "table" else self._last(*_SCOPES)
        if at >= bound:
            self._cut(at)

    def is_foreign(self) -> bool:
        """Whether the last one is part of a drawing or of a formula."""
        if not (self.places["svg"] or self.places["math"]):  # nearly always
            return False
        return self._last(*_FOREIGN) > self._last(*_POINTS)

    def leave_foreign(self) -> None:
        """Close drawings and formulas, up to one that holds a piece of page."""
        while self.is_foreign():
            self._cut(self._last(*_FOREIGN))

    def _last(self, *names: str) -> int:
        return max(self.places[name][-1] if self.places[name] else -1 for name in names)

    def _cut(self, at: int) -> None:
        while 0 <= at < len(self.names):
            name = self.names.pop()
            self.places[name].pop()
            if name in _SPECIAL:
                self.special.pop()
            self.layout -= name in _LAYOUT
