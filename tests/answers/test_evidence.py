"""Scores of sentences as evidence, and the thresholds for an answer."""

import time
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.evidence import (
    ANSWER_THRESHOLD,
    ANSWER_TYPE_WEIGHT,
    LEXICAL_WEIGHTS,
    LLM_THRESHOLD,
    MAX_PASSAGES,
    TEXT_SIMILARITY_WEIGHTS,
    TOKEN_SIMILARITY_WEIGHTS,
    Similarity,
    rank_sentences,
    should_call_chat_model,
)
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence
from semsearch.text.analyzer import analyze, extract_query_terms


def make_question(text: str, **idf: float) -> AnalyzedQuery:
    """Return a question whose terms have the given idf, else 1.0."""
    terms = tuple(extract_query_terms(text))
    return AnalyzedQuery(text, terms, {term: idf.get(term, 1.0) for term in terms})


def make_passage(*texts: str, score: float = 1.0, name: str = "p", title: str = "") -> Passage:
    """Return a passage with these sentences."""
    sentences = tuple(Sentence(0, len(text), text, tuple(analyze(text)), 1) for text in texts)
    return Passage(name, "a.txt", title, "", None, 0, 1, sentences, "", score)


def make_similarity(*rows: list[float]) -> Similarity:
    """Return a similarity with a row for each sentence: by token, or by text if the rows have one number."""
    return Similarity(np.array(rows, np.float32), is_by_token=len(rows[0]) > 1)


def max_confidence(question: AnalyzedQuery, *sentences: str, title: str = "") -> float:
    """Return the highest confidence of the sentences of one passage, without an embedder."""
    candidates = rank_sentences(question, [make_passage(*sentences, title=title)], None)
    return max(candidate.confidence for candidate in candidates)


def test_sentence_with_the_terms_of_the_question_ranks_first() -> None:
    """Without an embedder, the terms of the question and their proximity rank the sentences."""
    candidates = rank_sentences(
        make_question("How was the old castle built?"),
        [make_passage("Castles are old.", "The old castle was built by hand.", "Nothing.")],
        None,
    )
    assert [candidate.number for candidate in candidates] == [2, 1, 3]
    assert candidates[0].sentence.text == "The old castle was built by hand."
    assert candidates[2].sentence_score == 0.0
    assert (
        candidates[2].confidence == LEXICAL_WEIGHTS.passage_confidence_weight / LEXICAL_WEIGHTS.threshold
    )  # its passage has all terms


def test_similarity_ranks_sentences_with_equal_terms() -> None:
    """Of two sentences with the same coverage, the more similar one comes first."""
    candidates = rank_sentences(
        make_question("Why?"), [make_passage("Because.", "For a reason.")], make_similarity([0.25], [0.5])
    )
    assert [(candidate.number, candidate.confidence) for candidate in candidates] == [
        (2, 0.5 / TEXT_SIMILARITY_WEIGHTS.threshold),
        (1, 0.25 / TEXT_SIMILARITY_WEIGHTS.threshold),
    ]


def test_token_similarity_of_a_passage_counts_in_the_confidence() -> None:
    """The own score is the mean over the tokens; a token that only the next sentence matches raises the confidence."""
    same_passage = rank_sentences(
        make_question("Why so?"), [make_passage("One.", "Two.")], make_similarity([0.5, 0.25], [0.0, 0.75])
    )
    two_passages = rank_sentences(
        make_question("Why so?"),
        [make_passage("One."), make_passage("Two.")],
        make_similarity([0.5, 0.25], [0.0, 0.75]),
    )
    assert [candidate.sentence_score for candidate in same_passage] == [
        TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.375
    ] * 2
    assert [candidate.confidence for candidate in same_passage] == [
        TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.625 / TOKEN_SIMILARITY_WEIGHTS.threshold
    ] * 2
    assert [candidate.confidence for candidate in two_passages] == [
        TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.375 / TOKEN_SIMILARITY_WEIGHTS.threshold
    ] * 2


def test_each_sentence_has_its_row_of_similarities() -> None:
    """Rows continue from passage to passage, also after a passage without sentences."""
    passages = [make_passage("One."), make_passage(), make_passage("Two.", "Three.")]
    candidates = rank_sentences(make_question("Why?"), passages, make_similarity([0.125], [0.25], [0.5]))
    assert [(candidate.sentence.text, candidate.sentence_score) for candidate in candidates] == [
        ("Three.", 0.5),
        ("Two.", 0.25),
        ("One.", 0.125),
    ]


