"""No method of a library or a collection shows a caller what it may not see."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.billing import Clock, make_reservation, make_settled_usage

from semsearch import Answer, Caller, KeyGrants, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import BudgetError, ForbiddenError, InvalidError, NotFoundError
from semsearch.core.settings import Settings
from semsearch.core.types.answers import AnswerEvent, SourcesEvent
from semsearch.core.types.recommendations import Example, RecommendationRequest
from semsearch.core.types.search import FacetValue, SearchMode, SearchRequest
from semsearch.core.types.sessions import SessionInfo
from semsearch.core.types.usage import ALL_OWNERS, Budget, BudgetLimits, RateLimits
from semsearch.usage.budgets import PeriodTotals, fits_budgets

NARROW = Caller("me", collections=frozenset({"open"}), filter={"team": "me"})
WIDE = Caller("me")
"""The same owner with another key."""
STRANGER = Caller("other")
TEAMS = {"mine": "me", "others": "them"}
OWN = {"team": "me"}
QUESTION = "How much oil does the lamp of the others burn?"


@dataclass(frozen=True, slots=True)
class World:
    """A library with a collection of which the narrow caller sees half, a hidden one, answers and sessions."""

    library: Library
    narrow: Collection
    answer_from_others: Answer
    """An answer to the wide caller, from a document that the narrow one may not see."""
    hidden_answer: Answer
    """An answer to the wide caller, from the hidden collection."""
    deleted_answer: Answer
    """An answer to the wide caller, from a collection that was deleted since."""
    hidden_session: str
    """A session of the same owner with the hidden collection."""
    other_owner_session: str
    wide_key: str
    """Id of an access key to all collections."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two collections, with answers and sessions of several callers."""
    texts = {"mine": "The lamp of mine burns one litre of oil.", "others": "The lamp of the others burns two of oil."}
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        for name in ("open", "hidden", "former"):
            collection = library.create(name)
            collection.upsert(
                [text_source(uri, text, metadata={"team": TEAMS[uri], f"of_{uri}": 1}) for uri, text in texts.items()]
            )
        deleted_answer = library.open("former", caller=WIDE).ask(QUESTION)
        library.delete("former")
        answer_from_others = library.open("open", caller=WIDE).ask(QUESTION, filter={"uri": "others"})
        library.approve(answer_from_others.id, caller=WIDE)
        yield World(
            library,
            library.open("open", caller=NARROW),
            answer_from_others,
            library.open("hidden", caller=WIDE).ask(QUESTION),
            deleted_answer,
            library.open("hidden", caller=WIDE).create_session().id,
            library.open("open", caller=STRANGER).create_session().id,
            library.create_key(KeyGrants("wide", "me"))[0].id,
        )


def collect_uris(events: list[AnswerEvent]) -> set[str]:
    """Return the uris in the events of an answer."""
    uris = set()
    for event in events:
        if isinstance(event, SourcesEvent):
            uris |= {hit.uri for hit in event.hits}
        elif isinstance(event, Answer):
            uris |= {hit.uri for hit in event.hits} | {citation.uri for citation in event.citations}
    return uris


async def collect_stream(collection: Collection) -> list[AnswerEvent]:
    """Return all events of a stream."""
    return [event async for event in collection.astream(QUESTION)]


def _list_sessions(world: World) -> list[SessionInfo]:
    """Return the sessions that the narrow caller sees of the hidden collection and of the other owner."""
    sessions = world.library.sessions(caller=NARROW) + world.library.sessions("hidden", caller=NARROW)
    return [info for info in sessions if info.id in (world.hidden_session, world.other_owner_session)]


