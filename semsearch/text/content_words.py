"""Split English text into content words, which word vectors can compare. Other languages keep all their words."""

import re

from .analyzer import STOP_WORDS

_WORD = re.compile(r"[^\W_]+(?:['’][a-z]+)?")
_GENERIC_WORDS = frozenset(
    "what which who whom whose when where why how do does did is are was were be been can could should would will may"
    " might must i my me we us our you your the a an of to in on for with it its this that these those have has had get"
    " got there any some if and or not so as at by from into than then just also need want use using used make".split()
)


def extract_content_words(text: str) -> list[str]:
    """Return the distinct words of a text in lower case, in order, without function words and generic verbs.

    >>> extract_content_words("How do I use the lamp? Light the lamp.")
    ['lamp', 'light']
    """
    words = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    return [word for word in words if word not in _GENERIC_WORDS and word not in STOP_WORDS]


def extract_question_words(question: str) -> list[str]:
    """Return the content words of a question, or all its words if it has none."""
    return extract_content_words(question) or list(dict.fromkeys(map(str.lower, _WORD.findall(question))))
