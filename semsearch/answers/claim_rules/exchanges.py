"""Find two words of the evidence that the claim has in each other's place."""

from itertools import pairwise

from .comparison import Comparison
from .statements import Statement

_NEUTRAL = frozenset("a an the and or of this that these those your our their its his her my".split())
"""Words that show nothing about the word beside them."""

_MIN_COVERED_SHARE = 0.75
"""The lowest share of a claim's content words in the evidence: with less, it is a paraphrase."""

_Place = tuple[str, int]
"""A neighbouring word and the side on which it stands."""


def are_words_exchanged(comparison: Comparison) -> bool:
    """Return whether two content words of the claim stand where the evidence has the other one of the two."""
    content = comparison.claim.content
    if sum(map(comparison.covers, content)) < _MIN_COVERED_SHARE * len(content):
        return False
    own = _find_places(comparison.claim)
    known: dict[_Place, set[str]] = {}
    for statement in comparison.evidence:
        for term, places in _find_places(statement).items():
            for place in places:
                known.setdefault(place, set()).add(term)
    occupied: dict[str, set[str]] = {}  # for each word of the claim, what the evidence has in its places
    for term, places in own.items():
        others = [known[place] for place in places if place in known]
        if others and not any(term in matches for matches in others):
            occupied[term] = set[str]().union(*others)
    adjacent = _find_adjacent(comparison.claim)
    return any(
        term in occupied.get(other, ()) and (term, other) not in adjacent and (other, term) not in adjacent
        for term, others in occupied.items()
        for other in others
    )


def _find_adjacent(statement: Statement) -> set[tuple[str, str]]:
    """Return the terms of words that follow each other in one clause: parts of one name or compound."""
    return {(first.term, second.term) for first, second in pairwise(statement.words) if first.clause == second.clause}


def _find_places(statement: Statement) -> dict[str, set[_Place]]:
    """Return the places of each content word: the words beside it in its clause that are not neutral."""
    words = statement.words
    places: dict[str, set[_Place]] = {}
    for index, word in enumerate(words):
        if not word.is_content:
            continue
        for position, side in ((index - 1, -1), (index + 1, 1)):
            neighbour = words[position] if 0 <= position < len(words) else None
            if neighbour and neighbour.clause == word.clause and neighbour.form not in _NEUTRAL:
                places.setdefault(word.term, set()).add((neighbour.term, side))
    return places
