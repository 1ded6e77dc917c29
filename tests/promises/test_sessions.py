"""Sessions and stored answers through the public API: content, owner and lifetime."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.upstream import KEY, delta_event, run_upstream, stream_reply

from semsearch import Caller, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError, UpstreamError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import GenerationOptions
from semsearch.core.types.answers import Answer, Turn

LEAVE = "Parental leave lasts 26 weeks at full pay. Part-time staff take parental leave of 13 weeks."
TRAVEL = "A hotel room is paid up to 140 euros a night. Part-time staff travel in second class."
ALICE, BOB = Caller("alice"), Caller("bob")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Yield a library without a model server."""
    with Library(tmp_path, settings=Settings()) as library:
        yield library


@pytest.fixture
def handbook(library: Library) -> Collection:
    """Return a collection of two documents with common words."""
    return make_handbook(library)


def make_handbook(library: Library) -> Collection:
    """Create the collection `handbook` with two documents."""
    handbook = library.create("handbook")
    handbook.upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
    return handbook


def open_with_model(tmp_path: Path, url: str) -> Library:
    """Open a library with a chat model."""
    return Library(tmp_path, settings=Settings(chat=Endpoint(url, Secret(KEY)), chat_model="m"))


def test_follow_up_is_answered_without_a_model(handbook: Collection) -> None:
    """The earlier question contains what the follow-up leaves out."""
    session = handbook.create_session().id
    assert handbook.ask("How long is parental leave?", session=session).citations[0].uri == "leave.txt"
    answer = handbook.ask("And for part-time staff?", session=session)
    assert "13 weeks" in answer.text
    assert answer.session_id == session


def test_search_uses_the_history(handbook: Collection) -> None:
    """A client that keeps the conversation itself gets the hits of a follow-up."""
    hits = handbook.search("And for part-time staff?", history=["How long is parental leave?"])
    assert hits[0].uri == "leave.txt"
    hits_without_history = handbook.search("hotel", history=[])
    assert [hit.chunk_id for hit in hits_without_history] == [hit.chunk_id for hit in handbook.search("hotel")]
    with pytest.raises(InvalidError):
        handbook.search("hotel", history=[" "])


def test_session_is_stored(library: Library, handbook: Collection, tmp_path: Path) -> None:
    """Another library reads the turns in order, without citation numbers."""
    session = handbook.create_session("support").id
    handbook.ask("How long is parental leave?", session=session)
    handbook.ask("And for part-time staff?", session=session)
    with Library(tmp_path, settings=Settings()) as other_library:
        stored = other_library.get_session(session)
    assert (stored.collection, stored.profile) == ("handbook", "support")
    assert [turn.question for turn in stored.turns] == ["How long is parental leave?", "And for part-time staff?"]
    assert not any(re.search(r"\[\d", turn.answer) for turn in stored.turns)


def test_session_belongs_to_one_owner_and_one_collection(library: Library, handbook: Collection) -> None:
    """Other owners do not find it, and another collection refuses it."""
    session = library.open("handbook", caller=ALICE).create_session().id
    for collection in (library.open("handbook", caller=BOB), library.open("handbook")):
        with pytest.raises(NotFoundError):
            collection.ask("How long is parental leave?", session=session)
    with pytest.raises(NotFoundError):
        library.get_session(session, caller=BOB)
    with pytest.raises(NotFoundError):
        library.delete_session(session, caller=BOB)
    library.create("other")
    with pytest.raises(ConflictError, match="belongs to the collection handbook"):
        library.open("other", caller=ALICE).ask("How long?", session=session)


def test_session_ends_with_its_collection(library: Library, handbook: Collection) -> None:
    """A new collection of the same name refuses the session."""
    session = handbook.create_session().id
    handbook.ask("How long is parental leave?", session=session)
    library.delete("handbook")
    new_handbook = make_handbook(library)
    with pytest.raises(ConflictError, match="a collection handbook that was deleted; begin a new session"):
        new_handbook.ask("And for part-time staff?", session=session)
    session = new_handbook.create_session().id
    assert new_handbook.ask("How long is parental leave?", session=session).answered


def test_session_can_be_deleted(library: Library, handbook: Collection) -> None:
    """A deleted session is not found."""
    session = handbook.create_session().id
    library.delete_session(session)
    with pytest.raises(NotFoundError):
        handbook.ask("How long?", session=session)
    with pytest.raises(NotFoundError):
        library.delete_session(session)


def test_unknown_profile_is_an_error(handbook: Collection) -> None:
    """The message names the profile and the known profiles."""
    with pytest.raises(InvalidError, match="'x'; there are assistant, support, writer"):
        handbook.create_session("x")
    with pytest.raises(InvalidError, match="'x'"):
        handbook.ask("How long?", options=GenerationOptions(profile="x"))


def test_answer_is_stored_for_its_owner(library: Library, handbook: Collection) -> None:
    """The owner gets the same answer later; other owners do not find it."""
    answer = library.open("handbook", caller=ALICE).ask("How long is parental leave?")
    record, changes = library.get_answer(answer.id, caller=ALICE)
    assert (record.answer, changes) == (answer, [])
    assert (record.question, record.collection) == ("How long is parental leave?", "handbook")
    with pytest.raises(NotFoundError):
        library.get_answer(answer.id, caller=BOB)


