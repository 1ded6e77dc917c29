"""Read PowerPoint presentations by slide: text, tables, charts, diagrams, notes, comments. No images."""

from collections.abc import Iterator
from typing import Any

from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..table_grid import TableGrid
from ..zip_archive import local_name
from .chart_data import add_chart
from .opc import OpcPackage, get_relationship_id

_TITLE_PLACEHOLDERS = frozenset({"title", "ctrTitle"})
_NON_CONTENT_PLACEHOLDERS = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})


def read(data: bytes) -> ParsedContent:
    """Read the slides in presentation order; a slide's title is the heading of its content."""
    package = OpcPackage(data)
    main = package.find_main_part()
    relationships = package.read_relationships(main)
    builder = BlockBuilder(title=package.read_title())
    names = [
        relationships.get(get_relationship_id(slide), ("", ""))[1]
        for slide in package.archive.read_xml(main).iter("{*}sldId")
    ]
    authors = _read_authors(package, main)
    seen_parts = set[str]()
    for page, name in enumerate(names, 1):
        if name not in seen_parts and package.archive.has_member(name):
            seen_parts.add(name)
            _SlideWriter(package, name, builder, Locator(page=page), authors).write()
    if builder.title is None:
        builder.title = next((block.text for block in builder.blocks if block.kind == "heading"), None)
    return builder.build()


class _SlideWriter:
    """Add the blocks of one slide, its notes and its comments."""

    def __init__(
        self, package: OpcPackage, part_name: str, builder: BlockBuilder, locator: Locator, authors: dict[str, str]
    ) -> None:
        self.authors = authors
        self.package = package
        self.part_name = part_name
        self.relationships = package.read_relationships(part_name)
        self.builder = builder
        self.locator = locator

    def write(self) -> None:
        """Add the title, the other shapes in order, the notes and the comments."""
        self.builder.close_headings()
        shapes = list(_iter_shapes(self.package.archive.read_xml(self.part_name)))
        for shape in sorted(shapes, key=lambda shape: _get_placeholder_type(shape) not in _TITLE_PLACEHOLDERS):
            self._add_shape(shape)
        for root in self.package.read_related_parts(self.part_name, "notesSlide"):
            bodies = [shape for shape in _iter_shapes(root) if _get_placeholder_type(shape) == "body"]
            text = collapse_whitespace(" ".join(text for body in bodies for _, text in _iter_paragraphs(body)))
            self.builder.add(f"Notes: {text}" if text else "", "paragraph", self.locator)
        for root in self.package.read_related_parts(self.part_name, "comments"):
            for comment in root.iter("{*}cm", "{*}reply"):
                self._add_comment(comment)

    def _add_comment(self, comment: Any) -> None:
        text = collapse_whitespace(" ".join(part.text or "" for part in _iter_own_texts(comment)))
        author = self.authors.get(comment.get("authorId", ""), "")
        date = (comment.get("dt") or comment.get("created") or "")[:10]
        prefix = ", ".join(filter(None, [f"Comment by {author}" if author else "Comment", date]))
        self.builder.add(f"{prefix}: {text}" if text else "", "paragraph", self.locator)

    def _add_shape(self, shape: Any) -> None:
        if local_name(shape) == "graphicFrame":
            self._add_frame(shape)
            return
        placeholder_type = _get_placeholder_type(shape)
        paragraphs = [(level, collapse_whitespace(text)) for level, text in _iter_paragraphs(shape) if text.strip()]
        if placeholder_type in _TITLE_PLACEHOLDERS:
            self.builder.add_heading(" ".join(text for _, text in paragraphs), 1, self.locator)
        elif len(paragraphs) > 1:
            self.builder.add("\n".join(f"{'  ' * level}- {text}" for level, text in paragraphs), "list", self.locator)
        elif placeholder_type not in _NON_CONTENT_PLACEHOLDERS:
            self.builder.add("".join(text for _, text in paragraphs), "paragraph", self.locator)

    def _add_frame(self, frame: Any) -> None:
        for element in frame.iter("{*}tbl", "{*}chart", "{*}relIds"):
            if local_name(element) == "tbl":
                self.builder.add(_format_table(element), "table", self.locator)
                return
            _, name = self.relationships.pop(
                get_relationship_id(element, "id" if local_name(element) == "chart" else "dm"), ("", "")
            )
            if self.package.archive.has_member(name):
                self._add_chart_or_diagram(self.package.archive.read_xml(name))

    def _add_chart_or_diagram(self, root: Any) -> None:
        """Add a chart as the table of its data, a diagram as the list of its texts."""
        add_chart(self.builder, root, self.locator)
        points = [
            collapse_whitespace("".join(t.text or "" for t in point.iter("{*}t"))) for point in root.iter("{*}pt")
        ]
        self.builder.add("\n".join(f"- {text}" for text in points if text), "list", self.locator)


def _read_authors(package: OpcPackage, main_part: str) -> dict[str, str]:
    """Return the authors of comments by id, from the legacy and the modern list."""
    roots = [
        *package.read_related_parts(main_part, "commentAuthors"),
        *package.read_related_parts(main_part, "authors"),
    ]
    return {author.get("id", ""): collapse_whitespace(author.get("name", "")) for root in roots for author in root}


def _iter_own_texts(comment: Any) -> Iterator[Any]:
    """Yield the text elements of a comment, without those of its replies."""
    for child in comment:
        if local_name(child) in ("t", "text"):
            yield child
        elif local_name(child) != "replyLst":
            yield from _iter_own_texts(child)


def _iter_shapes(root: Any) -> Iterator[Any]:
    """Yield the shapes of a slide, including those in groups; of alternatives only the first."""
    for child in root:
        if local_name(child) in ("sp", "cxnSp", "graphicFrame"):
            yield child
        elif local_name(child) != "Fallback":
            yield from _iter_shapes(child)


def _get_placeholder_type(shape: Any) -> str:
    """Return the type of the layout placeholder that a shape fills, or an empty string."""
    placeholder = next(shape.iter("{*}ph"), None)
    return "" if placeholder is None else str(placeholder.get("type", "body"))


def _iter_paragraphs(element: Any) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of an element as (level, text)."""
    for paragraph in element.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p", "{*}p"):
        properties = paragraph.find("{*}pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        text = "".join(
            "\n" if local_name(part) == "br" else part.text or "" for part in paragraph.iter("{*}t", "{*}br")
        )
        yield int(level) if level in "0123456789" else 0, text


def _format_table(element: Any) -> str:
    grid = TableGrid()
    for row in element.iterfind("{*}tr"):
        grid.open_row()
        for cell in row.iterfind("{*}tc"):
            text = collapse_whitespace(" ".join(text for _, text in _iter_paragraphs(cell)))
            if cell.get("hMerge") in ("1", "true"):
                continue
            if cell.get("vMerge") in ("1", "true"):
                text = grid.get_text_above()
            column_span = cell.get("gridSpan", "1")
            grid.add_cell(text, int(column_span[:3]) if column_span.isdecimal() else 1)
    return grid.to_text()