NEW_SOURCES = [text_source("new", "A lamp.")]
COLLECTION_METHODS: dict[str, tuple[Callable[[World], Any], Any]] = {
    "aask": (lambda world: collect_uris([asyncio.run(world.narrow.aask(QUESTION))]), {"mine"}),
    "asearch": (lambda world: {hit.uri for hit in asyncio.run(world.narrow.asearch(QUESTION))}, {"mine"}),
    "arecommend": (
        lambda world: asyncio.run(world.narrow.arecommend(RecommendationRequest([Example("others")]))),
        NotFoundError,
    ),
    "recommend": (lambda world: {hit.uri for hit in world.narrow.recommend(query=QUESTION)}, {"mine"}),
    "recommends_locally": (
        lambda world: world.narrow.recommends_locally(RecommendationRequest([Example("others")])),
        True,
    ),
    "similar": (lambda world: world.narrow.similar("others"), NotFoundError),
    "ask": (lambda world: collect_uris([world.narrow.ask(QUESTION)]), {"mine"}),
    "create_session": (
        lambda world: world.library.get_session(world.narrow.create_session().id, caller=STRANGER),
        NotFoundError,
    ),
    "citation_changes": (
        lambda world: [entry.change for entry in world.narrow.citation_changes(world.answer_from_others.citations)],
        ["gone"],
    ),
    "get_original": (lambda world: world.narrow.get_original("others"), NotFoundError),
    "document": (lambda world: world.narrow.document("others"), NotFoundError),
    "get_blocks": (lambda world: world.narrow.get_blocks("others", 0, 9), NotFoundError),
    "documents": (lambda world: [info.uri for info in world.narrow.documents()], ["mine"]),
    "get_rectangles": (lambda world: world.narrow.get_rectangles("others", 0, 4), NotFoundError),
    "render_page": (lambda world: world.narrow.render_page("others", 1), NotFoundError),
    "get_document_page": (lambda world: [info.uri for info in world.narrow.get_document_page()], ["mine"]),
    "stream": (lambda world: collect_uris(list(world.narrow.stream(QUESTION))), {"mine"}),
    "info": (lambda world: (world.narrow.info().documents, world.narrow.info().chunks), (1, 1)),
    "index_state": (lambda world: world.narrow.index_state(), None),
    "ingest": (lambda world: world.narrow.ingest(NEW_SOURCES), ForbiddenError),
    "embeds_locally": (lambda world: world.narrow.embeds_locally(QUESTION), True),
    "upsert": (lambda world: world.narrow.upsert(NEW_SOURCES), ForbiddenError),
    "reindex": (lambda world: world.narrow.reindex(), ForbiddenError),
    "remove": (lambda world: world.narrow.remove(["mine"]), ForbiddenError),
    "remove_matching": (lambda world: world.narrow.remove_matching({"uri": "mine"}), ForbiddenError),
    "approved_answers": (lambda world: world.narrow.approved_answers(), []),
    "verify_answers": (lambda world: world.narrow.verify_answers(), ForbiddenError),
    "aembed_queries": (lambda world: asyncio.run(world.narrow.aembed_queries([SearchRequest(QUESTION)])), None),
    "has_chunk": (
        lambda world: [
            world.narrow.has_chunk(answer.citations[0].chunk_id)
            for answer in (world.narrow.ask("How much oil does the lamp of mine burn?"), world.answer_from_others)
        ],
        [True, False],
    ),
    "count_documents": (lambda world: world.narrow.count_documents(), 1),
    "facets": (
        lambda world: world.narrow.facets(["team"], filter={"$or": [{"team": "them"}, {"team": "me"}]}),
        {"team": [FacetValue("me", 1)]},
    ),
    "facet_fields": (lambda world: world.narrow.facet_fields(), ["of_mine", "team", "media_type"]),
    "search": (lambda world: {hit.uri for hit in world.narrow.search(QUESTION)}, {"mine"}),
    "astream": (lambda world: collect_uris(asyncio.run(collect_stream(world.narrow))), {"mine"}),
}
LIBRARY_METHODS: dict[str, tuple[Callable[[World], Any], Any]] = {
    "get_answer": (lambda world: world.library.get_answer(world.hidden_answer.id, caller=NARROW), NotFoundError),
    "add_feedback": (
        lambda world: world.library.add_feedback(world.hidden_answer.id, helpful=True, caller=NARROW),
        NotFoundError,
    ),
    "get_feedback": (lambda world: world.library.get_feedback(world.hidden_answer.id, caller=NARROW), NotFoundError),
    "approve": (lambda world: world.library.approve(world.hidden_answer.id, caller=NARROW), NotFoundError),
    "remove_approval": (
        lambda world: world.library.remove_approval(world.answer_from_others.id, caller=STRANGER),
        NotFoundError,
    ),
    "collections": (lambda world: [info.name for info in world.library.collections(caller=NARROW)], ["open"]),
    "create": (lambda world: world.library.create("hidden", caller=NARROW), ForbiddenError),
    "delete": (lambda world: world.library.delete("hidden", caller=NARROW), NotFoundError),
    "delete_session": (
        lambda world: world.library.delete_session(world.other_owner_session, caller=NARROW),
        NotFoundError,
    ),
    "open": (lambda world: world.library.open("hidden", caller=NARROW), NotFoundError),
    "get_if_open": (lambda world: world.library.get_if_open("hidden", caller=NARROW), None),
    "dry_run_collection": (
        lambda world: world.library.dry_run_collection("hidden", caller=NARROW).__enter__(),
        ForbiddenError,
    ),
    "get_session": (lambda world: world.library.get_session(world.hidden_session, caller=NARROW), NotFoundError),
    "sessions": (lambda world: _list_sessions(world), []),
    "create_key": (lambda world: world.library.create_key(KeyGrants("all", "me"), caller=NARROW), ForbiddenError),
    "list_keys": (lambda world: world.library.list_keys(caller=NARROW), []),
    "rotate_key": (lambda world: world.library.rotate_key(world.wide_key, caller=NARROW), NotFoundError),
    "revoke_key": (lambda world: world.library.revoke_key(world.wide_key, caller=NARROW), NotFoundError),
    "usage": (lambda world: world.library.usage(caller=NARROW).rows, []),
}
OPERATOR_METHODS = {
    "authenticate", "close", "exists", "has_keys", "index_states", "may_be_exposed", "upstream_states",
}  # fmt: skip
"""Methods without a caller: no request calls them with a collection name that was not checked."""


