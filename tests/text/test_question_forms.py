"""Forms of questions: what keeps them equal, and what does not."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from semsearch.text.question_forms import make_question_key, normalize_question


@pytest.mark.parametrize(
    "other",
    [
        "how long is parental leave",
        "How long is the parental leave?",
        "How long's parental leave, please?",
        "HOW LONG IS PARENTAL LEAVE?!",
        "How long are parental leaves?",
    ],
)
def test_articles_case_and_punctuation_do_not_count(other: str) -> None:
    """Neither does the plural."""
    assert make_question_key(other) == make_question_key("How long is parental leave?")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Can I carry days over?", "Can't I carry days over?"),
        ("Can I carry days over?", "Must I carry days over?"),
        ("Who pays for travel?", "Why pay for travel?"),
        ("What runs before deployment?", "What runs after deployment?"),
        ("Does the cache use the store?", "Does the store use the cache?"),
        ("What changed in version 1.5?", "What changed in version 15?"),
        ("Is C fast?", "Is C++ fast?"),
        ("May I work with a permit?", "May I work without a permit?"),
        ("What is market research?", "What is marketing research?"),
        ("How long is parental leave? Answer in German.", "How long is parental leave?"),
    ],
)
def test_everything_else_counts(first: str, second: str) -> None:
    """Negation, numbers, order, question words and function words may change what is asked."""
    assert make_question_key(first) != make_question_key(second)


def test_no_two_judged_questions_are_near_identical(shared_data: Path) -> None:
    """Of 4.5 million pairs of questions, only those match that differ in case and punctuation alone."""
    files = ("squad2_a/queries.jsonl", "squad2_a/unanswerable.jsonl", "realdocs/questions.jsonl")
    rows = [json.loads(line) for file in files for line in (shared_data / file).read_text().splitlines()]
    forms = defaultdict[str, set[str]](set)
    for row in rows:
        question = row.get("text") or row["query"]
        forms[make_question_key(question)].add(normalize_question(question))
    assert len(forms) > 2_900
    assert [questions for questions in forms.values() if len(questions) > 1] == []
