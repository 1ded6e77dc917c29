"""What a caller may not see is nowhere to be seen: every method of a library and of a collection, called by one."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from semsearch import Answer, Caller, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ForbiddenError, NotFoundError
from semsearch.core.settings import Settings
from semsearch.core.types.answers import AnswerEvent, SourcesEvent

NARROW = Caller("me", collections=frozenset({"open"}), filter={"team": "me"})
WIDE = Caller("me")
"""The same owner with another key."""
STRANGER = Caller("other")
TEAMS = {"mine": "me", "others": "them"}
ASKED = "How much oil does the lamp of the others burn?"


@dataclass(frozen=True, slots=True)
class World:
    """A library with a collection half of which the narrow caller sees, another that it may not see, and records."""

    library: Library
    narrow: Collection
    of_others: Answer
    """Given to the wide caller, from what the narrow one may not see."""
    hidden: Answer
    """The same from the other collection, and from one that was deleted since."""
    former: Answer
    hidden_session: str
    strange_session: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything in it was made by others, and is open."""
    texts = {"mine": "The lamp of mine burns one litre of oil.", "others": "The lamp of the others burns two of oil."}
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        for name in ("open", "hidden", "former"):
            made = library.create(name)
            made.upsert([text_source(uri, text, metadata={"team": TEAMS[uri]}) for uri, text in texts.items()])
        former = library.open("former", caller=WIDE).ask(ASKED)
        library.delete("former")
        yield World(
            library,
            library.open("open", caller=NARROW),
            library.open("open", caller=WIDE).ask(ASKED, filter={"uri": "others"}),
            library.open("hidden", caller=WIDE).ask(ASKED),
            former,
            library.open("hidden", caller=WIDE).create_session().id,
            library.open("open", caller=STRANGER).create_session().id,
        )


def uris(events: list[AnswerEvent]) -> set[str]:
    """The documents that an answer names on its way."""
    named = set()
    for event in events:
        if isinstance(event, SourcesEvent):
            named |= {hit.uri for hit in event.hits}
        elif isinstance(event, Answer):
            named |= {hit.uri for hit in event.hits} | {cited.uri for cited in event.citations}
    return named


async def streamed(collection: Collection) -> list[AnswerEvent]:
    """All of a stream."""
    return [event async for event in collection.astream(ASKED)]


NEW = [text_source("new", "A lamp.")]
OF_A_COLLECTION: dict[str, tuple[Callable[[World], Any], Any]] = {
    "asearch": (lambda world: {hit.uri for hit in asyncio.run(world.narrow.asearch(ASKED))}, {"mine"}),
    "ask": (lambda world: uris([world.narrow.ask(ASKED)]), {"mine"}),
    "create_session": (
        lambda world: world.library.get_session(world.narrow.create_session().id, caller=STRANGER),
        NotFoundError,
    ),
    "citation_changes": (
        lambda world: [one.change for one in world.narrow.citation_changes(world.of_others.citations)],
        ["gone"],
    ),
    "document": (lambda world: world.narrow.document("others"), NotFoundError),
    "documents": (lambda world: [info.uri for info in world.narrow.documents()], ["mine"]),
    "stream": (lambda world: uris(list(world.narrow.stream(ASKED))), {"mine"}),
    "info": (lambda world: (world.narrow.info().documents, world.narrow.info().chunks), (1, 1)),
    "ingest": (lambda world: world.narrow.ingest(NEW), ForbiddenError),
    "embeds_locally": (lambda world: world.narrow.embeds_locally(ASKED), True),
    "upsert": (lambda world: world.narrow.upsert(NEW), ForbiddenError),
    "reindex": (lambda world: world.narrow.reindex(), ForbiddenError),
    "remove": (lambda world: world.narrow.remove(["mine"]), ForbiddenError),
    "search": (lambda world: {hit.uri for hit in world.narrow.search(ASKED)}, {"mine"}),
    "astream": (lambda world: uris(asyncio.run(streamed(world.narrow))), {"mine"}),
}
OF_A_LIBRARY: dict[str, tuple[Callable[[World], Any], Any]] = {
    "get_answer": (lambda world: world.library.get_answer(world.hidden.id, caller=NARROW), NotFoundError),
    "collections": (lambda world: [info.name for info in world.library.collections(caller=NARROW)], ["open"]),
    "create": (lambda world: world.library.create("hidden", caller=NARROW), ForbiddenError),
    "delete": (lambda world: world.library.delete("hidden", caller=NARROW), NotFoundError),
    "delete_session": (lambda world: world.library.delete_session(world.strange_session, caller=NARROW), NotFoundError),
    "open": (lambda world: world.library.open("hidden", caller=NARROW), NotFoundError),
    "get_open": (lambda world: world.library.get_open("hidden", caller=NARROW), None),
    "dry_run_collection": (
        lambda world: world.library.dry_run_collection("hidden", caller=NARROW).__enter__(),
        ForbiddenError,
    ),
    "get_session": (lambda world: world.library.get_session(world.hidden_session, caller=NARROW), NotFoundError),
}
OF_NOBODY = {"close", "exists", "upstream_states"}
"""Methods for those who run the service, which no caller's request leads to with a name that was not checked."""


@pytest.mark.parametrize("method", OF_A_COLLECTION | OF_A_LIBRARY)
def test_every_method_keeps_to_what_its_caller_may_see(world: World, method: str) -> None:
    """It gives what is the caller's, or an error, and leaves everything as it was."""
    deed, expected = (OF_A_COLLECTION | OF_A_LIBRARY)[method]
    if isinstance(expected, type):
        with pytest.raises(expected):
            deed(world)
    else:
        assert deed(world) == expected
    assert [(info.name, info.documents) for info in world.library.collections()] == [("hidden", 2), ("open", 2)]


def test_no_method_is_left_out() -> None:
    """One that is added stands in a table, or is for nobody."""

    def public(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}

    assert public(Collection) - {"make_answer_config", "for_bulk", "get_meter"} == OF_A_COLLECTION.keys()
    assert public(Library) == OF_A_LIBRARY.keys() | OF_NOBODY


def test_an_answer_is_told_what_its_caller_may_still_see(world: World) -> None:
    """Whose filter became narrower sees that the source of a former answer is gone for them, and its owner alone."""
    record, changes = world.library.get_answer(world.of_others.id, caller=NARROW)
    assert record.answer.id == world.of_others.id
    assert [(one.uri, one.change) for one in changes] == [("others", "gone")]
    assert world.library.get_answer(world.of_others.id, caller=WIDE)[1] == []
    with pytest.raises(NotFoundError):
        world.library.get_answer(world.of_others.id, caller=STRANGER)


def test_an_answer_outlives_its_collection_for_those_who_saw_it(world: World) -> None:
    """Others hear of it as of an answer that never was."""
    assert {one.change for one in world.library.get_answer(world.former.id, caller=WIDE)[1]} == {"gone"}
    with pytest.raises(NotFoundError, match="no answer"):
        world.library.get_answer(world.former.id, caller=NARROW)
