"""Compare amounts in different units, and months and weekdays in any letter case."""

import re
from collections.abc import Iterable

from .numbers import MONTHS

_FACTORS = {
    "second": ("time", 1), "minute": ("time", 60), "hour": ("time", 3_600), "day": ("time", 86_400),
    "week": ("time", 604_800), "month": ("months", 1), "year": ("months", 12), "decade": ("months", 120),
    "century": ("months", 1_200), "millimetre": ("length", 1), "centimetre": ("length", 10),
    "metre": ("length", 1_000), "kilometre": ("length", 1_000_000), "gram": ("mass", 1), "kilogram": ("mass", 1_000),
    "tonne": ("mass", 1_000_000),
}  # fmt: skip
"""For each unit its dimension and its size in the smallest unit of the dimension."""
_ONE_UNIT = re.compile(
    r"\b(?:an?|per|every|each|one)\s+(second|minute|hour|day|week|month|year|decade|century)\b", re.I
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = tuple(month.casefold() for month in MONTHS)
_CALENDAR_WORD = re.compile(
    rf"\b(?:(?P<day>{'|'.join(_WEEKDAYS)})s?"
    rf"|(?P<month>{'|'.join(month for month in _MONTHS if month not in ('may', 'march'))})"
    r"|(?P<ambiguous>may|march)(?=\s+(?:\d|of\s+\d))|(?<=\d )(?P<dated>may|march)|(?<=\dth )(?P<ordinal>may|march)"
    r"|(?P<capital>(?-i:May|March)))\b",
    re.IGNORECASE,
)


def convert_to_base(quantities: Iterable[tuple[str, str]], text: str = "") -> set[tuple[str, float]]:
    """Return the amounts in base units, and for "a year" in `text` one year.

    >>> convert_to_base([("12", "month")]) == convert_to_base([], "for a year")
    True
    """
    amounts = set()
    for value, unit in (*quantities, *(("1", match[1].casefold()) for match in _ONE_UNIT.finditer(text))):
        if unit in _FACTORS and re.fullmatch(r"\d{1,15}(?:\.\d{1,15})?", value):
            dimension, factor = _FACTORS[unit]
            amounts.add((dimension, float(value) * factor))
    return amounts


def find_calendar_words(text: str) -> set[tuple[str, str]]:
    """Return the months and weekdays of a text, each with its kind; "may" only beside a number or capitalised.

    >>> sorted(find_calendar_words("You may come on mondays in january or on 5 may."))
    [('day', 'monday'), ('month', 'january'), ('month', 'may')]
    """
    return {
        ("day", match["day"].casefold())
        if match["day"]
        else (
            "month",
            (match["month"] or match["ambiguous"] or match["dated"] or match["ordinal"] or match["capital"]).casefold(),
        )
        for match in _CALENDAR_WORD.finditer(text)
    }
