"""English abbreviations and what they stand for: a table of common ones, and initials of capitalised phrases."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from .alternations import build_alternation

_EXPANSIONS = {
    "United States": "US|U.S.|USA|U.S.A.|United States of America",
    "United Kingdom": "UK|U.K.",
    "European Union": "EU|E.U.",
    "United Nations": "UN|U.N.",
    "Doctor": "Dr.|Dr",
    "Professor": "Prof.|Prof",
    "Saint": "St.",
    "Mount": "Mt.",
    "Mister": "Mr.|Mr",
    "versus": "vs.|vs",
    "for example": "e.g.|eg.",
    "that is": "i.e.",
    "approximately": "approx.|approx",
    "versions": "vers.",
    "application": "app|App",
    "information": "info",
    "administrator": "admin",
    "configuration": "config",
    "repository": "repo",
    "documentation": "docs",
    "database": "DB",
    "identifier": "ID",
}
_MONTHS = {
    "January": "Jan", "February": "Feb", "March": "Mar", "April": "Apr", "June": "Jun", "July": "Jul",
    "August": "Aug", "September": "Sept|Sep", "October": "Oct", "November": "Nov", "December": "Dec",
}  # fmt: skip
_WEEKDAYS = {
    "Monday": "Mon", "Tuesday": "Tues|Tue", "Wednesday": "Weds|Wed", "Thursday": "Thurs|Thur|Thu", "Friday": "Fri",
}  # fmt: skip
_UNITS = {
    "kilograms": "kg|kgs", "kilometres": "km", "centimetres": "cm", "millimetres": "mm", "hours": "hrs|hr",
    "minutes": "mins|min", "seconds": "secs|sec", "weeks": "wks|wk", "years": "yrs|yr", "pounds": "lbs|lb",
    "megabytes": "MB", "gigabytes": "GB", "kilobytes": "KB|kB", "milliseconds": "ms",
}  # fmt: skip
"""Only after a number."""

_INITIALISM = re.compile(r"(?<![\w.-])[A-Z][A-Z&]{1,6}(?:s)?(?![\w-])|(?<!\w)(?:[A-Z]\.){2,6}")
_CAPITALIZED_PHRASE = re.compile(
    r"(?<!\w)[A-Z][\w’']{0,40}(?:[ -](?:(?:of|the|for|and|on|in|&) ){0,2}[A-Z][\w’']{0,40}){1,6}"
)
_PHRASE_WORD = re.compile(r"[A-Za-z][\w’']*")
_DEFINITION = re.compile(r"(?<!\w)((?:[\w’']{1,40}[ -]){2,8})\(([A-Z][A-Za-z&]{1,7})\)")
"""At most eight words before an abbreviation in brackets."""


@cache
def _common_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return the pattern of common abbreviations, and what each stands for."""
    words, months, weekdays = map(_invert, (_EXPANSIONS, _MONTHS, _WEEKDAYS))
    units = {form: f" {expansion}" for form, expansion in _invert(_UNITS).items()}
    pattern = "|".join(
        (
            rf"(?<![\w.-]){build_alternation(words)}(?![\w-])",
            rf"(?<!\w){build_alternation(months)}\b\.?(?=[\s,]+\d)",
            rf"(?<=\d ){build_alternation(months)}\b\.?",
            rf"(?<!\w){build_alternation(weekdays)}\b\.?(?=\W)(?!\s[A-Z])",
            rf"(?<=\d)\s?{build_alternation(units)}\b",
        )
    )
    return re.compile(pattern), words | months | weekdays | units


def _invert(table: Mapping[str, str]) -> dict[str, str]:
    """Return what each short form stands for."""
    return {form: expansion for expansion, forms in table.items() for form in forms.split("|")}


def expand_common_abbreviations(text: str) -> str:
    """Return text with common abbreviations written out; what looks like one in another case stays.

    >>> expand_common_abbreviations("Dr. Ng told us that the US ships 5 kg from 3 Jan 2024 on.")
    'Doctor Ng told us that the United States ships 5 kilograms from 3 January 2024 on.'
    """
    pattern, expansions = _common_pattern()

    def expand(match: re.Match[str]) -> str:
        written = match[0].strip()
        return expansions.get(written) or expansions[written.rstrip(".")]

    return pattern.sub(expand, text)


def find_definitions(texts: Iterable[str]) -> dict[str, str]:
    """Return the abbreviations that texts define by a parenthesis, or that are initials of a phrase in them.

    >>> find_definitions(["paid parental leave (PPL) ends"])
    {'PPL': 'paid parental leave'}
    >>> find_definitions(["the World Health Organization met"])["WHO"]
    'World Health Organization'
    """
    definitions: dict[str, str] = {}
    for text in texts:
        for phrase, initials in _find_phrases(text):
            definitions.setdefault(initials, phrase)
    return definitions


def _find_phrases(text: str) -> Iterator[tuple[str, str]]:
    """Yield phrases with the initials that may stand for them."""
    for match in _DEFINITION.finditer(text):
        words = list(_PHRASE_WORD.finditer(match[1]))
        letters = [letter for letter in match[2] if letter.isupper()]
        for count in range(len(letters), min(len(words), 2 * len(letters)) + 1):
            if _spells([word[0] for word in words[-count:]], match[2]):
                yield match[1][words[-count].start() :].rstrip(), match[2]
                break
    for match in _CAPITALIZED_PHRASE.finditer(text):
        words = list(_PHRASE_WORD.finditer(match[0]))
        for start in range(len(words) - 1):
            capitals = [word for word in words[start:] if word[0][0].isupper()]
            initials = "".join(word[0][0] for word in capitals)
            if words[start][0][0].isupper() and len(initials) > 1:
                yield match[0][words[start].start() :], initials


def _spells(words: list[str], initials: str) -> bool:
    """Return whether the initials are those of the words, of which some small ones may be left out."""
    letters = "".join(word[0] for word in words).casefold()
    main_letters = "".join(word[0] for word in words if word.casefold() not in ("of", "the", "for", "and", "on", "in"))
    return initials.casefold() in (letters, main_letters.casefold())


def find_initialisms(text: str) -> set[str]:
    """Return the words of a text that look like initials, without full stops.

    >>> sorted(find_initialisms("The U.N. and NATO are in A4."))
    ['NATO', 'UN']
    """
    return {match[0].replace(".", "").removesuffix("s") for match in _INITIALISM.finditer(text)}


def write_out(text: str, definitions: dict[str, str]) -> str:
    """Return text with each defined abbreviation replaced by its phrase."""
    if not definitions:
        return text
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, definitions))})(?:s)?(?![\w-])")
    return pattern.sub(lambda match: definitions[match[1]], text)
