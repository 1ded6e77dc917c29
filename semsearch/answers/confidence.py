"""Estimate the probability that the best excerpt answers a question. Does not decide what is shown."""

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

from ..text.analyzer import detect_language
from ..text.answer_types import lacks_answer_type
from .evidence import Candidate
from .excerpt_ranking import RankedExcerpt, compute_agreement


class ConfidenceFeatures(NamedTuple):
    """What the estimate is made of, and also the weight of each part."""

    evidence: float
    """Confidence of the strongest sentence."""
    similarity: float
    """Similarity of the question's words to the words of the excerpt and its headings."""
    agreement: float
    """Share of the excerpts' weight in the document of the best one."""
    lacks_type: float
    """1 if the question asks for a person, a date or a number, and the excerpt has none."""


_WEIGHTS = ConfidenceFeatures(evidence=2.66, similarity=0.89, agreement=0.89, lacks_type=-1.5)
_BIAS = -5.11
"""Fitted by logistic regression on the answered and unanswerable questions of three manuals and, with a tenth of the
weight, of squad2_a. The proportions were chosen so that other topics are told apart as well as by `evidence` alone."""

_LEXICAL_SLOPE, _LEXICAL_BIAS = 4.0, -4.0
"""For questions that are compared by terms alone: the threshold of the evidence becomes a probability of one half."""


def estimate_confidence(question: str, candidates: Sequence[Candidate], ranked: Sequence[RankedExcerpt]) -> float:
    """Return the probability, from 0 to 1; 0 without an excerpt."""
    if not ranked:
        return 0.0
    features = extract_features(question, candidates, ranked)
    if detect_language(question) != "en":
        return _to_probability(_LEXICAL_BIAS + _LEXICAL_SLOPE * features.evidence)
    return _to_probability(_BIAS + sum(weight * value for weight, value in zip(_WEIGHTS, features, strict=True)))


def extract_features(
    question: str, candidates: Sequence[Candidate], ranked: Sequence[RankedExcerpt]
) -> ConfidenceFeatures:
    """Return the features of the best excerpt."""
    best = ranked[0]
    return ConfidenceFeatures(
        evidence=max((candidate.confidence for candidate in candidates), default=0.0),
        similarity=best.features.similarity_with_headings,
        agreement=compute_agreement(ranked),
        lacks_type=float(lacks_answer_type(question, best.excerpt.text)),
    )


def _to_probability(logit: float) -> float:
    return 1 / (1 + exp(-logit))
