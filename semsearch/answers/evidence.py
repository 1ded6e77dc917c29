"""Score the sentences of passages as evidence for an answer, and decide whether the evidence is strong enough.

Does not search, embed or generate text. The constants were chosen on squad2_a, inside a plateau. The threshold was then
tested on cranfield: it refuses 2 of 100 questions of cranfield and 99 of 100 questions of squad2_a.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt

from ..core.types.answers import AnalyzedQuery, Passage, Sentence
from ..core.types.documents import Vectors
from ..search.coverage import QueryCoverage
from ..text.analyzer import analyze, character_trigrams, detect_language
from ..text.answer_types import has_answer_type
from ..text.characters import has_digit
from ..text.entities import extract_names

MAX_PASSAGES = 8
"""The best passages that are scored: with five, 2 of 100 questions about manuals lose the excerpt with the answer."""

NAME_WEIGHT = 1.5
"""Weight of a name or number of the question, relative to its other terms: a passage without it is off topic."""

MIN_TRIGRAM_SIMILARITY = 0.5
"""Terms with at least this Dice coefficient of their trigrams, in Latin script also with the same first letter, count
as one word, misspelt or derived. With this, 3 of 100 more questions on another topic are refused."""

_MAX_FUZZY_TERMS = 32
"""Terms of a question that are matched by similar spelling; in longer questions some terms are missing anyway."""

PASSAGE_WEIGHT = 1.0
"""Weight of the passage's score, as a share of the best passage's score."""

ANSWER_TYPE_WEIGHT = 0.15
"""Added to the score of a sentence that contains the type of answer that the question asks for."""

ANSWER_THRESHOLD = 1.0
"""The confidence from which a sentence counts as strong evidence."""

LLM_THRESHOLD = 0.635
"""The lowest confidence with which a chat model is called. It is not reached by 3 of 1,524 answerable questions of
squad2_a and cranfield, and by 87 of 100 questions that were put to the other collection: a call would be wasted."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Similarity of sentences to a question."""

    cosines: Vectors
    """Cosines of the question and each sentence, shape (sentences, 1); or of each token of the question and the most
    similar token of each sentence, shape (sentences, tokens)."""
    is_by_token: bool


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """Weights in the score of a sentence, which ranks it, and in its confidence, which decides about an answer."""

    similarity_weight: float
    """Of the similarity of sentence and question, in score and confidence."""
    coverage_weight: float
    """Of the share of the question's terms that the sentence covers, in its score."""
    coverage_confidence_weight: float
    """The same in its confidence."""
    passage_confidence_weight: float
    """Of the share of the question that its passage covers, in its confidence. Without it, scoring by words and text
    similarity refuses 87 instead of 91 of 100 questions on another topic."""
    threshold: float
    """The weighted sum for which the confidence is `ANSWER_THRESHOLD`."""


LEXICAL_WEIGHTS = ScoreWeights(
    similarity_weight=0.0,
    coverage_weight=0.8,
    coverage_confidence_weight=0.2,
    passage_confidence_weight=0.5,
    threshold=0.29,
)
"""Without an embedder that knows the language. On squad2_a this threshold refuses 3 of 100 answerable questions, 72 of
100 questions whose article was removed, and 99 of 100 questions of another collection."""

BASE_LEXICAL_THRESHOLD = 0.13
CHANCE_COVERAGE_FACTOR = 1.5
MAX_LEXICAL_THRESHOLD = 0.36
"""For scripts other than Latin, which no embedder here knows, `LEXICAL_WEIGHTS.threshold` is replaced by the base and
this multiple of the question's chance coverage, see `_QueryTopic.chance_coverage`. Inflection, words without spaces and
question words that no document has let good questions cover less: of 100 of them, .29 refused 40 in Chinese, 32 in
Arabic, 19 in Russian and Greek, and 1 in Thai, whose short terms occur everywhere."""

