"""What makes a sentence evidence, and when there is too little of it."""

import time
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.evidence import (
    ANSWER_TYPE_WEIGHT,
    LEXICAL_WEIGHTS,
    MAX_PASSAGES,
    TEXT_SIMILARITY_WEIGHTS,
    TOKEN_SIMILARITY_WEIGHTS,
    Similarity,
    is_answerable,
    rank_sentences,
)
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence
from semsearch.text.analyzer import analyze, extract_query_terms


def question(text: str, **weights: float) -> AnalyzedQuery:
    """A question all of whose terms are equally rare, but for those given."""
    asked = tuple(extract_query_terms(text))
    return AnalyzedQuery(text, asked, {term: weights.get(term, 1.0) for term in asked})


def passage(*sentences: str, score: float = 1.0, name: str = "p", title: str = "") -> Passage:
    """A passage of these sentences."""
    cut = tuple(Sentence(0, len(text), text, tuple(analyze(text)), 1) for text in sentences)
    return Passage(name, "a.txt", title, "", None, 0, 1, cut, "", score)


def near(*rows: list[float]) -> Similarity:
    """How near sentences are: by token, or by their whole where each row has one number."""
    return Similarity(np.array(rows, np.float32), is_by_token=len(rows[0]) > 1)


def strongest(asked: AnalyzedQuery, *sentences: str, title: str = "") -> float:
    """How strong the best sentence of one passage is, without cosines."""
    return max(one.confidence for one in rank_sentences(asked, [passage(*sentences, title=title)], None))


def test_the_sentence_that_holds_the_question_comes_first() -> None:
    """Terms of the question and their nearness decide where nothing else does."""
    found = rank_sentences(
        question("How was the old castle built?"),
        [passage("Castles are old.", "The old castle was built by hand.", "Nothing.")],
        None,
    )
    assert [one.number for one in found] == [2, 1, 3]
    assert found[0].sentence.text == "The old castle was built by hand."
    assert found[2].own_score == 0.0
    assert (
        found[2].confidence == LEXICAL_WEIGHTS.passage_confidence_weight / LEXICAL_WEIGHTS.threshold
    )  # its passage has all of it


def test_meaning_decides_where_words_do_not() -> None:
    """Of two sentences that hold as much, the nearer one comes first."""
    found = rank_sentences(question("Why?"), [passage("Because.", "For a reason.")], near([0.25], [0.5]))
    assert [(one.number, one.confidence) for one in found] == [
        (2, 0.5 / TEXT_SIMILARITY_WEIGHTS.threshold),
        (1, 0.25 / TEXT_SIMILARITY_WEIGHTS.threshold),
    ]


def test_tokens_of_a_question_may_lie_in_several_sentences() -> None:
    """A sentence is as near as its tokens are on average; what it lacks and the next one has makes it stronger."""
    together = rank_sentences(question("Why so?"), [passage("One.", "Two.")], near([0.5, 0.25], [0.0, 0.75]))
    apart = rank_sentences(question("Why so?"), [passage("One."), passage("Two.")], near([0.5, 0.25], [0.0, 0.75]))
    assert [one.own_score for one in together] == [TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.375] * 2
    assert [one.confidence for one in together] == [
        TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.625 / TOKEN_SIMILARITY_WEIGHTS.threshold
    ] * 2
    assert [one.confidence for one in apart] == [
        TOKEN_SIMILARITY_WEIGHTS.similarity_weight * 0.375 / TOKEN_SIMILARITY_WEIGHTS.threshold
    ] * 2


def test_each_sentence_has_its_own_row() -> None:
    """Rows run on from passage to passage, also past one without a sentence."""
    read = [passage("One."), passage(), passage("Two.", "Three.")]
    found = rank_sentences(question("Why?"), read, near([0.125], [0.25], [0.5]))
    assert [(one.sentence.text, one.own_score) for one in found] == [("Three.", 0.5), ("Two.", 0.25), ("One.", 0.125)]


def test_a_sentence_of_a_better_passage_comes_first() -> None:
    """The passage's place in the ranking counts for the order, and not for the strength."""
    found = rank_sentences(question("castle"), [passage("A castle.", score=1.2), passage("A castle.", score=0.6)], None)
    assert found[0].score - found[1].score == pytest.approx(0.5)
    assert found[0].confidence == found[1].confidence


def test_only_the_best_passages_are_read() -> None:
    """Passages beyond the first few cannot give the answer."""
    found = rank_sentences(
        question("castle"), [passage("A castle.", name=str(n)) for n in range(MAX_PASSAGES + 3)], None
    )
    assert [one.passage.id for one in found] == [str(n) for n in range(MAX_PASSAGES)]


