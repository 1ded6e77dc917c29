"""Tests of stored answers and sessions: round trips, ownership, limits and deletion by age."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from dataclasses import fields as dataclass_fields
from itertools import count
from typing import Any, TypeVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.billing import DAY, Clock

from semsearch.core.errors import NotFoundError, StorageError
from semsearch.core.types.answers import (
    Answer,
    AnswerKind,
    AnswerSentence,
    Approval,
    Citation,
    ClosestPassage,
    NoAnswerReason,
    SupportVerdict,
    TextSpan,
    Turn,
)
from semsearch.core.types.search import BestSentence, Hit
from semsearch.core.types.sessions import AnswerRecord, SessionInfo
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local import answers
from semsearch.storage.ledger.local.ledger import LocalLedger

T = TypeVar("T")
NewLedger = Callable[[], LocalLedger]

TEXT = st.text(max_size=20)
SHORT_TEXT = st.text(min_size=1, max_size=8)
INTEGER = st.integers(0, 2**53)
NUMBER = st.floats(allow_nan=False)


def build_all_fields(dataclass: type[T], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Build values of a dataclass; every field must be given, also one with a default."""
    assert set(fields) == {field.name for field in dataclass_fields(dataclass)}  # type: ignore[arg-type]  # it is one
    return st.builds(dataclass, **fields)


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
    url=st.none() | TEXT,
)
CITATIONS = build_all_fields(
    Citation, marker=INTEGER, **SOURCE, **SPAN, quote=TEXT, content_sha256=TEXT, url=st.none() | TEXT
)
SENTENCES = build_all_fields(
    AnswerSentence,
    text=TEXT,
    support=st.sampled_from(get_args(SupportVerdict)),
    citations=st.lists(INTEGER, max_size=3).map(tuple),
    context=TEXT,
)
PASSAGES = build_all_fields(
    ClosestPassage,
    uri=TEXT,
    title=TEXT,
    heading=TEXT,
    page=st.none() | INTEGER,
    **SPAN,
    text=TEXT,
    best=build_all_fields(TextSpan, **SPAN),
    url=st.none() | TEXT,
)
ANSWERS = build_all_fields(
    Answer,
    id=SHORT_TEXT,
    text=TEXT,
    answered=st.booleans(),
    reason=st.none() | st.sampled_from(get_args(NoAnswerReason)),
    sentences=st.lists(SENTENCES, max_size=3).map(tuple),
    citations=st.lists(CITATIONS, max_size=3).map(tuple),
    hits=st.lists(HITS, max_size=3).map(tuple),
    usage=USAGES,
    model=TEXT,
    kind=st.sampled_from(get_args(AnswerKind)),
    confidence=NUMBER,
    passages=st.lists(PASSAGES, max_size=3).map(tuple),
    warnings=st.lists(TEXT, max_size=3).map(tuple),
    session_id=st.none() | SHORT_TEXT,
    complete=st.booleans(),
    escalated=st.booleans(),
    approved=st.none() | build_all_fields(Approval, id=SHORT_TEXT, date=TEXT),
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
    """Make the record of a short answer."""
    answer = Answer(answer_id, "Yes.", True, None, (), (), (), Usage(), "m", session_id=session)
    return AnswerRecord(answer, owner, "hb", "why?", "why?", "1", clock.now)


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLedger]:
    """A ledger for the records of all examples."""
    ledger = LocalLedger(tmp_path_factory.mktemp("indexes"))
    yield ledger
    ledger.close()


NUMBERS = count()


@given(record=RECORDS)
def test_stored_answer_equals_the_original(shared_ledger: LocalLedger, record: AnswerRecord) -> None:
    """Every field has an equal value of the same type, for any texts, numbers and metadata."""
    answer = replace(record.answer, id=f"{next(NUMBERS)} {record.answer.id}")
    record = replace(record, answer=answer)
    shared_ledger.record_answer(record, None)
    stored = shared_ledger.get_answer(record.owner, answer.id)
    assert stored is not None
    assert stored == record
    assert repr(asdict(stored)) == repr(asdict(record))  # 1, 1.0 and True are equal, and so are tuples of them