TEXT_SIMILARITY_WEIGHTS = ScoreWeights(
    similarity_weight=1.0,
    coverage_weight=0.8,
    coverage_confidence_weight=0.2,
    passage_confidence_weight=0.5,
    threshold=0.74,
)
"""With text similarity of the embedded model. The same three refusal rates are 5, 91 and 100 of 100."""

TOKEN_SIMILARITY_WEIGHTS = ScoreWeights(
    similarity_weight=3.0,
    coverage_weight=0.4,
    coverage_confidence_weight=0.4,
    passage_confidence_weight=0.3,
    threshold=1.9,
)
"""With token similarity, measured with all-MiniLM-L6-v2. The same three refusal rates are 3, 92 and 100 of 100. With a
threshold that refuses 5 answerable questions, the second rate is 96, and 94 by text similarity with the same model; of
100 answers, 3 more have the expected words in their first sentence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored sentence of a passage: `passage.sentences[number - 1]`."""

    passage: Passage
    number: int
    score: float
    """Ranks the sentences; comparable only within one question."""
    sentence_score: float
    """The score of the sentence itself, without its passage and answer type."""
    confidence: float
    """How likely the sentence or its passage answers the question, independent of the passage's rank; comparable
    between questions."""

    @property
    def sentence(self) -> Sentence:
        """Return the sentence."""
        return self.passage.sentences[self.number - 1]


def rank_sentences(
    question: AnalyzedQuery, passages: Sequence[Passage], similarity: Similarity | None
) -> list[Candidate]:
    """Return the sentences of the first `MAX_PASSAGES` passages, best first; ties are in reading order.

    `similarity` has one row for each sentence of these passages; it is None if no embedder knows the language.
    """
    query_coverage, topic = QueryCoverage(question), _QueryTopic(question)
    best_passage_score = max((passage.score for passage in passages), default=0.0)
    weights = _choose_weights(similarity)
    threshold = _choose_lexical_threshold(question, topic) if similarity is None else weights.threshold
    candidates, end = list[Candidate](), 0
    for passage in passages[:MAX_PASSAGES]:
        start, end = end, end + len(passage.sentences)
        passage_score = PASSAGE_WEIGHT * passage.score / best_passage_score if best_passage_score > 0 else 0.0
        passage_confidence = weights.passage_confidence_weight * topic.compute_coverage(passage)
        coverages = query_coverage.score_sentences([sentence.terms for sentence in passage.sentences])
        sentence_similarities, nearby_similarities = _passage_similarities(similarity, start, end)
        for index, (sentence, coverage) in enumerate(zip(passage.sentences, coverages, strict=True)):
            type_score = ANSWER_TYPE_WEIGHT * has_answer_type(question.text, sentence.text)
            sentence_score = (
                weights.similarity_weight * sentence_similarities[index] + weights.coverage_weight * coverage
            )
            confidence = (
                weights.similarity_weight * nearby_similarities[index]
                + weights.coverage_confidence_weight * coverage
                + passage_confidence
            )
            candidates.append(
                Candidate(
                    passage,
                    index + 1,
                    sentence_score + passage_score + type_score,
                    sentence_score,
                    confidence / threshold,
                )
            )
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _choose_weights(similarity: Similarity | None) -> ScoreWeights:
    if similarity is None:
        return LEXICAL_WEIGHTS
    return TOKEN_SIMILARITY_WEIGHTS if similarity.is_by_token else TEXT_SIMILARITY_WEIGHTS


def _choose_lexical_threshold(question: AnalyzedQuery, topic: "_QueryTopic") -> float:
    """Return the threshold for scoring by words alone."""
    if detect_language(question.text) != "other":
        return LEXICAL_WEIGHTS.threshold
    return min(BASE_LEXICAL_THRESHOLD + CHANCE_COVERAGE_FACTOR * topic.chance_coverage, MAX_LEXICAL_THRESHOLD)


