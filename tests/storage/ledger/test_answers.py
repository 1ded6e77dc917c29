"""Answers and conversations: they come back as they were, to their owner alone, and the old ones go."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.billing import DAY, Clock

from semsearch.core.errors import ConflictError, NotFoundError, StorageError
from semsearch.core.types.answers import Answer, AnswerSentence, Citation, NoAnswerReason, SupportVerdict, Turn
from semsearch.core.types.search import BestSentence, Hit
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local import answers as records
from semsearch.storage.ledger.local.ledger import LocalLedger

T = TypeVar("T")
NewLedger = Callable[[], LocalLedger]

TEXT = st.text(max_size=20)
SHORT_TEXT = st.text(min_size=1, max_size=8)
INTEGER = st.integers(0, 2**53)
NUMBER = st.floats(allow_nan=False)


def build_all_fields(kind: type[T], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Values of a dataclass; a field that it has and we do not try is an error, also one with a default."""
    assert set(fields) == {field.name for field in dataclass_fields(kind)}  # type: ignore[arg-type]  # it is one
    return st.builds(kind, **fields)


SOURCE = {"chunk_id": INTEGER, "uri": TEXT, "title": TEXT, "heading": TEXT, "page": st.none() | INTEGER}
SPAN = {"start": INTEGER, "end": INTEGER}
SCALAR = st.none() | st.booleans() | INTEGER | NUMBER | TEXT
USAGES = build_all_fields(
    Usage,
    prompt_tokens=INTEGER,
    completion_tokens=INTEGER,
    embedding_tokens=INTEGER,
    cached_tokens=INTEGER,
    cost_usd=st.none() | NUMBER,
    estimated=st.booleans(),
)
HITS = build_all_fields(
    Hit,
    **SOURCE,
    **SPAN,
    text=TEXT,
    score=NUMBER,
    metadata=st.dictionaries(TEXT, SCALAR | st.lists(SCALAR, max_size=3), max_size=3),
    sentence=st.none() | build_all_fields(BestSentence, **SPAN, text=TEXT),
    explanation=st.none(),
)
CITATIONS = build_all_fields(Citation, marker=INTEGER, **SOURCE, **SPAN, quote=TEXT, content_sha256=TEXT)
SENTENCES = build_all_fields(
    AnswerSentence,
    text=TEXT,
    support=st.sampled_from(get_args(SupportVerdict)),
    citations=st.lists(INTEGER, max_size=3).map(tuple),
)
ANSWERS = build_all_fields(
    Answer,
    id=SHORT_TEXT,
    answer=TEXT,
    answered=st.booleans(),
    reason=st.none() | st.sampled_from(get_args(NoAnswerReason)),
    sentences=st.lists(SENTENCES, max_size=3).map(tuple),
    citations=st.lists(CITATIONS, max_size=3).map(tuple),
    hits=st.lists(HITS, max_size=3).map(tuple),
    usage=USAGES,
    model=TEXT,
    warnings=st.lists(TEXT, max_size=3).map(tuple),
    session_id=st.none() | SHORT_TEXT,
    complete=st.booleans(),
    escalated=st.booleans(),
)
RECORDS = build_all_fields(
    AnswerRecord,
    answer=ANSWERS,
    owner=SHORT_TEXT,
    collection=TEXT,
    question=TEXT,
    search_question=TEXT,
    prompt_version=TEXT,
    created=st.floats(0, 4e9),
)


def make_record(clock: Clock, owner: str = "ann", answer_id: str = "ans_1", session: str | None = None) -> AnswerRecord:
    """A short answer on record."""
    answer = Answer(answer_id, "Yes.", True, None, (), (), (), Usage(), "m", session_id=session)
    return AnswerRecord(answer, owner, "hb", "why?", "why?", "1", clock.now)


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLedger]:
    """A ledger for many records."""
    ledger = LocalLedger(tmp_path_factory.mktemp("indexes"))
    yield ledger
    ledger.close()


NUMBERS = count()


