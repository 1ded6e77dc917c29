"""Content gaps: what is found, what one owner cannot make others see, and gaps that are closed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from benchmarks.missing_topics import MISSING_TOPICS, NAME, ask_missing_topics, find_topic

from semsearch import Caller, ForbiddenError, InvalidError, Library, NotFoundError, text_source
from semsearch.core.settings import Settings
from semsearch.core.types.answers import NoAnswerReason
from semsearch.core.types.sessions import AnswerRecord
from semsearch.interfaces.cli.gaps_command import format_gaps
from semsearch.learning.gaps import MAX_GAPS, find_gaps
from semsearch.learning.support_report import report_support

LEAVE = text_source("hr/leave.md", "Parental leave is 26 weeks at full pay for each parent.")
ANN, BOB, EVE = Caller("ann"), Caller("bob"), Caller("eve")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library with one document on leave."""
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        library.create(NAME).upsert([LEAVE])
        yield library


def ask(library: Library, caller: Caller, *questions: str) -> list[str]:
    """Let a caller ask, and return the ids of the answers."""
    return [library.open(NAME, caller=caller).ask(question).id for question in questions]


def list_questions(library: Library) -> list[str]:
    """Return the questions of the gaps that an administrator sees."""
    return [gap.question for gap in find_gaps(library, NAME, limit=MAX_GAPS)]


@pytest.mark.slow
def test_nine_of_ten_missing_topics_are_found(library: Library) -> None:
    """Three owners ask about each in their own words; scripts/bench Q17 does it over three manuals."""
    ask_missing_topics(library)
    gaps = find_gaps(library, NAME)
    assert len({find_topic(gap) for gap in gaps} - {None}) >= 9
    assert len(gaps) <= len(MISSING_TOPICS) + 1


def test_gap_has_counts_times_reason_and_nearest_passages(library: Library) -> None:
    """Questions of two owners are one gap; a good answer is none."""
    ask(library, ANN, "How do I enable CORS?", "how do I  enable CORS?", "How long is parental leave?")
    ask(library, BOB, "How can I enable CORS?")
    (gap,) = find_gaps(library, NAME)
    assert (gap.question.lower().split()[-2:], gap.count, gap.owners) == (["enable", "cors?"], 3, 2)
    assert (gap.reason, gap.reasons, gap.closed) == ("low_score", {"low_score": 2}, None)
    assert gap.first < gap.last
    assert [hit.uri for hit in gap.nearest] == ["hr/leave.md"]
    assert find_gaps(library, NAME, since=gap.last + 1) == []


def test_question_of_one_owner_is_shown_only_without_other_owners(library: Library) -> None:
    """Also if the period leaves only one of them."""
    (first,) = ask(library, ANN, "Where is the secret laboratory of ann?")
    assert list_questions(library) == ["Where is the secret laboratory of ann?"]
    ask(library, BOB, "How long is parental leave?")
    assert list_questions(library) == []
    created = library.get_answer(first, caller=ANN)[0].created
    assert find_gaps(library, NAME, since=created) == []


@pytest.mark.slow
def test_a_thousand_false_ratings_of_one_owner_show_nothing(library: Library) -> None:
    """Neither alone, nor with good answers to the same question of another owner."""
    question = "How long is parental leave?"
    (good,) = ask(library, ANN, question)
    library.add_feedback(good, helpful=True, caller=ANN)
    record = library.ledger.get_answer("ann", good)
    assert record is not None
    for number in range(1000):
        text = question if number % 2 else f"{question} {number}"
        copy = _copy_record(record, f"ans_{number}", "eve", text)
        library.ledger.record_answer(copy, None)
        library.add_feedback(f"ans_{number}", helpful=False, wrong_marker=1, caller=EVE)
    assert find_gaps(library, NAME) == []
    ask(library, BOB, "How do I enable CORS?")
    ask(library, ANN, "How can I enable CORS?")
    assert [(gap.owners, gap.count) for gap in find_gaps(library, NAME)] == [(2, 2)]
    library.add_feedback(good, helpful=False, caller=ANN)  # two owners say it now
    (gap,) = (gap for gap in find_gaps(library, NAME) if gap.reason == "not_helpful")
    assert (gap.owners, gap.count) == (2, 6)  # at most five of each


