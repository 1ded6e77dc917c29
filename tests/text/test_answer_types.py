"""Sentences that cannot answer a question are rejected; possible answers are not."""

import pytest

from semsearch.text.analyzer import extract_content_terms
from semsearch.text.answer_types import can_answer


@pytest.mark.parametrize(
    ("question", "answer", "is_possible"),
    [
        ("How many ferries leave?", "Seven", True),
        ("How many ferries leave?", "dozens", True),
        ("How many ferries leave?", "Oskar", False),
        ("How long does it take?", "forty minutes", True),
        ("How long does it take?", "the northern lighthouse", False),
        ("When did the harbour open?", "in May 1905", True),
        ("When did the harbour open?", "late antiquity", True),
        ("When did the harbour open?", "at the beginning of each season", True),
        ("When did the harbour open?", "Oskar", False),
        ("By when must it be used?", "31 March", True),
        ("Who opened it when the war ended?", "Oskar", True),
        ("Who built the harbour?", "1905", False),
        ("Who built the harbour?", "on 12 May 1905", False),
        ("What is the wind limit?", "17", True),
        ("In what year was it built?", "1905", True),
        ("Who keeps the northern lighthouse?", "the northern lighthouse", False),
        ("Which town has a harbour?", "Aldery", True),
    ],
)
def test_answer_has_the_type_that_the_question_asks_for(question: str, answer: str, is_possible: bool) -> None:
    """A question for a number or a date needs one; every answer needs a word that the question does not have."""
    question_terms = set(extract_content_terms(question))
    new_terms = [term for term in extract_content_terms(answer) if term not in question_terms]
    assert can_answer(question, f"{question.rstrip('?')}: {answer}.", new_terms) == is_possible
