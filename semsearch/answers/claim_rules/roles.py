"""Compare which words stand on which side of a shared word: who reports to whom, what is larger than what."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from .comparison import Comparison
from .statements import Statement, Word

_PIVOTS = frozenset("before after than to from by over under for into".split())
"""Function words that can relate two things, besides all content words."""
_SYMMETRIC = frozenset(
    "and or with between equal same similar differ different meet marry near both together versus include have".split()
)
_ADVERBS = frozenset("first then finally directly usually normally generally typically always still".split())
_BE = frozenset("is are was were be been being get gets got".split())
_MAX_SIDE_WORDS = 6
"""Content words on each side of a pivot that are compared."""
_MAX_PIVOTS = 60
"""Words of one sentence that are tried as pivot."""

_Side = tuple[tuple[str, bool], ...]

_MIN_COPIED_SHARE = 0.6
"""The lowest share of the words around the pivot that follow each other as in the evidence after the exchange."""


class _Roles(NamedTuple):
    before: _Side
    after: _Side
    is_passive: bool


def are_roles_reversed(comparison: Comparison) -> bool:
    """Return whether the claim has two things in each other's place around a word that it shares with its evidence."""
    claim_roles = _find_roles(comparison.claim)
    given_order = _find_roles(comparison.given)
    return any(_are_reversed(claim_roles, _find_roles(statement), given_order) for statement in comparison.evidence)


def _are_reversed(
    claim: dict[str, list[_Roles]], evidence: dict[str, list[_Roles]], given: dict[str, list[_Roles]]
) -> bool:
    changes_voice = _has_passive(claim) != _has_passive(evidence)
    for pivot in claim.keys() & evidence.keys():
        pairs = [(own, other) for own in claim[pivot] for other in evidence[pivot]]
        if changes_voice:
            pairs = [(own, other) for own, other in pairs if own.is_passive != other.is_passive]
        if pairs and not _is_given(pairs, given.get(pivot, ())) and all(_is_exchanged(*pair) for pair in pairs):
            return True
    return False


def _is_given(pairs: Sequence[tuple[_Roles, _Roles]], given: Sequence[_Roles]) -> bool:
    """Return whether the question has some of the same words on the same sides."""
    return any(
        set(own.before) & set(role.before) and set(own.after) & set(role.after) for own, _ in pairs for role in given
    )


def _is_exchanged(own: _Roles, other: _Roles) -> bool:
    """Return whether the claim reads like the evidence once two of its words, or its two sides, are exchanged."""
    moved_back = (set(own.before) - set(own.after)) & (set(other.after) - set(other.before))
    moved_forward = (set(own.after) - set(own.before)) & (set(other.before) - set(other.after))
    if not (moved_back and moved_forward):
        return False
    current = _count_equal_pairs(own.before, own.after, other)
    needed = max(current + 1, _MIN_COPIED_SHARE * (len(own.before) + len(own.after)))
    if _count_equal_pairs(own.after, own.before, other) >= needed:
        return True
    return any(
        _count_equal_pairs(_exchange(own.before, one, two), _exchange(own.after, one, two), other) >= needed
        for one in moved_back
        for two in moved_forward
    )


def _exchange(side: _Side, one: tuple[str, bool], two: tuple[str, bool]) -> _Side:
    return tuple(two if word == one else one if word == two else word for word in side)


def _count_equal_pairs(before: _Side, after: _Side, other: _Roles) -> int:
    """Return how many adjacent words are adjacent in the evidence too; the pivot is a word of its own."""
    pivot = ("", False)
    known = set(pairwise((*other.before, pivot, *other.after)))
    return sum(pair in known for pair in pairwise((*before, pivot, *after)))


def _has_passive(roles: dict[str, list[_Roles]]) -> bool:
    return any(role.is_passive for entries in roles.values() for role in entries)


def _find_roles(statement: Statement) -> dict[str, list[_Roles]]:
    """Return the words on each side of each word that can relate two things; those of a passive verb exchanged."""
    roles: dict[str, list[_Roles]] = {}
    words = statement.words
    for index in _find_pivots(words):
        before = tuple(_walk(words, index, -1))[::-1]
        after = tuple(_walk(words, index, 1))
        if before and after:
            is_passive = _is_passive(words, index)
            before, after = (after, before) if is_passive else (before, after)
            roles.setdefault(words[index].term, []).append(_Roles(before, after, is_passive))
    return roles


def _find_pivots(words: Sequence[Word]) -> list[int]:
    return [
        index
        for index, word in enumerate(words)
        if (word.is_content or word.form in _PIVOTS) and word.term not in _SYMMETRIC
    ][:_MAX_PIVOTS]


def _walk(words: Sequence[Word], index: int, step: int) -> Iterator[tuple[str, bool]]:
    """Yield the nearest content words of the clause on one side of a word."""
    position, found = index + step, 0
    while 0 <= position < len(words) and words[position].clause == words[index].clause and found < _MAX_SIDE_WORDS:
        if words[position].is_content and words[position].form not in _ADVERBS:
            yield words[position].term, words[position].is_negated
            found += 1
        position += step


def has_passive(statement: Statement) -> bool:
    """Return whether a statement says by whom or what something is done."""
    return any(word.is_content and _is_passive(statement.words, index) for index, word in enumerate(statement.words))


def _is_passive(words: Sequence[Word], index: int) -> bool:
    """Return whether a word is a participle with "by" behind it."""
    form = words[index].form
    follows = any(word.form == "by" for word in words[index + 1 : index + 3])
    return follows and (
        form.endswith(("ed", "en", "wn", "ught", "ade"))
        or any(word.form in _BE for word in words[max(0, index - 2) : index])
    )
