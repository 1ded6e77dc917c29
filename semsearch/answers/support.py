"""Types of the check whether cited sentences support a sentence of an answer; `verification` implements it."""

from collections.abc import Callable, Sequence

from ..core.types.answers import Passage, SupportVerdict

CitedSentences = Sequence[tuple[Passage, int]]
"""Sentences of passages: each as its passage and its number in that passage, from 1."""

SupportCheck = Callable[[str, CitedSentences], SupportVerdict]
"""Returns how well the cited sentences support a sentence of an answer, which is passed without its markers."""


def skip_support_check(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Return "not_checked" for every sentence."""
    return "not_checked"
