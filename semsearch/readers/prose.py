"""Gathers lines of lightly marked text into paragraphs and lists. Does not know what the marks look like."""

from dataclasses import dataclass, field

from ..types import Locator
from .outline import Outline


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

    def heading(self, text: str, level: int, number: int, *, last: int = 0) -> None:
        """End what is open, and add a heading."""
        self.end()
        if level == 1 and self.outline.title is None:
            self.outline.title = text
        self.outline.heading(text, level, Locator(lines=(number, last or number)))

    def paragraph(self, text: str, number: int, *, indented: bool = False) -> None:
        """Add one line of a paragraph; right after an item, or indented, it belongs to the item."""
        if self._items and self._paused and not indented:
            self.end()
        self._begin(number)
        (self._items[-1] if self._items else self._texts).append(text)

    def item(self, text: str, number: int, *, depth: int = 0, numbered: bool = False) -> None:
        """Start an item of a list."""
        if not self._items:
            self.end()
        self._begin(number)
        del self._counts[depth + 1 :]
        self._counts += [0] * (depth + 1 - len(self._counts))
        self._counts[depth] += 1
        mark = f"{self._counts[depth]}." if numbered else "-"
        self._items.append([f"{'  ' * depth}{mark}", text])

    def pause(self, *, keeps_list: bool = False) -> None:
        """An empty line: it ends a paragraph, and a list unless another item follows."""
        if self._items:
            self._paused = not keeps_list
        else:
            self.end()

    def _begin(self, number: int) -> None:
        if not self._items and not self._texts:
            self._first = number
        self._last, self._paused = number, False

    def end(self) -> None:
        """Add what is open."""
        at = Locator(lines=(self._first, self._last))
        self.outline.add("\n".join(" ".join(texts) for texts in self._items), "list", at)
        self.outline.add(" ".join(self._texts), "paragraph", at)
        self._texts, self._items, self._counts, self._paused = [], [], [], False
