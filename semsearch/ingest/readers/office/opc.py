"""Office Open XML packages: how their parts refer to each other. Does not know what the parts say."""

from posixpath import dirname, join, normpath
from typing import Any

from ....core.errors import UnsupportedMediaError
from ..block_builder import collapse_whitespace
from ..zip_archive import ZipArchive, local_name

RELATIONSHIP_NAMESPACE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
STRICT_RELATIONSHIP_NAMESPACE = "{http://purl.oclc.org/ooxml/officeDocument/relationships}"

_DEFAULT_TITLES = ("powerpoint presentation", "untitled", "microsoft word", "document", "slide 1", "presentation")


class OpcPackage:
    """A package's parts by name, and by their relations."""

    def __init__(self, data: bytes) -> None:
        self.archive = ZipArchive(data)

    def find_main_part(self) -> str:
        """The name of the part that everything starts from."""
        for kind, target in self.read_relationships("").values():
            if kind == "officeDocument":
                return target
        raise UnsupportedMediaError("it is damaged: no part of it is the document")

    def read_relationships(self, part: str) -> dict[str, tuple[str, str]]:
        """Relation id to (kind, part name), in the order of the file; links out of the package are left out."""
        folder, _, name = part.rpartition("/")
        listing = join(folder, "_rels", f"{name}.rels")
        if not self.archive.has_member(listing):
            return {}
        return {
            element.get("Id", ""): (
                element.get("Type", "").rpartition("/")[2],
                _resolve_target(part, element.get("Target", "")),
            )
            for element in self.archive.read_xml(listing)
            if element.get("TargetMode") != "External"
        }

    def read_related_parts(self, part: str, kind: str) -> list[Any]:
        """The root elements of the parts of one kind, as far as they exist."""
        names = dict.fromkeys(target for related, target in self.read_relationships(part).values() if related == kind)
        return [self.archive.read_xml(name) for name in names if self.archive.has_member(name)]

    def read_title(self) -> str | None:
        """The title in the properties, unless it is one that a program put there."""
        for properties in self.read_related_parts("", "core-properties"):
            for element in properties:
                if local_name(element) == "title":
                    return filter_title("".join(element.itertext()))
        return None


def get_relationship_id(element: Any, name: str = "id") -> str:
    """The relation that an element names."""
    return str(element.get(RELATIONSHIP_NAMESPACE + name) or element.get(STRICT_RELATIONSHIP_NAMESPACE + name) or "")


def filter_title(text: str) -> str | None:
    """Return the title if a person may have written it: not a file name, not what a program says by itself."""
    text = collapse_whitespace(text)
    lower = text.lower()
    if not text or len(text) > 300 or (lower.startswith(_DEFAULT_TITLES) and len(text) < 40):
        return None
    if lower.rpartition(".")[2] in {"doc", "docx", "pdf", "tex", "dvi", "indd", "ppt", "pptx", "qxd", "rtf", "ps"}:
        return None
    return text


def _resolve_target(part: str, target: str) -> str:
    if target.startswith("/"):
        return target[1:]
    return normpath(join(dirname(part), target))
