"""Conversations and records through the front door: what is remembered, for whom, and what is not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.upstream as double

from semsearch import Caller, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError, UpstreamError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import Answer, GenerationOptions, Turn

LEAVE = "Parental leave lasts 26 weeks at full pay. Part-time staff take parental leave of 13 weeks."
TRAVEL = "A hotel room is paid up to 140 euros a night. Part-time staff travel in second class."
ALICE, BOB = Caller("alice"), Caller("bob")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library without a model server."""
    with Library(tmp_path, settings=Settings()) as library:
        yield library


@pytest.fixture
def handbook(library: Library) -> Collection:
    """Two documents that share words."""
    return filled(library)


def filled(library: Library) -> Collection:
    """The collection `handbook`."""
    handbook = library.create("handbook")
    handbook.upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
    return handbook


def with_model(tmp_path: Path, url: str) -> Library:
    """A library with a chat model."""
    return Library(tmp_path, settings=Settings(chat=Endpoint(url, Secret(double.KEY)), chat_model="m"))


def test_a_follow_up_is_understood_without_a_model(handbook: Collection) -> None:
    """What it leaves out was said in the question before."""
    session = handbook.create_session().id
    assert handbook.ask("How long is parental leave?", session=session).citations[0].uri == "leave.txt"
    answer = handbook.ask("And for part-time staff?", session=session)
    assert "13 weeks" in answer.answer
    assert answer.session_id == session


def test_a_search_takes_the_questions_before_it(handbook: Collection) -> None:
    """The same recipe for whoever keeps the conversation alone."""
    hits = handbook.search("And for part-time staff?", history=["How long is parental leave?"])
    assert hits[0].uri == "leave.txt"
    assert [hit.chunk_id for hit in handbook.search("hotel", history=[])] == [
        hit.chunk_id for hit in handbook.search("hotel")
    ]
    with pytest.raises(InvalidError):
        handbook.search("hotel", history=[" "])


def test_a_conversation_is_kept(library: Library, handbook: Collection, tmp_path: Path) -> None:
    """Its turns are there in order, also for another process, without numbers of citations."""
    session = handbook.create_session("support").id
    handbook.ask("How long is parental leave?", session=session)
    handbook.ask("And for part-time staff?", session=session)
    with Library(tmp_path, settings=Settings()) as another:
        found = another.get_session(session)
    assert (found.collection, found.profile) == ("handbook", "support")
    assert [turn.question for turn in found.turns] == ["How long is parental leave?", "And for part-time staff?"]
    assert not any(re.search(r"\[\d", turn.answer) for turn in found.turns)


def test_a_conversation_belongs_to_one_owner_and_one_collection(library: Library, handbook: Collection) -> None:
    """For everybody else it does not exist; in another collection it is refused."""
    session = library.open("handbook", caller=ALICE).create_session().id
    for foreign in (library.open("handbook", caller=BOB), library.open("handbook")):
        with pytest.raises(NotFoundError):
            foreign.ask("How long is parental leave?", session=session)
    with pytest.raises(NotFoundError):
        library.get_session(session, caller=BOB)
    with pytest.raises(NotFoundError):
        library.delete_session(session, caller=BOB)
    library.create("other")
    with pytest.raises(ConflictError, match="belongs to the collection handbook"):
        library.open("other", caller=ALICE).ask("How long?", session=session)


def test_a_conversation_ends_with_its_collection(library: Library, handbook: Collection) -> None:
    """Another collection of the same name does not go on with it, nor with what was said in it."""
    session = handbook.create_session().id
    handbook.ask("How long is parental leave?", session=session)
    library.delete("handbook")
    another = filled(library)
    with pytest.raises(ConflictError, match="a collection handbook that was deleted; begin a new session"):
        another.ask("And for part-time staff?", session=session)
    assert another.ask("How long is parental leave?", session=another.create_session().id).answered


def test_a_conversation_can_be_forgotten(library: Library, handbook: Collection) -> None:
    """And then it is gone."""
    session = handbook.create_session().id
    library.delete_session(session)
    with pytest.raises(NotFoundError):
        handbook.ask("How long?", session=session)
    with pytest.raises(NotFoundError):
        library.delete_session(session)


def test_an_unknown_profile_is_named(handbook: Collection) -> None:
    """With those that there are."""
    with pytest.raises(InvalidError, match="'x'; there are assistant, support, writer"):
        handbook.create_session("x")
    with pytest.raises(InvalidError, match="'x'"):
        handbook.ask("How long?", options=GenerationOptions(profile="x"))


def test_an_answer_stays_on_record(library: Library, handbook: Collection) -> None:
    """The same answer later, for its owner alone."""
    given = library.open("handbook", caller=ALICE).ask("How long is parental leave?")
    record, changes = library.get_answer(given.id, caller=ALICE)
    assert (record.answer, changes) == (given, [])
    assert (record.question, record.collection) == ("How long is parental leave?", "handbook")
    with pytest.raises(NotFoundError):
        library.get_answer(given.id, caller=BOB)


