"""Scores the sentences of passages as evidence for the answer to a question, and says when there is too little of it.

Does not search, embed or write. The constants were chosen on squad2_a, inside a plateau; the threshold was then tried
on cranfield, where it refuses 2 of 100 of its own questions and 99 of 100 of those of squad2_a.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

from ..core.types.answers import AnalyzedQuery, Passage, Sentence
from ..core.types.documents import Vectors
from ..search.coverage import QueryCoverage
from ..text.analyzer import analyze, character_trigrams
from ..text.answer_types import has_answer_type
from ..text.characters import has_digit
from ..text.entities import extract_names

MAX_PASSAGES = 5
"""How many of the best passages are read: with three 1 answer of 100 is lost, with eight none is won."""

NAME_WEIGHT = 1.5
"""Of a name or a number of the question, against its other terms: a passage that lacks it is about something else."""

MIN_TRIGRAM_SIMILARITY = 0.5
"""Terms with the same first letter and this share of their letters by threes in common, Dice's, may be the same word:
misspelt or derived. It refuses 3 of 100 questions on another topic more."""

_MAX_FUZZY_TERMS = 32
"""Terms of a question for which others are tried: who writes as many misses some anyway."""

PASSAGE_WEIGHT = 1.0
"""Of the passage's score as a share of the best passage's score."""

ANSWER_TYPE_WEIGHT = 0.15
"""For a sentence with the kind of thing that the question asks for."""

ANSWER_THRESHOLD = 1.0
"""A strength from which on an answer is given."""

LLM_THRESHOLD = 0.635
"""The strongest sentence is weaker for 3 of 1,524 answerable questions of squad2_a and cranfield, and for 87 of 100
questions that are put to the other collection: those are not worth the price of a chat model."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """How near sentences are to a question."""

    cosines: Vectors
    """Of the whole question with each whole sentence, shape (sentences, 1), or of each token of the question with the
    nearest token of each sentence, shape (sentences, tokens)."""
    is_by_token: bool


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """What counts how much in the score of a sentence, which is compared with those of others, and in its strength."""

    similarity_weight: float
    """How near the sentence is to the question."""
    coverage_weight: float
    """What the sentence holds of the question's terms, in its score."""
    coverage_confidence_weight: float
    """The same in its strength."""
    passage_confidence_weight: float
    """What its passage covers of the question. By words and texts without it, of 100 questions on another topic 87
    would be refused in place of 91."""
    threshold: float
    """What all this comes to where the strength is `ENOUGH`."""


LEXICAL_WEIGHTS = ScoreWeights(
    similarity_weight=0.0,
    coverage_weight=0.8,
    coverage_confidence_weight=0.2,
    passage_confidence_weight=0.5,
    threshold=0.29,
)
"""Where no embedder knows the language. On squad2_a the strongest sentence is weaker for 3 of 100 answerable questions,
for 72 of 100 whose article is taken out, and for 99 of 100 of another collection."""

TEXT_SIMILARITY_WEIGHTS = ScoreWeights(
    similarity_weight=1.0,
    coverage_weight=0.8,
    coverage_confidence_weight=0.2,
    passage_confidence_weight=0.5,
    threshold=0.74,
)
"""With the embedded model for 5, 91 and all."""

TOKEN_SIMILARITY_WEIGHTS = ScoreWeights(
    similarity_weight=3.0,
    coverage_weight=0.4,
    coverage_confidence_weight=0.4,
    passage_confidence_weight=0.3,
    threshold=1.9,
)
"""With all-MiniLM-L6-v2 for 3, 92 and all. A threshold that 5 are below has 96 below it, and 94 by whole texts with the
same model; of 100 answers 3 more have the expected words in their first sentence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage with what it weighs: `passage.sentences[number - 1]`."""

    passage: Passage
    number: int
    score: float
    """What sentences are ranked by; compares only within one question."""
    own_score: float
    """What the sentence itself gives, whatever passage it stands in."""
    confidence: float
    """How likely it or its passage holds an answer, however the passage was ranked; compares between questions."""

    @property
    def sentence(self) -> Sentence:
        """The sentence itself."""
        return self.passage.sentences[self.number - 1]


