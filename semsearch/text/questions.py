"""Recognise what questions ask for: identifiers, definitions, changelogs and the like; and sentences that define."""

import re
from collections.abc import Sequence

from .analyzer import STOP_WORDS, analyze, analyze_words, normalize_words
from .characters import has_digit

_IDENTIFIER = re.compile(r"\b[^\W_]+(?:[-_./:#][^\W_]+){0,8}\b")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|s)", re.I)
_ARTICLES = frozenset(("a", "an", "the"))
_WHAT_QUESTION = re.compile(r"\W*wh(?:at|o)\b", re.I)
_DEFINING_VERBS = frozenset(("is", "are", "was", "were", "mean", "refer"))

_ROLE_QUESTIONS = {
    "changelog": re.compile(
        r"\bchange\s?logs?\b|\brelease\s?(?:notes?|dates?)\b|\bwhat(?:.?s| is) new\b"
        r"|\b(?:release|version|revision) history\b"
        r"|\b(?:what|which|anything).{0,40}\b(?:chang|fix|add|remov|deprecat|introduc|improv|releas)\w*"
        r".{0,30}\b(?:in|since|between|from|with|version|release)\b\D{0,20}\d"
        r"|\b(?:chang|fix|new|add|remov|deprecat|introduc|drop|releas)\w*\b.{0,40}"
        r"\b(?:in|since|with|from) (?:version |release )?v?\d"
        r"|\bsince (?:when|which version)\b|\b(?:which|what|latest|newest|current) (?:version|release)\b"
        r"|\bwhen (?:was|were|did|has)\b.{0,80}\b(?:add|remov|introduc|deprecat|releas|fix|drop|publish)\w*",
        re.IGNORECASE,
    ),
    "licence": re.compile(
        r"\b(?:re|sub)?-?licen[cs]\w*|\bcopyright\w*|\bwarrant\w*|\bliab\w*|\bredistribut\w*", re.IGNORECASE
    ),
    "contents": re.compile(
        r"\btable of contents\b|\bsite\s?map\b|\b(?:which|what|list|all|how many)\b.{0,30}"
        r"\b(?:chapters|sections|topics|pages)\b",
        re.IGNORECASE,
    ),
    "index": re.compile(
        r"\bindex of (?:terms|modules|names)\b|\b(?:module|general|alphabetical) index\b", re.IGNORECASE
    ),
    "api_list": re.compile(
        r"\bsignatures?\b|\b(?:which|what|list|all|how many)\b.{0,40}"
        r"\b(?:methods|functions|members|attributes|classes|properties|parameters|arguments)\b",
        re.IGNORECASE,
    ),
}
"""Questions for a source that is weighed lower otherwise, by its role."""


def detect_requested_roles(question: str) -> frozenset[str]:
    """Return the roles of sources that a question asks for.

    >>> sorted(detect_requested_roles("What changed in version 2.1, and which licence has it?"))
    ['changelog', 'licence']
    """
    return frozenset(role for role, pattern in _ROLE_QUESTIONS.items() if pattern.search(question))


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
