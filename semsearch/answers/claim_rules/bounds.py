"""Compare the bounds of numbers: at least, at most, over, under, before, after."""

import re
from collections.abc import Mapping, Sequence

from ...text.numbers import find_numbers

_BEFORE = {
    "no later than": "min before", "not later than": "min before", "no more than": "max", "not more than": "max",
    "no less than": "min", "no fewer than": "min", "not less than": "min", "as many as": "max", "as much as": "max",
    "at least": "min", "at most": "max", "up to": "max", "at the most": "max", "maximum of": "max", "maximum": "max",
    "minimum of": "min", "minimum": "min", "max": "max", "min": "min", "more than": "above", "greater than": "above",
    "larger than": "above", "longer than": "above", "higher than": "above", "over": "above", "above": "above",
    "exceeding": "above", "exceeds": "above", "exceed": "above", "beyond": "above", "older than": "above",
    "less than": "below", "fewer than": "below", "lower than": "below", "smaller than": "below",
    "shorter than": "below", "younger than": "below", "under": "below", "below": "below", "not exceed": "max",
    "not exceeding": "max", "does not exceed": "max", "cannot exceed": "max", "not over": "max", "within": "max",
    "limited to": "max", "limit of": "max", "exactly": "exact", "precisely": "exact", "only": "exact",
    "before": "earlier", "by": "earlier", "until": "earlier", "till": "earlier", "prior to": "earlier",
    "after": "later", "since": "later", "from": "later", "starting": "later", "not under": "min", "not below": "min",
    "not more": "max", "or more than": "min", "at minimum": "min", "at maximum": "max",
}  # fmt: skip
"""What stands before a number, with the kind of bound."""
_AFTER = {
    "or more": "min", "or higher": "min", "or above": "min", "or over": "min", "or older": "min", "or longer": "min",
    "or greater": "min", "or later": "later", "or less": "max", "or fewer": "max", "or lower": "max",
    "or under": "max", "or below": "max", "or younger": "max", "or earlier": "earlier", "and above": "min",
    "and over": "min", "at least": "min", "at most": "max", "maximum": "max", "minimum": "min", "and up": "min",
    "at the most": "max", "ahead or earlier": "min", "in advance or more": "min", "or better": "min",
    "at the latest": "earlier", "at the earliest": "later", "or newer": "later", "onwards": "later", "onward": "later",
}  # fmt: skip
_BEFORE_NUMBER = re.compile(
    rf"(?<!\w)({'|'.join(sorted(map(re.escape, _BEFORE), key=len, reverse=True))})"
    r"(?:\s+(?:the|a|an|age|of|about|around))*"
    r"[\s,$€£¥]*(?:(?:january|february|march|april|may|june|july|august|september|october|november|december)\s+)?$",
    re.IGNORECASE,
)
_AFTER_NUMBER = re.compile(
    rf"^(?:\s*[\w%-]+){{0,3}}?\s+({'|'.join(sorted(map(re.escape, _AFTER), key=len, reverse=True))})(?!\w)",
    re.IGNORECASE,
)
_CONTEXT_CHARACTERS = 45
_OPPOSITES = {
    "min": {"max", "below"}, "above": {"max", "below"}, "max": {"min", "above"}, "below": {"min", "above"},
    "earlier": {"later"}, "later": {"earlier"},
}  # fmt: skip
_BOUNDED = frozenset(("min", "max", "above", "below"))
_BEFORE_TIME = re.compile(r"^\s+(?:\w+\s+){1,2}(?:before|prior|ahead|in advance|earlier)", re.IGNORECASE)


def find_bounds(text: str) -> dict[str, set[str]]:
    """Return the kinds of bounds of each number in a normalised text; "" if it has none.

    >>> find_bounds("at least 5 keys and 7 doors or more")
    {'5': {'min'}, '7': {'min'}}
    """
    bounds: dict[str, set[str]] = {}
    for number in find_numbers(text):
        following = text[number.end : number.end + _CONTEXT_CHARACTERS]
        before = _BEFORE_NUMBER.search(text[max(0, number.start - _CONTEXT_CHARACTERS) : number.start])
        after = _AFTER_NUMBER.match(re.split(r"[.,;:()]| and (?!above|over|up)", following)[0])
        kind = _AFTER[after[1].casefold()] if after else _BEFORE[before[1].casefold()] if before else ""
        if kind == "min before":  # "no later than 3 days before" is at least 3 days, "no later than 3 May" earlier
            kind = "min" if _BEFORE_TIME.match(following) else "earlier"
        bounds.setdefault(number.value, set()).add(kind)
    return bounds


def find_bound_conflict(claim: Mapping[str, set[str]], evidence: Sequence[Mapping[str, set[str]]]) -> str:
    """Return "opposite" if a number has opposite bounds, "added" if only the claim bounds it, else nothing."""
    for value, kinds in claim.items():
        known = set[str]().union(*(bounds.get(value, ()) for bounds in evidence))
        if not known or kinds & known:
            continue
        if any(known & _OPPOSITES.get(kind, set()) for kind in kinds):
            return "opposite"
        if known == {""} and kinds & _BOUNDED:
            return "added"
        if kinds == {"exact"} and known & _BOUNDED:
            return "added"
    return ""
