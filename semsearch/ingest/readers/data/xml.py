"""Read XML files: feeds item by item, others element by element. Does not know other schemas or fetch anything."""

import re
from collections.abc import Sequence
from typing import Any

from lxml import etree

from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..markup.html_blocks import add_fragment
from ..zip_archive import local_name, parse_xml

MAX_FIELD_CHARACTERS = 100
"""A longer text is prose, and is added without the name of its element."""

_FEED_ROOTS = frozenset({"rss", "feed", "RDF"})
_ENTRY_ELEMENTS = frozenset({"item", "entry"})
_BODY_FIELDS = ("encoded", "content", "description", "summary")
_INLINE_ELEMENTS = frozenset(
    """
    a abbr b bold big cite code em emph emphasis font hi i ital italic kbd link mark ref s small span strong sub sup
    term tt u ulink xref
    """.split()
)
"""Elements that may mark a part of a word; any other element separates words."""
_SEPARATOR = "\0"
_REDUNDANT_SEPARATOR = re.compile(r"(?<=[(\[])\0|\0(?=[.,;:!?)\]])")


def read(data: bytes) -> ParsedContent:
    """Read a feed or any other XML text."""
    root = parse_xml(data)
    builder = BlockBuilder()
    if local_name(root) in _FEED_ROOTS and next(root.iter("{*}channel", "{*}item", "{*}entry"), None) is not None:
        _add_feed(builder, root)
    else:
        _add_elements(builder, root)
    return builder.build()


def _add_feed(builder: BlockBuilder, root: Any) -> None:
    channel = next(iter(root.iter("{*}channel", "{*}feed")), root)
    channel_fields = _collect_fields(channel)
    builder.title = _get_field_text(channel_fields, "title") or None
    builder.add_heading(_get_field_text(channel_fields, "title"), 1)
    _add_body(builder, channel_fields, ("description", "subtitle"))
    for entry in root.iter("{*}item", "{*}entry"):
        fields = _collect_fields(entry)
        builder.add_heading(_get_field_text(fields, "title"), 2)
        byline = [_get_field_text(fields, name) for name in ("creator", "author", "pubDate", "published", "updated")]
        builder.add(", ".join(filter(None, dict.fromkeys(byline))))
        _add_body(builder, fields, _BODY_FIELDS)


def _collect_fields(element: Any) -> dict[str, Any]:
    """Return the first child element of each name."""
    fields: dict[str, Any] = {}
    for child in element:
        if local_name(child) not in _ENTRY_ELEMENTS:
            fields.setdefault(local_name(child), child)
    return fields


def _get_field_text(fields: dict[str, Any], name: str) -> str:
    """Return the text of a field; the texts of its child elements, if any, are joined by commas."""
    if name not in fields:
        return ""
    field = fields[name]
    return (
        _read_text(field) if _is_mixed(field) else ", ".join(filter(None, map(_read_text, field))) or _read_text(field)
    )


def _add_body(builder: BlockBuilder, fields: dict[str, Any], names: Sequence[str]) -> None:
    """Add the first of these fields that has text. Feeds contain HTML as text or elements: both are read as HTML."""
    body = next((fields[name] for name in names if name in fields and _read_text(fields[name])), None)
    if body is not None:
        add_fragment(builder, _render_html(body))


def _add_elements(builder: BlockBuilder, root: Any) -> None:
    """Add all elements; consecutive short texts of one parent become one block of `name: text` lines."""
    fields: list[str] = []
    parent: Any = None
    stack = [root]
    while stack:
        element = stack.pop()
        owner = element.getparent()
        if fields and owner is not parent and (len(element) or owner is None or owner.getparent() is not parent):
            builder.add("\n".join(fields), "list")
            fields = []
        parent = owner
        fields += [
            f"{name.rpartition('}')[2]}: {collapse_whitespace(value)}"
            for name, value in element.attrib.items()
            if value.strip()
        ]
        if len(element) and not _is_mixed(element):
            stack += reversed(element)
            continue
        text = _read_text(element)
        if len(text) > MAX_FIELD_CHARACTERS:
            builder.add("\n".join(fields), "list")
            fields = []
            builder.add(text)
        elif text:
            fields.append(f"{local_name(element)}: {text}")
    builder.add("\n".join(fields), "list")


def _is_mixed(element: Any) -> bool:
    return bool((element.text or "").strip() or any((child.tail or "").strip() for child in element))


def _render_html(element: Any) -> str:
    """Return the HTML content of an element, with element names without namespaces."""
    if not len(element):
        return element.text or ""
    for part in element.iter(etree.Element):
        part.tag = local_name(part)
    return str(etree.tostring(element, encoding="unicode", method="html", with_tail=False))


def _read_text(element: Any) -> str:
    """Return the text of an element on one line; elements that are not inline are separated by a space."""
    parts = [element.text or ""]
    for event, part in etree.iterwalk(element, events=("start", "end")):
        if part is not element:
            if local_name(part) not in _INLINE_ELEMENTS and parts[-1] != _SEPARATOR:
                parts.append(_SEPARATOR)
            parts += filter(None, [part.text if event == "start" else part.tail])
    return collapse_whitespace(_REDUNDANT_SEPARATOR.sub("", "".join(parts)).replace(_SEPARATOR, " "))
