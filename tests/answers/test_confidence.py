"""The confidence of an answer is a probability that each feature moves in one direction."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.passages import make_question, make_text_passage

from semsearch.answers.confidence import ConfidenceFeatures, estimate_confidence, extract_features
from semsearch.answers.evidence import Candidate, rank_sentences
from semsearch.answers.excerpt_ranking import RankedExcerpt, rank_excerpts
from semsearch.core.types.answers import Passage


def rank(question: str, *passages: Passage) -> tuple[list[Candidate], list[RankedExcerpt]]:
    """Return the sentences and excerpts, ranked by terms."""
    query = make_question(question)
    candidates = rank_sentences(query, passages, None)
    return candidates, rank_excerpts(query, candidates, None)


def confidence_of(question: str, *passages: Passage) -> float:
    """Return the confidence of the best excerpt."""
    return estimate_confidence(question, *rank(question, *passages))


def test_confidence_is_zero_without_an_excerpt() -> None:
    """A heading alone cannot be quoted."""
    assert confidence_of("castle") == 0.0
    assert confidence_of("castle", make_text_passage("p", "Castle of Rouen")) == 0.0


@given(st.text(max_size=60), st.lists(st.text(max_size=80), max_size=4))
def test_confidence_is_a_probability(question: str, texts: list[str]) -> None:
    """For any question and documents."""
    passages = [make_text_passage(str(n), f"{text} castle stands here today.") for n, text in enumerate(texts)]
    assert 0.0 <= confidence_of(question, *passages) <= 1.0


@pytest.mark.parametrize("question", ["When was the castle built?", "Когда построен замок?"])
def test_better_evidence_has_a_higher_confidence(question: str) -> None:
    """In English and in other languages."""
    texts = ["Sheep graze. Овцы пасутся.", "The castle. Замок.", "The castle was built in 1066. Замок построен в 1066."]
    confidences = [confidence_of(question, make_text_passage("p", f"{text} Nothing more.")) for text in texts]
    assert confidences == sorted(confidences)
    assert confidences[0] < confidences[-1]


SHARES = st.floats(0.0, 1.0)


@pytest.mark.parametrize("language", ["en", "ru"])
@given(st.tuples(SHARES, SHARES, SHARES), st.integers(0, 2), SHARES)
def test_confidence_is_monotone_in_each_feature(
    language: str, values: tuple[float, ...], index: int, other: float
) -> None:
    """It rises with the confidence of the sentences and the similarity, and falls with what is missing."""
    question = {"en": "When was the castle built?", "ru": "Когда построен старый замок?"}[language]
    ((candidate, *_), (excerpt, *_)) = rank(
        question, make_text_passage("p", "The castle was built in 1066. Замок стар.")
    )

    def estimate(evidence: float, similarity: float, missing: float) -> float:
        features = excerpt.features._replace(similarity_with_headings=similarity)
        best = replace(excerpt, features=features, missing_weight=missing)
        return estimate_confidence(question, [replace(candidate, confidence=evidence)], [best])

    low, high = (tuple(f(value, other) if i == index else value for i, value in enumerate(values)) for f in (min, max))
    if index == 2:
        low, high = high, low
    assert estimate(*low) <= estimate(*high)


def test_features_are_those_of_the_best_excerpt() -> None:
    """Each is at least 0, and a missing term and a competing document change theirs."""
    text = "The castle was built in 1066 by the Normans."
    first, second = make_text_passage("a", text), make_text_passage("b", text)
    alone = extract_features(*rank("When was the castle built?", first))
    assert all(value >= 0 for value in alone)
    assert (alone.agreement, alone.missing_weight) == (1.0, 0.0)
    assert extract_features(*rank("When was the castle built?", first, second)).agreement == pytest.approx(0.5)
    assert extract_features(*rank("When was the zebra castle built?", first)).missing_weight == 1.0
    assert isinstance(alone, ConfidenceFeatures)
