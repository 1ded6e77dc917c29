"""The kinds of answers that a question asks for, and their signs in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.answer_cues import (
    UNKNOWN_KIND_SCORE,
    QuestionKind,
    classify_question,
    has_steps,
    lacks_amount,
    score_cues,
)


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("How many keepers are there", {"amount"}),
        ("How long is it?", {"amount", "how-to"}),
        ("When does the tide turn?", {"time"}),
        ("How do I light the lamp?", {"how-to"}),
        ("Why is the lamp red?", {"reason"}),
        ("Can I bring a dog?", {"yes-no"}),
        ("And is it open?", {"yes-no"}),
        ("What is the difference between a mast and a sail?", {"difference"}),
        ("Where are the keys?", {"place"}),
        ("Which port does it use?", set()),
        ("Keeper of the north", set()),
    ],
)
def test_kind_of_a_question(question: str, kinds: set[QuestionKind]) -> None:
    """A question may have several kinds, or none."""
    assert set(classify_question(question)) == kinds


@pytest.mark.parametrize(
    ("kind", "with_sign", "without"),
    [
        ("amount", "It takes 26 weeks.", "It takes weeks."),
        ("amount", "There are seven.", "There are some."),
        ("time", "It turns in May.", "It turns."),
        ("how-to", "Open the door.", "The door is red."),
        ("how-to", "The way:\n1. Door", "The way: door"),
        ("reason", "It is red because ships see it.", "It is red and ships see it."),
        ("yes-no", "Dogs are not allowed.", "Dogs bark."),
        ("difference", "A mast stands, whereas a sail hangs.", "A mast stands and a sail hangs."),
        ("place", "They hang in the tower.", "They hang."),
    ],
)
def test_sign_of_a_kind_is_recognised(kind: QuestionKind, with_sign: str, without: str) -> None:
    """A text with the sign scores 1, one without it 0."""
    assert (score_cues([kind], with_sign), score_cues([kind], without)) == (1.0, 0.0)


def test_missing_amount_is_recognised() -> None:
    """Only for questions that ask for an amount."""
    assert lacks_amount(["amount"], "It takes weeks.")
    assert not lacks_amount(["amount"], "It takes two weeks.")
    assert not lacks_amount(["reason"], "It takes weeks.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Run this:\n$ lamp on", True),
        ("1. Open it.\n2. Close it.", True),
        ("It costs $ 5.", False),
        ("In 1907.", False),
    ],
)
def test_steps_are_at_the_start_of_a_line(text: str, expected: bool) -> None:
    """Command lines and numbers with a stop."""
    assert has_steps(text) is expected


@given(st.text(max_size=100), st.text(max_size=100))
def test_score_is_a_share(question: str, text: str) -> None:
    """A question of no known kind has the middle score."""
    kinds = classify_question(question)
    assert 0.0 <= score_cues(kinds, text) <= 1.0
    assert kinds or score_cues(kinds, text) == UNKNOWN_KIND_SCORE
