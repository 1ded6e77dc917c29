"""What of a conversation is carried on: enough to understand a follow-up, and never more than a bound."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.history import MAX_HISTORY_CHARACTERS, MAX_TURNS, make_turn, truncate_history
from semsearch.core.types.answers import Answer, Turn
from semsearch.core.types.usage import Usage

TURNS = st.lists(st.builds(Turn, st.text(max_size=4_000), st.text(max_size=9_000)), max_size=12)


def test_the_newest_turns_are_kept_in_their_order() -> None:
    """What was said last is said last."""
    turns = [Turn(f"q{number}", f"a{number}") for number in range(20)]
    assert truncate_history(turns) == tuple(turns[-MAX_TURNS:])


@given(TURNS)
def test_what_is_carried_on_is_bounded(turns: list[Turn]) -> None:
    """However much was said, and however long one answer is."""
    kept = truncate_history(turns)
    assert sum(len(each.question) + len(each.answer) for each in kept) <= MAX_HISTORY_CHARACTERS
    assert [each.question for each in kept] == [each.question for each in turns[len(turns) - len(kept) :]]


def test_an_answer_is_remembered_without_its_numbers() -> None:
    """They count in an answer that is not there any more."""
    given = Answer("ans_1", "Five days [1].", True, None, (), (), (), Usage(), "m")
    assert make_turn("How long?", given) == Turn("How long?", "Five days.")
