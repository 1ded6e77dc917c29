"""Find the values of a sentence (dates, versions, quantities) and compare those of two sentences.

Two values are compared only if they measure the same: the same unit or dimension, the same counted noun, both dates or
both versions. Different notations of one value are equal: 16 and sixteen, 0.5 and 50 %, 2 weeks and 14 days.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .analyzer import extract_content_terms, normalize_words
from .numbers import MONTHS, NumberMention, find_numbers, find_unit, normalize_text

_MONTH_NUMBERS = {name.casefold()[:3]: number for number, name in enumerate(MONTHS, 1)}
_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
_DATE = re.compile(
    rf"\b(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? )?{_MONTH}(?: (?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:))?"
    r"(?:,? (?P<year>1\d{3}|20\d{2})\b)?"
)
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|by|until|till|since|from|to|between|early|late|mid|each|every)\W*$", re.IGNORECASE
)
"""A month without day and year is a date only after these: "May" and "March" are also verbs."""
_YEAR = re.compile(
    r"(?:(?<=\b(?:in|by|of|to) )|(?<=\b(?:the|and|mid) )|(?<=\b(?:from|till|year|late) )|(?<=\b(?:since|until|after) )"
    r"|(?<=\b(?:about|early|circa) )|(?<=\b(?:before|around|during) )|(?<=\bbetween )|(?<=[(–—-])|^)"
    r"(?P<year>1\d{3}|20\d{2})(?:['’]?s)?"
    r"(?![\d.,]\d|['’]?\w| (?!was\b|is\b|has\b|as\b|does\b|its\b|this\b|onwards\b)[^\W\d]+s\b)",
    re.IGNORECASE,
)
"""A year or decade. After other words, or before a plural, a number from 1000 to 2099 is rather a quantity."""

_CLOCK_TIME = re.compile(
    r"\b(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d))? ?(?P<half>[ap])\.?m\b"
    r"|\b(?P<hour24>\d{1,2}):(?P<minute24>[0-5]\d)\b",
    re.IGNORECASE,
)
_VERSION = re.compile(r"\bv?\d+(?:\.\d+){2,4}(?:[-.]?(?:alpha|beta|rc|dev|post)[.-]?\d*)?\b|\bv\d+(?:\.\d+)*\b", re.I)
_FOLLOWING_WORDS = re.compile(r"(?:['’]?s)?[ -]((?:[^\W\d][\w'’-]*[ -]?){1,3})")
_COMPLEMENT = re.compile(r"[ -][^\W\d]\w*['’]?s?['’]? of ((?:[^\W\d][\w'’-]*[ -]?){1,4})")
_PRECEDING_WORDS = re.compile(r"(?:[^\W\d_][\w'’-]*[ :=]{1,2}){1,3}$")
_AT_LEAST = re.compile(r"\b(?:more than|over|at least|above|exceed\w*|minimum of|no fewer than|no less than)\s*$", re.I)
_AT_MOST = re.compile(
    r"\b(?:less than|under|at most|up to|below|fewer than|maximum of|no more than|within|nearly|almost)\s*$", re.I
)
_ABOUT = re.compile(r"\b(?:about|around|approximately|roughly|some|circa|nearly|almost|an estimated|over)\s*$", re.I)
_NEIGHBOUR_CHARACTERS = 40
_MIN_SHARED_NEIGHBOURS = 2
_LABEL = re.compile(
    r"\b(?:step|chapter|section|topic|figure|fig|table|part|page|question|example|item|no|number|level|lesson|appendix|article"
    r"|paragraph|note|option|case|phase|stage|day|week|line|row|column|exercise|grade|type|class)\.?\s*[#:]?$",
    re.IGNORECASE,
)
"""A number after one of these words names a thing."""

_MAX_LABEL = 1_000
_INSIDE_IDENTIFIER = re.compile(r"[^\W_][-_/.]$|[^\W\d]$|[_/\\#@]$")
"""What precedes a number that is part of an identifier, such as COVID-19 or tutorial001."""


_QUALIFIER_CHARACTERS = 20
"""Before a number, where a word such as "about" is looked for."""

_APPROXIMATE_TOLERANCE = 0.2
_ROUNDING_TOLERANCE = 0.02
_MIN_ROUNDED = 10_000
"""Numbers from here on are often rounded."""

_CONVERSION_TOLERANCE = 0.1
"""4 months are about 16 weeks."""

_DAY = 86_400.0
_UNIT_FACTORS = {
    "second": ("time", 1.0),
    "minute": ("time", 60.0),
    "hour": ("time", 3_600.0),
    "day": ("time", _DAY),
    "week": ("time", 7 * _DAY),
    "month": ("time", 30.44 * _DAY),
    "year": ("time", 365.25 * _DAY),
    "decade": ("time", 3_652.5 * _DAY),
    "century": ("time", 36_525 * _DAY),
    "millimetre": ("length", 0.001),
    "centimetre": ("length", 0.01),
    "inch": ("length", 0.0254),
    "foot": ("length", 0.3048),
    "yard": ("length", 0.9144),
    "metre": ("length", 1.0),
    "kilometre": ("length", 1_000.0),
    "mile": ("length", 1_609.344),
    "gram": ("mass", 0.001),
    "kilogram": ("mass", 1.0),
    "tonne": ("mass", 1_000.0),
    "hectare": ("area", 1.0),
    "acre": ("area", 0.4047),
    "percent": ("share", 0.01),
}

ValueKind = Literal["date", "time", "version", "label", "quantity"]
"""A label, such as the number in "step 3", measures nothing."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a sentence gives."""

    kind: ValueKind
    written: str
    """As in the sentence, with its unit or counted noun."""
    date: tuple[int | None, int | None, int | None] = (None, None, None)
    """Year, month and day; None for a missing part."""
    version: str = ""
    number: float = 0.0
    unit: str = ""
    nouns: frozenset[str] = frozenset()
    """Terms of the words after the number; of those before it, if it ends its clause."""
    neighbours: frozenset[str] = frozenset()
    """The two words before the number and the two after it."""
    complement: frozenset[str] = frozenset()
    """Terms of what is measured: those of "notice" in "4 weeks of notice"."""
    lower_bound: bool = False
    upper_bound: bool = False
    approximate: bool = False


