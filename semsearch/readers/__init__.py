"""Which reader reads which type, and the one door to all of them. Does not limit time or memory: see `children`."""

import re
from collections.abc import Callable
from importlib import import_module

from ..cleaning import clean
from ..errors import TooLarge, UnsupportedMedia
from ..ports import Reader
from ..sources import CODE_TYPES, media_type_of
from ..types import Block, Content, Locator

__all__ = ["IN_PROCESS", "MAX_SOURCE_BYTES", "READERS", "VERSION", "media_type_of", "parsed", "read"]

VERSION = "2"
"""Changes whenever the same file would be read otherwise."""

MAX_SOURCE_BYTES = 64 * 1024 * 1024


def _reader(module: str, name: str = "read") -> Callable[[], Reader]:
    """Return a function that imports a reader when it is called, and with it the library behind it."""

    def load() -> Reader:
        reader: Reader = getattr(import_module(f".{module}", __name__), name)
        return reader

    return load


_ODF = "application/vnd.oasis.opendocument"
_OOXML = "application/vnd.openxmlformats-officedocument"

READERS: dict[str, Callable[[], Reader]] = {
    **dict.fromkeys(CODE_TYPES.values(), _reader("text", "read_code")),
    "application/atom+xml": _reader("xml"),
    "application/epub+zip": _reader("epub"),
    "application/json": _reader("records"),
    "application/jsonl": _reader("records", "read_lines"),
    "application/pdf": _reader("pdf"),
    "application/rss+xml": _reader("xml"),
    "application/vnd.ms-word.document.macroenabled.12": _reader("docx"),
    f"{_ODF}.presentation": _reader("odf"),
    f"{_ODF}.spreadsheet": _reader("odf"),
    f"{_ODF}.text": _reader("odf"),
    f"{_OOXML}.presentationml.presentation": _reader("pptx"),
    f"{_OOXML}.spreadsheetml.sheet": _reader("xlsx"),
    f"{_OOXML}.wordprocessingml.document": _reader("docx"),
    "application/x-ipynb+json": _reader("notebook"),
    "application/x-ndjson": _reader("records", "read_lines"),
    "application/x-subrip": _reader("subtitles"),
    "application/xhtml+xml": _reader("html", "read_xhtml"),
    "application/xml": _reader("xml"),
    "message/rfc822": _reader("mail"),
    "text/asciidoc": _reader("asciidoc"),
    "text/csv": _reader("separated"),
    "text/html": _reader("html"),
    "text/markdown": _reader("markdown"),
    "text/plain": _reader("text"),
    "text/tab-separated-values": _reader("separated", "read_tabs"),
    "text/vtt": _reader("subtitles"),
    "text/x-rst": _reader("rst"),
    "text/xml": _reader("xml"),
}
"""Media type to the function that imports its reader."""

IN_PROCESS = frozenset({"text/plain", *CODE_TYPES.values()})
"""Types that are read as the lines they are, in linear time and without risk: a small one needs no child process."""


_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)


def read(data: bytes, media_type: str) -> Content:
    """Read one source in this process; SemsearchError, saying why, if there is nothing in it that can be read."""
    bare, charset = parsed(media_type)
    if bare not in READERS:
        raise UnsupportedMedia(f"there is no reader for {bare or 'a source without a type'}")
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLarge(f"it has {len(data):,} bytes, more than the {MAX_SOURCE_BYTES:,} that are read; split it")
    if charset:
        from .encodings import recode

        data = recode(data, charset)
    content = _cleaned(READERS[bare]()(data))
    if not content.blocks:
        raise UnsupportedMedia("it holds no text that can be read")
    return content


def parsed(media_type: str) -> tuple[str, str]:
    """The type alone, and the charset that it comes with, if any.

    >>> parsed('Text/Plain; charset="UTF-8"')
    ('text/plain', 'utf-8')
    """
    charset = _CHARSET.search(media_type)
    return media_type.partition(";")[0].strip().lower(), charset[1].lower() if charset else ""


def _cleaned(content: Content) -> Content:
    blocks = []
    for block in content.blocks:
        text = clean(block.text).strip("\n").rstrip()
        if block.kind != "code":
            text = text.lstrip()
        if text:
            at = _cleaned_place(block.locator)
            same = text == block.text and at is block.locator
            blocks.append(block if same else Block(text, block.kind, at))
    return Content(tuple(blocks), clean(content.title or "").strip() or None)


def _cleaned_place(at: Locator) -> Locator:
    if not at.headings and at.sheet is None:
        return at
    headings = tuple(filter(None, (clean(heading).strip() for heading in at.headings)))
    return Locator(headings, at.page, at.sheet and clean(at.sheet), at.lines)
