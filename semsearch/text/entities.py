"""Finds the numbers and names of a text, each in one form for all the ways to write it.

Knows how they are written, not whose they are: a name is what has a capital where none has to stand.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property

from .analyzer import analyze

_STEM_CHARACTERS = 4
"""Letters at the beginning of a name that are the same in the words derived from it."""

_NUMBERS_BELOW_TWENTY = {
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
    **{f"{name}th": value for name, value in _NUMBERS_BELOW_TWENTY.items() if value > 12},
    **{f"{name[:-1]}ieth": value for name, value in _TENS.items()},
}
_NUMBER_WORD_VALUES = {**_NUMBERS_BELOW_TWENTY, **_TENS, **_ORDINALS}
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
"""Units, each under the first of its names."""

_LOOSE_NUMBER_WORDS = frozenset(("one", "first", "second", "third"))
"""Words that count so often without being a figure that a claim is held to them only where the text counts the same."""

_MAX_NUMBER_DIGITS = 30
"""Digits of a number that is reckoned with; a longer one is compared as it is written."""

_MONTHS = "January February March April May June July August September October November December".split()
_DIGIT_NUMBER = re.compile(
    r"(?P<minus>(?<![^\s(])(?<!\d\s)(?:[-−]|minus\s))?(?<![\w.])"
    r"(?P<number>\d+(?:[,\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d+\.\d+|\d+)"
    r"(?:\s?(?P<scale>hundred|thousand|million|billion|trillion|k|m|mn|bn|b)\b)?(?:['’]?(?:st|nd|rd|th|s))?(?!\w)"
    r"|(?P<inside>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(\d{2})\b")
_PERCENT = re.compile(r"\s?(?:%|٪|\bper cent\b)", re.IGNORECASE)
_NUMBER_WORD = f"(?:{'|'.join([*_NUMBER_WORD_VALUES, *_SCALE_WORDS, 'hundred'])})"
_NUMBER_WORDS = re.compile(
    rf"\b(?:a\s+(?=hundred|thousand|million))?{_NUMBER_WORD}\b(?:[\s-]+(?:and\s+)?{_NUMBER_WORD}\b)*", re.IGNORECASE
)
_NOT_A_NAME = re.compile(
    rf"i|a|(?!(?:{'|'.join(_LOOSE_NUMBER_WORDS)})\b){_NUMBER_WORD}(?:-{_NUMBER_WORD})*", re.IGNORECASE
)
_COUNTED_NOUN = re.compile(rf"(?<!\w)(\d+|{_NUMBER_WORD})[\s-]+(\w{{3,40}})", re.IGNORECASE)
_UNIT_AFTER_NUMBER = re.compile(r"[\s-]{0,3}([^\W\d_]{1,20}|[€$£¥])")
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_NAME_PART = re.compile(r"[^\W_]+")
_SENTENCE_START_MARKS = ".!?:;\"“”'‘«»(*•–—-\n"
"""After these a word begins a sentence, a quotation or an item."""

_NAME_JOINERS = ("-", ".", "'", "’", "&", "/")
"""Between two of these parts a name has no space."""

_MAX_NAME_PARTS = 4
"""Parts of a name that are compared at once."""

_DEMONYMS = {
    name: tuple(other for other in pair if other != name)
    for pair in (
        ("france", "french"),
        ("switzerland", "swiss"),
        ("spain", "spanish"),
        ("poland", "polish"),
        ("wales", "welsh"),
        ("ireland", "irish"),
        ("netherlands", "dutch"),
        ("denmark", "danish"),
    )
    for name in pair
}


class TextFacts:
    """A sentence, or what stands around it, as it is compared."""

    def __init__(self, text: str) -> None:
        self.text = _normalize_text(text)

    @cached_property
    def normalized(self) -> str:
        """All of it but how it is set and how it ends."""
        return " ".join(self.text.split()).casefold().rstrip(" .!?。！？")

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms, stop words too."""
        return frozenset(analyze(self.text))

    @cached_property
    def number_mentions(self) -> list[tuple[str, str]]:
        """Its numbers, each with how it is written."""
        return list(_extract_number_mentions(self.text))

    @cached_property
    def quantities(self) -> list[tuple[str, str]]:
        """Its numbers in their order, each with the unit that stands beside it, or none."""
        placed = sorted(_locate_numbers(self.text), key=lambda found: found[2])
        return [(value, _find_unit(self.text, start, end)) for value, _, start, end in placed]

    @cached_property
    def units_by_number(self) -> dict[str, set[str]]:
        """The units beside each number, wherever it stands."""
        found: dict[str, set[str]] = {}
        for value, unit in self.quantities:
            found.setdefault(value, set()).add(unit)
        return found

    @cached_property
    def number_years(self) -> set[tuple[str, str]]:
        """Its other numbers, each with the year that it is of; empty where their order does not tell.

        "10 in 2020, 15 in 2024", "10 and 15 in 2020 and 2024" -> (10, 2020), (15, 2024)
        """
        kinds = ["y" if not unit and _YEAR.fullmatch(value) else "n" for value, unit in self.quantities]
        half, order = len(kinds) // 2, "".join(kinds)
        if order not in ("yn" * half, "ny" * half, "y" * half + "n" * half, "n" * half + "y" * half):
            return set()
        of_kind = {
            kind: [value for (value, _), one in zip(self.quantities, kinds, strict=True) if one == kind]
            for kind in "ny"
        }
        return set(zip(of_kind["n"], of_kind["y"], strict=True))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The values of its numbers."""
        return frozenset(value for value, _ in self.number_mentions)

    @cached_property
    def checkable_numbers(self) -> list[str]:
        """The numbers that it is held to."""
        return [value for value, written in self.number_mentions if written.casefold() not in _LOOSE_NUMBER_WORDS]

    @cached_property
    def names(self) -> list[str]:
        """What looks like a name in it."""
        return list(dict.fromkeys(extract_names(self.text)))

    @cached_property
    def sentence_initial_words(self) -> list[str]:
        """Words that may be names, or have a capital only because a sentence begins with them."""
        return [word for word, begins in _find_capitalized_words(self.text) if begins]

    @cached_property
    def words(self) -> list[str]:
        """Its words as they stand, but for capitals."""
        return [_strip_possessive(found[0]).casefold() for found in _WORD.finditer(self.text)]

    @cached_property
    def word_parts(self) -> list[str]:
        """Its words without accents, cut at every sign."""
        return _NAME_PART.findall(_fold_accents(self.text))

    @cached_property
    def name_forms(self) -> frozenset[str]:
        """Everything that may be a name, in one form: the text's words, and what its words make when joined."""
        return frozenset(_join_name_parts(_fold_accents(self.text)))

    @cached_property
    def name_stems(self) -> frozenset[str]:
        """What its words begin with."""
        return frozenset(part[:_STEM_CHARACTERS] for part in self.word_parts)

    def contains_name(self, name: str) -> bool:
        """Whether it has a name, in whatever way it is written."""
        parts = _NAME_PART.findall(_fold_accents(name))
        runs = ["".join(parts[at : at + _MAX_NAME_PARTS]) for at in range(max(1, len(parts) - _MAX_NAME_PARTS + 1))]
        return all(not self.name_forms.isdisjoint((run, f"{run}s", f"{run}es")) for run in runs)

    def find_substitutions(self, words: Sequence[str], claim: "TextFacts") -> Iterator[str]:
        """Yield the words here that stand before the same two words as one of these does in what is said."""
        wanted = {word.casefold() for word in words}
        followed = {pair for word, pair in _pair_with_next_words(claim.words) if word in wanted}
        return (word for word, pair in _pair_with_next_words(self.words) if pair in followed)

    def contains_similar_name(self, name: str) -> bool:
        """Whether it has a word of the same beginning, or of the same people: Europe, European; France, French."""
        folded = _fold_accents(name)
        return any(
            len(one) >= _STEM_CHARACTERS and one[:_STEM_CHARACTERS] in self.name_stems
            for one in (folded, *_DEMONYMS.get(folded, ()))
        )


