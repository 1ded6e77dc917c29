"""Says whether the sentences that an answer cites support what it says: numbers, names, negation, then the words.

Deterministic and fast: no model is asked. It finds what is not there; that two texts mean the same it cannot know, so a
free paraphrase is "partial". A claim's numbers and names must stand in the cited text, whatever else fits.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from ..core.types.answers import Passage, Question, Support
from ..text.analyzer import content_terms, terms
from ..text.answer_types import answers
from ..text.entities import Text, counts_otherwise, dates_otherwise, is_number, measures_otherwise

SUPPORTED = 0.9
"""Share of the words that a claim adds to the question which one cited sentence must hold."""

PARTIAL = 0.5
"""With less than that it says something else; the rest may be other words for the same."""

PARTIAL_OF_FEW = 0.67
"""The same for a claim of a few words, such as an answer without its question."""

ON_THE_SUBJECT = 0.08
"""Share of the question's words in a claim that the cited sentence must hold, or the sentences beside it."""

ALL_ON_THE_SUBJECT = 0.5
"""The same for a claim that adds no word to the question, so that nothing else tells whether it is right; and for one
in other words about a name of the question that the whole passage lacks."""

RESTATED = 0.6
"""Share of the question's words that a claim repeats if it means to answer it; what else it says may be of any kind."""

_SHORT = 3
"""Words of a claim that are an answer without its question."""

_UNKNOWN_WEIGHT = 1.0
"""Of a word that is not in the question, against the heaviest that is."""

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nor|neither|without|cannot|unless|except|hardly|\w+n['’]t)\b", re.IGNORECASE
)
_OPPOSITES = (
    ("before", "after"),
    (
        "more most maximum above increase increases rise rises rose",
        "less least minimum below decrease decreases fall falls fell reduce reduces reduction",
    ),
    ("require requires mandatory must compulsory obliges obligatory", "optional option voluntary"),
    ("allow permit", "forbidden prohibit ban"),
    ("accept approve", "reject refuse deny"),
    ("first earliest", "last latest"),
    ("once", "twice thrice"),
    ("north", "south"),
    ("east", "west"),
    ("northern", "southern"),
    ("eastern", "western"),
    ("open", "close closed"),
    ("win won victory", "lose lost defeat"),
)
_TALK = (
    "yes no sure okay certainly here following follows below steps answer answers question document documents passages"
    " passage text source sources according says say said states stated mention mentions mentioned describes described"
    " information based provided summary overall conclusion also however therefore additionally note"
)


@cache
def _talk() -> frozenset[str]:
    """Terms with which an answer speaks of itself."""
    return frozenset(terms(_TALK))


@cache
def _opposites() -> list[tuple[frozenset[str], frozenset[str]]]:
    """Terms that deny each other."""
    return [(frozenset(terms(one)), frozenset(terms(other))) for one, other in _OPPOSITES]


Cited = Sequence[tuple[Passage, int]]


