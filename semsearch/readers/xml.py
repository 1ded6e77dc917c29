"""XML files: feeds item by item, anything else element by element. Does not know other schemas, nor fetch anything."""

from typing import Any

from ..types import Content
from .archives import local, parse
from .elements import add_html
from .outline import Outline, line

MAX_FIELD_CHARACTERS = 100
"""A longer text is prose, and stands without the name of its element."""

_FEEDS = frozenset({"rss", "feed", "RDF"})
_ENTRIES = frozenset({"item", "entry"})
_BODIES = ("encoded", "content", "description", "summary")


def read(data: bytes) -> Content:
    """Read a feed or any other XML text."""
    root = parse(data)
    outline = Outline()
    if local(root) in _FEEDS:
        _add_feed(outline, root)
    else:
        _add_elements(outline, root)
    return outline.content()


def _add_feed(outline: Outline, root: Any) -> None:
    channel = next(iter(root.iter("{*}channel", "{*}feed")), root)
    head = _fields(channel)
    outline.title = head.get("title") or None
    outline.heading(head.get("title", ""), 1)
    _add_markup(outline, head.get("description") or head.get("subtitle") or "")
    for entry in root.iter("{*}item", "{*}entry"):
        fields = _fields(entry)
        outline.heading(fields.get("title", ""), 2)
        facts = [fields.get(name, "") for name in ("creator", "author", "pubDate", "published", "updated")]
        outline.add(", ".join(filter(None, dict.fromkeys(facts))))
        _add_markup(outline, next((fields[name] for name in _BODIES if fields.get(name)), ""))


def _fields(element: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for child in element:
        if local(child) not in _ENTRIES:
            fields.setdefault(local(child), line("".join(child.itertext())))
    return fields


def _add_markup(outline: Outline, text: str) -> None:
    """Feeds carry HTML as text, and plain text too: the HTML reader reads both."""
    inner = Outline(title="")
    add_html(inner, text)
    for block in inner.blocks:
        outline.add(block.text, "paragraph" if block.kind == "heading" else block.kind)


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
        text = line("".join(element.itertext()))
        if len(text) > MAX_FIELD_CHARACTERS:
            outline.add("\n".join(fields), "list")
            fields = []
            outline.add(text)
        elif text:
            fields.append(f"{local(element)}: {text}")
    outline.add("\n".join(fields), "list")


def _is_mixed(element: Any) -> bool:
    return bool((element.text or "").strip() or any((child.tail or "").strip() for child in element))
