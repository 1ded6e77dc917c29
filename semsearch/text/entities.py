"""Extract the numbers and names of texts, and compare those of a claim with those of its sources.

Names are recognised by capital letters and digits, without a dictionary.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property

from .analyzer import analyze
from .characters import has_digit
from .numbers import NUMBER_WORD, NUMBER_WORD_VALUES, find_numbers, find_unit, normalize_text

_STEM_CHARACTERS = 4
"""Initial letters that a name shares with words derived from it."""

_AMBIGUOUS_NUMBER_WORDS = frozenset(("one", "first", "second", "third"))
"""Words that are often not used as numbers; a claim is checked for them only where the text counts the same noun."""

_NOT_A_NAME = re.compile(
    rf"i|a|(?!(?:{'|'.join(_AMBIGUOUS_NUMBER_WORDS)})\b){NUMBER_WORD}(?:-{NUMBER_WORD})*", re.IGNORECASE
)
_COUNTED_NOUN = re.compile(rf"(?<!\w)(\d+|{NUMBER_WORD})[\s-]+(\w{{3,40}})", re.IGNORECASE)
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_NAME_PART = re.compile(r"[^\W_]+")
_SENTENCE_START_MARKS = ".!?:;\"“”'‘«»(*•–—-\n"
"""A word after one of these characters begins a sentence, a quotation or a list item."""

_NAME_JOINERS = ("-", ".", "'", "’", "&", "/")
"""Characters that join the parts of a name without spaces."""

_HEADING = re.compile(
    r"\*\*(?P<bold>[^*\n]{1,120})\*\*|^[ \t]{0,3}#{1,6} (?P<line>[^\n]{1,120})"
    r"|^[ \t]{0,3}(?P<lead>[^:.*\n]{1,120}):(?=\s)",
    re.MULTILINE,
)
_MIN_TITLE_WORDS = 3
"""Capitalised words that a heading in title case has at least: two may be a name."""

_MAX_NAME_PARTS = 4
"""Maximum number of parts of a name that are joined for a comparison."""

_DEMONYMS = {
    name: tuple(word for word in pair if word != name)
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
    """Numbers, names and words of a sentence or its context, for comparisons; each is extracted at first use."""

    def __init__(self, text: str) -> None:
        self.text = normalize_text(text)

    @cached_property
    def normalized(self) -> str:
        """The text in lower case, with single spaces and without final punctuation."""
        return " ".join(self.text.split()).casefold().rstrip(" .!?。！？")

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms, including stop words."""
        return frozenset(analyze(self.text))

    @cached_property
    def number_mentions(self) -> list[tuple[str, str]]:
        """Value and spelling of each number; numbers in digits first."""
        return [(number.value, number.written) for number in find_numbers(self.text)]

    @cached_property
    def quantities(self) -> list[tuple[str, str]]:
        """Value and unit of each number, in order of position; the unit is empty if there is none."""
        numbers = sorted(find_numbers(self.text), key=lambda number: number.start)
        return [(number.value, find_unit(self.text, number.start, number.end)) for number in numbers]

    @cached_property
    def units_by_number(self) -> dict[str, set[str]]:
        """The units of each number, over all its occurrences."""
        units: dict[str, set[str]] = {}
        for value, unit in self.quantities:
            units.setdefault(value, set()).add(unit)
        return units

    @cached_property
    def number_years(self) -> set[tuple[str, str]]:
        """Pairs of a number and the year it belongs to; empty if the order does not show which belong together.

        "10 in 2020, 15 in 2024", "10 and 15 in 2020 and 2024" -> (10, 2020), (15, 2024)
        """
        is_year = [not unit and _YEAR.fullmatch(value) is not None for value, unit in self.quantities]
        half, order = len(is_year) // 2, "".join("y" if year else "n" for year in is_year)
        if order not in ("yn" * half, "ny" * half, "y" * half + "n" * half, "n" * half + "y" * half):
            return set()
        values = [value for value, _ in self.quantities]
        numbers = [value for value, year in zip(values, is_year, strict=True) if not year]
        years = [value for value, year in zip(values, is_year, strict=True) if year]
        return set(zip(numbers, years, strict=True))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The values of its numbers."""
        return frozenset(value for value, _ in self.number_mentions)

    @cached_property
    def checkable_numbers(self) -> list[str]:
        """The numbers that a source must have."""
        return [value for value, written in self.number_mentions if written.casefold() not in _AMBIGUOUS_NUMBER_WORDS]

    @cached_property
    def names(self) -> list[str]:
        """The words that look like names."""
        return list(dict.fromkeys(extract_names(self.text)))

    @cached_property
    def sentence_initial_words(self) -> list[str]:
        """Capitalised words at the start of a sentence, which may be names or not."""
        return [word for word, is_initial in _find_capitalized_words(self.text) if is_initial]

    @cached_property
    def words(self) -> list[str]:
        """Its words, case-folded and without a possessive 's."""
        return [_strip_possessive(match[0]).casefold() for match in _WORD.finditer(self.text)]

    @cached_property
    def word_parts(self) -> list[str]:
        """Its words without accents, split at punctuation."""
        return _NAME_PART.findall(_fold_accents(self.text))

    @cached_property
    def name_forms(self) -> frozenset[str]:
        """All possible names in one form: the words, and joins of consecutive words."""
        return frozenset(_join_name_parts(_fold_accents(self.text)))

    @cached_property
    def name_stems(self) -> frozenset[str]:
        """The first letters of its words."""
        return frozenset(part[:_STEM_CHARACTERS] for part in self.word_parts)

    def contains_name(self, name: str) -> bool:
        """Return whether the text has a name, in any spelling of its punctuation, accents and plural."""
        parts = _NAME_PART.findall(_fold_accents(name))
        starts = range(max(1, len(parts) - _MAX_NAME_PARTS + 1))
        runs = ["".join(parts[start : start + _MAX_NAME_PARTS]) for start in starts]
        return all(not self.name_forms.isdisjoint((run, f"{run}s", f"{run}es")) for run in runs)

    def find_substitutions(self, words: Sequence[str], claim: "TextFacts") -> Iterator[str]:
        """Yield the words of this text that precede the same two words as one of `words` does in the claim."""
        folded_words = {word.casefold() for word in words}
        next_pairs = {pair for word, pair in _pair_with_next_words(claim.words) if word in folded_words}
        return (word for word, pair in _pair_with_next_words(self.words) if pair in next_pairs)

    def contains_similar_name(self, name: str) -> bool:
        """Return whether a word begins like the name, or names the same people: Europe, European; France, French."""
        folded = _fold_accents(name)
        return any(
            len(form) >= _STEM_CHARACTERS and form[:_STEM_CHARACTERS] in self.name_stems
            for form in (folded, *_DEMONYMS.get(folded, ()))
        )