class Judge:
    """Judges the sentences of one answer: `citations.Judge`."""

    def __init__(self, question: Question, passages: Sequence[Passage]) -> None:
        self._question = Text(question.text)
        self._asked = frozenset(question.terms) | self._question.terms
        self._question_terms = question.terms
        self._weights = question.weights
        self._heaviest = max(question.weights.values(), default=1.0) or 1.0
        self._around = {
            passage.id: Text(f"{passage.title}\n{passage.heading}\n" + "\n".join(one.text for one in passage.sentences))
            for passage in passages
        }

    def __call__(self, sentence: str, cited: Cited) -> Support:
        """What the cited sentences, each by its passage and number, make of a sentence without its markers."""
        said = Text(sentence)
        claim = [term for term in dict.fromkeys(content_terms(said.text)) if term not in _talk()]
        own = [term for term in claim if term not in self._asked]
        if not cited:
            return "unsupported" if self._claims(said, own) else "not_checked"
        read = [Text(passage.sentences[number - 1].text) for passage, number in cited]
        if any(said.wording and said.wording == text.wording for text in read):
            return "supported"
        heads = [Text(f"{passage.title}\n{passage.heading}") for passage, _ in cited]
        around = [self._around[passage.id] for passage, _ in cited]
        if not (self._facts_stand(said, [*read, *heads]) and self._agrees(said, read)):
            return "unsupported"
        if measures_otherwise(said, read):
            return "unsupported"
        strangers = self._strangers(said, [*read, *heads])
        if strangers and _renamed(said, strangers, read, around):
            return "unsupported"
        held = max(self._held(said, own, pair) for pair in zip(read, heads, strict=True))
        subject = self._on_the_subject(claim, cited)
        enough = PARTIAL if len(own) > _SHORT else PARTIAL_OF_FEW
        if held < enough or subject < (ON_THE_SUBJECT if own else ALL_ON_THE_SUBJECT):
            return "unsupported"
        if self._restated(claim) >= RESTATED and not answers(self._question.text, said.text, own):
            return "unsupported"
        stands = self._asked_stand(said, [*heads, *around])
        if held < SUPPORTED and subject < ALL_ON_THE_SUBJECT and not stands:
            return "unsupported"
        whole = claim and held >= SUPPORTED and stands and not strangers
        return "supported" if whole and self._dated(said, read) else "partial"

    def _claims(self, said: Text, own: Sequence[str]) -> bool:
        """Whether a sentence says something that would need a source; one that leads over to others does not."""
        if any(count not in self._question.numbers for count in said.counts):
            return True
        if any(not self._question.holds(name) for name in said.called):
            return True
        return bool(own) and not said.text.rstrip().endswith((":", "："))

    def _facts_stand(self, said: Text, near: Sequence[Text]) -> bool:
        """Whether every number and name that the question did not bring stands in what is cited."""
        counts = (each for each in said.counts if each not in self._question.numbers)
        called = (each for each in said.called if not self._question.holds(each))
        return all(any(each in text.numbers for text in near) for each in counts) and all(
            any(text.holds(each) for text in near) for each in called
        )

    def _asked_stand(self, said: Text, around: Sequence[Text]) -> bool:
        """Whether every number and name that the question did bring stands in the passage, in this form or another."""
        counts = (each for each in said.counts if each in self._question.numbers)
        called = (each for each in said.called if self._question.holds(each))
        return all(any(each in text.numbers for text in around) for each in counts) and all(
            any(text.holds(each) or text.resembles(each) for text in around) for each in called
        )

    def _strangers(self, said: Text, near: Sequence[Text]) -> list[str]:
        """Words that may be names, or have a capital only because they begin a sentence, and that nothing near has."""
        known = self._asked.union(_talk(), *(text.terms for text in near))
        return [
            word
            for word in said.beginners
            if not (known.issuperset(content_terms(word)) or any(text.holds(word) for text in near) or is_number(word))
        ]

    def _agrees(self, said: Text, read: Sequence[Text]) -> bool:
        """Whether neither denies what the other says."""
        best = max(read, key=lambda text: len(said.terms & text.terms))
        if _NEGATION.search(said.text) and not any(_NEGATION.search(text.text) for text in read):
            return bool(_NEGATION.search(self._question.text))
        if not _NEGATION.search(said.text) and _denied(best.text) & (said.terms - self._asked):
            return False
        if counts_otherwise(said, best):
            return False
        return not any(_opposed(said.terms - best.terms, best.terms - said.terms, pair) for pair in _opposites())

    def _dated(self, said: Text, read: Sequence[Text]) -> bool:
        """Whether each number belongs to the year of the claim, or of the question, where the texts tell."""
        whole = said if said.years else Text(f"{self._question.text}\n{said.text}")
        return not any(dates_otherwise(whole, text) for text in read) or any(whole.years <= text.years for text in read)

    def _held(self, said: Text, own: Sequence[str], pair: Sequence[Text]) -> float:
        """The share of the words that a claim adds to the question that are present, numbers and names in any form."""
        counted = (written for value, written in said.figures if any(value in text.numbers for text in pair))
        called = (name for name in said.called if any(text.holds(name) for text in pair))
        present = frozenset[str]().union(*(text.terms for text in pair), *map(terms, counted), *map(terms, called))
        return sum(term in present for term in own) / len(own) if own else 1.0

    def _restated(self, claim: Sequence[str]) -> float:
        """The share of the question's words, by weight, that a claim repeats: such a claim says that it answers it."""
        asked = {term for term in self._question_terms if term not in _talk()}
        total = sum(map(self._weight, asked))
        return sum(map(self._weight, asked.intersection(claim))) / total if total else 0.0

    def _on_the_subject(self, claim: Sequence[str], cited: Cited) -> float:
        """The share of the question's words in a claim, by weight, that the cited sentence holds, and half that for
        those that the sentences beside it hold."""
        asked = [term for term in claim if term in self._asked]
        if not asked and len(claim) <= _SHORT:
            asked = [term for term in self._question.terms if term not in _talk() and self._weights.get(term)]
        total = sum(map(self._weight, asked))
        return max(self._covered(asked, passage, number) for passage, number in cited) / total if total else 1.0

    def _covered(self, asked: Sequence[str], passage: Passage, number: int) -> float:
        here = frozenset(passage.sentences[number - 1].terms)
        beside = here.union(*(one.terms for one in passage.sentences[max(0, number - 2) : number + 1]))
        return sum(self._weight(term) * ((term in here) + 0.5 * (term in beside)) for term in asked)

    def _weight(self, term: str) -> float:
        return self._weights.get(term, _UNKNOWN_WEIGHT * self._heaviest)


def _renamed(said: Text, strangers: Sequence[str], read: Sequence[Text], around: Sequence[Text]) -> bool:
    """Whether a claim begins with another word where the cited text has a name, and goes on as it does there."""
    named = {name.casefold() for text in (*read, *around) for name in text.called}.difference(said.words)
    return any(not named.isdisjoint(text.instead_of(strangers, said)) for text in read)


def _denied(text: str) -> frozenset[str]:
    """The terms right after a word that denies."""
    return frozenset(
        term for found in _NEGATION.finditer(text) for term in content_terms(text[found.end() : found.end() + 40])[:2]
    )


def _opposed(one: Iterable[str], other: Iterable[str], pair: tuple[frozenset[str], frozenset[str]]) -> bool:
    first, second = set(one), set(other)
    return bool((first & pair[0] and second & pair[1]) or (first & pair[1] and second & pair[0]))
