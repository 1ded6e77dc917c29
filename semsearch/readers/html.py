"""HTML files. Does not run scripts, nor load what a page refers to."""

import re

from ..types import Content
from .elements import add_html
from .encodings import decode
from .outline import Outline

_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_DECLARATION_BYTES = 4096


def read(data: bytes) -> Content:
    """Read a page; its title is its <title>, else its first <h1>."""
    declared = _DECLARED.search(data[:_DECLARATION_BYTES])
    outline = Outline()
    add_html(outline, decode(data, declared[1].decode("ascii") if declared else None))
    return outline.content()