@pytest.mark.parametrize("method", COLLECTION_METHODS | LIBRARY_METHODS)
def test_every_method_shows_only_what_its_caller_may_see(world: World, method: str) -> None:
    """It returns what the caller may see, or raises an error, and changes nothing of others."""
    call, expected = (COLLECTION_METHODS | LIBRARY_METHODS)[method]
    if isinstance(expected, type):
        with pytest.raises(expected):
            call(world)
    else:
        assert call(world) == expected
    assert [(info.name, info.documents) for info in world.library.collections()] == [("hidden", 2), ("open", 2)]


def test_every_public_method_is_tested() -> None:
    """Every public method is in one of the tables."""

    def public_methods(kind: type) -> set[str]:
        return {name for name in dir(kind) if callable(getattr(kind, name)) and not name.startswith("_")}

    assert public_methods(Collection) == COLLECTION_METHODS.keys()
    assert public_methods(Library) == LIBRARY_METHODS.keys() | OPERATOR_METHODS


def test_answer_is_hidden_from_another_filter_of_its_owner(world: World) -> None:
    """A key with a narrower filter reads neither its text nor that of a session; the owner's other keys do."""
    for caller in (NARROW, STRANGER):
        with pytest.raises(NotFoundError, match="no answer"):
            world.library.get_answer(world.answer_from_others.id, caller=caller)
    assert world.library.get_answer(world.answer_from_others.id, caller=WIDE)[1] == []
    own = world.narrow.ask(QUESTION)
    rotated = replace(NARROW, key="another")
    assert world.library.get_answer(own.id, caller=rotated)[0].answer.id == own.id