@given(record=RECORDS)
def test_an_answer_comes_back_as_it_was(shared_ledger: LocalLedger, record: AnswerRecord) -> None:
    """Equal in every field and of the same types, whatever its texts, numbers and metadata are."""
    answer = replace(record.answer, id=f"{next(NUMBERS)} {record.answer.id}")
    record = replace(record, answer=answer)
    shared_ledger.record_answer(record, None)
    found = shared_ledger.get_answer(record.owner, answer.id)
    assert found == record
    assert repr(found) == repr(record)  # 1 and 1.0 and True are equal, and so are tuples of them


def test_an_answer_belongs_to_its_owner(ledger: LocalLedger, clock: Clock) -> None:
    """For others it does not exist, and they may have one of the same id."""
    ledger.record_answer(make_record(clock, "ann"), None)
    assert ledger.get_answer("bob", "ans_1") is None
    ledger.record_answer(make_record(clock, "bob"), None)
    assert [ledger.get_answer(owner, "ans_1") for owner in ("ann", "bob", "", "eve")] == [
        make_record(clock, "ann"),
        make_record(clock, "bob"),
        None,
        None,
    ]
    assert ledger.get_answer("ann", "ans_2") is None


def test_an_answer_is_written_once(ledger: LocalLedger, clock: Clock) -> None:
    """What is on record is not overwritten."""
    ledger.record_answer(make_record(clock), None)
    with pytest.raises(StorageError):
        ledger.record_answer(replace(make_record(clock), question="another"), None)
    assert ledger.get_answer("ann", "ans_1") == make_record(clock)