def find_values(sentence: str) -> list[Value]:
    """Return the values of a sentence: dates, then times of day, versions and quantities.

    >>> [value.written for value in find_values("From 5 May 2024 on, all get 16 weeks, since version 1.2.0.")]
    ['5 May 2024', '1.2.0', '16 weeks']
    """
    text = normalize_text(sentence)
    values = list[Value]()
    makers = (_DATE, _make_date), (_CLOCK_TIME, _make_time), (_VERSION, _make_version), (_YEAR, _make_date)
    for pattern, make in makers:
        values += [make(match) for match in pattern.finditer(text) if _is_certain(match)]
        text = pattern.sub(lambda match: "\0" * len(match[0]) if _is_certain(match) else match[0], text)
    return [*values, *_find_quantities(text)]


def _is_certain(match: re.Match[str]) -> bool:
    """Return whether a match is no bare name of a month, or one where a month is likely."""
    is_bare_month = match.re is _DATE and not any((match["day"], match["day_after"], match["year"]))
    return (
        not is_bare_month or _BEFORE_MONTH.search(match.string[max(0, match.start() - 10) : match.start()]) is not None
    )


def _make_date(match: re.Match[str]) -> Value:
    groups = match.groupdict()
    day = groups.get("day") or groups.get("day_after")
    month = groups.get("month")
    year = groups.get("year")
    date = (
        int(year) if year else None,
        _MONTH_NUMBERS[month.casefold()[:3]] if month else None,
        int(day) if day else None,
    )
    return Value("date", match[0].strip(), date=date)


def _make_time(match: re.Match[str]) -> Value:
    hour = int(match["hour"] or match["hour24"])
    if match["half"]:
        hour = hour % 12 + 12 * (match["half"].casefold() == "p")
    return Value("time", match[0], number=60.0 * hour + int(match["minute"] or match["minute24"] or 0))


def _make_version(match: re.Match[str]) -> Value:
    return Value("version", match[0], version=match[0].casefold().removeprefix("v"))


def _find_quantities(text: str) -> Iterator[Value]:
    for mention in sorted(find_numbers(text), key=lambda number: number.start):
        number = _parse_number(mention.value)
        if number is not None and mention.written.casefold() != "one":
            yield _make_quantity(text, mention, number)


def _parse_number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:  # a product that is too long, such as 2.5*1000
        return None


def _make_quantity(text: str, mention: NumberMention, number: float) -> Value:
    preceding = text[max(0, mention.start - _QUALIFIER_CHARACTERS) : mention.start]
    following = _FOLLOWING_WORDS.match(text, mention.end)
    unit = find_unit(text, mention.start, mention.end)
    words = following[1].strip() if following else ""
    complement = _COMPLEMENT.match(text, mention.end)
    before = _PRECEDING_WORDS.search(text, max(0, mention.start - 60), mention.start)
    noun_text = words or (before[0] if before else "")
    first_word = words.split()[0] if words else ""
    sign = preceding[-1:] if preceding[-1:] in ("$", "€", "£", "¥") else ""
    return Value(
        "label" if _is_label(preceding, number, unit) else "quantity",
        f"{sign}{text[mention.start : mention.end].strip()} {first_word}".strip(),
        number=number,
        unit=unit,
        nouns=frozenset(extract_content_terms(noun_text)),
        neighbours=_find_neighbours(text, mention),
        complement=frozenset(extract_content_terms(complement[1])) if complement else frozenset(),
        lower_bound=_AT_LEAST.search(preceding) is not None,
        upper_bound=_AT_MOST.search(preceding) is not None,
        approximate=_ABOUT.search(preceding) is not None,
    )