@pytest.mark.parametrize("caller", [replace(WIDE, collections=frozenset({"open"})), NARROW])
def test_hidden_session_is_the_same_as_an_absent_one(world: World, caller: Caller) -> None:
    """Whether it is read, deleted or continued; the error of a question names no collection that is hidden."""
    collection = world.library.open("open", caller=caller)
    calls: list[Callable[[str], object]] = [
        lambda session: world.library.get_session(session, caller=caller),
        lambda session: world.library.delete_session(session, caller=caller),
        lambda session: collection.ask(QUESTION, session=session),
    ]
    for call in calls:
        messages = set()
        for session in (world.hidden_session, world.other_owner_session, "ses_absent"):
            with pytest.raises(NotFoundError) as caught:
                call(session)
            messages.add(str(caught.value).replace(session, "S"))
        assert len(messages) == 1
    assert world.library.get_session(world.hidden_session, caller=WIDE).id == world.hidden_session


def test_usage_names_no_hidden_collection(tmp_path: Path) -> None:
    """Nor what all owners have spent, nor model servers, unless the caller may administer every collection."""
    settings = Settings(budget=Budget(BudgetLimits(day_tokens=1000)))
    with Library(tmp_path, settings=settings) as library:
        for name in ("open", "hidden"):
            reservation = library.ledger.reserve(make_reservation(time.time, "me", collection=name), {})
            assert reservation is not None
            library.ledger.settle(reservation, make_settled_usage(5, rate_limits=RateLimits(500, 499, "120ms")))
        for caller, names, is_operator in (
            (WIDE, {"open", "hidden"}, True),
            (replace(WIDE, scopes=frozenset({"search"})), {"open", "hidden"}, False),
            (replace(WIDE, collections=frozenset({"open"})), {"open"}, False),
            (STRANGER, set(), True),
        ):
            report = library.usage("collection", caller=caller)
            assert {row.name for row in report.rows} == names
            assert [bool(report.budget), bool(report.rate_limits)] == [is_operator] * 2


def test_budget_error_does_not_tell_a_key_what_others_spent() -> None:
    """Who has no key learns the amounts, as before."""
    reservation = make_reservation(Clock(), upper_bound=20, key="k3v9x0q2m7ab")
    limits = {ALL_OWNERS: BudgetLimits(day_tokens=777)}
    with pytest.raises(BudgetError) as caught:
        fits_budgets(reservation, limits, lambda *_: PeriodTotals(761))
    assert not re.search("7[67]", str(caught.value))
    assert caught.value.retry_after_seconds


def test_dry_run_does_not_tell_whether_a_hidden_collection_exists(world: World) -> None:
    """Another name that the caller may not see is refused in the same way."""
    for name in ("hidden", "absent"):
        with pytest.raises(ForbiddenError, match=name), world.library.dry_run_collection(name, caller=NARROW):
            pass


def test_approved_answer_from_a_hidden_document_leaves_no_trace(world: World) -> None:
    """Other owners get it if they see its document; a caller who does not gets what it got before the approval."""
    library = world.library
    approved = library.open("open", caller=STRANGER).ask(QUESTION).approved
    assert approved is not None
    assert approved.id == world.answer_from_others.id
    with_approval = world.narrow.ask(QUESTION)
    library.remove_approval(world.answer_from_others.id, caller=WIDE)
    try:
        without = world.narrow.ask(QUESTION)
    finally:
        library.approve(world.answer_from_others.id, caller=WIDE)
    assert replace(with_approval, id="") == replace(without, id="")
    with pytest.raises(NotFoundError, match="no answer"):  # it belongs to another filter
        library.approve(world.answer_from_others.id, caller=NARROW)
    filtered = library.open("open", caller=WIDE).ask(QUESTION, filter={"uri": "mine"})
    assert filtered.approved is None


def test_only_admins_approve_and_list(world: World) -> None:
    """Approved answers of all owners are shown to the scope `admin` alone, and in a report of an ingestion too."""
    writer = Caller("other", scopes=frozenset({"search", "ask", "write"}))
    opened = world.library.open("open", caller=writer)
    answer = opened.ask(QUESTION)
    for call in (
        lambda: world.library.approve(answer.id, caller=writer),
        lambda: world.library.remove_approval(answer.id, caller=writer),
        opened.approved_answers,
        opened.verify_answers,
    ):
        with pytest.raises(ForbiddenError):
            call()
    changed = [text_source("others", "The lamp of the others burns three of oil.")]
    assert opened.ingest(changed, dry_run=True).broken_answers == []
    assert len(world.library.open("open", caller=STRANGER).ingest(changed, dry_run=True).broken_answers) == 1