def extract_numbers(text: str, *, exclude_loose: bool = False) -> Iterator[str]:
    """Yield the numbers in a text in one form for all ways to write them; with `figures` no everyday words.

    >>> list(numbers("1,000 of 3.5 million, twenty-six, 5th, 1990s, 2024-05-07"))
    ['1000', '3500000', '5', '1990', '7', '2024', '26']
    """
    for value, written in _extract_number_mentions(_normalize_text(text)):
        if not (exclude_loose and written.casefold() in _LOOSE_NUMBER_WORDS):
            yield value


def _normalize_text(text: str) -> str:
    """A text with one form of digits, hyphens, dates and percentages."""
    if not text.isascii():
        composed = unicodedata.normalize("NFC", text)
        text = "".join(map(_normalize_digit, composed.replace("\u2010", "-").replace("\u2011", "-")))
    text = _ISO_DATE.sub(lambda date: f"{int(date[3])} {_MONTHS[int(date[2]) - 1]} {date[1]}", text)
    return _PERCENT.sub(" percent", text)


def _normalize_digit(character: str) -> str:
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return f" {unicodedata.normalize('NFKD', character)}"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _extract_number_mentions(text: str) -> Iterator[tuple[str, str]]:
    """The numbers in a text, each with how it is written: first those in digits, then those in words."""
    return ((value, written) for value, written, _, _ in _locate_numbers(text))


