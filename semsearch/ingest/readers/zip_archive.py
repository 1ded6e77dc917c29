"""Read untrusted zip archives and XML within size limits. Does not know any document format."""

import zipfile
import zlib
from io import BytesIO
from typing import Any

from lxml import etree

from ...core.errors import TooLargeError, UnsupportedMediaError
from .attribute_limit import check_xml_attributes

MAX_ENTRIES = 20_000
MAX_EXPANDED_BYTES = 256 * 1024 * 1024
MAX_COMPRESSION_RATIO = 300
"""Expanded to compressed size; text reaches 3 to 30, a zip bomb 1,000."""
MIN_RATIO_CHECK_BYTES = 16 * 1024 * 1024

_OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
_DOCTYPE_MARKS = tuple("<!DOCTYPE".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be"))


class ZipArchive:
    """The members of a zip archive, after a check of its number of entries and expanded size."""

    def __init__(self, data: bytes) -> None:
        if data.startswith(_OLE_SIGNATURE):
            raise UnsupportedMediaError("it is encrypted, or older than Office 2007; save it again without a password")
        try:
            self._zip = zipfile.ZipFile(BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as exc:
            raise UnsupportedMediaError(f"it is damaged: {exc}") from exc
        _validate_entries(self._zip.infolist(), len(data))
        self._names = {info.filename.lower(): info.filename for info in self._zip.infolist()}

    def list_names(self) -> list[str]:
        """Return the names of all members."""
        return list(self._names.values())

    def has_member(self, name: str) -> bool:
        """Return whether a member has this name, ignoring case, as the programs that write these files do."""
        return name.lower() in self._names

    def read(self, name: str) -> bytes:
        """Return the bytes of a member; raise UnsupportedMediaError if it is missing or damaged."""
        try:
            return self._zip.read(self._names[name.lower()])
        except KeyError as exc:
            raise UnsupportedMediaError(f"it is damaged: {name} is missing") from exc
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, zlib.error) as exc:
            raise UnsupportedMediaError(f"it is damaged: {name} cannot be decompressed") from exc

    def read_xml(self, name: str) -> Any:
        """Return the root element of a member; raise UnsupportedMediaError if it declares a document type."""
        data = self.read(name)
        if any(mark in data for mark in _DOCTYPE_MARKS):
            raise UnsupportedMediaError(f"its part {name} declares a document type, which is refused")
        return parse_xml(data)

    def validate_no_document_types(self) -> None:
        """Check all XML members, for libraries that parse them; UnsupportedMediaError for a document type."""
        for name in self.list_names():
            if not name.lower().endswith((".xml", ".rels")):
                continue
            data = self.read(name)
            if any(mark in data for mark in _DOCTYPE_MARKS):
                raise UnsupportedMediaError(f"its part {name} declares a document type, which is refused")
            check_xml_attributes(data)


def _validate_entries(entries: list[zipfile.ZipInfo], compressed_bytes: int) -> None:
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnsupportedMediaError("it is encrypted; save it without a password")
    if len(entries) > MAX_ENTRIES:
        raise TooLargeError(f"it is an archive of {len(entries):,} entries, more than {MAX_ENTRIES:,}")
    expanded = sum(entry.file_size for entry in entries)
    if expanded > MAX_EXPANDED_BYTES or expanded > max(MIN_RATIO_CHECK_BYTES, compressed_bytes * MAX_COMPRESSION_RATIO):
        raise TooLargeError(f"it expands to {expanded:,} bytes from {compressed_bytes:,}; save it again, or split it")


def parse_xml(data: bytes) -> Any:
    """Return the root element of an XML text, without comments. Fetches and expands nothing; depth is bounded."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    check_xml_attributes(data)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise UnsupportedMediaError(f"it is not well-formed XML: {exc}") from exc
    if root.getroottree().docinfo.internalDTD is not None and next(
        root.getroottree().docinfo.internalDTD.iterentities(), None
    ):
        raise UnsupportedMediaError(
            "it declares entities, which are refused because they can expand without limit; save it without them"
        )
    return root


def local_name(element: Any) -> str:
    """Return the name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