def test_answer_of_a_deleted_collection_can_be_read(world: World) -> None:
    """A caller who may not see the collection gets the error of an unknown answer."""
    assert {entry.change for entry in world.library.get_answer(world.deleted_answer.id, caller=WIDE)[1]} == {"gone"}
    with pytest.raises(NotFoundError, match="no answer"):
        world.library.get_answer(world.deleted_answer.id, caller=NARROW)


def test_feedback_belongs_to_its_owner_and_names_no_hidden_chunk(world: World) -> None:
    """A hidden chunk, and one that does not exist, get the same error; another owner gets that of an unknown answer."""
    library, answer = world.library, world.answer_from_others
    hidden = answer.citations[0].chunk_id
    assert library.add_feedback(answer.id, right_chunk_id=hidden, caller=WIDE).right_chunk_id == hidden
    own, messages = world.narrow.ask(QUESTION), []
    for chunk_id in (hidden, 10**6):
        with pytest.raises(InvalidError) as caught:
            library.add_feedback(own.id, right_chunk_id=chunk_id, caller=NARROW)
        messages.append(str(caught.value).replace(str(chunk_id), "N"))
    assert messages[0] == messages[1]
    for call in (library.get_feedback, library.add_feedback):
        with pytest.raises(NotFoundError, match="no answer"):
            call(answer.id, caller=STRANGER)
    with pytest.raises(InvalidError, match="no chunk"):  # its collection was deleted
        library.add_feedback(world.deleted_answer.id, right_chunk_id=1, caller=WIDE)
    assert library.add_feedback(world.deleted_answer.id, helpful=False, caller=WIDE).helpful is False


def test_suggestion_names_no_hidden_collection(world: World) -> None:
    """A misspelled name is completed only by names that the caller may see."""
    for name, caller, suggestion in (("hiden", WIDE, "'hidden'"), ("hiden", NARROW, None), ("opne", NARROW, "'open'")):
        with pytest.raises(NotFoundError) as caught:
            world.library.open(name, caller=caller)
        assert ("did you mean" in str(caught.value)) == (suggestion is not None)
        assert (suggestion or "") in str(caught.value)


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
@pytest.mark.parametrize("language", ["en", "other"])
def test_scores_do_not_depend_on_hidden_documents(tmp_path: Path, mode: SearchMode, language: str) -> None:
    """They are those of a collection that never had them, also for words that only hidden documents have."""
    words = "lamp oil tower stair" if language == "en" else "лампа масло башня лестница"
    lamp, oil, tower, stair = words.split()
    visible = [text_source(f"v{n}", f"{lamp} {n} {tower} {stair if n % 2 else oil}.", metadata=OWN) for n in range(6)]
    hidden = [text_source(f"h{n}", f"{lamp} {oil} nebula {n} {tower}.", metadata={"team": "them"}) for n in range(9)]
    ranked = []
    with Library(tmp_path, settings=Settings()) as library:
        for name, sources in (("mixed", [*hidden[:5], *visible, *hidden[5:]]), ("pure", visible)):
            library.create(name).upsert(sources)
            collection = library.open(name, caller=Caller("me", filter=OWN))
            for query in (f"{lamp} {oil} nebula", f"{tower} galaxy", f"{stair} {lamp}"):
                hits = collection.search(query, 6, mode=mode, explain=True)
                ranked.append([(hit.uri, hit.score, hit.explanation, hit.sentence) for hit in hits])
            answer = collection.ask(f"{lamp} {oil} nebula?")
            ranked.append([(answer.text, answer.confidence, answer.answered)])  # type: ignore[list-item]
    assert ranked[:4] == ranked[4:]
    assert ranked[0]
