"""Reduce questions to forms in which near-identical questions are equal, and no others."""

import re

_EDGE_PUNCTUATION = ".,;:!?…\"'“”‘’«»()[]¿¡。、，．！？：；「」『』（）"
_DROPPED_WORDS = frozenset("a an the please do does is are".split())
"""Words without which a question asks for the same. All others may change it: "not", "why", "before", "must"."""

_CONTRACTED = re.compile(r"['’](?:s|re)$")
_PLURAL = re.compile(r"(?<=[a-z]{2})(?:(?P<y>ies)|(?<=ss|sh|ch|.x)es|(?<![suia])s)$")


def normalize_question(question: str) -> str:
    """Return the words of a question, case-folded and without punctuation around them.

    >>> normalize_question("What is  the  C++ standard?")
    'what is the c++ standard'
    """
    words = (word.strip(_EDGE_PUNCTUATION) for word in question.casefold().split())
    return " ".join(filter(None, words))


def reduce_question(question: str) -> str:
    """Return the words of a question in their order, without articles and the like, and without contractions.

    >>> reduce_question("How long's the parental leave?"), reduce_question("Can't I carry days over?")
    ('how long parental leave', 'can not i carry days over')
    """
    words = [part for word in normalize_question(question).split() for part in _expand(word)]
    return " ".join([word for word in words if word not in _DROPPED_WORDS] or words)


def make_question_key(question: str) -> str:
    """Return the reduced words in the singular: equal for questions with the same words in the same order only.

    A stemmer would make "market" of "marketing", which word vectors hardly tell apart.

    >>> make_question_key("Who may see policies?") == make_question_key("who may see the policy")
    True
    """
    return " ".join(map(_make_singular, reduce_question(question).split()))


def _expand(word: str) -> list[str]:
    """Return a word with its contraction written out: `isn't` is `is not`."""
    if word in ("cannot", "can't", "can’t"):
        return ["can", "not"]
    if word in ("won't", "won’t"):
        return ["will", "not"]
    if word.endswith(("n't", "n’t")):
        return [word[:-3], "not"]
    return [_CONTRACTED.sub("", word)]


def _make_singular(word: str) -> str:
    """Return an English word without the ending of its plural; one with other characters stays as it is."""
    return _PLURAL.sub(lambda ending: "y" if ending["y"] else "", word) if word.isalpha() else word