@pytest.mark.parametrize(
    ("asked", "gives", "lacks"),
    [
        ("When was it built?", "It was built in 1066.", "It was built in stone."),
        ("In what year was it built?", "It was built in the 10th century.", "It was built in 3 steps."),
        ("How many towers has it?", "It has seven towers.", "It has towers."),
        ("Who built it for William?", "For him it was built by Rollo.", "Then William had it built."),
        ("Where is it?", "It is near Rouen.", "It is near the river."),
    ],
)
def test_a_sentence_with_what_is_asked_for_gets_more(asked: str, gives: str, lacks: str) -> None:
    """A date, a number or a new name counts where the question asks for one."""
    silent = AnalyzedQuery(asked, (), {})
    scores = {one.sentence.text: one.score for one in rank_sentences(silent, [passage(gives, lacks)], None)}
    assert scores[gives] - scores[lacks] == pytest.approx(ANSWER_TYPE_WEIGHT)


def test_a_question_that_asks_for_no_kind_prefers_none() -> None:
    """Numbers and names do not count by themselves."""
    scores = {
        one.score
        for one in rank_sentences(AnalyzedQuery("Why so?", (), {}), [passage("In 1066.", "By Rollo.", "So.")], None)
    }
    assert len(scores) == 1


def test_strong_evidence_is_answerable_and_weak_is_not() -> None:
    """The strongest sentence decides, by a threshold for each way to tell how near it is."""
    asked, held = question("castle zebra", zebra=3.0), [passage("A castle.", "Nothing.")]
    assert not is_answerable(rank_sentences(asked, held, near([0.1], [0.2])))
    assert is_answerable(rank_sentences(asked, held, near([0.1], [TEXT_SIMILARITY_WEIGHTS.threshold])))
    assert not is_answerable(rank_sentences(asked, held, near([0.1, 0.3], [0.3, 0.1])))
    assert is_answerable(rank_sentences(asked, held, near([0.1, 0.8], [0.8, 0.1])))
    assert not is_answerable(rank_sentences(asked, held, None))
    assert is_answerable(rank_sentences(question("castle"), held, None))


def test_no_passage_is_no_evidence() -> None:
    """Without a passage, or with passages that scored nothing, there is no answer."""
    assert rank_sentences(question("castle"), [], None) == []
    assert not is_answerable([])
    assert [one.score for one in rank_sentences(question("castle"), [passage("Nothing.", score=0.0)], None)] == [0.0]


def test_the_passage_around_a_sentence_strengthens_it() -> None:
    """What the sentence leaves to those beside it, or to the title, counts as known."""
    asked = question("Who built the castle of Rouen?")
    alone = strongest(asked, "Rollo built it.")
    assert (
        alone < strongest(asked, "Rollo built it.", "The castle is old.") < strongest(asked, "Rollo built the castle.")
    )
    assert alone < strongest(asked, "Rollo built it.", title="Rouen castle")


def test_a_name_that_is_missing_weakens_more_than_another_word() -> None:
    """A passage without the question's name or number is about something else, however much it says."""
    by_name = question("Who built Rouen?")
    assert strongest(by_name, "It is in Rouen.") > strongest(by_name, "They built.")
    by_year = question("Who ruled in 1066?")
    assert strongest(by_year, "It was 1066.") > strongest(by_year, "They ruled.")


@pytest.mark.parametrize("spelling", ["Telenet", "telnets", "Télnett"])
def test_another_spelling_is_nearly_the_word(spelling: str) -> None:
    """A word that is misspelt counts in part; a number that is nearly another does not."""
    asked = question("Who founded Telnet?")
    assert strongest(asked, "No.") < strongest(asked, f"On {spelling}.") <= strongest(asked, "On Telnet.")
    assert strongest(question("10661"), "In 10662.") == 0.0


def test_a_long_question_takes_no_time() -> None:
    """Thousands of words that nothing holds are not all compared with thousands of others."""
    asked = question(" ".join(map("".join, product("abcdefgh", repeat=4))))
    read = [passage(" ".join(map("".join, permutations("stuvw", 5))), name=str(k)) for k in range(MAX_PASSAGES)]
    begun = time.process_time()
    rank_sentences(asked, read, None)
    assert time.process_time() - begun < 1.0


@given(st.lists(st.lists(st.sampled_from(["The castle.", "Built in 1066.", "No."]), max_size=4), max_size=7))
def test_every_sentence_is_weighed_once(texts: list[list[str]]) -> None:
    """All sentences of the considered passages come out once, by falling score, under their own number."""
    passages = [passage(*sentences, name=str(n), score=1 / (n + 1)) for n, sentences in enumerate(texts)]
    found = rank_sentences(question("When was the castle built?"), passages, None)
    expected = {(one.id, n) for one in passages[:MAX_PASSAGES] for n in range(1, len(one.sentences) + 1)}
    assert {(one.passage.id, one.number) for one in found} == expected
    assert len(found) == len(expected)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
