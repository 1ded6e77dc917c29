"""Collections as folders: made, found, refused, deleted."""

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
import support.upstream as double

from semsearch import Caller, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LockedError,
    NotFoundError,
    SemsearchError,
    StorageError,
    UnavailableError,
)
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.documents import Failure, Source

FOR_ITSELF = {"TYPE_CHECKING", "Any", "import_module"}
"""What the front door needs itself."""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with Library(tmp_path / "indexes") as made:
        yield made


def test_an_empty_library_writes_nothing(library: Library) -> None:
    """Looking makes no folder."""
    assert library.collections() == []
    assert not library.folder.exists()


def test_create_open_list_delete(library: Library) -> None:
    """A collection is there from its making to its deletion, and after that its name is free."""
    library.create("handbook")
    library.create("notes").upsert([text_source("a", "A lamp.")])
    assert [(info.name, info.embedder, info.documents) for info in library.collections()] == [
        ("handbook", "local", 0),
        ("notes", "local", 1),
    ]
    library.delete("notes")
    assert [info.name for info in library.collections()] == ["handbook"]
    with pytest.raises(NotFoundError, match="notes"):
        library.open("notes")
    assert library.create("notes").info().documents == 0
    assert sorted(path.name for path in library.folder.iterdir()) == ["handbook", "notes"]


def test_a_collection_at_work_is_not_deleted(library: Library) -> None:
    """While a job is in it; afterwards it may go."""
    collection = library.create("notes")
    with collection.backends.store.job_lock("ingest"), pytest.raises(LockedError, match="delete the collection"):
        library.delete("notes")
    assert library.exists("notes")
    library.delete("notes")
    assert not library.exists("notes")


def test_creating_twice_opens(library: Library) -> None:
    """Making what exists opens it, unless another embedder is asked for."""
    library.create("a").upsert([text_source("a", "A lamp.")])
    assert library.create("a").info().documents == 1
    assert library.create("a", embedder="local").info().documents == 1
    with pytest.raises(ConflictError, match=r"local.*openai:text-embedding-3-small"):
        library.create("a", embedder="openai:text-embedding-3-small")


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a/b", "-a", ".a", "a" * 64, "ü", "a\n"])
def test_bad_names_are_refused(library: Library, name: str) -> None:
    """A name that could leave the folder, or be mistaken, is Invalid to make and NotFound to open."""
    with pytest.raises(InvalidError, match="cannot name a collection"):
        library.create(name)
    with pytest.raises(NotFoundError):
        library.open(name)
    assert not library.folder.exists()


@pytest.mark.parametrize("spec", ["bert", "local:x", "openai:", "openai:m@0", "openai:m@x", "openai:a b"])
def test_bad_specs_are_refused(library: Library, spec: str) -> None:
    """An embedder that is not known, or a SPEC that cannot be read, makes no collection."""
    with pytest.raises(InvalidError):
        library.create("a", embedder=spec)
    assert library.collections() == []


def test_a_moved_endpoint_is_refused(tmp_path: Path) -> None:
    """The space of vectors includes the server they came from; another server is a conflict with both named."""
    here = Settings(data_dir=tmp_path, embeddings=Endpoint("http://localhost:1/v1"))
    there = Settings(data_dir=tmp_path, embeddings=Endpoint("http://localhost:2/v1"))
    with Library(settings=here) as library:
        library.create("a", embedder="openai:m@8")
    with Library(settings=there) as library, pytest.raises(ConflictError, match=r"localhost:1/v1.*localhost:2/v1"):
        library.open("a")


def test_a_dead_server_is_given_up_soon(tmp_path: Path) -> None:
    """Whoever makes a collection waits as for an answer: two retries, not the patience of an ingestion."""
    with double.run_upstream() as server:
        server.reply_rule = lambda call: double.error_reply(500, "broken")
        with Library(tmp_path, settings=Settings(embeddings=Endpoint(server.url))) as library:
            with pytest.raises(SemsearchError, match="broken"):
                library.create("a", embedder="openai:m")
            assert library.collections() == []
        assert len(server.calls) == 3


def test_two_libraries_on_one_folder(tmp_path: Path) -> None:
    """What one makes or deletes the other sees at once, and never an old collection under a new name."""
    with Library(tmp_path) as one, Library(tmp_path) as two:
        one.create("a").upsert([text_source("x", "A lamp.")])
        kept = two.open("a")
        assert kept.search("lamp")
        one.delete("a")
        with pytest.raises(NotFoundError):
            kept.search("lamp")
        with pytest.raises(NotFoundError):
            two.open("a")
        one.create("a")
        assert two.open("a").search("lamp") == []
        with pytest.raises(NotFoundError, match="open it again"):
            kept.upsert([text_source("y", "A bell.")])


