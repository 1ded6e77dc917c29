"""The confidence of an answer is a probability that each feature moves in one direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.passages import make_block_passage, make_question, make_text_passage

from semsearch.answers.confidence import ConfidenceFeatures, combine_features, estimate_confidence, extract_features
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
FEATURES = st.builds(ConfidenceFeatures, SHARES, SHARES, SHARES, st.floats(-5.0, 0.0), SHARES)


@given(FEATURES, st.sampled_from(ConfidenceFeatures._fields), SHARES)
def test_confidence_is_monotone_in_each_feature(features: ConfidenceFeatures, name: str, step: float) -> None:
    """It falls only if the kind of answer is missing."""
    changed = features._replace(**{name: getattr(features, name) + step})
    low, high = combine_features(features), combine_features(changed)
    assert low >= high if name == "lacks_type" else low <= high


def test_features_are_those_of_the_best_excerpt() -> None:
    """Another document competes with it, and a question for a person is not answered by a date."""
    text = "The castle was built in 1066 by the Normans."
    first = make_text_passage("a", text)
    second = make_text_passage("b", "The castle was built again by the monks after a fire had burnt it down.")
    question = "When was the castle built?"
    alone = extract_features(question, *rank(question, first))
    assert (alone.agreement, alone.dominance, alone.lacks_type) == (1.0, 0.0, 0.0)
    both = extract_features(question, *rank(question, first, second))
    assert both.agreement < 1.0 > both.dominance
    assert (
        extract_features("Who is it?", *rank("Who is it?", make_text_passage("a", "It is in 1066."))).lacks_type == 1.0
    )


def test_place_beside_an_unquotable_best_sentence_has_a_low_confidence() -> None:
    """Another place of the documents would be shown as the answer."""
    command = make_block_passage(("code", "install lamp"), name="a")
    log = make_text_passage("b", "The install log of the lamp is written to the terminal.", score=0.5)
    candidates, ranked = rank("install lamp", command, log)
    assert candidates[0].passage is command
    alone = estimate_confidence("install lamp", *rank("install lamp", log))
    assert estimate_confidence("install lamp", candidates, ranked) < min(alone, 0.5)
