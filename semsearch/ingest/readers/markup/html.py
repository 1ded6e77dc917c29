"""Read HTML and XHTML files. Does not run scripts or load other resources."""

import re

from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder
from ..encodings import decode
from .front_matter import split_front_matter
from .html_blocks import add_html

_ENCODING_DECLARATION = re.compile(
    rb"""(?:\A\s*<\?xml\b[^>]{0,200}?\bencoding|<meta[^>]{0,200}?charset)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE
)
_MAX_DECLARATION_BYTES = 4096
# XML allows no "<" in an attribute, so that a match never extends beyond its tag
_SELF_CLOSED = re.compile(r"""<([a-zA-Z][^\s<>"'/]*)((?:\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*)?)/>""")
_VOID_ELEMENTS = frozenset("area base br col embed hr img input link meta param source track wbr".split())


def read(data: bytes) -> ParsedContent:
    """Read a page; its title is its <title>, else its first <h1>."""
    front_matter = split_front_matter(_decode_page(data))
    builder = BlockBuilder(title=front_matter.title)
    # only the source of a page, which a site generator reads, has front matter
    add_html(builder, front_matter.body, has_template_tags=front_matter.first_line > 1)
    return builder.build()


def read_xhtml(data: bytes) -> ParsedContent:
    """Read a page that is written in XML syntax."""
    builder = BlockBuilder()
    add_html(builder, convert_to_html(data))
    return builder.build()


def convert_to_html(xhtml: bytes) -> str:
    """Return an XHTML page as HTML, in which `<title/>` must become `<title></title>`."""
    return _SELF_CLOSED.sub(_close_tag, _decode_page(xhtml))


def _close_tag(tag: re.Match[str]) -> str:
    return tag[0] if tag[1].lower() in _VOID_ELEMENTS else f"<{tag[1]}{tag[2]}></{tag[1]}>"


def _decode_page(data: bytes) -> str:
    declaration = _ENCODING_DECLARATION.search(data[:_MAX_DECLARATION_BYTES])
    return decode(data, declaration[1].decode("ascii") if declaration else None)
