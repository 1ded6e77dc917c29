"""XML files: feeds item by item, anything else element by element. Does not know other schemas, nor fetch anything."""

import re
from collections.abc import Sequence
from typing import Any

from lxml import etree

from ....core.types.documents import Content
from ..block_builder import Outline, line
from ..markup.html_blocks import add_fragment
from ..zip_archive import local, parse

MAX_FIELD_CHARACTERS = 100
"""A longer text is prose, and stands without the name of its element."""

_FEEDS = frozenset({"rss", "feed", "RDF"})
_ENTRIES = frozenset({"item", "entry"})
_BODIES = ("encoded", "content", "description", "summary")
_INLINE = frozenset(
    """
    a abbr b bold big cite code em emph emphasis font hi i ital italic kbd link mark ref s small span strong sub sup
    term tt u ulink xref
    """.split()
)
"""What is marked inside words; any other element is apart from the text beside it."""
_APART = "\0"
_NOT_APART = re.compile(r"(?<=[(\[])\0|\0(?=[.,;:!?)\]])")


def read(data: bytes) -> Content:
    """Read a feed or any other XML text."""
    root = parse(data)
    outline = Outline()
    if local(root) in _FEEDS and next(root.iter("{*}channel", "{*}item", "{*}entry"), None) is not None:
        _add_feed(outline, root)
    else:
        _add_elements(outline, root)
    return outline.content()


def _add_feed(outline: Outline, root: Any) -> None:
    channel = next(iter(root.iter("{*}channel", "{*}feed")), root)
    head = _fields(channel)
    outline.title = _first(head, "title") or None
    outline.heading(_first(head, "title"), 1)
    _add_body(outline, head, ("description", "subtitle"))
    for entry in root.iter("{*}item", "{*}entry"):
        fields = _fields(entry)
        outline.heading(_first(fields, "title"), 2)
        facts = [_first(fields, name) for name in ("creator", "author", "pubDate", "published", "updated")]
        outline.add(", ".join(filter(None, dict.fromkeys(facts))))
        _add_body(outline, fields, _BODIES)


def _fields(element: Any) -> dict[str, Any]:
    """The first element of each name."""
    fields: dict[str, Any] = {}
    for child in element:
        if local(child) not in _ENTRIES:
            fields.setdefault(local(child), child)
    return fields


def _first(fields: dict[str, Any], name: str) -> str:
    """The text of a field; its parts, should it have some, one after the other."""
    if name not in fields:
        return ""
    field = fields[name]
    return _text(field) if _is_mixed(field) else ", ".join(filter(None, map(_text, field))) or _text(field)


def _add_body(outline: Outline, fields: dict[str, Any], names: Sequence[str]) -> None:
    """Feeds carry HTML as text or as elements, and plain text too: the HTML reader reads all of them."""
    body = next((fields[name] for name in names if name in fields and _text(fields[name])), None)
    if body is not None:
        add_fragment(outline, _markup(body))


def _add_elements(outline: Outline, root: Any) -> None:
    """Short texts are fields of the element around them, and stand in one block with their neighbours."""
    fields: list[str] = []
    parent: Any = None
    todo = [root]
    while todo:
        element = todo.pop()
        owner = element.getparent()
        if fields and owner is not parent and (len(element) or owner is None or owner.getparent() is not parent):
            outline.add("\n".join(fields), "list")
            fields = []
        parent = owner
        fields += [
            f"{name.rpartition('}')[2]}: {line(value)}" for name, value in element.attrib.items() if value.strip()
        ]
        if len(element) and not _is_mixed(element):
            todo += reversed(element)
            continue
        text = _text(element)
        if len(text) > MAX_FIELD_CHARACTERS:
            outline.add("\n".join(fields), "list")
            fields = []
            outline.add(text)
        elif text:
            fields.append(f"{local(element)}: {text}")
    outline.add("\n".join(fields), "list")


def _is_mixed(element: Any) -> bool:
    return bool((element.text or "").strip() or any((child.tail or "").strip() for child in element))


def _markup(element: Any) -> str:
    """The HTML that an element holds, by the names of its elements without their namespace."""
    if not len(element):
        return element.text or ""
    for part in element.iter(etree.Element):
        part.tag = local(part)
    return str(etree.tostring(element, encoding="unicode", method="html", with_tail=False))


def _text(element: Any) -> str:
    """The text of an element on one line, with a space where an element begins or ends that is none within words."""
    parts = [element.text or ""]
    for event, part in etree.iterwalk(element, events=("start", "end")):
        if part is not element:
            if local(part) not in _INLINE and parts[-1] != _APART:
                parts.append(_APART)
            parts += filter(None, [part.text if event == "start" else part.tail])
    return line(_NOT_APART.sub("", "".join(parts)).replace(_APART, " "))
