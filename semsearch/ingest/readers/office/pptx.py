"""PowerPoint presentations, slide by slide: text, tables, charts, diagrams, notes, comments. No pictures."""

from collections.abc import Iterator
from typing import Any

from ....core.types.documents import Content, Locator
from ..block_builder import Outline, line
from ..table_grid import Grid
from ..zip_archive import local
from .chart_data import add_chart
from .opc import Package, reference

_TITLES = frozenset({"title", "ctrTitle"})
_NOT_CONTENT = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})


def read(data: bytes) -> Content:
    """Read the slides in the order in which they are shown; a slide's title is the heading of what is on it."""
    package = Package(data)
    main = package.main()
    relations = package.relations(main)
    outline = Outline(title=package.title())
    names = [relations.get(reference(slide), ("", ""))[1] for slide in package.archive.xml(main).iter("{*}sldId")]
    authors = _authors(package, main)
    shown = set[str]()
    for page, name in enumerate(names, 1):
        if name not in shown and package.archive.has(name):
            shown.add(name)
            _Slide(package, name, outline, Locator(page=page), authors).add()
    if outline.title is None:
        outline.title = next((block.text for block in outline.blocks if block.kind == "heading"), None)
    return outline.content()


class _Slide:
    """Adds what is on one slide, and then what belongs to it."""

    def __init__(self, package: Package, name: str, outline: Outline, at: Locator, authors: dict[str, str]) -> None:
        self.authors = authors
        self.package = package
        self.name = name
        self.relations = package.relations(name)
        self.outline = outline
        self.at = at

    def add(self) -> None:
        """Add the title, the shapes in their order, the notes and the comments."""
        self.outline.close_headings()
        shapes = list(_shapes(self.package.archive.xml(self.name)))
        for shape in sorted(shapes, key=lambda shape: _place(shape) not in _TITLES):
            self._add_shape(shape)
        for root in self.package.related(self.name, "notesSlide"):
            bodies = [shape for shape in _shapes(root) if _place(shape) == "body"]
            text = line(" ".join(text for body in bodies for _, text in _paragraphs(body)))
            self.outline.add(f"Notes: {text}" if text else "", "paragraph", self.at)
        for root in self.package.related(self.name, "comments"):
            for comment in root.iter("{*}cm", "{*}reply"):
                self._add_comment(comment)

    def _add_comment(self, comment: Any) -> None:
        text = line(" ".join(part.text or "" for part in _own(comment)))
        author = self.authors.get(comment.get("authorId", ""), "")
        day = (comment.get("dt") or comment.get("created") or "")[:10]
        said = ", ".join(filter(None, [f"Comment by {author}" if author else "Comment", day]))
        self.outline.add(f"{said}: {text}" if text else "", "paragraph", self.at)

    def _add_shape(self, shape: Any) -> None:
        if local(shape) == "graphicFrame":
            self._add_frame(shape)
            return
        place = _place(shape)
        paragraphs = [(level, line(text)) for level, text in _paragraphs(shape) if text.strip()]
        if place in _TITLES:
            self.outline.heading(" ".join(text for _, text in paragraphs), 1, self.at)
        elif len(paragraphs) > 1:
            self.outline.add("\n".join(f"{'  ' * level}- {text}" for level, text in paragraphs), "list", self.at)
        elif place not in _NOT_CONTENT:
            self.outline.add("".join(text for _, text in paragraphs), "paragraph", self.at)

    def _add_frame(self, frame: Any) -> None:
        for element in frame.iter("{*}tbl", "{*}chart", "{*}relIds"):
            if local(element) == "tbl":
                self.outline.add(_table(element), "table", self.at)
                return
            _, name = self.relations.pop(reference(element, "id" if local(element) == "chart" else "dm"), ("", ""))
            if self.package.archive.has(name):
                self._add_drawn(self.package.archive.xml(name))

    def _add_drawn(self, root: Any) -> None:
        """A chart as the table behind it, a diagram as the list of its texts."""
        add_chart(self.outline, root, self.at)
        points = [line("".join(t.text or "" for t in point.iter("{*}t"))) for point in root.iter("{*}pt")]
        self.outline.add("\n".join(f"- {text}" for text in points if text), "list", self.at)


def _authors(package: Package, main: str) -> dict[str, str]:
    """Who comments, by the ids of old and of new comments."""
    roots = [*package.related(main, "commentAuthors"), *package.related(main, "authors")]
    return {author.get("id", ""): line(author.get("name", "")) for root in roots for author in root}


def _own(comment: Any) -> Iterator[Any]:
    """The texts of a comment, without those of the replies in it."""
    for child in comment:
        if local(child) in ("t", "text"):
            yield child
        elif local(child) != "replyLst":
            yield from _own(child)


def _shapes(root: Any) -> Iterator[Any]:
    """The shapes on a slide, those in groups too; of alternatives only the first."""
    for child in root:
        if local(child) in ("sp", "cxnSp", "graphicFrame"):
            yield child
        elif local(child) != "Fallback":
            yield from _shapes(child)


def _place(shape: Any) -> str:
    """Which placeholder of the layout a shape fills."""
    place = next(shape.iter("{*}ph"), None)
    return "" if place is None else str(place.get("type", "body"))


def _paragraphs(element: Any) -> Iterator[tuple[int, str]]:
    """The paragraphs of a text with their levels."""
    for paragraph in element.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p", "{*}p"):
        properties = paragraph.find("{*}pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        text = "".join("\n" if local(part) == "br" else part.text or "" for part in paragraph.iter("{*}t", "{*}br"))
        yield int(level) if level in "0123456789" else 0, text


def _table(element: Any) -> str:
    grid = Grid()
    for row in element.iterfind("{*}tr"):
        grid.open_row()
        for cell in row.iterfind("{*}tc"):
            text = line(" ".join(text for _, text in _paragraphs(cell)))
            if cell.get("hMerge") in ("1", "true"):
                continue
            if cell.get("vMerge") in ("1", "true"):
                text = grid.above()
            width = cell.get("gridSpan", "1")
            grid.cell(text, int(width[:3]) if width.isdecimal() else 1)
    return grid.text()
