"""What Word prints in front of a paragraph: a bullet, or the number it counts. Does not read paragraphs' text."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from ..zip_archive import local

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_BULLET = "-"


@dataclass(frozen=True, slots=True)
class _Level:
    form: str = "bullet"
    pattern: str = ""
    start: int = 1


@dataclass(slots=True)
class Numbering:
    """The lists of one document, and how far each has counted."""

    _lists: dict[str, str] = field(default_factory=dict)
    """List to the abstract list whose counters it shares."""
    _levels: dict[tuple[str, int], _Level] = field(default_factory=dict)
    _restarts: dict[tuple[str, int], int] = field(default_factory=dict)
    """List and level to the number that its first item has, whatever was counted before."""
    _counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def read(self, root: Any) -> None:
        """Take the definitions of a numbering part."""
        for element in root:
            if local(element) == "abstractNum":
                name = value(element, "abstractNumId")
                for level in element.iterfind("{*}lvl"):
                    self._levels[name, _integer(value(level, "ilvl"))] = _level(level)
            elif local(element) == "num":
                number = value(element, "numId")
                self._lists[number] = value(element.find("{*}abstractNumId"))
                for override in element.iterfind("{*}lvlOverride"):
                    start = override.find("{*}startOverride")
                    if start is not None:
                        self._restarts[number, _integer(value(override, "ilvl"))] = _integer(value(start))

    def next(self, number: str, level: int) -> str:
        """Count one more item of a list; return what stands in front of it."""
        name = self._lists.get(number, number)
        counts = self._counts[name]
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        start = self._restarts.pop((number, level), None)
        counts[level] = counts.get(level, self._level(name, level).start - 1) + 1 if start is None else start
        form = self._level(name, level)
        if form.form in ("bullet", "none"):
            return _BULLET
        text = form.pattern or f"%{level + 1}."
        for upper in range(level + 1):
            count = counts.get(upper, self._level(name, upper).start)
            text = text.replace(f"%{upper + 1}", _formatted(count, self._level(name, upper).form))
        return text.strip() or _BULLET

    def _level(self, name: str, level: int) -> _Level:
        return self._levels.get((name, level), _Level())


def value(element: Any, name: str = "val") -> str:
    """The attribute of an element by its local name; nothing if either is absent."""
    if element is None:
        return ""
    return next((str(text) for key, text in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _level(element: Any) -> _Level:
    return _Level(
        value(element.find("{*}numFmt")) or "decimal",
        value(element.find("{*}lvlText"))[:40],
        _integer(value(element.find("{*}start")) or "1"),
    )


def _integer(text: str) -> int:
    return int(text[:6]) if text.isascii() and text.isdecimal() else 0


def _formatted(count: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and count > 0:
        letters = chr(97 + (count - 1) % 26) * min(1 + (count - 1) // 26, 5)
        return letters if form == "lowerLetter" else letters.upper()
    if form in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        text = ""
        for size, sign in _ROMAN:
            text += sign * (count // size)
            count %= size
        return text if form == "lowerRoman" else text.upper()
    return str(count)
