"""Choose the reader of a media type and read a source with it. Does not limit time or memory: see `worker_pool`."""

import re
from collections.abc import Callable
from importlib import import_module

from ...core.errors import NothingToIndexError, TooLargeError, UnsupportedMediaError
from ...core.plugins import Plugin
from ...core.ports import Reader
from ...core.types.documents import ParsedContent
from ..limits import MAX_SOURCE_BYTES
from ..media_types import CODE_MEDIA_TYPES, guess_media_type
from .content_cleaning import clean_content

__all__ = [
    "IN_PROCESS_MEDIA_TYPES",
    "MAX_SOURCE_BYTES",
    "READERS",
    "TYPE_VERSIONS",
    "VERSION",
    "guess_media_type",
    "parse_media_type",
    "read",
]

VERSION = "3"
"""Increased whenever the same file would be read differently."""

TYPE_VERSIONS = {"application/pdf": "pdf-2"}
"""Added to the version for files of one type, so that a change of its reader lets only them be read again."""


def _make_loader(module: str, name: str = "read") -> Callable[[], Reader]:
    """Return a function that imports a reader, and with it the parser library, when it is called."""

    def load() -> Reader:
        reader: Reader = getattr(import_module(f".{module}", __name__), name)
        return reader

    return load


_ODF = "application/vnd.oasis.opendocument"
_OOXML = "application/vnd.openxmlformats-officedocument"

READERS: dict[str, Callable[[], Reader]] = {
    **dict.fromkeys(CODE_MEDIA_TYPES.values(), _make_loader("plain.text", "read_code")),
    "application/atom+xml": _make_loader("data.xml"),
    "application/epub+zip": _make_loader("markup.epub"),
    "application/json": _make_loader("data.json_records"),
    "application/jsonl": _make_loader("data.json_records", "read_lines"),
    "application/pdf": _make_loader("pdf.reader"),
    "application/rss+xml": _make_loader("data.xml"),
    "application/vnd.ms-word.document.macroenabled.12": _make_loader("office.docx"),
    f"{_ODF}.presentation": _make_loader("office.odf"),
    f"{_ODF}.spreadsheet": _make_loader("office.odf"),
    f"{_ODF}.text": _make_loader("office.odf"),
    f"{_OOXML}.presentationml.presentation": _make_loader("office.pptx"),
    f"{_OOXML}.spreadsheetml.sheet": _make_loader("office.xlsx"),
    f"{_OOXML}.wordprocessingml.document": _make_loader("office.docx"),
    "application/x-ipynb+json": _make_loader("data.notebook"),
    "application/x-ndjson": _make_loader("data.json_records", "read_lines"),
    "application/x-subrip": _make_loader("plain.subtitles"),
    "application/xhtml+xml": _make_loader("markup.html", "read_xhtml"),
    "application/xml": _make_loader("data.xml"),
    "message/rfc822": _make_loader("plain.mail"),
    "text/asciidoc": _make_loader("markup.asciidoc"),
    "text/csv": _make_loader("data.delimited"),
    "text/html": _make_loader("markup.html"),
    "text/markdown": _make_loader("markup.markdown"),
    "text/plain": _make_loader("plain.text"),
    "text/tab-separated-values": _make_loader("data.delimited", "read_tabs"),
    "text/vtt": _make_loader("plain.subtitles"),
    "text/x-rst": _make_loader("markup.rst"),
    "text/xml": _make_loader("data.xml"),
}
"""Media type to the function that imports its reader."""

IN_PROCESS_MEDIA_TYPES = frozenset({"text/plain", *CODE_MEDIA_TYPES.values()})
"""Types that are split into lines, in linear time and without a parser: small files of them need no child process."""


MARKUP_MEDIA_TYPES = frozenset({"text/asciidoc", "text/html", "text/markdown", "text/x-rst"})
"""Types of which an intact file may have no text: a redirect, an include, a table of contents."""

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)


def read(data: bytes, media_type: str, plugin: Plugin | None = None) -> ParsedContent:
    """Return the content of one source, read in this process; raise a SemsearchError if it has no readable text.

    `plugin` goes before the built-in reader of the type.
    """
    base_type, charset = parse_media_type(media_type)
    if plugin is None and base_type not in READERS:
        cause = ": its name does not show a known format" if base_type == "application/octet-stream" else ""
        raise UnsupportedMediaError(f"there is no reader for {base_type or 'a source without a type'}{cause}")
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLargeError(f"it has {len(data):,} bytes, more than the limit of {MAX_SOURCE_BYTES:,}; split it")
    if charset:
        from .encodings import recode

        data = recode(data, charset)
    content = clean_content(READERS[base_type]()(data) if plugin is None else _read_with_plugin(plugin, data))
    if not content.blocks:
        if base_type in MARKUP_MEDIA_TYPES and data.strip():
            raise NothingToIndexError("it contains only front matter or markup, and no text: there is nothing to index")
        raise UnsupportedMediaError("it contains no text")
    return content


def _read_with_plugin(plugin: Plugin, data: bytes) -> ParsedContent:
    from .plugin_content import read_with_plugin

    return read_with_plugin(plugin, data)


def parse_media_type(media_type: str) -> tuple[str, str]:
    """Return the type without parameters, and its charset parameter or an empty string.

    >>> parse_media_type('Text/Plain; charset="UTF-8"')
    ('text/plain', 'utf-8')
    """
    charset = _CHARSET.search(media_type)
    return media_type.partition(";")[0].strip().lower(), charset[1].lower() if charset else ""
