"""Read EPUB books, chapter by chapter in reading order. Does not read books with DRM."""

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
    """Read all chapters of the spine; the title is that of the book's metadata."""
    archive = ZipArchive(data)
    if archive.has_member("META-INF/rights.xml"):
        raise UnsupportedMediaError("it is protected by DRM and cannot be read; use an unprotected copy")
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
    """Return the paths of the chapters in spine order; of all texts if the book has no spine."""
    texts = {
        item.get("id"): item.get("href")
        for item in package.iter("{*}item")
        if item.get("href") and item.get("media-type", "") in _TEXT_TYPES
    }
    spine_ids = [element.get("idref") for element in package.iter("{*}itemref") if local_name(element) == "itemref"]
    return [texts[item_id] for item_id in dict.fromkeys(spine_ids) if item_id in texts] or list(texts.values())
