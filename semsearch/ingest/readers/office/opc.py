"""Office Open XML packages: how their parts refer to each other. Does not know what the parts say."""

from posixpath import dirname, join, normpath
from typing import Any

from ....core.errors import UnsupportedMedia
from ..block_builder import line
from ..zip_archive import Archive, local

RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}"

_TITLES_OF_NOTHING = ("powerpoint presentation", "untitled", "microsoft word", "document", "slide 1", "presentation")


class Package:
    """A package's parts by name, and by their relations."""

    def __init__(self, data: bytes) -> None:
        self.archive = Archive(data)

    def main(self) -> str:
        """The name of the part that everything starts from."""
        for kind, target in self.relations("").values():
            if kind == "officeDocument":
                return target
        raise UnsupportedMedia("it is damaged: no part of it is the document")

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Relation id to (kind, part name), in the order of the file; links out of the package are left out."""
        folder, _, name = part.rpartition("/")
        listing = join(folder, "_rels", f"{name}.rels")
        if not self.archive.has(listing):
            return {}
        return {
            element.get("Id", ""): (
                element.get("Type", "").rpartition("/")[2],
                _resolved(part, element.get("Target", "")),
            )
            for element in self.archive.xml(listing)
            if element.get("TargetMode") != "External"
        }

    def related(self, part: str, kind: str) -> list[Any]:
        """The root elements of the parts of one kind, as far as they exist."""
        names = dict.fromkeys(target for related, target in self.relations(part).values() if related == kind)
        return [self.archive.xml(name) for name in names if self.archive.has(name)]

    def title(self) -> str | None:
        """The title in the properties, unless it is one that a program put there."""
        for properties in self.related("", "core-properties"):
            for element in properties:
                if local(element) == "title":
                    return sensible_title("".join(element.itertext()))
        return None


def reference(element: Any, name: str = "id") -> str:
    """The relation that an element names."""
    return str(element.get(RELATION + name) or element.get(STRICT_RELATION + name) or "")


def sensible_title(text: str) -> str | None:
    """Return the title if a person may have written it: not a file name, not what a program says by itself."""
    text = line(text)
    lower = text.lower()
    if not text or len(text) > 300 or (lower.startswith(_TITLES_OF_NOTHING) and len(text) < 40):
        return None
    if lower.rpartition(".")[2] in {"doc", "docx", "pdf", "tex", "dvi", "indd", "ppt", "pptx", "qxd", "rtf", "ps"}:
        return None
    return text


def _resolved(part: str, target: str) -> str:
    if target.startswith("/"):
        return target[1:]
    return normpath(join(dirname(part), target))
