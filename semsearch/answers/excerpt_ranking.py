"""Rank excerpts by how well they answer a question. Does not build them, and does not decide what is shown.

The weights were fitted on the manuals of three collections and on squad2_a, with excerpts of one target length: with
them the first excerpt is useful for 57 of 100 questions about manuals, by the order of the sentences alone for 48, and
one of all excerpts for 89. With the lengths below and `extend_best` the first one is useful for 62.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from ..core.ports import WordSimilarity
from ..core.types.answers import AnalyzedQuery
from ..core.types.documents import HEADING_SEPARATOR
from ..text.analyzer import analyze, detect_language
from ..text.answer_cues import QuestionKind, classify_question, has_steps, lacks_amount, score_cues
from ..text.content_words import extract_content_words, extract_question_words
from .evidence import Candidate
from .excerpts import DEFAULT_TARGET_WORDS, Excerpt, build_excerpt, count_size, join_excerpts

MAX_ANCHORS = 24
"""The best sentences around which excerpts are built."""

_TARGET_WORDS: Sequence[tuple[QuestionKind, int]] = (
    ("difference", 100),
    ("amount", 50),
    ("time", 50),
    ("yes-no", 55),
)
"""Words to which an excerpt grows, by the first kind of the question that matches: a comparison needs more text than a
number. With these and `extend_best` it is useful for 62 of 100 questions about manuals instead of 57, with 61 words on
average instead of 57."""

_CACHED_TEXTS = 64

MAX_JOINED_GAP = 0.9
"""Difference of the scores of two excerpts of one section up to which they are shown as one: neither is clearly the
better one, and the answer is often in the other."""

MIN_IDF = 0.01

MIN_SHARED_WORDS = 0.7
"""Share of their words that two versions of one text have in common."""


class ExcerptFeatures(NamedTuple):
    """What the score of an excerpt is made of, and also the weight of each part."""

    sentence_score: float
    """Score of its best sentence."""
    passage_share: float
    """Score of its passage, as a share of the best passage's."""
    similarity: float
    """Mean similarity of each word of the question to the most similar word of the text, weighted by idf."""
    similarity_with_headings: float
    """The same with the words of title and headings."""
    heading_similarity: float
    """Mean similarity of each word of the last heading to the most similar word of the question."""
    cues: float
    """Share of the signs of an answer of the kind that the question asks for."""
    lacks_amount: float
    """1 if the question asks for an amount and the text has none."""
    has_steps: float
    """1 if it has steps or commands, for a how-to question."""
    length: float
    """Words, as a share of 60, at most 2."""


_WEIGHTS = ExcerptFeatures(
    sentence_score=2.1,
    passage_share=2.8,
    similarity=1.5,
    similarity_with_headings=5.9,
    heading_similarity=2.1,
    cues=1.0,
    lacks_amount=-3.7,
    has_steps=1.2,
    length=0.55,
)


@dataclass(frozen=True, slots=True)
class RankedExcerpt:
    """An excerpt with its score."""

    candidate: Candidate
    """Its best sentence."""
    excerpt: Excerpt
    features: ExcerptFeatures

    def contains(self, candidate: Candidate) -> bool:
        """Return whether a sentence lies inside the excerpt."""
        is_same = candidate.passage.uri == self.candidate.passage.uri
        return is_same and self.excerpt.contains(candidate.sentence)

    @property
    def score(self) -> float:
        """Rank the excerpts of one question by this."""
        return sum(weight * value for weight, value in zip(_WEIGHTS, self.features, strict=True))