def test_a_conversation_grows_turn_by_turn(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """In order, and another process reads it; its last use is that of the last answer."""
    begun = ledger.create_session("ann", "hb", "support")
    assert (begun.collection, begun.profile, begun.created, begun.turns) == ("hb", "support", clock.now, ())
    assert ledger.get_session("ann", begun.id) == begun
    turns = (Turn("why?", "Because."), Turn("🚕?", ""), Turn("", "\0"))
    for number, turn in enumerate(turns):
        clock.now += 1
        ledger.record_answer(make_record(clock, answer_id=f"ans_{number}", session=begun.id), turn)
    assert new_ledger().get_session("ann", begun.id) == replace(begun, turns=turns, last_used=clock.now)


def test_a_conversation_belongs_to_its_owner(ledger: LocalLedger, clock: Clock) -> None:
    """Nobody else can look at it, go on with it or end it; ids cannot be guessed and never come twice."""
    mine, theirs = ledger.create_session("ann", "hb", None).id, ledger.create_session("bob", "hb", None).id
    assert len({mine, theirs}) == 2
    assert len(mine) >= 24
    assert ledger.get_session("bob", mine) is None
    assert not ledger.delete_session("bob", mine)
    with pytest.raises(NotFoundError):
        ledger.record_answer(make_record(clock, "bob", session=mine), Turn("q", "a"))
    assert ledger.get_session("ann", mine) is not None
    assert ledger.delete_session("ann", mine)
    assert not ledger.delete_session("ann", mine)
    assert ledger.get_session("bob", theirs) is not None


def test_an_answer_without_its_turn_is_not_kept(ledger: LocalLedger, clock: Clock) -> None:
    """Both or neither, where the conversation has ended meanwhile."""
    session = ledger.create_session("ann", "hb", None).id
    ledger.delete_session("ann", session)
    with pytest.raises(NotFoundError, match=session):
        ledger.record_answer(make_record(clock, session=session), Turn("q", "a"))
    assert ledger.get_answer("ann", "ans_1") is None


def test_an_answer_that_is_no_turn_leaves_the_conversation_alone(ledger: LocalLedger, clock: Clock) -> None:
    """A half answer is on record and was never said."""
    session = ledger.create_session("ann", "hb", None)
    clock.now += 5
    ledger.record_answer(make_record(clock, session=session.id), None)
    assert ledger.get_session("ann", session.id) == session
    assert ledger.get_answer("ann", "ans_1") is not None


def test_turns_are_bounded(ledger: LocalLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; those of other conversations stay."""
    monkeypatch.setattr(records, "MAX_TURNS", 5)
    other, session = ledger.create_session("ann", "hb", None).id, ledger.create_session("ann", "hb", None).id
    ledger.record_answer(make_record(clock, answer_id="other", session=other), Turn("first", ""))
    for number in range(12):
        ledger.record_answer(make_record(clock, answer_id=str(number), session=session), Turn(str(number), ""))
        found = ledger.get_session("ann", session)
        assert found is not None
        assert [turn.question for turn in found.turns] == [str(each) for each in range(number + 1)][-5:]
    kept_turns = ledger.get_session("ann", other)
    assert kept_turns is not None
    assert len(kept_turns.turns) == 1


def test_sessions_are_bounded(ledger: LocalLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """One owner's many leave another's alone; ending one makes room."""
    monkeypatch.setattr(records, "MAX_SESSIONS", 3)
    mine = [ledger.create_session("ann", "hb", None).id for _ in range(3)]
    with pytest.raises(ConflictError, match="3 sessions"):
        ledger.create_session("ann", "hb", None)
    ledger.create_session("bob", "hb", None)
    ledger.delete_session("ann", mine[0])
    ledger.create_session("ann", "hb", None)
    with pytest.raises(ConflictError):
        ledger.create_session("ann", "hb", None)


def test_the_bounds_themselves() -> None:
    """Two hundred turns, a thousand sessions."""
    assert (records.MAX_TURNS, records.MAX_SESSIONS) == (200, 1000)


def test_what_is_old_is_forgotten(ledger: LocalLedger, clock: Clock) -> None:
    """Answers by their age, conversations by their last use, both with the first write after their time."""
    idle, used = ledger.create_session("ann", "hb", None).id, ledger.create_session("bob", "hb", None).id
    ledger.record_answer(make_record(clock, answer_id="old"), None)
    clock.now += 60 * DAY
    ledger.record_answer(make_record(clock, "bob", "young", used), Turn("q", "a"))
    clock.now += 30 * DAY
    ledger.record_answer(make_record(clock, answer_id="today"), None)
    assert ledger.get_answer("ann", "old") is not None  # it is exactly 90 days old
    assert ledger.get_session("ann", idle) is not None
    clock.now += 1
    ledger.create_session("eve", "hb", None)
    assert ledger.get_answer("ann", "old") is None
    assert ledger.get_session("ann", idle) is None
    assert ledger.get_answer("bob", "young") is not None
    assert ledger.get_session("bob", used) is not None


def test_forgetting_a_lot_is_done_bit_by_bit(ledger: LocalLedger, clock: Clock) -> None:
    """No single write takes long; the oldest go first, and in the end all do."""
    for number in range(150):
        clock.now += 1
        ledger.record_answer(make_record(clock, answer_id=f"old{number}"), None)
    clock.now += 91 * DAY
    ledger.record_answer(make_record(clock, answer_id="a"), None)
    assert [ledger.get_answer("ann", f"old{number}") is None for number in (0, 99, 100, 149)] == [
        True,
        True,
        False,
        False,
    ]
    ledger.record_answer(make_record(clock, answer_id="b"), None)
    assert ledger.get_answer("ann", "old149") is None
    assert ledger.get_answer("ann", "a") is not None


def test_turns_go_with_their_conversation(ledger: LocalLedger, clock: Clock) -> None:
    """Ended or forgotten, not a word of it stays in the file's tables."""
    first, second = ledger.create_session("ann", "hb", None).id, ledger.create_session("ann", "hb", None).id
    for session in (first, second):
        ledger.record_answer(make_record(clock, answer_id=session, session=session), Turn("secret", "secret"))
    ledger.delete_session("ann", first)
    clock.now += 91 * DAY
    ledger.create_session("bob", "hb", None)
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT count(*) FROM turn").fetchone() == (0,)
