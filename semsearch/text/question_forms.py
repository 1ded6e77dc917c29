"""Reduce questions to forms in which near-identical questions are equal, and no others."""

import re

from .analyzer import analyze_words

_EDGE_PUNCTUATION = ".,;:!?…\"'“”‘’«»()[]¿¡。、，．！？：；「」『』（）"
_DROPPED_WORDS = frozenset("a an the please do does is are".split())
"""Words without which a question asks for the same. All others may change it: "not", "why", "before", "must"."""

_CONTRACTED = re.compile(r"['’](?:s|re)$")


def normalize_question(question: str) -> str:
    """Return the words of a question, case-folded and without punctuation around them.

    >>> normalize_question("What is  the  C++ standard?")
    'what is the c++ standard'
    """
    words = (word.strip(_EDGE_PUNCTUATION) for word in question.casefold().split())
    return " ".join(filter(None, words))


def make_question_key(question: str) -> str:
    """Return the stems of a question in their order, without articles and the like; equal for the same words only.

    >>> make_question_key("How long is the parental leave?") == make_question_key("how long's parental leave")
    True
    >>> make_question_key("Can't I carry days over?")
    'can not i carri day over'
    """
    words = [part for word in normalize_question(question).split() for part in _expand(word)]
    stems = [stem for word in words if word not in _DROPPED_WORDS for stem in _stem(word)]
    return " ".join(stems or words)


def _expand(word: str) -> list[str]:
    """Return a word with its contraction written out: `isn't` is `is not`."""
    if word == "cannot" or word in ("can't", "can’t"):
        return ["can", "not"]
    if word in ("won't", "won’t"):
        return ["will", "not"]
    if word.endswith(("n't", "n’t")):
        return [word[:-3], "not"]
    return [_CONTRACTED.sub("", word)]


def _stem(word: str) -> list[str]:
    """Return the stem of a word; one with other characters than letters stays as it is: C++ is not C."""
    return analyze_words([word]) if word.isalpha() else [word]
