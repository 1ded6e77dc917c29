"""EPUB books, chapter by chapter in the order in which they are read. Does not open protected books."""

from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content
from ..block_builder import Outline, line
from ..zip_archive import Archive, local
from .html import html_of
from .html_blocks import add_html

_TEXT_TYPES = ("application/xhtml+xml", "text/html", "")


def read(data: bytes) -> Content:
    """Read all chapters of the spine; the title is the one in the book's metadata."""
    archive = Archive(data)
    if archive.has("META-INF/rights.xml"):
        raise UnsupportedMedia("it is a protected book; only its own reader can open it")
    package_name = _package_name(archive)
    package = archive.xml(package_name)
    outline = Outline()
    outline.title = next((line("".join(e.itertext())) for e in package.iter("{*}title")), "") or None
    for name in _spine(package):
        path = normpath(join(dirname(package_name), unquote(name)))
        if archive.has(path):
            outline.close_headings()
            add_html(outline, html_of(archive.read(path)))
    return outline.content()


def _package_name(archive: Archive) -> str:
    for element in archive.xml("META-INF/container.xml").iter("{*}rootfile"):
        if element.get("full-path"):
            return str(element.get("full-path"))
    raise UnsupportedMedia("it is damaged: its container names no package")


def _spine(package: Any) -> list[str]:
    """The paths of the chapters; of all texts, should a book have no spine."""
    texts = {
        item.get("id"): item.get("href")
        for item in package.iter("{*}item")
        if item.get("href") and item.get("media-type", "") in _TEXT_TYPES
    }
    ordered = [element.get("idref") for element in package.iter("{*}itemref") if local(element) == "itemref"]
    return [texts[name] for name in dict.fromkeys(ordered) if name in texts] or list(texts.values())
