"""The part of a conversation that is kept for a follow-up, and its limits."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.history import MAX_HISTORY_CHARACTERS, MAX_TURNS, make_turn, truncate_history
from semsearch.core.types.answers import Answer, Turn
from semsearch.core.types.usage import Usage

TURNS = st.lists(st.builds(Turn, st.text(max_size=4_000), st.text(max_size=9_000)), max_size=12)


def test_newest_turns_are_kept_in_order() -> None:
    """The oldest turn comes first."""
    turns = [Turn(f"q{number}", f"a{number}") for number in range(20)]
    assert truncate_history(turns) == tuple(turns[-MAX_TURNS:])


@given(TURNS)
def test_history_is_bounded(turns: list[Turn]) -> None:
    """The limit holds for any number and length of turns."""
    kept = truncate_history(turns)
    assert sum(len(turn.question) + len(turn.answer) for turn in kept) <= MAX_HISTORY_CHARACTERS
    assert [turn.question for turn in kept] == [turn.question for turn in turns[len(turns) - len(kept) :]]


def test_turn_has_the_answer_without_citation_numbers() -> None:
    """The citations that the numbers refer to are not part of a turn."""
    answer = Answer("ans_1", "Five days [1].", True, None, (), (), (), Usage(), "m")
    assert make_turn("How long?", answer) == Turn("How long?", "Five days.")