def rank_sentences(
    question: AnalyzedQuery, passages: Sequence[Passage], similarity: Similarity | None
) -> list[Candidate]:
    """Return the sentences of the first `CONSIDERED` passages, the best first; equal ones in order of reading.

    `near` has a row for each sentence of these passages; it is None where no embedder knows the language.
    """
    query_coverage, topic = QueryCoverage(question), _QueryTopic(question)
    highest = max((passage.score for passage in passages), default=0.0)
    weights = (
        LEXICAL_WEIGHTS
        if similarity is None
        else TOKEN_SIMILARITY_WEIGHTS
        if similarity.is_by_token
        else TEXT_SIMILARITY_WEIGHTS
    )
    candidates, end = list[Candidate](), 0
    for passage in passages[:MAX_PASSAGES]:
        start, end = end, end + len(passage.sentences)
        passage_score = PASSAGE_WEIGHT * passage.score / highest if highest > 0 else 0.0
        passage_confidence = weights.passage_confidence_weight * topic.compute_coverage(passage)
        coverages = query_coverage.score_sentences([sentence.terms for sentence in passage.sentences])
        sentence_similarities, nearby_similarities = _passage_similarities(similarity, start, end)
        for number, (sentence, coverage) in enumerate(zip(passage.sentences, coverages, strict=True)):
            type_score = ANSWER_TYPE_WEIGHT * has_answer_type(question.text, sentence.text)
            own_score = weights.similarity_weight * sentence_similarities[number] + weights.coverage_weight * coverage
            confidence = (
                weights.similarity_weight * nearby_similarities[number]
                + weights.coverage_confidence_weight * coverage
                + passage_confidence
            )
            candidates.append(
                Candidate(
                    passage,
                    number + 1,
                    own_score + passage_score + type_score,
                    own_score,
                    confidence / weights.threshold,
                )
            )
    return sorted(candidates, key=lambda one: -one.score)


def _passage_similarities(similarity: Similarity | None, start: int, end: int) -> tuple[list[float], list[float]]:
    """How near each sentence of a passage is, and how near it is with what stands beside it.

    The tokens of a question may lie in several sentences; its whole is near to one.
    """
    if similarity is None or start == end:
        return [0.0] * (end - start), [0.0] * (end - start)
    each = similarity.cosines[start:end].mean(axis=1).tolist()
    if not similarity.is_by_token:
        return each, each
    return each, [float(similarity.cosines[start:end].max(axis=0).mean())] * (end - start)


def is_answerable(candidates: Sequence[Candidate]) -> bool:
    """Whether the strongest sentence is strong enough to hold an answer: measured, not certain."""
    return max((one.confidence for one in candidates), default=0.0) >= ANSWER_THRESHOLD


def is_worth_llm_call(candidates: Sequence[Candidate]) -> bool:
    """Whether a chat model might find an answer to an English question in these sentences."""
    return max((one.confidence for one in candidates), default=0.0) >= LLM_THRESHOLD


class _QueryTopic:
    """The terms of a question against which whole passages are held: a rare one counts more, by the root of how much
    it does in a search, and a name or a number once more."""

    def __init__(self, question: AnalyzedQuery) -> None:
        named = {term for name in extract_names(question.text) for term in analyze(name)}
        weights = {
            term: sqrt(question.idf.get(term, 0.0)) * (NAME_WEIGHT if term in named or has_digit(term) else 1.0)
            for term in question.terms
        }
        total = sum(weights.values())
        self._term_weights = {term: weight / total for term, weight in weights.items()} if total > 0 else {}

    def compute_coverage(self, passage: Passage) -> float:
        """The share of the question that a passage or its title and heading hold, in this or a like spelling."""
        present = {term for sentence in passage.sentences for term in sentence.terms}
        present.update(analyze(f"{passage.title} {passage.heading}"))
        missing = [term for term in self._term_weights if term not in present]
        alike = {term: _spelling_similarity(term, present) for term in missing[:_MAX_FUZZY_TERMS]}
        return sum(
            share * (1.0 if term in present else alike.get(term, 0.0)) for term, share in self._term_weights.items()
        )


def _spelling_similarity(term: str, passage_terms: Set[str]) -> float:
    """How much of a term the likest of those present has in common with it; another number is another number.

    >>> round(_alike("telnet", {"telenet", "1973"}), 2), _alike("telnet", {"network"}), _alike("10661", {"10662"})
    (0.62, 0.0, 0.0)
    """
    letters = _trigrams(term)
    others = [_trigrams(other) for other in passage_terms if other[:1] == term[:1] and not has_digit(other)]
    similarity = max((2 * len(letters & other) / (len(letters) + len(other)) for other in others), default=0.0)
    return similarity if similarity >= MIN_TRIGRAM_SIMILARITY else 0.0


@lru_cache(8_192)
def _trigrams(term: str) -> frozenset[str]:
    return frozenset(character_trigrams([term]))