def test_a_record_tells_what_became_of_its_sources(library: Library, handbook: Collection) -> None:
    """Edited, moved and gone are told apart; the citations stay as they were given."""
    given = handbook.ask("How long is parental leave?")

    def change() -> str | None:
        record, changes = library.get_answer(given.id)
        assert record.answer.citations == given.citations
        return changes[0].change if changes else None

    assert change() is None
    handbook.upsert([text_source("leave.txt", f"New first line.\n\n{LEAVE}")])
    assert change() == "moved"
    handbook.upsert([text_source("leave.txt", LEAVE.replace("weeks", "months"))])
    assert change() == "edited"
    handbook.remove(["leave.txt"])
    assert change() == "gone"
    library.delete("handbook")
    assert change() == "gone"


def test_a_model_words_the_follow_up(tmp_path: Path) -> None:
    """What it wrote is searched for, and the earlier turns stand in the prompt."""

    def reply(messages: list[dict[str, str]]) -> str:
        if "Question to word again" in messages[-1]["content"]:
            return "How long is parental leave for part-time staff?"
        found = re.search(r"id: (\w+) source: leave.txt\n1: (.*)\n2: (.*)", messages[-1]["content"])
        assert found is not None
        return (
            f"{found[3]} [[{found[1]}.2]]"
            if "part-time" in messages[-1]["content"].rpartition("Question:")[2]
            else (f"{found[2]} [[{found[1]}.1]]")
        )

    with double.run_upstream() as upstream, with_model(tmp_path, upstream.url) as library:
        upstream.answer = reply
        handbook = filled(library)
        session = handbook.create_session().id
        first = handbook.ask("How long is parental leave?", session=session)
        answer = handbook.ask("And for part-time staff?", session=session)
        assert answer.answer == "Part-time staff take parental leave of 13 weeks. [1]"
        assert len(upstream.calls) == 3
        said = [message["content"] for message in upstream.calls[-1].body["messages"]]
        assert said[1] == "How long is parental leave?"
        assert said[-1].endswith("Question: How long is parental leave for part-time staff?")
        assert library.get_answer(answer.id)[0].search_question == "How long is parental leave for part-time staff?"
        booked = sum(row.input_tokens for row in library.ledger.usage("day"))
        assert booked == first.usage.prompt_tokens + answer.usage.prompt_tokens


def test_a_follow_up_that_no_model_words_is_asked_as_it_stands(tmp_path: Path) -> None:
    """What was asked before it helps to find passages, and is not asked again."""
    with double.run_upstream() as upstream, with_model(tmp_path, upstream.url) as library:
        handbook = filled(library)
        session = handbook.create_session().id
        handbook.ask("How long is parental leave?", session=session)
        upstream.scripted_replies = [
            double.stream_reply(double.delta_event("One.\nTwo."), double.delta_event(finish_reason="stop"))
        ]
        answer = handbook.ask("And for part-time staff?", session=session)
        said = upstream.calls[-1].body["messages"]
        assert said[-1]["content"].endswith("\n\nQuestion: And for part-time staff?")
        assert said[1]["content"] == "How long is parental leave?"
        assert "leave.txt" in said[-1]["content"]
        assert (
            library.get_answer(answer.id)[0].search_question == "How long is parental leave? And for part-time staff?"
        )


def test_half_an_answer_is_no_turn(tmp_path: Path) -> None:
    """What broke off or was cut off is not what was said; it is not repeated to the model."""
    with double.run_upstream() as upstream, with_model(tmp_path, upstream.url) as library:
        handbook = filled(library)
        session = handbook.create_session().id
        upstream.scripted_replies = [double.stream_reply(double.delta_event("Half of"), done=False)] * 3
        with pytest.raises(UpstreamError):
            handbook.ask("How long is parental leave?", session=session)
        upstream.scripted_replies = [
            double.stream_reply(double.delta_event("Half of"), double.delta_event(finish_reason="length"))
        ]
        cut = handbook.ask("How long is parental leave?", session=session)
        assert (cut.complete, cut.answered) == (False, False)
        assert library.get_session(session).turns == ()
        assert library.get_answer(cut.id)[0].answer.complete is False


def test_weak_evidence_spends_nothing(tmp_path: Path) -> None:
    """The model is not asked what the documents cannot hold."""
    with double.run_upstream() as upstream, with_model(tmp_path, upstream.url) as library:
        answer = filled(library).ask("Which volcano erupted under a glacier in Iceland?")
        assert (answer.answered, answer.reason, answer.usage.prompt_tokens) == (False, "low_score", 0)
        assert not upstream.calls
        assert answer.hits


def test_a_turn_without_an_answer_is_remembered_as_such(handbook: Collection, library: Library) -> None:
    """The question counts, words that only say so do not change that."""
    session = handbook.create_session("assistant").id
    refused = handbook.ask("Which volcano erupted under a glacier in Iceland?", session=session)
    assert isinstance(refused, Answer)
    assert refused.answered is False
    assert library.get_session(session).turns == (Turn("Which volcano erupted under a glacier in Iceland?", ""),)
