"""Patterns of questions: identifiers, and terms to be defined."""

import re
from collections.abc import Sequence

from .analyzer import STOP_WORDS, _analyze_words, _normalize_words, analyze


def extract_identifiers(text: str) -> list[tuple[str, ...]]:
    """Return the terms of each name of letters and digits in a question, such as a part number or an error code.

    >>> identifiers("What does K-17 mean on an X509 in 2024?")
    [('k', '17'), ('x509',)]
    """
    numbered = (word for word in text.split() if not word.isalpha() and any(map(str.isdigit, word)))
    found = (match[0] for word in numbered for match in _IDENTIFIER.finditer(word) if _has_letter_and_digit(match[0]))
    return list(dict.fromkeys(tuple(analyze(name)) for name in found))


def _has_letter_and_digit(name: str) -> bool:
    return any(map(str.isdigit, name)) and any(map(str.isalpha, name)) and not _ORDINAL.fullmatch(name)


def extract_defined_terms(question: str) -> tuple[str, ...]:
    """Return the terms of what a question wants defined, or none if it asks for something else.

    >>> defined_terms("What is a dead letter?"), defined_terms("What is France a region of?")
    (('dead', 'letter'), ())
    """
    if not _WHAT_QUESTION.match(question):
        return ()
    asks, verb, *rest = [*_normalize_words(question), "", ""]
    thing = [word for word in rest if word and word not in _ARTICLES]
    if (
        asks not in ("what", "who")
        or verb not in _DEFINING_VERBS
        or not 1 <= len(thing) <= 4
        or STOP_WORDS & set(thing)
    ):
        return ()
    return tuple(_analyze_words(thing))


def is_definition(sentence: Sequence[str], defined_terms: Sequence[str]) -> bool:
    """Whether a sentence, given as terms, begins by saying what the thing is.

    >>> defines(terms("A dead letter is one that cannot be delivered."), ("dead", "letter"))
    True
    """
    start = 1 if sentence and sentence[0] in _ARTICLES else 0
    after = start + len(defined_terms)
    if not defined_terms or len(sentence) <= after:
        return False
    return tuple(sentence[start:after]) == tuple(defined_terms) and sentence[after] in _DEFINING_VERBS


_IDENTIFIER = re.compile(r"\b[^\W_]+(?:[-_./:#][^\W_]+){0,8}\b")

_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|s)", re.I)

_ARTICLES = frozenset(("a", "an", "the"))

_WHAT_QUESTION = re.compile(r"\W*wh(?:at|o)\b", re.I)

_DEFINING_VERBS = frozenset(("is", "are", "was", "were", "mean", "refer"))
