"""Approved answers: when they are returned, and how changes of the documents break them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from semsearch import Answer, AnswerRequest, Delta, GenerationOptions, Library, read, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError
from semsearch.core.settings import Settings
from semsearch.core.types.access import Caller

QUESTION = "How long is parental leave?"
LEAVE = "Parental leave is 26 weeks at full pay for each parent."
TRAVEL = "A hotel room is paid up to 140 euros a night."


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library whose collection `hb` has two documents."""
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        store_texts(library.create("hb"), leave=LEAVE, travel=TRAVEL)
        yield library


@pytest.fixture
def collection(library: Library) -> Collection:
    """The collection of the library."""
    return library.open("hb")


@pytest.fixture
def approved_id(library: Library, collection: Collection) -> str:
    """Id of the approved answer to the question."""
    return library.approve(collection.ask(QUESTION).id).id


def store_texts(collection: Collection, **texts: str) -> None:
    """Store documents by uri."""
    collection.upsert([text_source(uri, text) for uri, text in texts.items()])


def find_approved_id(collection: Collection, question: str = QUESTION) -> str | None:
    """Return the id of the approved answer that a question gets."""
    approved = collection.ask(question).approved
    return None if approved is None else approved.id


@pytest.mark.parametrize("question", [QUESTION, "how long is the parental leave", "How long's parental leave?"])
def test_near_identical_question_gets_the_approved_answer(
    library: Library, collection: Collection, approved_id: str, question: str
) -> None:
    """It is marked with its date, streamed like any other, recorded, and has the kind that it had."""
    *_, answer = events = list(collection.stream(question))
    assert isinstance(answer, Answer)
    assert answer.approved is not None
    assert answer == library.get_answer(answer.id)[0].answer
    assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.text == f"{LEAVE} [1]"
    assert (answer.approved.id, answer.kind, answer.citations[0].quote) == (approved_id, "excerpt", LEAVE)
    assert len(answer.approved.date) == len("2026-11-30")
    assert answer.id != approved_id


@pytest.mark.parametrize(
    "question", ["How long is parental leave not?", "How long was parental leave?", "Why is parental leave long?"]
)
def test_other_question_gets_a_new_answer(collection: Collection, approved_id: str, question: str) -> None:
    """One word more, or another order, may ask for something else."""
    assert find_approved_id(collection, question) is None


def test_plural_that_means_something_else_is_another_question(library: Library, collection: Collection) -> None:
    """Word vectors tell "news" from "new"."""
    library.approve(collection.ask(QUESTION).id, question="Is there news?")
    assert find_approved_id(collection, "Is there the news?") is not None
    assert find_approved_id(collection, "Is there new?") is None


def test_request_for_a_model_or_within_a_conversation_gets_a_new_answer(
    collection: Collection, approved_id: str
) -> None:
    """Neither does an evaluation get the approved answer; a question that begins a session does."""
    session = collection.create_session().id
    assert [collection.ask(QUESTION, session=session).approved is not None for _ in range(2)] == [True, False]
    options = GenerationOptions(system="Answer in German.")
    assert collection.ask(QUESTION, options=options).approved is None
    assert collection.ask(AnswerRequest(QUESTION, ignores_approved=True)).approved is None


def test_reviewer_may_change_question_and_text(library: Library, collection: Collection) -> None:
    """The text keeps the citations that it names, or gets all of them; unknown ones are refused."""
    answer = collection.ask(QUESTION)
    approved = library.approve(answer.id, question="Is there leave for fathers?", answer="Yes, 26 weeks.")
    assert (approved.text, approved.sentences[0].support) == ("Yes, 26 weeks. [1]", "not_checked")
    returned = collection.ask("is there leave for fathers")
    assert (returned.text, returned.citations[0].quote) == ("Yes, 26 weeks. [1]", LEAVE)
    assert (answer.kind, approved.kind, returned.kind) == ("excerpt", "generated", "generated")
    for text in ("Half a year [2].", "  ", "x" * 20_001):
        with pytest.raises(InvalidError):
            library.approve(answer.id, answer=text)


def test_only_intact_answers_with_citations_can_be_approved(library: Library, collection: Collection) -> None:
    """A follow-up needs its whole question."""
    with pytest.raises(InvalidError, match="cites nothing"):
        library.approve(collection.ask("Which galaxy is nearest?").id)
    session = collection.create_session().id
    in_session = collection.ask(QUESTION, session=session)
    with pytest.raises(InvalidError, match="whole question"):
        library.approve(in_session.id)
    assert library.approve(in_session.id, question=QUESTION).question == QUESTION
    store_texts(collection, leave="Parental leave is 30 weeks.")
    with pytest.raises(ConflictError, match="has changed"):
        library.approve(in_session.id, question=QUESTION)
    with pytest.raises(NotFoundError):
        library.approve(in_session.id, caller=Caller("bob"))