def test_sentence_of_a_better_passage_ranks_first() -> None:
    """The score of the passage affects the order, but not the confidence."""
    candidates = rank_sentences(
        make_question("castle"), [make_passage("A castle.", score=1.2), make_passage("A castle.", score=0.6)], None
    )
    assert candidates[0].score - candidates[1].score == pytest.approx(0.5)
    assert candidates[0].confidence == candidates[1].confidence


def test_only_the_best_passages_are_scored() -> None:
    """Passages after the first `MAX_PASSAGES` have no candidates."""
    candidates = rank_sentences(
        make_question("castle"), [make_passage("A castle.", name=str(n)) for n in range(MAX_PASSAGES + 3)], None
    )
    assert [candidate.passage.id for candidate in candidates] == [str(n) for n in range(MAX_PASSAGES)]


@pytest.mark.parametrize(
    ("question", "match", "mismatch"),
    [
        ("When was it built?", "It was built in 1066.", "It was built in stone."),
        ("In what year was it built?", "It was built in the 10th century.", "It was built in 3 steps."),
        ("How many towers has it?", "It has seven towers.", "It has towers."),
        ("Who built it for William?", "For him it was built by Rollo.", "Then William had it built."),
        ("Where is it?", "It is near Rouen.", "It is near the river."),
    ],
)
def test_sentence_with_the_answer_type_scores_higher(question: str, match: str, mismatch: str) -> None:
    """A date, a number or a new name raises the score if the question asks for one."""
    candidates = rank_sentences(AnalyzedQuery(question, (), {}), [make_passage(match, mismatch)], None)
    scores = {candidate.sentence.text: candidate.score for candidate in candidates}
    assert scores[match] - scores[mismatch] == pytest.approx(ANSWER_TYPE_WEIGHT)


def test_question_without_an_answer_type_prefers_no_sentence() -> None:
    """Numbers and names do not raise the score by themselves."""
    passage = make_passage("In 1066.", "By Rollo.", "So.")
    candidates = rank_sentences(AnalyzedQuery("Why so?", (), {}), [passage], None)
    assert len({candidate.score for candidate in candidates}) == 1


def test_strong_evidence_has_a_higher_confidence_than_weak_evidence() -> None:
    """The weights of each kind of similarity are scaled so that 1.0 separates them."""

    def max_of(question: AnalyzedQuery, similarity: Similarity | None) -> float:
        return max(candidate.confidence for candidate in rank_sentences(question, passages, similarity))

    question, passages = make_question("castle zebra", zebra=3.0), [make_passage("A castle.", "Nothing.")]
    assert max_of(question, make_similarity([0.1], [0.2])) < ANSWER_THRESHOLD
    assert max_of(question, make_similarity([0.1], [TEXT_SIMILARITY_WEIGHTS.threshold])) >= ANSWER_THRESHOLD
    assert max_of(question, make_similarity([0.1, 0.3], [0.3, 0.1])) < ANSWER_THRESHOLD
    assert max_of(question, make_similarity([0.1, 0.8], [0.8, 0.1])) >= ANSWER_THRESHOLD
    assert max_of(question, None) < ANSWER_THRESHOLD <= max_of(make_question("castle"), None)


def test_chat_model_is_called_from_weaker_evidence_on() -> None:
    """The strongest sentence decides."""
    question, passages = make_question("Why?"), [make_passage("Because.", "For a reason.")]
    threshold = LLM_THRESHOLD * TEXT_SIMILARITY_WEIGHTS.threshold
    assert should_call_chat_model(rank_sentences(question, passages, make_similarity([0.0], [threshold + 0.01])))
    assert not should_call_chat_model(rank_sentences(question, passages, make_similarity([0.0], [threshold - 0.01])))


def test_without_passages_there_is_no_evidence() -> None:
    """Without passages there are no candidates; a passage with score 0 gives candidates with score 0."""
    assert rank_sentences(make_question("castle"), [], None) == []
    assert not should_call_chat_model([])
    candidates = rank_sentences(make_question("castle"), [make_passage("Nothing.", score=0.0)], None)
    assert [candidate.score for candidate in candidates] == [0.0]