def test_created_once_by_many(tmp_path: Path) -> None:
    """Several threads that make the same collection at once all get the one."""
    errors = []

    def make() -> None:
        try:
            with Library(tmp_path) as library:
                library.create("a").upsert([text_source(threading.current_thread().name, "A lamp.")])
        except ConflictError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with Library(tmp_path) as library:
        assert library.open("a").info().documents == 6
        assert sorted(path.name for path in library.folder.iterdir()) == ["a"]


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is an error with the path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=f"the data directory {tmp_path / 'file'} is a file"):
        Library(tmp_path / "file")
    with Library(tmp_path / "later") as library:
        library.folder.write_text("x")
        with pytest.raises(StorageError, match="later cannot be"):
            library.create("a")


def test_a_caller_sees_what_it_may(library: Library) -> None:
    """Another collection does not exist for a caller, and documents beyond its filter are nowhere to be seen."""
    library.create("secret").upsert([text_source("s", "A secret lamp.")])
    library.create("open").upsert(
        [
            text_source("mine", "A lamp for me.", metadata={"team": "me"}),
            text_source("other", "A lamp for others.", metadata={"team": "other"}),
        ]
    )
    caller = Caller("me", collections=frozenset({"open"}), filter={"team": "me"})
    assert [info.name for info in library.collections(caller=caller)] == ["open"]
    with pytest.raises(NotFoundError) as hidden:
        library.open("secret", caller=caller)
    with pytest.raises(NotFoundError) as absent:
        library.open("absent", caller=caller)
    assert str(hidden.value).replace("secret", "absent") == str(absent.value)
    seen = library.open("open", caller=caller)
    assert [hit.uri for hit in seen.search("lamp for others")] == ["mine"]
    assert [hit.uri for hit in seen.search("lamp", filter={"$or": [{"team": "other"}, {"team": "me"}]})] == ["mine"]
    assert [info.uri for info in seen.documents()] == ["mine"]
    assert {citation.uri for citation in seen.ask("Who is the lamp for?").citations} <= {"mine"}
    assert (seen.info().documents, seen.info().chunks) == (1, 1)
    assert library.collections(caller=caller) == [seen.info()]
    with pytest.raises(NotFoundError):
        seen.document("other")


@pytest.mark.parametrize(
    "change",
    [
        lambda library, caller: library.open("open", caller=caller).remove(["mine"]),
        lambda library, caller: library.open("open", caller=caller).upsert([text_source("new", "A lamp.")]),
        lambda library, caller: library.open("open", caller=caller).ingest([text_source("new", "A lamp.")]),
        lambda library, caller: library.open("open", caller=caller).reindex(),
        lambda library, caller: library.delete("open", caller=caller),
        lambda library, caller: library.create("mine", caller=caller),
    ],
)
def test_who_sees_a_part_changes_nothing(library: Library, change: Callable[[Library, Caller], object]) -> None:
    """Not even what it sees; and it makes no collection that it may not see."""
    library.create("open").upsert([text_source("mine", "A lamp for me.", metadata={"team": "me"})])
    with pytest.raises(ForbiddenError):
        change(library, Caller("me", collections=frozenset({"open"}), filter={"team": "me"}))
    assert [(info.name, info.documents) for info in library.collections()] == [("open", 1)]


def test_public_names_are_those_of_the_front_door() -> None:
    """Everything in `__all__` can be imported, and nothing else of that kind: besides, there are modules."""
    import semsearch

    assert all(getattr(semsearch, name) for name in semsearch.__all__)
    assert semsearch.__all__ == sorted(semsearch.__all__)
    others = {name for name in dir(semsearch) if not name.startswith("_")} - {*semsearch.__all__, *FOR_ITSELF}
    assert {name for name in others if not isinstance(getattr(semsearch, name), ModuleType)} == set()
    with pytest.raises(AttributeError):
        _ = semsearch.nothing


def test_all_who_open_a_collection_search_it_together(tmp_path: Path) -> None:
    """However often it is opened: so searches of many requests can meet."""
    with Library(tmp_path, settings=Settings()) as library:
        library.create("notes")
        again = library.get_open("notes")
        assert again is not None
        assert library.open("notes").backends.search_batcher is again.backends.search_batcher