@pytest.mark.parametrize(
    ("answered", "model", "kind"),
    [
        (True, "m", "generated"),
        (True, "extractive", "excerpt"),
        (False, "m", "passages"),
        (False, "extractive", "passages"),
    ],
)
def test_answer_without_a_stored_kind_has_the_one_it_would_have_now(answered: bool, model: str, kind: str) -> None:
    """Earlier versions stored none."""
    stored = asdict(Answer("ans_1", "Yes.", answered, None, (), (), (), Usage(), model))
    stored["answer"] = stored.pop("text")
    del stored["kind"]
    assert answers._decode_answer(stored).kind == kind


def test_answer_of_an_earlier_version_is_read(ledger: LocalLedger, clock: Clock) -> None:
    """Its record has the old names of two keys, and no passages."""
    old_record = (
        '{"answer": {"id": "ans_1", "answer": "Yes.", "answered": true, "reason": null, "sentences": [{"text": "Yes.",'
        ' "support": "supported", "citations": [1]}], "citations": [{"marker": 1, "chunk_id": 7, "uri": "a.txt",'
        ' "title": "A", "heading": "", "page": null, "start": 0, "end": 4, "quote": "Yes.", "content_sha256": "c0"}],'
        ' "hits": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "embedding_tokens": 0, "cached_tokens": 0,'
        ' "cost_usd": null, "estimated": false}, "model": "m", "warnings": [], "session_id": null, "complete": true,'
        ' "handed_off": true}, "owner": "ann", "collection": "hb", "question": "And why?", "asked": "Why is it so?",'
        ' "prompt_version": "1", "created": 1795392000.0}'
    )
    ledger.create_session("ann", "hb", None)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("INSERT INTO answer VALUES ('ann', 'ans_1', 1795392000.0, ?)", (old_record,))
    record = ledger.get_answer("ann", "ans_1")
    assert record is not None
    assert (record.search_question, record.answer.escalated) == ("Why is it so?", True)
    citation = Citation(1, 7, "a.txt", "A", "", None, 0, 4, "Yes.", "c0")
    sentences = (AnswerSentence("Yes.", "supported", (1,)),)
    usage = Usage(5, 2, cost_usd=None)
    answer = Answer("ans_1", "Yes.", True, None, sentences, (citation,), (), usage, "m", "generated", escalated=True)
    assert record == AnswerRecord(answer, "ann", "hb", "And why?", "Why is it so?", "1", clock.now)


def test_answer_is_stored_with_the_present_keys(ledger: LocalLedger, clock: Clock) -> None:
    """Old names of keys are read, but not written."""
    ledger.record_answer(make_record(clock), None)
    with closing(sqlite3.connect(ledger.path)) as db:
        stored = json.loads(db.execute("SELECT record FROM answer").fetchone()[0])
    assert {"search_question", "asked"} & set(stored) == {"search_question"}
    assert {"escalated", "handed_off"} & set(stored["answer"]) == {"escalated"}
    assert {"answer", "text"} & set(stored["answer"]) == {"answer"}


def test_answer_belongs_to_its_owner(ledger: LocalLedger, clock: Clock) -> None:
    """For other owners it does not exist, and they may have an answer of the same id."""
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


def test_answer_is_not_overwritten(ledger: LocalLedger, clock: Clock) -> None:
    """A second record of the same id is an error."""
    ledger.record_answer(make_record(clock), None)
    with pytest.raises(StorageError):
        ledger.record_answer(replace(make_record(clock), question="another"), None)
    assert ledger.get_answer("ann", "ans_1") == make_record(clock)