def test_edit_of_a_quote_makes_the_answer_stale_until_it_is_undone(collection: Collection, approved_id: str) -> None:
    """Whatever stores or removes the document: it is not returned, and the lost words are named."""
    store_texts(collection, leave=LEAVE.replace("26", "30"))
    assert find_approved_id(collection) is None
    (stale,) = collection.approved_answers()
    assert (stale.lost[0].reason, stale.lost[0].lost_words) == ("edited", ("26",))
    rewrapped = LEAVE.replace("weeks at", "weeks\nat")
    store_texts(collection, leave=f"# New\n\n{rewrapped}\n\nMore.")
    (moved,) = collection.approved_answers()
    citation = moved.citations[0]
    assert not moved.is_stale
    assert collection.document("leave").text[citation.start : citation.end] == citation.quote
    assert collection.ask(QUESTION).citations == (citation,)
    collection.remove(["leave"])
    assert [lost.reason for lost in collection.approved_answers()[0].lost] == ["gone"]
    assert find_approved_id(collection) is None
    store_texts(collection, leave=LEAVE)
    assert find_approved_id(collection) == approved_id
    collection.remove_matching({"uri": "leave"})
    assert collection.verify_answers()[0].is_stale


def test_missed_check_returns_nothing_wrong(collection: Collection, approved_id: str) -> None:
    """An answer is checked before it is returned, also if a killed process changed the document last."""
    collection.backends.store._listeners.clear()  # type: ignore[attr-defined]
    store_texts(collection, leave=LEAVE.replace("26", "30"))
    assert not collection.approved_answers()[0].is_stale
    assert find_approved_id(collection) is None
    assert collection.verify_answers()[0].is_stale


def test_dry_run_and_ingestion_name_the_broken_answers(
    library: Library, collection: Collection, approved_id: str, tmp_path: Path
) -> None:
    """A dry run changes nothing; one answer is reported once, an edit elsewhere in the document breaks none."""
    report = collection.ingest([text_source("leave", f"{LEAVE} More.")], dry_run=True)
    assert report.broken_answers == []
    changed = [text_source("leave", LEAVE.replace("full", "half")), text_source("travel", "None.")]
    report = collection.ingest(changed, dry_run=True)
    (broken,) = report.broken_answers
    assert (broken.id, broken.question, broken.lost[0].lost_words) == (approved_id, QUESTION, ("full",))
    assert not collection.approved_answers()[0].is_stale
    assert collection.ingest(changed).broken_answers == [broken]
    assert collection.approved_answers()[0].is_stale
    assert collection.ingest([text_source("leave", "Nothing.")]).broken_answers == []  # it was broken before


def test_pruning_reports_the_answers_that_it_breaks(library: Library, tmp_path: Path) -> None:
    """With a file that is gone, its evidence is."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.txt").write_text(LEAVE)
    (tmp_path / "docs" / "travel.txt").write_text(TRAVEL)
    collection = library.create("files")
    collection.ingest(read(tmp_path / "docs"))
    library.approve(collection.ask(QUESTION).id)
    (tmp_path / "docs" / "leave.txt").unlink()
    for dry_run in (True, False):
        report = collection.ingest(read(tmp_path / "docs"), prune=True, dry_run=dry_run)
        assert [lost.reason for broken in report.broken_answers for lost in broken.lost] == ["gone"]
    assert collection.approved_answers()[0].is_stale


def test_approved_answers_go_with_their_collection(library: Library, approved_id: str) -> None:
    """A new collection of the name has none."""
    library.delete("hb")
    store_texts(library.create("hb"), leave=LEAVE)
    assert library.open("hb").approved_answers() == []


def test_owner_removes_their_own_and_the_local_user_all(library: Library, collection: Collection) -> None:
    """Another owner gets the error of an unknown answer."""
    ann = Caller("ann")
    own = library.open("hb", caller=ann).ask(QUESTION)
    library.approve(own.id, caller=ann)
    with pytest.raises(NotFoundError, match="no approved answer"):
        library.remove_approval(own.id, caller=Caller("bob"))
    library.remove_approval(own.id)
    with pytest.raises(NotFoundError, match="no approved answer"):
        library.remove_approval(own.id, caller=ann)


def test_owner_whose_key_has_a_filter_is_named_and_removes_their_own(library: Library, collection: Collection) -> None:
    """Their records are stored under another name, which nobody sees."""
    collection.upsert([text_source("leave", LEAVE, metadata={"team": "hr"})])
    ann = Caller("ann", filter={"team": "hr"})
    approved = library.approve(library.open("hb", caller=ann).ask(QUESTION).id, caller=ann)
    assert approved.owner == "ann"
    library.remove_approval(approved.id, caller=ann)
    assert collection.approved_answers() == []
