"""Find a condition of the evidence that a claim leaves out."""

from collections.abc import Sequence

from .comparison import Comparison
from .statements import Word

_CONDITIONAL = frozenset("if when whenever unless until only while once except after before provided".split())
_MIN_MISSING_SHARE = 0.5
"""The share of the content words of a condition that are in neither claim nor question."""


def find_dropped_condition(comparison: Comparison) -> bool:
    """Return whether the closest sentence has a condition of which claim and question have too few words.

    A claim with a condition of its own drops none.
    """
    if comparison.claim.forms & _CONDITIONAL:
        return False
    words = comparison.closest.words
    for index, word in enumerate(words):
        if word.form in _CONDITIONAL:
            condition = [other for other in _read_clause(words, index) if other.is_content]
            missing = [other for other in condition if not _is_stated(other, comparison)]
            if condition and len(missing) >= _MIN_MISSING_SHARE * len(condition):
                return True
    return False


def _read_clause(words: Sequence[Word], index: int) -> Sequence[Word]:
    """Return the words that follow a word in its clause."""
    end = next((at for at in range(index, len(words)) if words[at].clause != words[index].clause), len(words))
    return words[index + 1 : end]


def _is_stated(word: Word, comparison: Comparison) -> bool:
    return comparison.claim.covers(word) or comparison.question.covers(word)