def _passage_similarities(similarity: Similarity | None, start: int, end: int) -> tuple[list[float], list[float]]:
    """Return the similarity of each sentence of a passage alone, and together with the rest of its passage.

    The two differ only by token: the tokens of a question may match several sentences.
    """
    if similarity is None or start == end:
        return [0.0] * (end - start), [0.0] * (end - start)
    sentence_means = similarity.cosines[start:end].mean(axis=1).tolist()
    if not similarity.is_by_token:
        return sentence_means, sentence_means
    return sentence_means, [float(similarity.cosines[start:end].max(axis=0).mean())] * (end - start)


def should_call_chat_model(candidates: Sequence[Candidate]) -> bool:
    """Return whether a chat model might find the answer to an English question in these sentences."""
    return max((candidate.confidence for candidate in candidates), default=0.0) >= LLM_THRESHOLD


class _QueryTopic:
    """The weighted terms of a question that whole passages are compared with.

    A term weighs the square root of its idf; a name or a number `NAME_WEIGHT` times that.
    """

    def __init__(self, question: AnalyzedQuery) -> None:
        name_terms = {term for name in extract_names(question.text) for term in analyze(name)}
        weights = {
            term: sqrt(question.idf.get(term, 0.0)) * (NAME_WEIGHT if term in name_terms or has_digit(term) else 1.0)
            for term in question.terms
        }
        total = sum(weights.values())
        self._term_weights = {term: weight / total for term, weight in weights.items()} if total > 0 else {}
        self._idf = question.idf
        self._ignores_initials = detect_language(question.text) == "other"  # Arabic and Hebrew attach words in front

    @property
    def chance_coverage(self) -> float:
        """The weighted share of the terms that a chunk covers by chance: the share of the other chunks that have them.

        `exp(-idf)` is about the share of all chunks, and at its lowest half a chunk.
        """
        half_chunk = min((exp(-self._idf.get(term, 0.0)) for term in self._term_weights), default=0.0)
        return sum(
            weight * max(0.0, exp(-self._idf.get(term, 0.0)) - 3 * half_chunk)
            for term, weight in self._term_weights.items()
        )

    def compute_coverage(self, passage: Passage) -> float:
        """Return the weighted share of the question's terms in a passage and its headings, also in similar spelling."""
        present = {term for sentence in passage.sentences for term in sentence.terms}
        present.update(analyze(f"{passage.title} {passage.heading}"))
        missing = [term for term in self._term_weights if term not in present]
        spelling_scores = {
            term: _spelling_similarity(term, present, ignores_initials=self._ignores_initials)
            for term in missing[:_MAX_FUZZY_TERMS]
        }
        return sum(
            weight * (1.0 if term in present else spelling_scores.get(term, 0.0))
            for term, weight in self._term_weights.items()
        )


def _spelling_similarity(term: str, passage_terms: Set[str], *, ignores_initials: bool = False) -> float:
    """Return the highest Dice coefficient of a term's trigrams with those of a passage term; numbers never match.

    >>> round(_spelling_similarity("telnet", {"telenet", "1973"}), 2)
    0.62
    >>> _spelling_similarity("telnet", {"network"}), _spelling_similarity("10661", {"10662"})
    (0.0, 0.0)
    """
    if len(term) < 3:  # bigrams of scripts without spaces: no two of them are one word in other spelling
        return 0.0
    trigrams = _trigrams(term)
    others = [
        _trigrams(other)
        for other in passage_terms
        if (ignores_initials or other[:1] == term[:1]) and not has_digit(other)
    ]
    similarity = max((2 * len(trigrams & other) / (len(trigrams) + len(other)) for other in others), default=0.0)
    return similarity if similarity >= MIN_TRIGRAM_SIMILARITY else 0.0


@lru_cache(8_192)
def _trigrams(term: str) -> frozenset[str]:
    return frozenset(character_trigrams([term]))