def test_stored_answer_has_the_changes_of_its_sources(library: Library, handbook: Collection) -> None:
    """A quote is moved, edited or gone; the citations stay unchanged."""
    answer = handbook.ask("How long is parental leave?")

    def get_change() -> str | None:
        record, changes = library.get_answer(answer.id)
        assert record.answer.citations == answer.citations
        return changes[0].change if changes else None

    assert get_change() is None
    handbook.upsert([text_source("leave.txt", f"New first line.\n\n{LEAVE}")])
    assert get_change() == "moved"
    handbook.upsert([text_source("leave.txt", LEAVE.replace("weeks", "months"))])
    assert get_change() == "edited"
    handbook.remove(["leave.txt"])
    assert get_change() == "gone"
    library.delete("handbook")
    assert get_change() == "gone"


@pytest.mark.slow
def test_model_condenses_a_follow_up(tmp_path: Path) -> None:
    """The search uses the condensed question, and the prompt has the earlier turns."""

    def reply(messages: list[dict[str, str]]) -> str:
        if "Question to word again" in messages[-1]["content"]:
            return "How long is parental leave for part-time staff?"
        passage = re.search(r"id: (?P<id>\w+) source: leave.txt\n1: (.*)\n2: (.*)", messages[-1]["content"])
        assert passage is not None
        if "part-time" in messages[-1]["content"].rpartition("Question:")[2]:
            return f"{passage[3]} [[{passage['id']}.2]]"
        return f"{passage[2]} [[{passage['id']}.1]]"

    with run_upstream() as upstream, open_with_model(tmp_path, upstream.url) as library:
        upstream.answer = reply
        handbook = make_handbook(library)
        session = handbook.create_session().id
        first = handbook.ask("How long is parental leave?", session=session)
        answer = handbook.ask("And for part-time staff?", session=session)
        assert answer.text == "Part-time staff take parental leave of 13 weeks. [1]"
        assert len(upstream.calls) == 3
        contents = [message["content"] for message in upstream.calls[-1].body["messages"]]
        assert contents[1] == "How long is parental leave?"
        assert "\n\nQuestion: How long is parental leave for part-time staff?\n\n" in contents[-1]
        assert library.get_answer(answer.id)[0].search_question == "How long is parental leave for part-time staff?"
        recorded_tokens = sum(row.input_tokens for row in library.ledger.usage("day"))
        assert recorded_tokens == first.usage.prompt_tokens + answer.usage.prompt_tokens


def test_follow_up_that_cannot_be_condensed_is_asked_unchanged(tmp_path: Path) -> None:
    """The earlier question is used to search, but is not asked again."""
    with run_upstream() as upstream, open_with_model(tmp_path, upstream.url) as library:
        handbook = make_handbook(library)
        session = handbook.create_session().id
        handbook.ask("How long is parental leave?", session=session)
        upstream.scripted_replies = [stream_reply(delta_event("One.\nTwo."), delta_event(finish_reason="stop"))]
        answer = handbook.ask("And for part-time staff?", session=session)
        messages = upstream.calls[-1].body["messages"]
        assert "\n\nQuestion: And for part-time staff?\n\n" in messages[-1]["content"]
        assert messages[1]["content"] == "How long is parental leave?"
        assert "leave.txt" in messages[-1]["content"]
        assert (
            library.get_answer(answer.id)[0].search_question == "How long is parental leave? And for part-time staff?"
        )


def test_incomplete_answer_is_not_a_turn(tmp_path: Path) -> None:
    """A broken or cut-off answer is not added to the session."""
    with run_upstream() as upstream, open_with_model(tmp_path, upstream.url) as library:
        handbook = make_handbook(library)
        session = handbook.create_session().id
        upstream.scripted_replies = [stream_reply(delta_event("Half of"), done=False)] * 3
        with pytest.raises(UpstreamError):
            handbook.ask("How long is parental leave?", session=session)
        upstream.scripted_replies = [stream_reply(delta_event("Half of"), delta_event(finish_reason="length"))]
        answer = handbook.ask("How long is parental leave?", session=session)
        assert (answer.complete, answer.answered) == (False, False)
        assert library.get_session(session).turns == ()
        assert library.get_answer(answer.id)[0].answer.complete is False


def test_weak_evidence_costs_nothing(tmp_path: Path) -> None:
    """The chat model is not called if the documents cannot contain the answer."""
    with run_upstream() as upstream, open_with_model(tmp_path, upstream.url) as library:
        answer = make_handbook(library).ask("Which volcano erupted under a glacier in Iceland?")
        assert (answer.answered, answer.reason, answer.usage.prompt_tokens) == (False, "low_score", 0)
        assert not upstream.calls
        assert answer.hits


def test_turn_without_an_answer_is_stored(handbook: Collection, library: Library) -> None:
    """The turn has the question and an empty answer, although the profile showed a text."""
    session = handbook.create_session("assistant").id
    answer = handbook.ask("Which volcano erupted under a glacier in Iceland?", session=session)
    assert isinstance(answer, Answer)
    assert answer.answered is False
    assert library.get_session(session).turns == (
        Turn("Which volcano erupted under a glacier in Iceland?", "", answer.id),
    )
