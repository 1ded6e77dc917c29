"""The order of excerpts, and what each part of their score measures."""

from collections.abc import Sequence

import numpy as np
import pytest
from support.passages import BlockText, make_block_passage, make_question, make_text_passage

from semsearch.answers.evidence import rank_sentences
from semsearch.answers.excerpt_ranking import (
    RankedExcerpt,
    compute_agreement,
    compute_dominance,
    extend_best,
    rank_excerpts,
)
from semsearch.core.ports import WordSimilarity
from semsearch.core.types.answers import AnalyzedQuery, Passage
from semsearch.core.types.documents import Vectors

FILLER = "The keeper writes every ship into the book of the tower before the long night begins."


class SynonymSimilarity:
    """Compares words by equality, except for one pair of synonyms."""

    def __init__(self, *synonyms: str) -> None:
        self.synonyms = synonyms
        self.calls = 0

    def word_similarities(self, words: Sequence[str], texts: Sequence[Sequence[str]]) -> Vectors:
        """Return 1 for an equal word, .8 for a synonym."""
        self.calls += 1
        rows = [[max((self._compare(word, other) for other in text), default=0.0) for word in words] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), len(words))

    def _compare(self, word: str, other: str) -> float:
        return 1.0 if word == other else 0.8 if word in self.synonyms and other in self.synonyms else 0.0


def rank(question: str | AnalyzedQuery, *passages: Passage, words: WordSimilarity | None = None) -> list[RankedExcerpt]:
    """Return the excerpts of these passages, whose sentences are ranked by terms."""
    query = make_question(question) if isinstance(question, str) else question
    return rank_excerpts(query, rank_sentences(query, passages, None), words)


def test_each_span_is_ranked_once() -> None:
    """The sentences of a short paragraph have the same excerpt; the best of them is its best sentence."""
    (ranked,) = rank("When was the castle built?", make_text_passage("p", "Sheep graze. The castle was built in 1066."))
    assert ranked.excerpt.text == "Sheep graze. The castle was built in 1066."
    assert ranked.candidate.sentence.text == "The castle was built in 1066."


def test_excerpts_are_ordered_by_score() -> None:
    """The score is the weighted sum of the features."""
    ranked = rank(
        "When was the castle built?",
        make_text_passage("a", "The castle of the town is old and grey."),
        make_text_passage("b", "The castle was built by the Normans in 1066."),
        make_text_passage("c", "Sheep graze around the old walls here."),
    )
    assert ranked[0].candidate.passage.id == "b"
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)


def test_similar_words_count_for_english_only() -> None:
    """Other languages are compared by terms, as the word vectors are English."""
    words = SynonymSimilarity("begin", "start")
    passage = make_text_passage("p", "You may start a course in May or in June.")
    (with_words,), (without,) = (rank("When does a course begin?", passage, words=w) for w in (words, None))
    assert with_words.features.similarity > without.features.similarity
    assert words.calls
    words.calls = 0
    rank("Когда построен старый замок?", make_text_passage("p", "Замок построен давно, ещё до войны."), words=words)
    assert words.calls == 0


def test_the_excerpt_is_as_long_as_its_question_needs() -> None:
    """A comparison gets more text than an amount."""
    passage = make_text_passage("p", " ".join(["Each log differs from lamp to lamp by 7 hours.", *[FILLER] * 20]))
    lengths = [
        len(rank(question, passage)[0].excerpt.text.split())
        for question in (
            "By how many hours differ lamp and log?",
            "What is lamp log?",
            "What is the difference of lamp and log?",
        )
    ]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == 3


