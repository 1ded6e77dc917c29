"""Find the numbers of a text, in digits and in words, and normalise each to one form; find the units beside them."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

NUMBERS_BELOW_TWENTY = {
    name: value
    for value, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen".split()
    )
}
_TENS = {
    name: 10 * value for value, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_ORDINALS = {
    **{
        name: value
        for value, name in enumerate(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
        )
    },
    **{f"{name}th": value for name, value in NUMBERS_BELOW_TWENTY.items() if value > 12},
    **{f"{name[:-1]}ieth": value for name, value in _TENS.items()},
}
NUMBER_WORD_VALUES = {**NUMBERS_BELOW_TWENTY, **_TENS, **_ORDINALS}
_SCALE_WORDS = {"thousand": 1_000, "million": 1_000_000, "billion": 10**9, "trillion": 10**12}
_SCALE_FACTORS = {**_SCALE_WORDS, "hundred": 100, "k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 10**9, "b": 10**9}
_CANONICAL_UNITS = {
    word: forms.split()[0]
    for forms in (
        "second seconds sec secs|minute minutes min mins|hour hours hr hrs h|day days|week weeks wk wks|month months"
        "|year years yr yrs|decade decades|century centuries|percent|degree degrees|euro euros eur €|cent cents"
        "|dollar dollars usd $|pound pounds lb lbs gbp £|yen jpy ¥|franc francs chf|inch inches|foot feet ft"
        "|yard yards|mile miles|millimetre millimetres millimeter millimeters mm|metre metres meter meters"
        "|centimetre centimetres centimeter centimeters cm|kilometre kilometres kilometer kilometers km"
        "|gram grams g|kilogram kilograms kg|tonne tonnes|litre litres liter liters|hectare hectares ha|acre acres"
    ).split("|")
    for word in forms.split()
}
"""Spellings of each unit, mapped to the first one."""

_MAX_NUMBER_DIGITS = 30
"""A number with more digits is not multiplied by its scale word, but compared as written."""

NUMBER_WORD = f"(?:{'|'.join([*NUMBER_WORD_VALUES, *_SCALE_WORDS, 'hundred'])})"
"""Regular expression of one word of a number."""

_DIGIT_NUMBER = re.compile(
    r"(?P<minus>(?<![^\s(])(?<!\d\s)(?:[-−]|minus\s))?(?<![\w.])"
    r"(?P<number>\d+(?:[,\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d+\.\d+|\d+)"
    r"(?:\s?(?P<scale>hundred|thousand|million|billion|trillion|k|m|mn|bn|b)\b)?(?:['’]?(?:st|nd|rd|th|s))?(?!\w)"
    r"|(?P<inside>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_NUMBER_WORDS = re.compile(
    rf"\b(?:a\s+(?=hundred|thousand|million))?{NUMBER_WORD}\b(?:[\s-]+(?:and\s+)?{NUMBER_WORD}\b)*", re.IGNORECASE
)
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(\d{2})\b")
_PERCENT = re.compile(r"\s?(?:%|٪|\bper cent\b)", re.IGNORECASE)
_UNIT_AFTER_NUMBER = re.compile(r"[\s-]{0,3}([^\W\d_]{1,20}|[€$£¥])")


class NumberMention(NamedTuple):
    """A number in a text."""

    value: str
    """The number in its one form, such as `1000`, `3.5`, `-2`."""
    written: str
    """The number as it is written."""
    start: int
    end: int


def normalize_text(text: str) -> str:
    """Return `text` with one form of digits, hyphens, dates and percentages."""
    if not text.isascii():
        composed = unicodedata.normalize("NFC", text)
        text = "".join(map(_normalize_digit, composed.replace("\u2010", "-").replace("\u2011", "-")))
    text = _ISO_DATE.sub(lambda date: f"{int(date[3])} {MONTHS[int(date[2]) - 1]} {date[1]}", text)
    return _PERCENT.sub(" percent", text)


def _normalize_digit(character: str) -> str:
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return f" {unicodedata.normalize('NFKD', character)}"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def find_numbers(text: str) -> Iterator[NumberMention]:
    """Yield the numbers of a normalised text: first those in digits, then those in words."""
    for match in _DIGIT_NUMBER.finditer(text):
        yield NumberMention(_normalize_number(match), match[0], *match.span())
    for match in _NUMBER_WORDS.finditer(_DIGIT_NUMBER.sub(lambda digits: " " * len(digits[0]), text)):
        for value, written in _parse_number_words(match[0]):
            yield NumberMention(value, written, *match.span())


def find_unit(text: str, start: int, end: int) -> str:
    """Return the unit before or after the number at `text[start:end]`, in its one form; empty if there is none."""
    following = _UNIT_AFTER_NUMBER.match(text, end)
    preceding = text[max(0, start - 2) : start].rstrip()[-1:]
    sign = "" if preceding.isalpha() else preceding  # the "h" of "through 12" is not the unit of hours
    return _CANONICAL_UNITS.get(sign, "") or _CANONICAL_UNITS.get(following[1].casefold() if following else "", "")


def starts_with_number_word(word: str) -> bool:
    """Return whether a word begins with a number in words."""
    return bool(_NUMBER_WORDS.match(word))


def _normalize_number(match: re.Match[str]) -> str:
    digits = re.sub(r"[^\d.]", "", match["inside"] or match["number"])
    factor = _SCALE_FACTORS.get((match["scale"] or "").casefold(), 1)
    whole, _, fraction = digits.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    sign = "-" if match["minus"] else ""
    if factor == 1 or len(digits) > _MAX_NUMBER_DIGITS:
        return f"{sign}{whole}{'.' * bool(fraction)}{fraction}{f'*{factor}' * (factor > 1)}"
    scaled, denominator = int(whole + fraction) * factor, 10 ** len(fraction)
    return f"{sign}{scaled // denominator}" if scaled % denominator == 0 else f"{sign}{whole}.{fraction}*{factor}"


def _parse_number_words(phrase: str) -> Iterator[tuple[str, str]]:
    """Yield value and words of each number in a phrase of number words.

    >>> list(_parse_number_words("Two hundred and fifty")), list(_parse_number_words("ten and twelve"))
    ([('250', 'Two hundred fifty')], [('10', 'ten'), ('12', 'twelve')])
    >>> list(_parse_number_words("a thousand one"))
    [('1001', 'thousand one')]
    """
    words: list[str] = []
    total = current = 0
    unit_limit, scale_limit = 10**9, 10**15  # the next word continues the number only if it is worth less than these
    follows_and = False
    for written in re.findall(r"[A-Za-z]+", phrase):
        word = written.casefold()
        word_value = NUMBER_WORD_VALUES.get(word)
        if word in ("and", "a"):
            follows_and = word == "and"
            continue
        starts_number = words and (
            (word_value is not None and (word_value >= unit_limit or (follows_and and unit_limit < 100)))
            or (word == "hundred" and not 0 < current < 100)
            or (_SCALE_WORDS.get(word, 0) >= scale_limit)
        )
        if starts_number:
            yield str(total + current), " ".join(words)
            words, total, current, scale_limit = [], 0, 0, 10**15
        if word_value is not None:
            current += word_value
            unit_limit = 10 if word_value >= 20 and word_value % 10 == 0 else 0
        elif word == "hundred":
            current, unit_limit = max(1, current) * 100, 100
        else:
            scale_limit = _SCALE_WORDS[word]
            total, current, unit_limit = total + max(1, current) * scale_limit, 0, 100
        words.append(written)
        follows_and = False
    yield str(total + current), " ".join(words)