def test_session_keeps_its_turns_in_order(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """Another process reads them; the last use is the time of the last answer."""
    session = ledger.create_session("ann", "hb", "support")
    assert (session.collection, session.profile, session.created, session.turns) == ("hb", "support", clock.now, ())
    assert ledger.get_session("ann", session.id) == session
    turns = (Turn("why?", "Because.", "ans_0"), Turn("🚕?", "", "ans_1"), Turn("", "\0", "ans_2"))
    for number, turn in enumerate(turns):
        clock.now += 1
        ledger.record_answer(
            make_record(clock, answer_id=f"ans_{number}", session=session.id), replace(turn, answer_id=None)
        )
    assert new_ledger().get_session("ann", session.id) == replace(session, turns=turns, last_used=clock.now)


def test_turn_tells_only_an_answer_that_is_still_recorded(ledger: LocalLedger, clock: Clock) -> None:
    """A session that is used for longer than answers are kept loses the ids of the oldest."""
    session = ledger.create_session("ann", "hb", None).id
    for answer_id in ("old", "new"):
        ledger.record_answer(make_record(clock, answer_id=answer_id, session=session), Turn("q", "a"))
        clock.now += 60 * DAY
    ledger.record_answer(make_record(clock, answer_id="newest", session=session), Turn("q", "a"))
    stored = ledger.get_session("ann", session)
    assert stored is not None
    assert [turn.answer_id for turn in stored.turns] == [None, "new", "newest"]


def test_session_belongs_to_its_owner(ledger: LocalLedger, clock: Clock) -> None:
    """Other owners can neither read, continue nor delete it; ids are long and unique."""
    own, foreign = ledger.create_session("ann", "hb", None).id, ledger.create_session("bob", "hb", None).id
    assert len({own, foreign}) == 2
    assert len(own) >= 24
    assert ledger.get_session("bob", own) is None
    assert not ledger.delete_session("bob", own)
    with pytest.raises(NotFoundError):
        ledger.record_answer(make_record(clock, "bob", session=own), Turn("q", "a"))
    assert ledger.get_session("ann", own) is not None
    assert ledger.delete_session("ann", own)
    assert not ledger.delete_session("ann", own)
    assert ledger.get_session("bob", foreign) is not None


def add_turn(ledger: LocalLedger, clock: Clock, session: str, question: str) -> None:
    """Record an answer to a question in a session, a second later than the last one."""
    clock.now += 1
    record = make_record(clock, answer_id=f"ans_{clock.now:.0f}", session=session)
    ledger.record_answer(record, Turn(question, "Because."))


def test_sessions_are_listed_with_the_last_used_one_first(ledger: LocalLedger, clock: Clock) -> None:
    """Each has its number of turns, and the beginning of its first question as its title."""
    first, second, third = (ledger.create_session("ann", name, "support").id for name in ("hb", "wiki", "hb"))
    add_turn(ledger, clock, second, "Why  is\nthe lamp lit?")
    add_turn(ledger, clock, second, "And why at night?")
    created = clock.now - 2
    add_turn(ledger, clock, first, "🚕 " + "long " * 100)
    infos = ledger.list_sessions("ann", 10)
    assert [info.id for info in infos] == [first, second, third]
    assert [(info.turns, info.title) for info in infos[1:]] == [(2, "Why is the lamp lit?"), (0, "")]
    assert infos[0].title == ("🚕 " + "long " * 16)[:79].rstrip() + "…"
    assert (infos[1].created, infos[1].last_used) == (created, clock.now - 1)
    assert (infos[1].collection, infos[1].profile) == ("wiki", "support")
    assert [info.id for info in ledger.list_sessions("ann", 10, collections=["hb"])] == [first, third]
    assert ledger.list_sessions("ann", 10, collections=[]) == []


def test_pages_of_sessions_have_each_session_once(ledger: LocalLedger, clock: Clock) -> None:
    """Sessions of the same time too."""
    assert ledger.list_sessions("ann", 3) == []
    for number in range(7):
        clock.now += number % 3 == 0
        ledger.create_session("ann", "hb", None)
    everything = ledger.list_sessions("ann", 100)
    paged = list[SessionInfo]()
    while page := ledger.list_sessions("ann", 3, paged[-1].position if paged else None):
        paged += page
    assert paged == everything
    assert len({info.id for info in paged}) == 7


def test_list_has_only_sessions_of_the_owner(ledger: LocalLedger, clock: Clock) -> None:
    """Neither the sessions nor the turns of others, also if the ids are equal."""
    own = ledger.create_session("ann", "hb", None).id
    ledger.create_session("bob", "hb", None)
    assert [info.id for info in ledger.list_sessions("ann", 10)] == [own]
    assert ledger.list_sessions("eve", 10) == []


def test_answer_and_turn_are_stored_together_or_not_at_all(ledger: LocalLedger, clock: Clock) -> None:
    """Neither is stored if the session was deleted."""
    session = ledger.create_session("ann", "hb", None).id
    ledger.delete_session("ann", session)
    with pytest.raises(NotFoundError, match=session):
        ledger.record_answer(make_record(clock, session=session), Turn("q", "a"))
    assert ledger.get_answer("ann", "ans_1") is None


def test_answer_without_a_turn_does_not_change_the_session(ledger: LocalLedger, clock: Clock) -> None:
    """An incomplete answer is stored, but is no part of the session."""
    session = ledger.create_session("ann", "hb", None)
    clock.now += 5
    ledger.record_answer(make_record(clock, session=session.id), None)
    assert ledger.get_session("ann", session.id) == session
    assert ledger.get_answer("ann", "ans_1") is not None


def test_turns_of_a_session_are_limited(ledger: LocalLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are deleted; those of other sessions stay."""
    monkeypatch.setattr(answers, "MAX_TURNS", 5)
    other, session = ledger.create_session("ann", "hb", None).id, ledger.create_session("ann", "hb", None).id
    ledger.record_answer(make_record(clock, answer_id="other", session=other), Turn("first", ""))
    for number in range(12):
        ledger.record_answer(make_record(clock, answer_id=str(number), session=session), Turn(str(number), ""))
        stored = ledger.get_session("ann", session)
        assert stored is not None
        assert [turn.question for turn in stored.turns] == list(map(str, range(number + 1)))[-5:]
    stored_other = ledger.get_session("ann", other)
    assert stored_other is not None
    assert len(stored_other.turns) == 1


def test_new_session_replaces_the_least_needed_one(
    ledger: LocalLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those without turns go first, then the one not used for longest; never one of another owner, nor a new one."""
    monkeypatch.setattr(answers, "MAX_SESSIONS", 4)
    other = ledger.create_session("bob", "hb", None).id
    old, used, empty, empty_too = (ledger.create_session("ann", "hb", None).id for _ in range(4))
    for session in (old, used):
        clock.now += 1
        ledger.record_answer(make_record(clock, answer_id=f"ans_{session}", session=session), Turn("q", "a"))
    clock.now += answers.FIRST_QUESTION_SECONDS + 1
    new = [ledger.create_session("ann", "hb", None).id for _ in range(2)]
    assert {info.id for info in ledger.list_sessions("ann", 10)} == {old, used, *new}
    assert ledger.get_session("ann", empty) is ledger.get_session("ann", empty_too) is None
    newest = ledger.create_session("ann", "hb", None).id
    assert {info.id for info in ledger.list_sessions("ann", 10)} == {used, *new, newest}
    assert ledger.get_answer("ann", f"ans_{old}") is not None
    assert [info.id for info in ledger.list_sessions("bob", 10)] == [other]


def test_default_limits() -> None:
    """200 turns per session, 1,000 sessions per owner."""
    assert (answers.MAX_TURNS, answers.MAX_SESSIONS) == (200, 1000)


def test_old_answers_and_sessions_are_deleted(ledger: LocalLedger, clock: Clock) -> None:
    """Answers by their age, sessions by their last use, both at the first write after the retention time."""
    unused, used = ledger.create_session("ann", "hb", None).id, ledger.create_session("bob", "hb", None).id
    ledger.record_answer(make_record(clock, answer_id="old"), None)
    clock.now += 60 * DAY
    ledger.record_answer(make_record(clock, "bob", "young", used), Turn("q", "a"))
    clock.now += 30 * DAY
    ledger.record_answer(make_record(clock, answer_id="today"), None)
    assert ledger.get_answer("ann", "old") is not None  # it is exactly 90 days old
    assert ledger.get_session("ann", unused) is not None
    clock.now += 1
    ledger.create_session("eve", "hb", None)
    assert ledger.get_answer("ann", "old") is None
    assert ledger.get_session("ann", unused) is None
    assert ledger.get_answer("bob", "young") is not None
    assert ledger.get_session("bob", used) is not None


def test_old_answers_are_deleted_in_batches(ledger: LocalLedger, clock: Clock) -> None:
    """One write deletes a bounded number, the oldest first; the next writes delete the rest."""
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


def test_turns_are_deleted_with_their_session(ledger: LocalLedger, clock: Clock) -> None:
    """No turn of a deleted or expired session is left in the table."""
    first, second = ledger.create_session("ann", "hb", None).id, ledger.create_session("ann", "hb", None).id
    for session in (first, second):
        ledger.record_answer(make_record(clock, answer_id=session, session=session), Turn("secret", "secret"))
    ledger.delete_session("ann", first)
    clock.now += 91 * DAY
    ledger.create_session("bob", "hb", None)
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT count(*) FROM turn").fetchone() == (0,)