def extract_numbers(text: str, *, exclude_ambiguous: bool = False) -> Iterator[str]:
    """Yield the numbers of a text in one form; `exclude_ambiguous` leaves out words such as "one" and "first".

    >>> list(extract_numbers("1,000 of 3.5 million, twenty-six, 5th, 1990s, 2024-05-07"))
    ['1000', '3500000', '5', '1990', '7', '2024', '26']
    """
    for number in find_numbers(normalize_text(text)):
        if not (exclude_ambiguous and number.written.casefold() in _AMBIGUOUS_NUMBER_WORDS):
            yield number.value


def counts_conflict(claim: TextFacts, text: TextFacts) -> bool:
    """Return whether a text has another number with a noun that a claim counts by "one", "first", "second", "third"."""
    ambiguous_counts = [
        match for match in _COUNTED_NOUN.finditer(claim.text) if match[1].casefold() in _AMBIGUOUS_NUMBER_WORDS
    ]
    if not ambiguous_counts:
        return False
    counted_nouns = {tuple(analyze(match[2])) for match in _COUNTED_NOUN.finditer(text.text)}
    return any(
        str(NUMBER_WORD_VALUES[match[1].casefold()]) not in text.numbers and tuple(analyze(match[2])) in counted_nouns
        for match in ambiguous_counts
    )


