"""Compare a sentence with the type of answer that a question asks for: a date, a number or a name.

Two rules with different purposes, which therefore accept different words. `has_answer_type` is positive evidence in a
score: it recognises typical dates, numbers and names. `can_answer` rejects: it is lenient, and says no only where the
sentence cannot be right. It was chosen on one half of the articles of squad2_a: each of its rules rejects at most .5 of
100 true answers, on the other half too, and together they reject 8 of 100 answers that were taken from elsewhere in the
same paragraph.
"""

import re
from collections.abc import Sequence

from .numbers import MONTHS, NUMBERS_BELOW_TWENTY

_MONTH = "|".join(MONTHS)
_ONE_TO_TWELVE = "|".join(list(NUMBERS_BELOW_TWENTY)[1:13])
_MEASURE = "many|much|long|old|far|large|tall|high|often"
_WHICH_DATE = r"\b(?:what|which) (?:year|century|date|day|month|decade)\b"

_HOW_MANY_QUESTION = re.compile(rf"\bhow (?:{_MEASURE})\b", re.IGNORECASE)
_WHEN_QUESTION = re.compile(
    r"^\W*(?:(?:by|since|until|till|from|around)\s+)?when\b(?!\s+(?:must|should|can|may|to|do (?:i|we|you))\b)"
    rf"|{_WHICH_DATE}",
    re.IGNORECASE,
)
_POSSIBLE_NUMBER = re.compile(
    rf"\d|\b(?:an?|{_ONE_TO_TWELVE}|\w+teen|\w+ty|half|third|quarter|once"
    r"|twice|single|both|no|none|zero|few|many|several|most|all|some|free|never|always|every|majority|minority"
    r"|(?:dozen|hundred|thousand|million|billion|second|minute|hour|day|week|month|year|decade|centur)\w*)\b",
    re.IGNORECASE,
)
_POSSIBLE_DATE = re.compile(
    rf"\d|\b(?:{_MONTH})\b|\b(?:centur|decade|year|month|day|week|today|now|currently|before|after|during|when|until"
    r"|since|era|period|age|antiquity|spring|summer|autumn|fall|winter|morning|noon|evening|night|time|war|beginning"
    r"|end|start|early|late|always|never|once|annually|every|each)",
    re.IGNORECASE,
)
_DATE_TERM = re.compile(rf"(?:\d[\d,.]*(?:st|nd|rd|th|s)?|{_MONTH}|century|centuries|ad|bc)", re.IGNORECASE)
_NUMBER_QUESTION = re.compile(
    r"\b(?:when|years?|dates?|days?|months?|decades?|centur(?:y|ies)|time|eras?|periods?|how|numbers?|percent\w*|amount"
    r"|many|much|rate|ratio|population|ages?|cost|price|size|score|value|limit|end|start"
    r"|what (?:is|was|does|did) \w+ in)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w,.’'-]*\w")
_TYPED_QUESTION = re.compile(
    rf"\W*(?:who(?:m|se)?|when|how (?:{_MEASURE})|(?:what|which) (?:year|date|day|month))\b", re.IGNORECASE
)

_CAPITALIZED_NAME = re.compile(r"(?<=[\w,;:(“\"] )[^\W\d_a-z][\w’'-]+")
_ANSWER_PATTERNS = [
    (
        re.compile(rf"\bwhen\b|{_WHICH_DATE}", re.IGNORECASE),
        re.compile(rf"\b\d{{3,4}}s?\b|\b(?:{_MONTH})\b|\bcentur(?:y|ies)\b"),
    ),
    (
        re.compile(rf"\bhow (?:{_MEASURE}|big)\b|\bwhat (?:percent|number|amount)", re.IGNORECASE),
        re.compile(
            rf"\d|\b(?:{_ONE_TO_TWELVE}|hundred|thousand|million|billion|half|dozen|once|twice)\b", re.IGNORECASE
        ),
    ),
    (
        re.compile(r"\bwho(?:m|se)?\b|\bwhere\b|\b(?:what|which) (?:country|city|state|place)\b", re.IGNORECASE),
        _CAPITALIZED_NAME,
    ),
]
"""Pairs of a pattern of questions and a pattern of their typical answers; the first matching question counts."""


def can_answer(question: str, sentence: str, new_terms: Sequence[str]) -> bool:
    """Return whether a sentence contains the type of answer that the question asks for.

    It does not if it has no number or date although the question asks for one, if it adds only a date although the
    question asks for something else, or if it adds no word to the question. `new_terms` are the terms of the sentence
    that are not in the question.

    >>> [can_answer("When did it open?", f"It opened: {when}.", [when]) for when in ("paris", "1905")]
    [False, True]
    """
    new_words = [word for word in _WORD.findall(sentence) if word.casefold() not in question.casefold()]
    new_text = " ".join(new_words)
    if _HOW_MANY_QUESTION.search(question) and not _POSSIBLE_NUMBER.search(new_text):
        return False
    if _WHEN_QUESTION.search(question) and not _POSSIBLE_DATE.search(new_text):
        return False
    if new_terms and all(map(_DATE_TERM.fullmatch, new_terms)) and not _NUMBER_QUESTION.search(question):
        return False
    return bool(new_words)


def has_answer_type(question: str, sentence: str) -> bool:
    """Return whether a sentence has a date, a number or a new name where the question asks for one.

    >>> has_answer_type("When did it open?", "It opened in May."), has_answer_type("Who opened it?", "It opened.")
    (True, False)
    """
    for question_pattern, answer_pattern in _ANSWER_PATTERNS:
        if question_pattern.search(question):
            folded_question = question.casefold()
            return any(
                answer_pattern is not _CAPITALIZED_NAME or match[0].casefold() not in folded_question
                for match in answer_pattern.finditer(sentence)
            )
    return False


def lacks_answer_type(question: str, text: str) -> bool:
    """Return whether a question begins by asking for a person, a date or a number, and a text has none that is new.

    >>> [lacks_answer_type("Who founded Acme?", text) for text in ("You import Acme.", "It was founded by Ann.")]
    [True, False]
    """
    return _TYPED_QUESTION.match(question) is not None and not has_answer_type(question, text)
