"""Gathers lines of lightly marked text into paragraphs and lists. Does not know what the marks look like."""

from dataclasses import dataclass, field

from ....core.types.documents import Locator
from ..block_builder import Outline


@dataclass(slots=True)
class Prose:
    """The paragraph or list that is being gathered, line by line."""

    outline: Outline
    _texts: list[str] = field(default_factory=list)
    _items: list[list[str]] = field(default_factory=list)
    _first: int = 0
    _last: int = 0
    _paused: bool = False
    _counts: list[int] = field(default_factory=list)
    _marks: list[str] = field(default_factory=list)

    @property
    def in_paragraph(self) -> bool:
        """Whether a line that looks like an item may be the next line of a paragraph."""
        return bool(self._texts)

    @property
    def in_item(self) -> bool:
        """Whether the line before belongs to an item."""
        return bool(self._items) and not self._paused

    def heading(self, text: str, level: int, number: int, *, last: int = 0) -> None:
        """End what is open, and add a heading."""
        self.end()
        if level == 1 and self.outline.title is None:
            self.outline.title = text
        self.outline.heading(text, level, Locator(lines=(number, last or number)))

    def paragraph(self, text: str, number: int, *, indented: bool = False) -> None:
        """Add one line of a paragraph; right after an item, or indented, it belongs to the item."""
        if not indented and not self._texts and not self.in_item:
            self.end()
        self._begin(number)
        (self._items[-1] if self._items else self._texts).append(text)

    def item(self, text: str, number: int, *, depth: int = 0, mark: str = "-") -> None:
        """Start an item of a list; a "#" in its mark becomes the number that is due."""
        if self._texts:
            self.interrupt()
        self._begin(number)
        counted = "#" in mark
        del self._counts[depth + counted :]
        self._counts += [0] * (depth + counted - len(self._counts))
        if counted:
            self._counts[depth] += 1
            mark = mark.replace("#", str(self._counts[depth]))
        self._items.append([f"{'  ' * depth}{mark}", text])

    def depth(self, mark: str) -> int:
        """How deep an item stands in lists that each have a mark of their own: a new one is inside those so far."""
        if mark in self._marks:
            del self._marks[self._marks.index(mark) + 1 :]
        else:
            self._marks.append(mark)
        return len(self._marks) - 1

    def pause(self, *, keeps_list: bool = False) -> None:
        """An empty line: it ends a paragraph, and a list unless another item follows."""
        if self._items:
            self._paused = not keeps_list
        else:
            self.interrupt()

    def _begin(self, number: int) -> None:
        if not self._items and not self._texts:
            self._first = number
        self._last, self._paused = number, False

    def interrupt(self) -> None:
        """Add what is open; numbers go on behind what interrupts a list."""
        at = Locator(lines=(self._first, self._last))
        self.outline.add("\n".join(" ".join(texts) for texts in self._items), "list", at)
        self.outline.add(" ".join(self._texts), "paragraph", at)
        self._texts, self._items, self._paused = [], [], False

    def end(self) -> None:
        """Add what is open, and let numbers begin anew."""
        self.interrupt()
        self._counts, self._marks = [], []