def units_conflict(claim: TextFacts, cited_texts: Sequence[TextFacts]) -> bool:
    """Return whether a claim gives a number a unit that no text gives it: 26 months for 26 weeks."""
    for value, units in claim.units_by_number.items():
        cited_units = set[str]().union(*(text.units_by_number.get(value, ()) for text in cited_texts))
        if cited_units and "" not in cited_units and not (units - {""}) <= cited_units:
            return True
    return False


def years_conflict(claim: TextFacts, text: TextFacts) -> bool:
    """Return whether a claim pairs a number with another year than a text that has both."""
    numbers, years = {number for number, _ in text.number_years}, {year for _, year in text.number_years}
    return any(number in numbers and year in years for number, year in claim.number_years - text.number_years)


def extract_names(text: str) -> Iterator[str]:
    """Yield the words that look like names: capitalised inside a sentence, acronyms, letters with digits.

    >>> list(extract_names("In May the BBC asked Normandy's K-17."))
    ['May', 'BBC', 'Normandy', 'K-17']
    """
    return (word for word, is_initial in _find_capitalized_words(text) if not is_initial or _is_name_like(word))


def find_title_words(text: str) -> frozenset[str]:
    """Return the words of headings in title case, before a colon, in bold or in a line of their own with a "#".

    >>> sorted(find_title_words("**Applying For Parental Leave**: ask Anna."))
    ['Applying', 'For', 'Leave', 'Parental']
    """
    words: set[str] = set()
    for match in _HEADING.finditer(text):
        heading = match["bold"] or match["line"] or match["lead"]
        found = [word for word in _WORD.findall(heading) if word[0].isalpha()]
        capitalized = [word for word in found if word[0].isupper()]
        if len(capitalized) >= _MIN_TITLE_WORDS and all(word in capitalized or len(word) < 5 for word in found):
            words.update(word for word in capitalized if not _is_name_like(word))
    return frozenset(words)


def _find_capitalized_words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words that may be names, each with whether it begins a sentence and so has a capital anyway."""
    end = 0
    for match in _WORD.finditer(text):
        word = _strip_possessive(match[0])
        preceding = text[end : match.start()].rstrip()[-1:]
        is_initial = not end if not preceding else preceding in _SENTENCE_START_MARKS
        end = match.end()
        is_alone = preceding == "(" and text[end : end + 1] == ")"  # such as the short form of a name
        is_initial = is_initial and not is_alone
        if _is_name_like(word) or (word[:1].isupper() and not _NOT_A_NAME.fullmatch(word)):
            yield word, is_initial


def _pair_with_next_words(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each word with the two words after it."""
    return ((word, (second, third)) for word, second, third in zip(words, words[1:], words[2:], strict=False))


def _strip_possessive(word: str) -> str:
    return re.sub(r"['’]s$", "", word)


def _is_name_like(word: str) -> bool:
    """Return whether a word looks like a name in any position: an acronym, or digits with letters that have a case."""
    if len(word) > 1 and word.isupper() and word.isalpha():
        return True
    has_cased_letter = any(character.lower() != character.upper() for character in word)
    return has_cased_letter and has_digit(word) and not re.fullmatch(r"[\d.]+[a-z-]*", word)


def _join_name_parts(text: str) -> Iterator[str]:
    """Yield the words of a text, and the joins of consecutive words that may be one name: BBC, K17, SaintMalo."""
    run: list[str] = []
    end = 0
    for match in _NAME_PART.finditer(text):
        separator = text[end : match.start()] if match.start() - end < 3 else " - "
        if separator == " ":
            run = run[-1:] if run and _is_alphabetic_word(run[-1]) and _is_alphabetic_word(match[0]) else []
        elif separator not in _NAME_JOINERS:
            run = []
        run = [*run[1 - _MAX_NAME_PARTS :], match[0]]
        yield from ("".join(run[start:]) for start in range(len(run)))
        end = match.end()
        run = [match[0]] if separator == " " else run


def _is_alphabetic_word(part: str) -> bool:
    return len(part) > 1 and part.isalpha()


def _fold_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