@pytest.mark.parametrize(
    "use",
    [
        lambda library, collection: collection.search("lamp"),
        lambda library, collection: collection.ask("lamp"),
        lambda library, collection: asyncio.run(collection.asearch("lamp")),
        lambda library, collection: collection.documents(),
        lambda library, collection: collection.info(),
        lambda library, collection: collection.upsert([text_source("b", "A candle.")]),
        lambda library, collection: library.open("hb"),
        lambda library, collection: library.collections(),
    ],
)
def test_a_closed_library_says_so(library: Library, use: Callable[[Library, Collection], object]) -> None:
    """Whatever is asked of it or of its collections, and however often it is closed."""
    collection = library.create("hb")
    collection.upsert([text_source("a", "A lamp.")])
    library.close()
    with pytest.raises(UnavailableError, match="this library is closed"):
        use(library, collection)


def test_a_collection_that_cannot_be_read_hides_no_other(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    """It is named with its reason: to who asks for that, else in the log."""
    for name in ("damaged", "empty", "newer", "well"):
        library.create(name)
    library.close()
    (library.folder / "damaged" / "catalog.db").write_bytes(b"no database at all, but long enough for one" * 100)
    (library.folder / "empty" / "catalog.db").write_bytes(b"")
    with closing(sqlite3.connect(library.folder / "newer" / "catalog.db")) as db:
        db.execute("PRAGMA user_version = 1000")
    failed: list[Failure] = []
    with Library(library.folder) as again:
        assert [info.name for info in again.collections(on_failure=failed.append)] == ["well"]
        assert [info.name for info in again.collections()] == ["well"]
    assert [(each.uri, each.type) for each in failed] == [
        ("damaged", "storage"),
        ("empty", "storage"),
        ("newer", "conflict"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"the collection {each.uri} cannot be read: {each.error}" for each in failed
    ]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_program_with_loops_of_its_own_asks_a_server_on_each(tmp_path: Path) -> None:
    """`search` and `asearch` take turns; a connection of one loop is none of another's."""
    with double.run_upstream() as server:
        settings = Settings(embeddings=Endpoint(server.url, Secret(double.KEY)))
        with Library(tmp_path, settings=settings) as library:
            collection = library.create("hb", embedder="openai:m@32")
            collection.upsert([text_source("a", "A lamp.")])
            for number in range(3):
                assert collection.search(f"lamp {number}")
                assert asyncio.run(collection.asearch(f"a lamp {number}"))
            assert len(next(iter(library._clients.values()))._clients) == 2  # of loops that are closed only the last
        assert len({call.client for call in server.calls}) == 4
    gc.collect()  # what a closed loop has left open is closed here, with a warning


@pytest.mark.parametrize("write", [Collection.upsert, Collection.ingest])
def test_who_writes_is_told_that_the_library_closes(
    tmp_path: Path, write: Callable[[Collection, list[Source]], object]
) -> None:
    """What waits for a server is broken off by closing, and told as whatever comes later is."""
    with double.run_upstream() as server, ThreadPoolExecutor(1) as pool:
        library = Library(tmp_path, settings=Settings(embeddings=Endpoint(server.url, Secret(double.KEY))))
        collection = library.create("hb", embedder="openai:m@32")
        server.scripted_replies = [double.ScriptedReply([double.HANG])]
        writing = pool.submit(write, collection, [text_source("a", "A lamp.")])
        for _ in range(1000):
            if server.calls:
                break
            time.sleep(0.01)
        library.close()
        with pytest.raises(UnavailableError, match="this library is closed"):
            writing.result(10)


def test_what_was_stored_while_the_library_closed_is_no_error(library: Library) -> None:
    """The index that nobody is there to renew any more is renewed after another write."""
    collection = library.create("hb")
    library._index_executor.shutdown()
    assert [outcome.uri for outcome in collection.upsert([text_source("a", "A lamp.")])] == ["a"]
    assert collection.remove(["a"]) == ["a"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells what is open")
def test_a_collection_whose_model_is_gone_is_not_left_open(library: Library) -> None:
    """However often it is asked for, nothing of it stays open."""
    library.create("hb")
    library.close()
    with closing(sqlite3.connect(library.folder / "hb" / "catalog.db")) as db, db:
        db.execute("UPDATE space SET spec = 'static:/no/such'")
    with Library(library.folder) as again:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises(UnavailableError, match="/no/such"):
                    again.open("hb")
            left = [link for link in Path("/proc/self/fd").iterdir() if str(library.folder / "hb") in _target(link)]
        finally:
            gc.enable()
    assert left == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # of the look itself
        return ""
