"""EPUB books, chapter by chapter in the order in which they are read. Does not open protected books."""

from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..zip_archive import ZipArchive, local_name
from .html import convert_to_html
from .html_blocks import add_html

_TEXT_TYPES = ("application/xhtml+xml", "text/html", "")


def read(data: bytes) -> ParsedContent:
    """Read all chapters of the spine; the title is the one in the book's metadata."""
    archive = ZipArchive(data)
    if archive.has_member("META-INF/rights.xml"):
        raise UnsupportedMediaError("it is a protected book; only its own reader can open it")
    package_name = _find_package_name(archive)
    package = archive.read_xml(package_name)
    builder = BlockBuilder()
    builder.title = next((collapse_whitespace("".join(e.itertext())) for e in package.iter("{*}title")), "") or None
    for name in _list_chapters(package):
        path = normpath(join(dirname(package_name), unquote(name)))
        if archive.has_member(path):
            builder.close_headings()
            add_html(builder, convert_to_html(archive.read(path)))
    return builder.build()


def _find_package_name(archive: ZipArchive) -> str:
    for element in archive.read_xml("META-INF/container.xml").iter("{*}rootfile"):
        if element.get("full-path"):
            return str(element.get("full-path"))
    raise UnsupportedMediaError("it is damaged: its container names no package")


def _list_chapters(package: Any) -> list[str]:
    """The paths of the chapters; of all texts, should a book have no spine."""
    texts = {
        item.get("id"): item.get("href")
        for item in package.iter("{*}item")
        if item.get("href") and item.get("media-type", "") in _TEXT_TYPES
    }
    ordered = [element.get("idref") for element in package.iter("{*}itemref") if local_name(element) == "itemref"]
    return [texts[name] for name in dict.fromkeys(ordered) if name in texts] or list(texts.values())
