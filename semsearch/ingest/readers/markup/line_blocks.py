"""Collect lines of lightweight markup into paragraphs and lists. Does not parse the markup."""

from dataclasses import dataclass, field

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder


@dataclass(slots=True)
class LineBlockBuilder:
    """Build the current paragraph or list line by line."""

    builder: BlockBuilder
    _paragraph_lines: list[str] = field(default_factory=list)
    _items: list[list[str]] = field(default_factory=list)
    _first_line: int = 0
    _last_line: int = 0
    _is_after_blank_line: bool = False
    _item_counts: list[int] = field(default_factory=list)
    _item_marks: list[str] = field(default_factory=list)

    @property
    def is_in_paragraph(self) -> bool:
        """Whether a paragraph is open, so that a line that looks like an item may continue it."""
        return bool(self._paragraph_lines)

    @property
    def is_in_item(self) -> bool:
        """Whether the previous line belongs to an item."""
        return bool(self._items) and not self._is_after_blank_line

    def add_heading(self, text: str, level: int, line_number: int, *, last_line: int = 0) -> None:
        """Flush the open block, and add a heading."""
        self.flush_and_reset()
        if level == 1 and self.builder.title is None:
            self.builder.title = text
        self.builder.add_heading(text, level, Locator(lines=(line_number, last_line or line_number)))

    def add_paragraph_line(self, text: str, line_number: int, *, is_indented: bool = False) -> None:
        """Add one line of a paragraph; directly after an item, or indented, it belongs to the item."""
        if not is_indented and not self._paragraph_lines and not self.is_in_item:
            self.flush_and_reset()
        self._record_line(line_number)
        (self._items[-1] if self._items else self._paragraph_lines).append(text)

    def start_item(self, text: str, line_number: int, *, depth: int = 0, mark: str = "-") -> None:
        """Start a list item; a "#" in its mark becomes the next number."""
        if self._paragraph_lines:
            self.flush()
        self._record_line(line_number)
        is_counted = "#" in mark
        del self._item_counts[depth + is_counted :]
        self._item_counts += [0] * (depth + is_counted - len(self._item_counts))
        if is_counted:
            self._item_counts[depth] += 1
            mark = mark.replace("#", str(self._item_counts[depth]))
        self._items.append([f"{'  ' * depth}{mark}", text])

    def get_item_depth(self, mark: str) -> int:
        """Return the depth of an item, where each nested list has its own mark: a new mark starts a deeper list."""
        if mark in self._item_marks:
            del self._item_marks[self._item_marks.index(mark) + 1 :]
        else:
            self._item_marks.append(mark)
        return len(self._item_marks) - 1

    def add_blank_line(self, *, keeps_list: bool = False) -> None:
        """Handle an empty line: it ends a paragraph, and a list unless another item follows."""
        if self._items:
            self._is_after_blank_line = not keeps_list
        else:
            self.flush()

    def _record_line(self, line_number: int) -> None:
        if not self._items and not self._paragraph_lines:
            self._first_line = line_number
        self._last_line, self._is_after_blank_line = line_number, False

    def flush(self) -> None:
        """Add the open paragraph or list; the numbering continues after the block that interrupts a list."""
        locator = Locator(lines=(self._first_line, self._last_line))
        self.builder.add("\n".join(" ".join(texts) for texts in self._items), "list", locator)
        self.builder.add(" ".join(self._paragraph_lines), "paragraph", locator)
        self._paragraph_lines, self._items, self._is_after_blank_line = [], [], False

    def flush_and_reset(self) -> None:
        """Add the open paragraph or list, and restart the numbering."""
        self.flush()
        self._item_counts, self._item_marks = [], []
