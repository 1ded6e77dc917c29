"""HTML and XHTML files. Does not run scripts, nor load what a page refers to."""

import re

from ....core.types.documents import Content
from ..block_builder import Outline
from ..encodings import decode
from .html_blocks import add_html

_DECLARED = re.compile(
    rb"""(?:\A\s*<\?xml\b[^>]{0,200}?\bencoding|<meta[^>]{0,200}?charset)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE
)
_DECLARATION_BYTES = 4096
# XML allows no "<" in an attribute, which keeps each try within one tag
_SELF_CLOSED = re.compile(r"""<([a-zA-Z][^\s<>"'/]*)((?:\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*)?)/>""")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())


def read(data: bytes) -> Content:
    """Read a page; its title is its <title>, else its first <h1>."""
    outline = Outline()
    add_html(outline, _decoded(data))
    return outline.content()


def read_xhtml(data: bytes) -> Content:
    """Read a page that is written as XML."""
    outline = Outline()
    add_html(outline, html_of(data))
    return outline.content()


def html_of(xhtml: bytes) -> str:
    """Return an XHTML page as HTML, where `<title/>` would be a title that never ends."""
    return _SELF_CLOSED.sub(_closed, _decoded(xhtml))


def _closed(tag: re.Match[str]) -> str:
    return tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _decoded(data: bytes) -> str:
    declared = _DECLARED.search(data[:_DECLARATION_BYTES])
    return decode(data, declared[1].decode("ascii") if declared else None)