def test_the_best_excerpt_is_extended_to_others_of_its_section_that_score_alike() -> None:
    """Not to one that scores far less, nor to another document."""
    first, second = "The lamp was built by monks in 1066.", "The lamp was built again by monks in 1412."
    near: list[BlockText] = [("paragraph", text) for text in (first, *[FILLER] * 3, second)]
    far: list[BlockText] = [("paragraph", text) for text in (first, *[FILLER] * 6)]
    ranked = rank("When was the lamp built?", make_block_passage(*near), make_text_passage("q", second))
    extended = extend_best(ranked)
    assert second not in ranked[0].excerpt.text or first not in ranked[0].excerpt.text
    assert first in extended.excerpt.text
    assert second in extended.excerpt.text
    assert (extended.features, extended.candidate) == (ranked[0].features, ranked[0].candidate)
    alone = rank("When was the lamp built?", make_block_passage(*far))
    assert extend_best(alone) == alone[0]


def test_a_version_in_another_document_does_not_compete_with_an_extended_excerpt() -> None:
    """Agreement and dominance compare excerpts of the usual length."""
    text = f"The lamp was built by monks in 1066. {FILLER} {FILLER} {FILLER} The lamp was built again by monks in 1412."
    question = make_question("When was the lamp built?")
    versions = rank(question, make_text_passage("a", text), make_text_passage("b", f"{text} Sheep graze."))
    assert extend_best(versions).excerpt.text.count("monks") == 2
    assert compute_agreement(versions) > 0.9


@pytest.mark.parametrize("words", [SynonymSimilarity(), None])
def test_headings_count_in_their_own_features(words: WordSimilarity | None) -> None:
    """They are compared apart from the text."""
    text, question = "It lasts for 26 weeks at full pay.", "Weeks of parental leave?"
    (bare,), (headed,) = (
        rank(question, make_text_passage("p", text, heading=heading), words=words)
        for heading in ("", "Staff › Parental leave")
    )
    assert headed.features.similarity == pytest.approx(bare.features.similarity)
    assert headed.features.similarity_with_headings > bare.features.similarity_with_headings
    assert headed.features.heading_similarity > bare.features.heading_similarity == 0.0


def test_other_versions_of_the_text_agree_and_do_not_compete() -> None:
    """Another text does."""
    text = "The castle was built in 1066 by the Normans, who held it for a long time."
    first, copy = make_text_passage("a", text), make_text_passage("b", text.replace("1066", "1067"))
    other = make_text_passage("c", "The castle was built again after a fire had burnt the old one down.")
    question = make_question("When was the castle built?")
    versions, all_three = rank(question, first, copy), rank(question, first, copy, other)
    assert (compute_agreement(versions), compute_dominance(versions)) == (1.0, 0.0)
    assert compute_agreement(all_three) < 1.0
    assert compute_dominance(all_three) < 0.0


@pytest.mark.parametrize(
    ("question", "better", "worse"),
    [
        ("How many keepers are there?", "The tower has seven keepers by now.", "The tower has keepers by now."),
        ("Why is the lamp red?", "The lamp is red because ships see it.", "The lamp is red and ships see it."),
    ],
)
def test_answer_of_the_kind_that_is_asked_for_scores_higher(question: str, better: str, worse: str) -> None:
    """Signs of an amount, a reason and other kinds count."""
    (good,), (bad,) = (rank(question, make_text_passage("p", text)) for text in (better, worse))
    assert good.features.cues > bad.features.cues
    assert good.features.lacks_amount <= bad.features.lacks_amount
    assert good.score > bad.score


def test_code_and_lists_are_steps_for_how_to_questions() -> None:
    """Not for other questions."""
    passage = make_block_passage(("paragraph", "Put out the lamp like this:"), ("code", "$ lamp off"))
    assert rank("How do I put out the lamp?", passage)[0].features.has_steps == 1.0
    assert rank("Who put out the lamp?", passage)[0].features.has_steps == 0.0


def test_agreement_is_low_if_several_documents_compete() -> None:
    """It is 1 if all excerpts are of one document."""
    text, other = "The castle was built in 1066 by them.", "The castle was built by monks after a fire."
    alone = rank("When was the castle built?", make_text_passage("a", text))
    competing = rank("When was the castle built?", make_text_passage("a", text), make_text_passage("b", other))
    assert compute_agreement(alone) == 1.0
    assert compute_agreement(competing) < 1.0
