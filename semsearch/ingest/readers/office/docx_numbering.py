"""Compute the label that Word prints in front of a list item: a bullet or a number. Does not read item text."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from ..zip_archive import local_name

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_BULLET = "-"


@dataclass(frozen=True, slots=True)
class _LevelFormat:
    number_format: str = "bullet"
    label_pattern: str = ""
    start: int = 1


@dataclass(slots=True)
class Numbering:
    """The list definitions and counters of one document."""

    _abstract_lists: dict[str, str] = field(default_factory=dict)
    """List id to the id of the abstract list whose counters it shares."""
    _levels: dict[tuple[str, int], _LevelFormat] = field(default_factory=dict)
    _start_overrides: dict[tuple[str, int], int] = field(default_factory=dict)
    """(List id, level) to the number of its first item, which restarts the counter."""
    _counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def read_definitions(self, root: Any) -> None:
        """Read the list definitions of a numbering part."""
        for element in root:
            if local_name(element) == "abstractNum":
                abstract_id = get_attribute(element, "abstractNumId")
                for level in element.iterfind("{*}lvl"):
                    self._levels[abstract_id, _parse_integer(get_attribute(level, "ilvl"))] = _parse_level(level)
            elif local_name(element) == "num":
                list_id = get_attribute(element, "numId")
                self._abstract_lists[list_id] = get_attribute(element.find("{*}abstractNumId"))
                for override in element.iterfind("{*}lvlOverride"):
                    start = override.find("{*}startOverride")
                    if start is not None:
                        self._start_overrides[list_id, _parse_integer(get_attribute(override, "ilvl"))] = (
                            _parse_integer(get_attribute(start))
                        )

    def next_label(self, list_id: str, level: int) -> str:
        """Count one more item of a list and return its label."""
        abstract_id = self._abstract_lists.get(list_id, list_id)
        counts = self._counts[abstract_id]
        for deeper in [other for other in counts if other > level]:
            del counts[deeper]
        start = self._start_overrides.pop((list_id, level), None)
        counts[level] = counts.get(level, self._get_level(abstract_id, level).start - 1) + 1 if start is None else start
        level_format = self._get_level(abstract_id, level)
        if level_format.number_format in ("bullet", "none"):
            return _BULLET
        text = level_format.label_pattern or f"%{level + 1}."
        for upper in range(level + 1):
            count = counts.get(upper, self._get_level(abstract_id, upper).start)
            text = text.replace(
                f"%{upper + 1}", _format_count(count, self._get_level(abstract_id, upper).number_format)
            )
        return text.strip() or _BULLET

    def _get_level(self, list_id: str, level: int) -> _LevelFormat:
        return self._levels.get((list_id, level), _LevelFormat())


def get_attribute(element: Any, name: str = "val") -> str:
    """Return the attribute of an element by its local name, or an empty string if either is absent."""
    if element is None:
        return ""
    return next((str(text) for key, text in element.attrib.items() if key.rpartition("}")[2] == name), "")


def _parse_level(element: Any) -> _LevelFormat:
    return _LevelFormat(
        get_attribute(element.find("{*}numFmt")) or "decimal",
        get_attribute(element.find("{*}lvlText"))[:40],
        _parse_integer(get_attribute(element.find("{*}start")) or "1"),
    )


def _parse_integer(text: str) -> int:
    return int(text[:6]) if text.isascii() and text.isdecimal() else 0


def _format_count(count: int, number_format: str) -> str:
    if number_format in ("lowerLetter", "upperLetter") and count > 0:
        letters = chr(97 + (count - 1) % 26) * min(1 + (count - 1) // 26, 5)
        return letters if number_format == "lowerLetter" else letters.upper()
    if number_format in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        text = ""
        for value, digits in _ROMAN:
            text += digits * (count // value)
            count %= value
        return text if number_format == "lowerRoman" else text.upper()
    return str(count)