def _locate_numbers(text: str) -> Iterator[tuple[str, str, int, int]]:
    """The same, each with where it stands."""
    for found in _DIGIT_NUMBER.finditer(text):
        yield _normalize_number(found), found[0], *found.span()
    for found in _NUMBER_WORDS.finditer(_DIGIT_NUMBER.sub(lambda digits: " " * len(digits[0]), text)):
        for value, written in _parse_number_words(found[0]):
            yield value, written, *found.span()


def _find_unit(text: str, start: int, end: int) -> str:
    behind = _UNIT_AFTER_NUMBER.match(text, end)
    before = text[max(0, start - 2) : start].rstrip()[-1:]
    sign = "" if before.isalpha() else before  # "through 12" is not in hours, though "h" is a unit
    return _CANONICAL_UNITS.get(sign, "") or _CANONICAL_UNITS.get(behind[1].casefold() if behind else "", "")


def _normalize_number(match: re.Match[str]) -> str:
    value = re.sub(r"[^\d.]", "", match["inside"] or match["number"])
    factor = _SCALE_FACTORS.get((match["scale"] or "").casefold(), 1)
    whole, _, part = value.partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    sign = "-" if match["minus"] else ""
    if factor == 1 or len(value) > _MAX_NUMBER_DIGITS:
        return f"{sign}{whole}{'.' * bool(part)}{part}{f'*{factor}' * (factor > 1)}"
    scaled, digits = int(whole + part) * factor, 10 ** len(part)
    return f"{sign}{scaled // digits}" if scaled % digits == 0 else f"{sign}{whole}.{part}*{factor}"


def _parse_number_words(phrase: str) -> Iterator[tuple[str, str]]:
    """The numbers that words stand for.

    >>> list(_spelled("Two hundred and fifty")), list(_spelled("ten and twelve")), list(_spelled("a thousand one"))
    ([('250', 'Two hundred fifty')], [('10', 'ten'), ('12', 'twelve')], [('1001', 'thousand one')])
    """
    words: list[str] = []
    total = current = 0
    room, scale = 10**9, 10**15  # what the next word may be worth to go on with the same number
    joined = False
    for written in re.findall(r"[A-Za-z]+", phrase):
        word = written.casefold()
        worth = _NUMBER_WORD_VALUES.get(word)
        if word in ("and", "a"):
            joined = word == "and"
            continue
        ends = words and (
            (worth is not None and (worth >= room or (joined and room < 100)))
            or (word == "hundred" and not 0 < current < 100)
            or (_SCALE_WORDS.get(word, 0) >= scale)
        )
        if ends:
            yield str(total + current), " ".join(words)
            words, total, current, scale = [], 0, 0, 10**15
        if worth is not None:
            current += worth
            room = 10 if worth >= 20 and worth % 10 == 0 else 0
        elif word == "hundred":
            current, room = max(1, current) * 100, 100
        else:
            scale = _SCALE_WORDS[word]
            total, current, room = total + max(1, current) * scale, 0, 100
        words.append(written)
        joined = False
    yield str(total + current), " ".join(words)


