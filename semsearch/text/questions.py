"""Recognise identifiers in questions, questions for a definition, and sentences that define a term."""

import re
from collections.abc import Sequence

from .analyzer import STOP_WORDS, analyze, analyze_words, normalize_words
from .characters import has_digit

_IDENTIFIER = re.compile(r"\b[^\W_]+(?:[-_./:#][^\W_]+){0,8}\b")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|s)", re.I)
_ARTICLES = frozenset(("a", "an", "the"))
_WHAT_QUESTION = re.compile(r"\W*wh(?:at|o)\b", re.I)
_DEFINING_VERBS = frozenset(("is", "are", "was", "were", "mean", "refer"))


def extract_identifiers(text: str) -> list[tuple[str, ...]]:
    """Return the terms of each identifier of letters and digits, such as a part number or an error code.

    >>> extract_identifiers("What does K-17 mean on an X509 in 2024?")
    [('k', '17'), ('x509',)]
    """
    words = (word for word in text.split() if not word.isalpha() and has_digit(word))
    identifiers = (match[0] for word in words for match in _IDENTIFIER.finditer(word) if _is_identifier(match[0]))
    return list(dict.fromkeys(tuple(analyze(identifier)) for identifier in identifiers))


def _is_identifier(word: str) -> bool:
    return has_digit(word) and any(map(str.isalpha, word)) and not _ORDINAL.fullmatch(word)


def extract_defined_terms(question: str) -> tuple[str, ...]:
    """Return the terms of the thing that a question wants defined; empty if it asks for something else.

    >>> extract_defined_terms("What is a dead letter?"), extract_defined_terms("What is France a region of?")
    (('dead', 'letter'), ())
    """
    if not _WHAT_QUESTION.match(question):
        return ()
    question_word, verb, *other_words = [*normalize_words(question), "", ""]
    defined_words = [word for word in other_words if word and word not in _ARTICLES]
    if (
        question_word not in ("what", "who")
        or verb not in _DEFINING_VERBS
        or not 1 <= len(defined_words) <= 4
        or STOP_WORDS & set(defined_words)
    ):
        return ()
    return tuple(analyze_words(defined_words))


def is_definition(sentence: Sequence[str], defined_terms: Sequence[str]) -> bool:
    """Return whether a sentence, given as terms, begins with a definition of `defined_terms`.

    >>> is_definition(analyze("A dead letter is one that cannot be delivered."), ("dead", "letter"))
    True
    """
    start = 1 if sentence and sentence[0] in _ARTICLES else 0
    end = start + len(defined_terms)
    if not defined_terms or len(sentence) <= end:
        return False
    return tuple(sentence[start:end]) == tuple(defined_terms) and sentence[end] in _DEFINING_VERBS