def test_passage_of_a_sentence_raises_its_confidence() -> None:
    """Terms of the question count if they are in adjacent sentences or in the title."""
    question = make_question("Who built the castle of Rouen?")
    confidence = max_confidence(question, "Rollo built it.")
    in_adjacent_sentence = max_confidence(question, "Rollo built it.", "The castle is old.")
    assert confidence < in_adjacent_sentence < max_confidence(question, "Rollo built the castle.")
    assert confidence < max_confidence(question, "Rollo built it.", title="Rouen castle")


def test_missing_name_lowers_the_confidence_more_than_another_word() -> None:
    """A passage without the name or number of the question is off topic."""
    name_question = make_question("Who built Rouen?")
    assert max_confidence(name_question, "It is in Rouen.") > max_confidence(name_question, "They built.")
    year_question = make_question("Who ruled in 1066?")
    assert max_confidence(year_question, "It was 1066.") > max_confidence(year_question, "They ruled.")


@pytest.mark.parametrize("spelling", ["Telenet", "telnets", "Télnett"])
def test_similar_spelling_counts_in_part(spelling: str) -> None:
    """A misspelt word counts in part; a similar number does not count."""
    question = make_question("Who founded Telnet?")
    assert max_confidence(question, "No.") < max_confidence(question, f"On {spelling}.")
    assert max_confidence(question, f"On {spelling}.") <= max_confidence(question, "On Telnet.")
    assert max_confidence(make_question("10661"), "In 10662.") == 0.0


def test_long_question_is_scored_quickly() -> None:
    """Not all of thousands of missing terms are compared with thousands of passage terms."""
    question = make_question(" ".join(map("".join, product("abcdefgh", repeat=4))))
    passages = [
        make_passage(" ".join(map("".join, permutations("stuvw", 5))), name=str(k)) for k in range(MAX_PASSAGES)
    ]
    start = time.process_time()
    rank_sentences(question, passages, None)
    assert time.process_time() - start < 1.0


@given(st.lists(st.lists(st.sampled_from(["The castle.", "Built in 1066.", "No."]), max_size=4), max_size=7))
def test_every_sentence_is_ranked_once(texts: list[list[str]]) -> None:
    """Every sentence of the best passages is a candidate with its number, by descending score."""
    passages = [make_passage(*sentences, name=str(n), score=1 / (n + 1)) for n, sentences in enumerate(texts)]
    candidates = rank_sentences(make_question("When was the castle built?"), passages, None)
    expected = {
        (passage.id, number) for passage in passages[:MAX_PASSAGES] for number in range(1, len(passage.sentences) + 1)
    }
    assert {(candidate.passage.id, candidate.number) for candidate in candidates} == expected
    assert len(candidates) == len(expected)
    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True)


def test_other_scripts_have_a_lower_threshold_for_rare_terms_than_for_frequent_ones() -> None:
    """Without vectors, half of the terms are enough in Russian where chance covers none, not where it covers much."""
    rare = AnalyzedQuery("столица франция", ("столица", "франция"), {"столица": 6.0, "франция": 6.0})
    frequent = AnalyzedQuery("столица франция", ("столица", "франция"), {"столица": 1.0, "франция": 6.0})
    english = AnalyzedQuery("capital France", ("capital", "france"), {"capital": 6.0, "france": 6.0})
    passages = [make_passage("Столица."), make_passage("A capital.")]
    confidences = [
        max(candidate.confidence for candidate in rank_sentences(question, passages, None))
        for question in (rare, frequent, english)
    ]
    assert confidences[0] > 2 * confidences[2]
    assert confidences[0] > 2 * confidences[1]


def test_prefixed_words_of_other_scripts_match() -> None:
    """Arabic attaches the article: كتاب and الكتاب are one word. In English, port and sport are two."""
    arabic = AnalyzedQuery("كتاب", ("كتاب",), {"كتاب": 2.0})
    english = AnalyzedQuery("port", ("port",), {"port": 2.0})
    assert rank_sentences(arabic, [make_passage("الكتاب")], None)[0].confidence > 1
    assert rank_sentences(english, [make_passage("sport")], None)[0].confidence == 0
