"""Scores the sentences of passages as evidence for the answer to a question, and says when there is too little of it.

Does not search, embed or write. The constants were chosen on squad2_a, inside a plateau; the threshold was then tried
on cranfield, where it refuses 1 of 100 of its own questions and 98 of 100 of those of squad2_a.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .holding import Asked
from .types import Passage, Question, Sentence

CONSIDERED = 5
"""How many of the best passages are read: with three 1 answer of 100 is lost, with eight none is won."""

HOLD_WEIGHT = 0.8
"""Of what a sentence holds of the question's terms, against its cosine with the question."""

PASSAGE_WEIGHT = 1.0
"""Of the passage's score as a share of the best passage's score."""

TYPE_WEIGHT = 0.15
"""For a sentence with the kind of thing that the question asks for."""

ENOUGH = 0.71
"""The strongest sentence is weaker for 5 of 100 answerable questions of squad2_a, for 83 of 100 whose article is taken
out, and for 98 of 100 of another collection."""

WORTH_ASKING = 0.45
"""The strongest sentence is weaker for none of 625 answerable questions of squad2_a and cranfield, and for 85 of 100
questions that are put to the other collection: those are not worth the price of a chat model."""

ENOUGH_WITHOUT_COSINES = 0.29
"""The same where no cosine is worth anything; it refuses fewer, 64 and 94 of 100."""

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_NAMED = re.compile(r"(?<=[\w,;:(“\"] )[^\W\d_a-z][\w’'-]+")
_KINDS = [
    (
        re.compile(r"\bwhen\b|\b(?:what|which) (?:year|century|date|day|month|decade)\b", re.I),
        re.compile(rf"\b\d{{3,4}}s?\b|\b(?:{_MONTHS})\b|\bcentur(?:y|ies)\b"),
    ),
    (
        re.compile(
            r"\bhow (?:many|much|long|old|far|large|often|big|tall|high)\b|\bwhat (?:percent|number|amount)", re.I
        ),
        re.compile(
            r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|billion|half"
            r"|dozen|once|twice)\b",
            re.I,
        ),
    ),
    (re.compile(r"\bwho(?:m|se)?\b|\bwhere\b|\b(?:what|which) (?:country|city|state|place)\b", re.I), _NAMED),
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage with what it weighs: `passage.sentences[number - 1]`."""

    passage: Passage
    number: int
    score: float
    """What sentences are ranked by; compares only within one question."""
    strength: float
    """What the sentence itself gives, whatever passage it stands in; compares between questions."""

    @property
    def sentence(self) -> Sentence:
        """The sentence itself."""
        return self.passage.sentences[self.number - 1]


def evidence(
    question: Question, passages: Sequence[Passage], cosines: Sequence[Sequence[float]] | None
) -> list[Candidate]:
    """Return the sentences of the first `CONSIDERED` passages, the best first; equal ones in order of reading.

    `cosines` has the question's cosine with each sentence of each of these passages; it is None where no embedder knows
    the language.
    """
    asked = Asked(question)
    highest = max((passage.score for passage in passages), default=0.0)
    found = []
    for index, passage in enumerate(passages[:CONSIDERED]):
        standing = PASSAGE_WEIGHT * passage.score / highest if highest > 0 else 0.0
        held = asked.held([sentence.terms for sentence in passage.sentences])
        for number, sentence in enumerate(passage.sentences, 1):
            cosine = cosines[index][number - 1] if cosines is not None else 0.0
            strength = cosine + HOLD_WEIGHT * held[number - 1]
            kind = TYPE_WEIGHT * _has_kind(question.text, sentence.text)
            found.append(Candidate(passage, number, strength + standing + kind, strength))
    return sorted(found, key=lambda one: -one.score)


def answerable(found: Sequence[Candidate], *, with_cosines: bool) -> bool:
    """Whether the strongest sentence is strong enough to hold an answer: measured, not certain."""
    enough = ENOUGH if with_cosines else ENOUGH_WITHOUT_COSINES
    return max((one.strength for one in found), default=0.0) >= enough


def promising(found: Sequence[Candidate]) -> bool:
    """Whether a chat model might find an answer to an English question in these sentences."""
    return max((one.strength for one in found), default=0.0) >= WORTH_ASKING


def _has_kind(question: str, sentence: str) -> bool:
    """Whether the sentence has a date, a number or a new name, where the question asks for one."""
    for asks, gives in _KINDS:
        if asks.search(question):
            asked = question.casefold()
            return any(gives is not _NAMED or found[0].casefold() not in asked for found in gives.finditer(sentence))
    return False
