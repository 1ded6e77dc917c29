"""Which reader reads which type, and the one door to all of them. Does not limit time or memory: see `children`."""

import re
from collections.abc import Callable
from importlib import import_module

from ...core.errors import TooLarge, UnsupportedMedia
from ...core.ports import Reader
from ...core.types.documents import Block, Content, Locator
from ...text.cleaning import clean
from ..media_types import CODE_TYPES, media_type_of

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
    **dict.fromkeys(CODE_TYPES.values(), _reader("plain.text", "read_code")),
    "application/atom+xml": _reader("data.xml"),
    "application/epub+zip": _reader("markup.epub"),
    "application/json": _reader("data.json_records"),
    "application/jsonl": _reader("data.json_records", "read_lines"),
    "application/pdf": _reader("pdf.reader"),
    "application/rss+xml": _reader("data.xml"),
    "application/vnd.ms-word.document.macroenabled.12": _reader("office.docx"),
    f"{_ODF}.presentation": _reader("office.odf"),
    f"{_ODF}.spreadsheet": _reader("office.odf"),
    f"{_ODF}.text": _reader("office.odf"),
    f"{_OOXML}.presentationml.presentation": _reader("office.pptx"),
    f"{_OOXML}.spreadsheetml.sheet": _reader("office.xlsx"),
    f"{_OOXML}.wordprocessingml.document": _reader("office.docx"),
    "application/x-ipynb+json": _reader("data.notebook"),
    "application/x-ndjson": _reader("data.json_records", "read_lines"),
    "application/x-subrip": _reader("plain.subtitles"),
    "application/xhtml+xml": _reader("markup.html", "read_xhtml"),
    "application/xml": _reader("data.xml"),
    "message/rfc822": _reader("plain.mail"),
    "text/asciidoc": _reader("markup.asciidoc"),
    "text/csv": _reader("data.delimited"),
    "text/html": _reader("markup.html"),
    "text/markdown": _reader("markup.markdown"),
    "text/plain": _reader("plain.text"),
    "text/tab-separated-values": _reader("data.delimited", "read_tabs"),
    "text/vtt": _reader("plain.subtitles"),
    "text/x-rst": _reader("markup.rst"),
    "text/xml": _reader("data.xml"),
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