def _is_label(preceding: str, number: float, unit: str) -> bool:
    if _INSIDE_IDENTIFIER.search(preceding):
        return True
    return not unit and number < _MAX_LABEL and _LABEL.search(preceding) is not None


def _find_neighbours(text: str, mention: NumberMention) -> frozenset[str]:
    before = normalize_words(text[max(0, mention.start - _NEIGHBOUR_CHARACTERS) : mention.start])[-2:]
    after = normalize_words(text[mention.end : mention.end + _NEIGHBOUR_CHARACTERS])[:2]
    return frozenset(word for word in (*before, *after) if not word.isdecimal())


def remove_common(first: Sequence[Value], second: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """Return the values that are left when each value of `first` is paired with an equal one of `second`.

    Values that are written alike are paired first: of "in the 1973 crisis, in May 1973", 1973 is not paired with May.
    """
    rest, others = list(first), list(second)
    for matches in (_are_identical, are_equal):
        unpaired = list[Value]()
        for value in rest:
            index = next((index for index, other in enumerate(others) if matches(value, other)), None)
            if index is None:
                unpaired.append(value)
            else:
                del others[index]
        rest = unpaired
    return rest, others


def _are_identical(first: Value, second: Value) -> bool:
    return (first.kind, first.date, first.version, first.number, first.unit) == (
        second.kind,
        second.date,
        second.version,
        second.number,
        second.unit,
    ) and (first.kind != "quantity" or first.nouns == second.nouns)


def are_comparable(first: Value, second: Value) -> bool:
    """Return whether two values measure the same."""
    if first.kind != second.kind or first.kind == "label":
        return False
    if first.kind != "quantity":
        return True
    if first.complement and second.complement and first.complement.isdisjoint(second.complement):
        return False
    dimensions = [_UNIT_FACTORS.get(value.unit, (value.unit, 1.0))[0] for value in (first, second)]
    if dimensions[0] or dimensions[1]:
        shares = {dimensions[0], dimensions[1]} == {"", "share"}
        return dimensions[0] == dimensions[1] or (shares and _are_equal_shares(first, second))
    if not first.nouns.isdisjoint(second.nouns):
        return True
    return len(first.neighbours & second.neighbours) >= _MIN_SHARED_NEIGHBOURS


def are_equal(first: Value, second: Value) -> bool:
    """Return whether two values agree, in any notation; a part of a date agrees with the whole date."""
    if first.kind != second.kind:
        return False
    if first.kind in ("label", "time"):
        return first.number == second.number
    if first.kind == "date":
        return all(a is None or b is None or a == b for a, b in zip(first.date, second.date, strict=True))
    if first.kind == "version":
        shorter, longer = sorted((first.version, second.version), key=len)
        return longer == shorter or longer.startswith(f"{shorter}.")
    return _are_equal_quantities(first, second)


def _are_equal_quantities(first: Value, second: Value) -> bool:
    if {first.unit, second.unit} == {"", "percent"} and _are_equal_shares(first, second):
        return True
    if not are_comparable(first, second):
        return first.number == second.number and (first.unit == second.unit or not (first.unit and second.unit))
    numbers = [value.number * _UNIT_FACTORS.get(value.unit, ("", 1.0))[1] for value in (first, second)]
    is_bounded_alike = (first.lower_bound, first.upper_bound) == (second.lower_bound, second.upper_bound)
    if not is_bounded_alike and (
        _satisfies_bound(numbers[0], first, numbers[1]) or _satisfies_bound(numbers[1], second, numbers[0])
    ):
        return True
    tolerance = 1e-9
    if first.unit and second.unit and first.unit != second.unit:
        tolerance = _CONVERSION_TOLERANCE
    elif first.approximate != second.approximate:
        tolerance = _APPROXIMATE_TOLERANCE
    elif min(abs(first.number), abs(second.number)) >= _MIN_ROUNDED:
        tolerance = _ROUNDING_TOLERANCE
    return abs(numbers[0] - numbers[1]) <= tolerance * max(abs(numbers[0]), abs(numbers[1]))


def _are_equal_shares(first: Value, second: Value) -> bool:
    """Return whether a share and a percentage are equal: 0.5 and 50 percent."""
    factors = [0.01 if value.unit == "percent" else 1.0 for value in (first, second)]
    return abs(first.number * factors[0] - second.number * factors[1]) < 1e-9


def _satisfies_bound(number: float, bound: Value, other: float) -> bool:
    return (bound.lower_bound and other >= number) or (bound.upper_bound and other <= number)
