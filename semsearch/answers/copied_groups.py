"""Find the bracket groups that a sentence of an answer copies from the sentences it cites. Does not resolve markers.

An unknown marker or digits in brackets stay as they are if the sentence copies them: a sentence that it cites has them,
with the same word or sign directly before them. A document must not fake a citation this way: a number in brackets
stays only if no citation can have it (0, or more than there are sentences in the passages), or if it is directly behind
a word or a closing bracket as in `x[0]`. Our own numbers are never there. A single `[1]` behind a space becomes `(1)`.
"""

import re
from collections.abc import Sequence

from .markers import DIGITS_IN_BRACKETS, MarkerPatterns

INDEXED = r"[\w)\]]"
"""Pattern of a character before digits in brackets that makes them an index; our own numbers get a space there."""

INDEXED_END = re.compile(rf"{INDEXED}\Z")
"""The same at the end of the text before the digits."""

_INVISIBLE_JOINERS = re.compile("[\u200c\u200d]")
_LAST_WORD_OR_SIGN = re.compile(r"\w+\Z|\S\Z")


def split_at_copied_groups(
    body: str, patterns: MarkerPatterns, cited_texts: Sequence[str], max_citation: int
) -> list[str]:
    """Return `body` split: text, a copied group, text, and so on. Citations have the numbers 1 to `max_citation`."""
    parts, end, last_group_end, is_index = list[str](), 0, 0, False
    for start, stop in patterns.find_plain_groups(body) if cited_texts else ():
        before, group = body[:start], body[start:stop]
        # Behind another group, as in `x[0][1]`, it is an index only if that one is.
        is_index = INDEXED_END.search(before) is not None and (is_index or start != last_group_end)
        last_group_end = stop
        if (is_index or not could_be_citation(group, max_citation)) and _is_copied(before, group, cited_texts):
            parts += [body[end:start], group]
            end = stop
    return [*parts, body[end:]]


def could_be_citation(group: str, max_citation: int) -> bool:
    """Return whether a group in brackets is a single number that a citation of the answer can have."""
    digits = DIGITS_IN_BRACKETS.fullmatch(group)
    numbers = re.findall(r"\d+", _INVISIBLE_JOINERS.sub("", digits[1])) if digits else []
    return len(numbers) == 1 and 1 <= int(numbers[0]) <= max_citation


def _is_copied(before: str, group: str, cited_texts: Sequence[str]) -> bool:
    """Return whether a cited text has this group in brackets, with the same word, sign or space directly before it."""
    left = _LAST_WORD_OR_SIGN.search(before)
    word_start = r"(?<!\w)" if left and re.match(r"\w", left[0]) else ""
    context = word_start + re.escape(left[0]) if left else r"(?<!\S)"
    pattern = re.compile(context + re.escape(group))
    return any(pattern.search(text) for text in cited_texts)
