"""Find the word that a claim has in the place of another, where it repeats its evidence otherwise."""

from collections.abc import Sequence
from itertools import pairwise

from .comparison import Comparison
from .statements import Statement, Word

_COMPARATIVES = frozenset("more less fewer higher lower above below over under later earlier longer older".split())
_CONTEXT_WORDS = 3
_MAX_NEW_WORDS = 2
"""With more new words, a claim is a paraphrase, not a copy with an exchanged word."""
_MIN_COVERED_SHARE = 0.7
_MIN_COPIED_SHARE = 0.55
"""The lowest share of a claim's pairs of adjacent known content words that are adjacent in the evidence."""


def find_new_words(comparison: Comparison, known_terms: frozenset[str]) -> list[Word]:
    """Return the content words of the claim that neither the evidence nor the known terms have; numbers are left out.

    The first word is left out as well: as a name it is compared elsewhere, and it may stand for another subject.
    """
    return [
        word
        for word in comparison.claim.content[1:]
        if not (
            word.form[0].isdigit() or word.term in known_terms or word.stem in known_terms or comparison.covers(word)
        )
    ]


def find_exchanged_word(comparison: Comparison, known_terms: frozenset[str]) -> str:
    """Return "exchanged" if a word stands in the place of another, "added" if it is new in a list, else nothing."""
    new_words = find_new_words(comparison, known_terms)
    content = comparison.claim.content
    if len(new_words) > _MAX_NEW_WORDS or len(content) < 3:
        return ""
    if 1 - len(new_words) / len(content) < _MIN_COVERED_SHARE or not _is_copied(comparison, new_words):
        return ""
    for word in new_words:
        if any(_stands_for_another(word, comparison.claim, statement) for statement in comparison.evidence):
            return "exchanged"
    if _has_misplaced_word(comparison):
        return "exchanged"
    return "added" if any(_is_listed(word, comparison) for word in new_words) else ""


def _is_copied(comparison: Comparison, new_words: Sequence[Word]) -> bool:
    """Return whether most known words of the claim follow each other as in the evidence."""
    known_pairs = {
        (first.term, second.term) for statement in comparison.evidence for first, second in pairwise(statement.content)
    }
    new_terms = {word.term for word in new_words}
    pairs = [
        (first.term, second.term)
        for first, second in pairwise(comparison.claim.content)
        if not {first.term, second.term} & new_terms
    ]
    return not pairs or sum(pair in known_pairs for pair in pairs) / len(pairs) >= _MIN_COPIED_SHARE


def _stands_for_another(word: Word, claim: Statement, statement: Statement) -> bool:
    """Return whether a sentence has another content word between the two words that surround this one in the claim."""
    own_index = next(index for index, other in enumerate(claim.words) if other is word)
    own_place, own_start = _surrounding(claim.words, own_index), _preceding(claim.words, own_index)
    return any(
        other.is_content
        and not (other.form[0].isdigit() or claim.covers(other))
        and (
            (any(own_place) and _surrounding(statement.words, index) == own_place)
            or (len(own_start) == _CONTEXT_WORDS and _preceding(statement.words, index) == own_start)
        )
        for index, other in enumerate(statement.words)
    )


def _preceding(words: Sequence[Word], index: int) -> list[str]:
    """Return the terms of the words before a word that show its place."""
    return [word.term for word in words[max(0, index - _CONTEXT_WORDS) : index]]


def _has_misplaced_word(comparison: Comparison) -> bool:
    """Return whether a known word has a place in which the evidence only has words that the claim lacks."""
    claim = comparison.claim
    words_by_place: dict[tuple[str, str], list[Word]] = {}
    for statement in comparison.evidence:
        for index, word in enumerate(statement.words):
            words_by_place.setdefault(_surrounding(statement.words, index), []).append(word)
    for index, word in enumerate(claim.words):
        place = _surrounding(claim.words, index)
        if not (word.is_content and all(place)) or word.term in comparison.given.terms:
            continue
        words_there = words_by_place.get(place, ())
        if word.term not in {other.term for other in words_there} and any(
            other.is_content and not claim.covers(other) for other in words_there
        ):
            return True
    return False


def _surrounding(words: Sequence[Word], index: int) -> tuple[str, str]:
    """Return the terms of the words before and after a word; empty beyond its clause."""
    clause = words[index].clause
    before = words[index - 1] if index and words[index - 1].clause == clause else None
    after = words[index + 1] if index + 1 < len(words) and words[index + 1].clause == clause else None
    return before.term if before else "", after.term if after else ""


def _is_listed(word: Word, comparison: Comparison) -> bool:
    """Return whether the word is joined to another by "and" or "or"."""
    if word.form in _COMPARATIVES:
        return False
    words = comparison.claim.words
    index = next(index for index, other in enumerate(words) if other is word)
    start = index - 1 if index and words[index - 1].form in ("a", "an", "the") else index
    before = words[start - 2] if start > 1 and words[start - 1].form in ("and", "or") else None
    after = words[index + 2] if index + 2 < len(words) and words[index + 1].form in ("and", "or") else None
    return any(other is not None and other.is_content for other in (before, after))
