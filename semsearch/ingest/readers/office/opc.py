"""Read Office Open XML packages: their parts and relationships. Does not interpret the parts."""

from posixpath import dirname, join, normpath
from typing import Any

from ....core.errors import UnsupportedMediaError
from ..block_builder import collapse_whitespace
from ..zip_archive import ZipArchive, local_name

RELATIONSHIP_NAMESPACE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
STRICT_RELATIONSHIP_NAMESPACE = "{http://purl.oclc.org/ooxml/officeDocument/relationships}"

_DEFAULT_TITLES = ("powerpoint presentation", "untitled", "microsoft word", "document", "slide 1", "presentation")


class OpcPackage:
    """The parts of a package, by name and by relationship."""

    def __init__(self, data: bytes) -> None:
        self.archive = ZipArchive(data)

    def find_main_part(self) -> str:
        """Return the name of the main part, from which all others are reached."""
        for kind, target in self.read_relationships("").values():
            if kind == "officeDocument":
                return target
        raise UnsupportedMediaError("it is damaged: it has no main document part")

    def read_relationships(self, part: str) -> dict[str, tuple[str, str]]:
        """Return relationship id to (kind, part name), in file order, without links to targets outside the package."""
        folder, _, name = part.rpartition("/")
        relationships_part = join(folder, "_rels", f"{name}.rels")
        if not self.archive.has_member(relationships_part):
            return {}
        return {
            element.get("Id", ""): (
                element.get("Type", "").rpartition("/")[2],
                _resolve_target(part, element.get("Target", "")),
            )
            for element in self.archive.read_xml(relationships_part)
            if element.get("TargetMode") != "External"
        }

    def read_related_parts(self, part: str, kind: str) -> list[Any]:
        """Return the root elements of the existing related parts of one kind."""
        names = dict.fromkeys(
            target for related_kind, target in self.read_relationships(part).values() if related_kind == kind
        )
        return [self.archive.read_xml(name) for name in names if self.archive.has_member(name)]

    def read_title(self) -> str | None:
        """Return the title of the properties, unless a program generated it."""
        for properties in self.read_related_parts("", "core-properties"):
            for element in properties:
                if local_name(element) == "title":
                    return filter_title("".join(element.itertext()))
        return None


def get_relationship_id(element: Any, name: str = "id") -> str:
    """Return the relationship id in an attribute of the element, or an empty string."""
    return str(element.get(RELATIONSHIP_NAMESPACE + name) or element.get(STRICT_RELATIONSHIP_NAMESPACE + name) or "")


def filter_title(text: str) -> str | None:
    """Return the title if a person may have written it; None for a file name or a program's default."""
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
