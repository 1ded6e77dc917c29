"""Find the numbers, dates and names of a claim that its sources lack, and what the sources have in their place."""

from collections.abc import Sequence, Set

from ...text.analyzer import extract_content_terms
from ...text.entities import TextFacts, counts_conflict, find_title_words, units_conflict
from ...text.numbers import starts_with_number_word
from ...text.quantities import convert_to_base, find_calendar_words
from .texts import ClaimTexts

_FRACTIONS = {"half": "50", "quarter": "25"}


def find_missing_numbers(texts: ClaimTexts) -> list[str]:
    """Return the numbers of the claim that neither question nor sources have, also not as an amount of another unit."""
    missing = [
        value
        for value in texts.claim.checkable_numbers
        if value not in texts.question.numbers and not any(value in text.numbers for text in texts.sources)
    ]
    missing += _find_missing_fractions(texts) if texts.is_english else []
    if not missing:
        return []
    known = set[tuple[str, float]]().union(*(convert_to_base(text.quantities, text.text) for text in texts.cited))
    return [value for value in missing if not _is_known_amount(value, texts.claim, known)]


def _find_missing_fractions(texts: ClaimTexts) -> list[str]:
    """Return "half" and "quarter" if the claim has it and neither question nor sources have it or its percentage."""
    return [
        word
        for word, percentage in _FRACTIONS.items()
        if word in texts.claim.words
        and not any(word in text.words or percentage in text.numbers for text in (texts.question, *texts.sources))
    ]


def _is_known_amount(value: str, claim: TextFacts, known: Set[tuple[str, float]]) -> bool:
    amounts = convert_to_base(quantity for quantity in claim.quantities if quantity[0] == value)
    return bool(amounts) and amounts <= known


def find_missing_names(texts: ClaimTexts) -> list[str]:
    """Return the names of the claim that neither question nor sources have; words of title-case headings are none."""
    title_words = find_title_words(texts.claim.text) if texts.is_english else frozenset()
    return [
        name
        for name in texts.claim.names
        if name not in title_words
        and not texts.question.contains_name(name)
        and not any(text.contains_name(name) for text in texts.sources)
        and not (name.endswith("s") and any(text.contains_name(name[:-1]) for text in texts.sources))
    ]


def find_missing_dates(texts: ClaimTexts) -> set[tuple[str, str]]:
    """Return the months and weekdays of an English claim that neither question nor sources have, with their kind."""
    if not texts.is_english:
        return set()
    missing = find_calendar_words(texts.claim.text)
    for text in (texts.question, *texts.sources) if missing else ():
        missing -= find_calendar_words(text.text)
        missing = {(kind, word) for kind, word in missing if not text.contains_name(word)}
    return missing


def has_other_value(
    texts: ClaimTexts, numbers: Sequence[str], names: Sequence[str], dates: Set[tuple[str, str]]
) -> bool:
    """Return whether a cited sentence has another value of the same kind as each missing one."""
    claim = texts.claim
    other_units = {unit for text in texts.cited for value, unit in text.quantities if value not in claim.numbers}
    other_kinds = {
        kind for text in texts.cited for kind, word in find_calendar_words(text.text) - find_calendar_words(claim.text)
    }
    return (
        all(claim.units_by_number.get(number, {""}) & other_units for number in numbers)
        and all(kind in other_kinds for kind, _ in dates)
        and (not names or any(not claim.contains_name(name) for text in texts.cited for name in text.names))
    )


def question_facts_present(texts: ClaimTexts) -> bool:
    """Return whether every number and name of the claim that is in the question is in the passage, in any form."""
    places = [*texts.headings, *texts.passages]
    numbers = (number for number in texts.claim.checkable_numbers if number in texts.question.numbers)
    names = (name for name in texts.claim.names if texts.question.contains_name(name))
    return all(any(number in text.numbers for text in places) for number in numbers) and all(
        any(text.contains_name(name) or text.contains_similar_name(name) for text in places) for name in names
    )


def find_unknown_names(texts: ClaimTexts, known_terms: Set[str]) -> list[str]:
    """Return the capitalised first words of sentences, possibly names, that the known terms and sources lack."""
    all_known = set(known_terms).union(*(text.terms for text in texts.sources))
    return [
        word
        for word in texts.claim.sentence_initial_words
        if not (
            all_known.issuperset(extract_content_terms(word))
            or any(text.contains_name(word) for text in texts.sources)
            or starts_with_number_word(word)
        )
    ]


def is_name_swapped(texts: ClaimTexts, unknown_names: Sequence[str]) -> bool:
    """Return whether a claim has another word in the place of a name of the cited text, before the same words."""
    names = {name.casefold() for text in (*texts.cited, *texts.passages) for name in text.names}
    missing_names = names.difference(texts.claim.words)
    return any(
        not missing_names.isdisjoint(text.find_substitutions(unknown_names, texts.claim)) for text in texts.cited
    )


def has_count_conflict(texts: ClaimTexts) -> bool:
    """Return whether a number has another unit than in the sources, or the closest one counts another number."""
    closest = max(texts.cited, key=lambda text: len(texts.claim.terms & text.terms))
    return counts_conflict(texts.claim, closest) or (
        units_conflict(texts.claim, texts.cited) and not _is_same_amount(texts)
    )


def _is_same_amount(texts: ClaimTexts) -> bool:
    """Return whether all amounts of the claim are those of the cited sentences in other units."""
    amounts = convert_to_base(texts.claim.quantities)
    known = set[tuple[str, float]]().union(*(convert_to_base(text.quantities, text.text) for text in texts.cited))
    return bool(amounts) and amounts <= known