def rank_excerpts(
    question: AnalyzedQuery, candidates: Sequence[Candidate], words: WordSimilarity | None
) -> list[RankedExcerpt]:
    """Return the excerpts around the best sentences, best first; each span once.

    Without `words`, or for a script that they do not know, words are compared by their terms only.
    """
    question = question.query_with_history or question
    target_words = _choose_target_words(question.text)
    anchors = dict[tuple[str, int, int], tuple[Candidate, Excerpt]]()
    for candidate in candidates[:MAX_ANCHORS]:
        if excerpt := build_excerpt(candidate.passage, candidate.sentence, target_words):
            anchors.setdefault((candidate.passage.uri, excerpt.start, excerpt.end), (candidate, excerpt))
    scorer = _ExcerptScorer(question, words, max((c.passage.score for c in candidates), default=0.0))
    ranked = sorted(scorer.score(list(anchors.values())), key=lambda ranked: -ranked.score)
    return [replace(item, candidate=_find_best_sentence(item, candidates)) for item in ranked]


def _choose_target_words(question: str) -> int:
    kinds = classify_question(question)
    return next((words for kind, words in _TARGET_WORDS if kind in kinds), DEFAULT_TARGET_WORDS)


def _find_best_sentence(ranked: RankedExcerpt, candidates: Sequence[Candidate]) -> Candidate:
    """Return the best sentence inside an excerpt, perhaps another one than it was built around."""
    passage = ranked.candidate.passage
    return next(
        candidate
        for candidate in candidates
        if candidate.passage is passage and ranked.excerpt.contains(candidate.sentence)
    )


def extend_best(ranked: Sequence[RankedExcerpt]) -> RankedExcerpt:
    """Return the best excerpt, extended to others of its section that score about as much.

    Its features and its score do not change: the confidence compares excerpts before they are extended.
    """
    best, *others = ranked
    passage, excerpt = best.candidate.passage, best.excerpt
    for other in others:
        if other.candidate.passage.uri == passage.uri and best.score - other.score <= MAX_JOINED_GAP:
            excerpt = join_excerpts(passage, excerpt, other.excerpt) or excerpt
    return replace(best, excerpt=excerpt)


def compute_agreement(ranked: Sequence[RankedExcerpt]) -> float:
    """Return the softmax weight of the excerpts that agree with the best one: low if other documents compete.

    Those of its document agree with it, and other versions of the same text.
    """
    best, weights = ranked[0], _compute_weights(ranked)
    uri = best.candidate.passage.uri
    agreeing = [
        weight
        for weight, other in zip(weights, ranked, strict=True)
        if other.candidate.passage.uri == uri or _is_version(best, other)
    ]
    return sum(agreeing) / sum(weights)


def compute_dominance(ranked: Sequence[RankedExcerpt]) -> float:
    """Return the logarithm of the softmax weight of the best excerpt: 0 if no other comes near it.

    Versions of the same text in other documents do not compete with it.
    """
    best, uri = ranked[0], ranked[0].candidate.passage.uri
    competing = [
        weight
        for weight, other in zip(_compute_weights(ranked), ranked, strict=True)
        if other is best or other.candidate.passage.uri == uri or not _is_version(best, other)
    ]
    return -log(sum(competing))


def _compute_weights(ranked: Sequence[RankedExcerpt]) -> list[float]:
    return [exp(other.score - ranked[0].score) for other in ranked]


def _is_version(first: RankedExcerpt, second: RankedExcerpt) -> bool:
    """Return whether two excerpts share most of their words."""
    return _share_most(_read_words(first.excerpt.text), _read_words(second.excerpt.text))


@lru_cache(_CACHED_TEXTS)
def _read_words(text: str) -> frozenset[str]:
    return frozenset(extract_content_words(text))


def _share_most(words: Set[str], others: Set[str]) -> bool:
    return len(words & others) >= MIN_SHARED_WORDS * len(words | others)