@pytest.mark.slow
def test_gap_is_closed_by_a_document_and_verified_by_asking_again(library: Library) -> None:
    """Asking again is not recorded, so that it is no question of an owner."""
    ask(library, ANN, "How many days of holiday do I get?")
    ask(library, BOB, "How many days of holiday do I get each year?")
    ask(library, ANN, "Who repairs the coffee machine?")
    ask(library, BOB, "Who repairs the coffee machine in the kitchen?")

    def verify() -> dict[str, bool | None]:
        return {gap.question.split()[1]: gap.closed for gap in find_gaps(library, NAME, verify=True)}

    assert verify() == {"many": False, "repairs": False}
    library.open(NAME).upsert([text_source("hr/holiday.md", "You get 30 days of holiday each year.")])
    assert verify() == {"many": True, "repairs": False}
    assert len(list(library.ledger.rated_answers(NAME))) == 4


@pytest.mark.slow
def test_answer_that_was_called_wrong_does_not_close_its_gap(library: Library) -> None:
    """The same citation again is no new answer; one from another document is."""
    for caller in (ANN, BOB):
        (answer,) = ask(library, caller, "How long is parental leave?")
        library.add_feedback(answer, helpful=False, caller=caller)
    assert [gap.closed for gap in find_gaps(library, NAME, verify=True)] == [False]
    library.open(NAME).remove(["hr/leave.md"])
    library.open(NAME).upsert([text_source("hr/new.md", "Parental leave is 30 weeks at full pay.")])
    assert [gap.closed for gap in find_gaps(library, NAME, verify=True)] == [True]


def test_refused_topics_and_wishes_for_a_person_are_no_gaps(library: Library) -> None:
    """No document could answer them; they are counted in the support report."""
    (answer_id,) = ask(library, ANN, "Where is the secret laboratory of ann?")
    record = library.ledger.get_answer("ann", answer_id)
    assert record is not None
    for reason in get_args(NoAnswerReason):
        copied = _copy_record(record, f"ans_{reason}", "bob", record.question)
        library.ledger.record_answer(replace(copied, answer=replace(copied.answer, reason=reason)), None)
    (gap,) = find_gaps(library, NAME)
    assert set(gap.reasons) == set(get_args(NoAnswerReason)) - {"forbidden_topic", "person_requested"}
    assert format_gaps([replace(gap, reason=reason) for reason in gap.reasons]).count("Reason: ") == len(gap.reasons)


def test_gaps_are_for_administrators_without_a_filter(library: Library) -> None:
    """Passages need the scope `search` too, and asking again the scope `ask`."""
    ask(library, ANN, "How do I enable CORS?")
    admin = Caller("boss", scopes=frozenset({"admin"}))
    assert [gap.nearest for gap in find_gaps(library, NAME, caller=admin)] == [()]
    for report in (find_gaps, report_support):
        for caller, error in (
            (Caller("x", scopes=frozenset({"search", "ask", "write"})), ForbiddenError),
            (Caller("x", filter={"team": "hr"}), ForbiddenError),
            (Caller("x", collections=frozenset({"other"})), NotFoundError),
        ):
            with pytest.raises(error):
                report(library, NAME, caller=caller)
    with pytest.raises(ForbiddenError):
        find_gaps(library, NAME, verify=True, caller=admin)
    with pytest.raises(InvalidError, match="limit"):
        find_gaps(library, NAME, limit=0)


def test_support_report_counts_by_topic_and_hides_topics_of_one_owner(library: Library) -> None:
    """An answer with negative feedback is wrong; topics of one owner are added up."""
    answers = ask(library, ANN, "How long is parental leave?") + ask(library, BOB, "How long is parental leave?")
    library.add_feedback(answers[0], helpful=False, caller=ANN)
    library.open(NAME).upsert([text_source("it/vpn.md", "The VPN gateway is at vpn.example.org for all staff.")])
    ask(library, ANN, "Where is the VPN gateway?")
    rows = report_support(library, NAME)
    assert [(row.topic, row.questions, row.answered, row.escalated, row.wrong) for row in rows] == [
        ("hr", 2, 2, 0, 1),
        ("(other)", 1, 1, 0, 0),
    ]


def test_questions_to_a_deleted_collection_are_in_no_report(library: Library) -> None:
    """A new collection of the same name begins without any."""
    ask(library, ANN, "Where is the secret laboratory of ann?", "How long is parental leave?")
    library.delete(NAME)
    library.create(NAME).upsert([LEAVE])
    assert (list_questions(library), report_support(library, NAME)) == ([], [])


def _copy_record(record: AnswerRecord, answer_id: str, owner: str, question: str) -> AnswerRecord:
    answer = replace(record.answer, id=answer_id)
    return replace(record, answer=answer, owner=owner, question=question, search_question=question)
