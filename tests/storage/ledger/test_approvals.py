"""Approved answers in the ledger: what is stored, replaced and removed."""

from dataclasses import replace

from support.billing import DAY, Clock

from semsearch.core.types.answers import Answer, AnswerSentence, Citation
from semsearch.core.types.approvals import ApprovedAnswer
from semsearch.core.types.evidence import LostQuote, QuotedWords
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local.ledger import LocalLedger

from .conftest import NewLedger

CITATION = Citation(1, 7, "leave", "Leave", "", None, 0, 9, "26 weeks.", "9f")
WORDS = QuotedWords(("26", "weeks"), ("is",), (), 2, 1)
APPROVED = ApprovedAnswer(
    "ans_1", "hb", "ann", "How long?", "26 weeks. [1]", "excerpt",
    (AnswerSentence("26 weeks. [1]", "verbatim", (1,)),), (CITATION,), (WORDS,), "m", 0.5, 3.0,
)  # fmt: skip


def test_reopened_ledger_has_equal_approved_answers(new_ledger: NewLedger) -> None:
    """Also the lost quotes of a stale one; removing a collection removes its approved answers only."""
    stale = replace(APPROVED, id="ans_2", lost=(LostQuote("leave", "26 weeks.", "edited", ("26",)),))
    new_ledger().save_approved(APPROVED, "how long")
    new_ledger().save_approved(stale, "how far")
    new_ledger().save_approved(replace(APPROVED, id="ans_3", collection="other"), "how long")
    ledger = new_ledger()
    assert ledger.list_approved("hb") == [APPROVED, stale]
    assert ledger.get_approved("ans_2") == stale
    assert ledger.find_approved("hb", "how far") == [stale]
    assert ledger.find_approved_citing("hb", ["other", "leave"]) == [APPROVED, stale]
    assert ledger.find_approved_citing("hb", ["other"]) == []
    ledger.remove_approved_of_collection("hb")
    assert (ledger.list_approved("hb"), len(ledger.list_approved("other"))) == ([], 1)


def test_owner_has_one_approved_answer_to_a_question(ledger: LocalLedger) -> None:
    """The later one replaces the earlier one, but not that of another owner, which comes after it."""
    for approved_id, owner, time in (("ans_1", "ann", 1.0), ("ans_2", "bob", 2.0), ("ans_3", "ann", 3.0)):
        ledger.save_approved(replace(APPROVED, id=approved_id, owner=owner, approved=time), "how long")
    assert [approved.id for approved in ledger.find_approved("hb", "how long")] == ["ans_3", "ans_2"]


def test_removed_answer_does_not_come_back_with_a_check(ledger: LocalLedger) -> None:
    """A check that began before the removal stores nothing."""
    ledger.save_approved(APPROVED, "how long")
    assert ledger.remove_approved("ans_1")
    assert not ledger.remove_approved("ans_1")
    ledger.update_approved([replace(APPROVED, lost=(LostQuote("leave", "26 weeks.", "gone"),))])
    assert ledger.list_approved("hb") == []


def test_approved_answer_outlives_the_recorded_one(ledger: LocalLedger, clock: Clock) -> None:
    """Recorded answers expire; approved ones are kept until they are removed."""
    answer = Answer("ans_1", "Yes.", True, None, (), (), (), Usage(), "m")
    ledger.record_answer(AnswerRecord(answer, "ann", "hb", "why?", "why?", "1", clock.now), None)
    ledger.save_approved(APPROVED, "how long")
    clock.now += 100 * DAY
    ledger.record_answer(AnswerRecord(replace(answer, id="ans_2"), "ann", "hb", "why?", "why?", "1", clock.now), None)
    assert (ledger.get_answer("ann", "ans_1"), ledger.get_approved("ans_1")) == (None, APPROVED)