class _ExcerptScorer:
    """The words of a question with their weights."""

    def __init__(self, question: AnalyzedQuery, words: WordSimilarity | None, best_passage_score: float) -> None:
        self._kinds = classify_question(question.text)
        self._best_passage_score = best_passage_score
        self._words = words if detect_language(question.text) != "other" else None
        idf = question.idf
        self._term_weights = {term: sqrt(max(idf[term], 0.0)) for term in question.terms if term in idf}
        highest = max(idf.values(), default=1.0) or 1.0
        self._question_words = extract_question_words(question.text)
        weights = np.array([sqrt(max(_word_idf(word, idf, highest), MIN_IDF)) for word in self._question_words])
        self._word_weights = weights / weights.sum() if len(weights) else weights

    def score(self, excerpts: Sequence[tuple[Candidate, Excerpt]]) -> list[RankedExcerpt]:
        """Return the excerpts with their features."""
        similarities = self._compare([_Texts.of(candidate, excerpt) for candidate, excerpt in excerpts])
        return [
            self._build(candidate, excerpt, similarity)
            for (candidate, excerpt), similarity in zip(excerpts, similarities, strict=True)
        ]

    def _build(self, candidate: Candidate, excerpt: Excerpt, similarity: "_Similarity") -> RankedExcerpt:
        passage, kinds = candidate.passage, self._kinds
        is_practical = excerpt.kind in ("code", "list") or has_steps(excerpt.text)
        features = ExcerptFeatures(
            sentence_score=candidate.score,
            passage_share=passage.score / self._best_passage_score if self._best_passage_score > 0 else 0.0,
            similarity=similarity.text,
            similarity_with_headings=similarity.text_or_headings,
            heading_similarity=similarity.heading,
            cues=score_cues(kinds, excerpt.text),
            lacks_amount=float(lacks_amount(kinds, excerpt.text)),
            has_steps=float("how-to" in kinds and is_practical),
            length=min(count_size(excerpt.text), 120) / 60,
        )
        return RankedExcerpt(candidate, excerpt, features)

    def _compare(self, texts: Sequence["_Texts"]) -> list["_Similarity"]:
        if self._words is None or not self._question_words:
            return [self._compare_terms(text) for text in texts]
        heading_words = list(dict.fromkeys(word for text in texts for word in text.last_heading))
        word_lists = [text.body for text in texts] + [text.headings for text in texts] + [[w] for w in heading_words]
        rows = self._words.word_similarities(self._question_words, word_lists)  # one call: every word is embedded once
        bodies, headings, single_words = np.split(rows, [len(texts), 2 * len(texts)])
        best = np.maximum(bodies, headings)
        by_word = dict(zip(heading_words, single_words.max(axis=1).tolist() if heading_words else [], strict=True))
        return [
            _Similarity(
                float(body @ self._word_weights),
                float(both @ self._word_weights),
                sum(by_word[word] for word in text.last_heading) / max(1, len(text.last_heading)),
            )
            for body, both, text in zip(bodies, best, texts, strict=True)
        ]

    def _compare_terms(self, text: "_Texts") -> "_Similarity":
        """Return the weighted shares of the question's terms, where no vectors of words can be compared."""
        body = set(analyze(" ".join(text.body)))
        everything = body | set(analyze(" ".join(text.headings)))
        heading = analyze(" ".join(text.last_heading))
        shared = sum(term in self._term_weights for term in heading)
        return _Similarity(self._share(body), self._share(everything), shared / len(heading) if heading else 0.0)

    def _share(self, terms: set[str]) -> float:
        total = sum(self._term_weights.values())
        return sum(weight for term, weight in self._term_weights.items() if term in terms) / total if total else 0.0


class _Texts(NamedTuple):
    """The content words of an excerpt and of its headings."""

    body: list[str]
    headings: list[str]
    last_heading: list[str]

    @classmethod
    def of(cls, candidate: Candidate, excerpt: Excerpt) -> "_Texts":
        passage = candidate.passage
        return cls(
            extract_content_words(f"{excerpt.context}\n{excerpt.text}"),
            extract_content_words(passage.heading_path),
            extract_content_words(passage.heading.rpartition(HEADING_SEPARATOR)[2]),
        )


class _Similarity(NamedTuple):
    text: float
    text_or_headings: float
    heading: float


def _word_idf(word: str, idf: Mapping[str, float], default: float) -> float:
    """Return the idf of the term of a word."""
    return next((idf.get(term, default) for term in analyze(word)), default)
