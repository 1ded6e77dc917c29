"""Bound the attributes of one element of HTML or XML before it is parsed. Extracts nothing.

Parsers compare each attribute with the others of its element, so their time grows with the square of the number.
"""

import re

from ...core.errors import TooLargeError
from ..limits import MAX_ELEMENT_ATTRIBUTES

_ATTRIBUTE = r"""[\s/]++[^\s/>=][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+))?+"""
_FEW_ATTRIBUTES = 20
"""A tag with fewer makes no match object, which nearly all tags would otherwise do."""
_LARGE_TAG = re.compile(rf"<[^\s/<>!?][^\s/<>]*+(?:{_ATTRIBUTE}){{{_FEW_ATTRIBUTES},}}+")
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE)

_XML_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\x00": "utf-16-le", b"\x00<": "utf-16-be"}
"""First bytes of an XML text whose characters have two bytes; all others are read byte by byte here."""


def check_attributes(markup: str) -> None:
    """Raise TooLargeError if an element has more than `MAX_ELEMENT_ATTRIBUTES`."""
    for tag in _LARGE_TAG.finditer(markup):
        if len(_ONE_ATTRIBUTE.findall(tag[0])) > MAX_ELEMENT_ATTRIBUTES:
            raise TooLargeError(f"one of its elements has more than {MAX_ELEMENT_ATTRIBUTES:,} attributes; simplify it")


def check_xml_attributes(data: bytes) -> None:
    """Do the same for the bytes of an XML text in an encoding that keeps ASCII, or in UTF-16."""
    if data.count(b"=") > MAX_ELEMENT_ATTRIBUTES:  # each attribute of XML has one
        check_attributes(data.decode(_XML_ENCODINGS.get(data[:2], "latin-1"), "replace"))
