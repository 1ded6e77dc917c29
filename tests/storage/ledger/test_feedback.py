"""Tests of stored feedback: merging, ownership, and deletion with the answer. Ids of answers and sessions."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.billing import DAY, Clock

from semsearch.core.errors import NotFoundError
from semsearch.core.types.answers import Answer
from semsearch.core.types.feedback import Feedback
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local.ledger import LocalLedger

FEEDBACK = st.builds(
    Feedback,
    st.just("ans_1"),
    helpful=st.none() | st.booleans(),
    wrong_marker=st.none() | st.integers(1, 20),
    right_chunk_id=st.none() | st.integers(1, 2**63 - 1),
    comment=st.none() | st.text(min_size=1, max_size=20),
)


def record_answer(ledger: LocalLedger, clock: Clock, owner: str = "ann", answer_id: str = "ans_1") -> None:
    """Store a short answer."""
    answer = Answer(answer_id, "Yes.", True, None, (), (), (), Usage(), "m")
    ledger.record_answer(AnswerRecord(answer, owner, "hb", "why?", "why?", "1", clock.now), None)


@given(first=FEEDBACK, second=FEEDBACK)
def test_each_field_has_its_last_value(
    tmp_path_factory: pytest.TempPathFactory, first: Feedback, second: Feedback
) -> None:
    """A field that is not given keeps its earlier value; what is returned is what is stored, with equal types."""
    clock = Clock()
    with closing(LocalLedger(tmp_path_factory.mktemp("indexes"), clock=clock)) as ledger:
        record_answer(ledger, clock)
        assert ledger.add_feedback("ann", first) == replace(first, created=clock.now)
        clock.now += 5
        names = ("helpful", "wrong_marker", "right_chunk_id", "comment")
        given_later = {name: value for name in names if (value := getattr(second, name)) is not None}
        expected = replace(first, **given_later, created=clock.now)
        assert ledger.add_feedback("ann", second) == expected
        stored = ledger.get_feedback("ann", "ans_1")
        assert stored == expected
        assert type(stored.helpful) is type(expected.helpful)


def test_feedback_belongs_to_the_owner_of_the_answer(ledger: LocalLedger, clock: Clock) -> None:
    """Another owner can neither read nor give it, and may have an answer of the same id."""
    record_answer(ledger, clock)
    ledger.add_feedback("ann", Feedback("ans_1", helpful=True))
    assert ledger.get_feedback("bob", "ans_1") is None
    with pytest.raises(NotFoundError, match="ans_1"):
        ledger.add_feedback("bob", Feedback("ans_1", helpful=False))
    record_answer(ledger, clock, "bob")
    assert ledger.get_feedback("bob", "ans_1") is None
    ledger.add_feedback("bob", Feedback("ans_1", helpful=False))
    own, foreign = ledger.get_feedback("ann", "ans_1"), ledger.get_feedback("bob", "ans_1")
    assert own is not None
    assert foreign is not None
    assert (own.helpful, foreign.helpful) == (True, False)


def test_feedback_on_an_unknown_answer_is_not_stored(ledger: LocalLedger, clock: Clock) -> None:
    """The error names the answer."""
    record_answer(ledger, clock)
    with pytest.raises(NotFoundError, match="ans_2"):
        ledger.add_feedback("ann", Feedback("ans_2", helpful=True))
    assert ledger.get_feedback("ann", "ans_2") is None


def test_feedback_is_deleted_with_its_answer(ledger: LocalLedger, clock: Clock) -> None:
    """No row of an expired answer is left in the table; feedback does not extend the life of an answer."""
    record_answer(ledger, clock)
    clock.now += 60 * DAY
    record_answer(ledger, clock, answer_id="young")
    ledger.add_feedback("ann", Feedback("ans_1", comment="secret"))
    ledger.add_feedback("ann", Feedback("young", comment="stays"))
    clock.now += 31 * DAY
    record_answer(ledger, clock, answer_id="today")
    assert ledger.get_feedback("ann", "ans_1") is None
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT comment FROM feedback").fetchall() == [("stays",)]


def test_session_ids_have_128_random_bits(ledger: LocalLedger) -> None:
    """They are hexadecimal and differ."""
    ids = {ledger.create_session("ann", "hb", None).id for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch("ses_[0-9a-f]{32}", session_id) for session_id in ids)
