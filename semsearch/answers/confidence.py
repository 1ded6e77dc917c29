"""Estimate the probability that the best excerpt answers a question. Does not decide what is shown.

Two questions are estimated apart: whether the documents are about the question at all, and whether the excerpt is the
right one of those at hand. Fitted by logistic regression on the answerable and unanswerable questions of three manuals
and, with a tenth of the weight, of squad2_a, with excerpts of one target length; cross-validated, the most confident 30
and 55 of 100 answerable questions about manuals had a useful excerpt for 75 and 64 of 100. A fit with the present
lengths is no better.
"""

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

from ..text.answer_types import lacks_answer_type
from .evidence import Candidate
from .excerpt_ranking import RankedExcerpt, compute_agreement, compute_dominance


class ConfidenceFeatures(NamedTuple):
    """What the estimate is made of."""

    evidence: float
    """Confidence of the strongest sentence; 1 is usual for a question about the documents."""
    similarity: float
    """Similarity of the question's words to the words of the excerpt and its headings."""
    agreement: float
    """Share of the excerpts' weight in the document of the best one."""
    dominance: float
    """Logarithm of the best excerpt's own share of that weight."""
    lacks_type: float
    """1 if the question asks for a person, a date or a number, and the excerpt has none."""


_TOPIC_WEIGHTS = ConfidenceFeatures(evidence=8.0, similarity=3.0, agreement=0.0, dominance=0.0, lacks_type=0.0)
_TOPIC_BIAS = -9.5
_EXCERPT_WEIGHTS = ConfidenceFeatures(evidence=0.0, similarity=0.65, agreement=0.76, dominance=1.47, lacks_type=-1.0)
_EXCERPT_BIAS = 0.6

_MIN_EXCERPT_FACTOR = 0.72
"""The estimate for the excerpt lowers that for the topic at most by this factor. With 0, 18 instead of 10 of 100
questions on another topic have a higher confidence than 5 of 100 answerable ones."""

_CALIBRATION_SLOPE, _CALIBRATION_BIAS = 5.74, -4.39
"""Turn the product into a probability."""

_LEXICAL_SLOPE, _LEXICAL_BIAS = 4.0, -3.6
"""For questions that are compared by terms alone: evidence of 1 has the default threshold as its probability."""

MAX_LEXICAL_EVIDENCE = 1.4
"""More shared terms make an answer no more likely."""

UNQUOTABLE_FACTOR = 0.5
"""Factor of the confidence if the best sentence is in no excerpt: then another place would be quoted in its stead."""


def estimate_confidence(
    question: str, candidates: Sequence[Candidate], ranked: Sequence[RankedExcerpt], *, is_lexical: bool = False
) -> float:
    """Return the probability, from 0 to 1; 0 without an excerpt. `is_lexical`: sentences were scored by terms alone."""
    if not ranked:
        return 0.0
    features = extract_features(question, candidates, ranked)
    if is_lexical:
        evidence = min(features.evidence, MAX_LEXICAL_EVIDENCE)
        probability = _to_probability(_LEXICAL_BIAS + _LEXICAL_SLOPE * evidence)
    else:
        probability = combine_features(features)
    is_quotable = any(item.contains(candidates[0]) for item in ranked)
    return probability if is_quotable else UNQUOTABLE_FACTOR * probability


def combine_features(features: ConfidenceFeatures) -> float:
    """Return the probability for a question whose sentences were scored by vectors."""
    topic = _to_probability(_TOPIC_BIAS + _multiply(_TOPIC_WEIGHTS, features))
    excerpt = _to_probability(_EXCERPT_BIAS + _multiply(_EXCERPT_WEIGHTS, features))
    product = topic * (_MIN_EXCERPT_FACTOR + (1 - _MIN_EXCERPT_FACTOR) * excerpt)
    return _to_probability(_CALIBRATION_BIAS + _CALIBRATION_SLOPE * product)


def extract_features(
    question: str, candidates: Sequence[Candidate], ranked: Sequence[RankedExcerpt]
) -> ConfidenceFeatures:
    """Return the features of the best excerpt."""
    best = ranked[0]
    return ConfidenceFeatures(
        evidence=max((candidate.confidence for candidate in candidates), default=0.0),
        similarity=best.features.similarity_with_headings,
        agreement=compute_agreement(ranked),
        dominance=compute_dominance(ranked),
        lacks_type=float(lacks_answer_type(question, best.excerpt.text)),
    )


def _multiply(weights: ConfidenceFeatures, features: ConfidenceFeatures) -> float:
    return sum(weight * value for weight, value in zip(weights, features, strict=True))


def _to_probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))
