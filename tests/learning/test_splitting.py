"""The split into training and held-out examples."""

import random

import pytest

from semsearch.learning.splitting import split_examples
from semsearch.learning.training_examples import (
    MAX_RATED_EXAMPLES_PER_OWNER,
    Example,
    drop_duplicates,
    limit_rated_examples,
)


def make_example(
    question: str, *uris: str, answer: str = "Yes.", owner: str = "local", created: float = 0.0
) -> Example:
    """Return a chat example."""
    data = {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
    return Example("chat", data, question, answer, uris, owner, "helpful", created)


@pytest.mark.parametrize("seed", range(20))
def test_no_question_and_no_document_on_both_sides(seed: int) -> None:
    """The held-out part is not larger than its share, and does not depend on the order of the examples."""
    source = random.Random(seed)
    examples = [
        make_example(f"Question {source.randrange(150)}?", f"doc{source.randrange(60)}", answer=str(row))
        for row in range(source.randrange(20, 120))
    ]
    split = split_examples(examples, 0.2)
    train_questions, held_out_questions = ({e.question_key for e in side} for side in (split.train, split.held_out))
    assert train_questions.isdisjoint(held_out_questions)
    if split.by == "question and document":
        train_uris, held_out_uris = ({u for e in side for u in e.uris} for side in (split.train, split.held_out))
        assert train_uris.isdisjoint(held_out_uris)
    assert len(split.held_out) <= 0.2 * len(examples)
    assert len(split.train) + len(split.held_out) == len(examples)
    shuffled = source.sample(examples, len(examples))
    assert {e.answer for e in split_examples(shuffled, 0.2).held_out} == {e.answer for e in split.held_out}


def test_one_document_for_all_is_split_by_question() -> None:
    """A manual that answers every question cannot be on one side."""
    examples = [make_example(f"Question {number}?", "manual") for number in range(40)]
    split = split_examples(examples, 0.25)
    assert (split.by, len(split.held_out)) == ("question", 10)


def test_equal_question_and_answer_are_one_example() -> None:
    """Case, space and punctuation do not count; the newest stays."""
    examples = [
        make_example("How long is leave?", answer="26 weeks.", created=1.0),
        make_example("how long  is leave", answer="26 Weeks", created=2.0),
        make_example("How long is leave?", answer="28 days.", created=0.0),
    ]
    assert [(e.answer, e.created) for e in drop_duplicates(examples)] == [("26 Weeks", 2.0), ("28 days.", 0.0)]


def test_ratings_of_each_owner_are_limited() -> None:
    """Those of another owner are all kept."""
    many = [make_example(f"Question {number}?", owner="loud") for number in range(1_000)]
    kept = limit_rated_examples([*many, make_example("Mine?", owner="quiet")])
    assert [e.owner for e in kept].count("loud") == MAX_RATED_EXAMPLES_PER_OWNER
    assert kept[-1].owner == "quiet"