def counts_conflict(claim: TextFacts, text: TextFacts) -> bool:
    """Whether a text has another number of what a claim has one of, or calls the first, second or third."""
    everyday = [found for found in _COUNTED_NOUN.finditer(claim.text) if found[1].casefold() in _LOOSE_NUMBER_WORDS]
    if not everyday:
        return False
    counted = {tuple(analyze(found[2])): found[1].casefold() for found in _COUNTED_NOUN.finditer(text.text)}
    return any(
        str(_NUMBER_WORD_VALUES[found[1].casefold()]) not in text.numbers and tuple(analyze(found[2])) in counted
        for found in everyday
    )


def units_conflict(claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
    """Whether a claim has a unit beside a number that has only other units in the texts: 26 months for 26 weeks."""
    for value, units in claim.units_by_number.items():
        there = set[str]().union(*(text.units_by_number.get(value, ()) for text in cited_texts))
        if there and "" not in there and not (units - {""}) <= there:
            return True
    return False


def years_conflict(claim: TextFacts, text: TextFacts) -> bool:
    """Whether a claim puts a number to another year than a text that has both."""
    numbers, years = {number for number, _ in text.number_years}, {year for _, year in text.number_years}
    return any(number in numbers and year in years for number, year in claim.number_years - text.number_years)


def starts_with_number_word(word: str) -> bool:
    """Whether a word begins with a number that is written in words."""
    return bool(_NUMBER_WORDS.match(word))


def extract_names(text: str) -> Iterator[str]:
    """Yield what looks like a name: capitals inside a sentence, acronyms, letters with digits.

    >>> list(names("In May the BBC asked Normandy's K-17."))
    ['May', 'BBC', 'Normandy', 'K-17']
    """
    return (word for word, begins in _find_capitalized_words(text) if not begins or _is_name_like(word))


def _find_capitalized_words(text: str) -> Iterator[tuple[str, bool]]:
    """The words that may be names, each with whether its capital says nothing because a sentence begins there."""
    end = 0
    for found in _WORD.finditer(text):
        word = _strip_possessive(found[0])
        last = text[end : found.start()].rstrip()[-1:]
        begins = not end if not last else last in _SENTENCE_START_MARKS
        end = found.end()
        if _is_name_like(word) or (word[:1].isupper() and not _NOT_A_NAME.fullmatch(word)):
            yield word, begins


def _pair_with_next_words(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each word with the two after it."""
    return ((one, (other, third)) for one, other, third in zip(words, words[1:], words[2:], strict=False))


def _strip_possessive(word: str) -> str:
    return re.sub(r"['’]s$", "", word)


def _is_name_like(word: str) -> bool:
    """Whether a word looks like a name wherever it stands: an acronym, or digits with letters that know capitals."""
    if len(word) > 1 and word.isupper() and word.isalpha():
        return True
    lettered = any(one.lower() != one.upper() for one in word)
    return lettered and any(map(str.isdigit, word)) and not re.fullmatch(r"[\d.]+[a-z-]*", word)


def _join_name_parts(text: str) -> Iterator[str]:
    """The words of a text, and what consecutive ones make that are written as one, or might be: BBC, K17, SaintMalo."""
    run: list[str] = []
    end = 0
    for found in _NAME_PART.finditer(text):
        between = text[end : found.start()] if found.start() - end < 3 else " - "
        if between == " ":
            run = run[-1:] if run and _is_alphabetic_word(run[-1]) and _is_alphabetic_word(found[0]) else []
        elif between not in _NAME_JOINERS:
            run = []
        run = [*run[1 - _MAX_NAME_PARTS :], found[0]]
        yield from ("".join(run[at:]) for at in range(len(run)))
        end = found.end()
        run = [found[0]] if between == " " else run


def _is_alphabetic_word(part: str) -> bool:
    return len(part) > 1 and part.isalpha()


def _fold_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))
