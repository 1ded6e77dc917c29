"""The library: create, open, list and delete collections, and what a caller may see."""

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

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


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with Library(tmp_path / "indexes") as library:
        yield library


def test_listing_an_empty_library_writes_nothing(library: Library) -> None:
    """It does not create the data directory."""
    assert library.collections() == []
    assert not library.folder.exists()


def test_create_open_list_delete(library: Library) -> None:
    """A collection exists until its deletion; after that its name is free."""
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
    assert sorted(path.name for path in library.folder.iterdir()) == ["handbook", "library.lock", "notes"]


def test_collection_with_a_running_job_is_not_deleted(library: Library) -> None:
    """Deletion is refused while the job lock is held, and works after that."""
    collection = library.create("notes")
    with collection.backends.store.job_lock("ingest"), pytest.raises(LockedError, match="delete the collection"):
        library.delete("notes")
    assert library.exists("notes")
    library.delete("notes")
    assert not library.exists("notes")


def test_creating_an_existing_collection_opens_it(library: Library) -> None:
    """Another embedder is a conflict."""
    library.create("a").upsert([text_source("a", "A lamp.")])
    assert library.create("a").info().documents == 1
    assert library.create("a", embedder="local").info().documents == 1
    with pytest.raises(ConflictError, match=r"local.*openai:text-embedding-3-small"):
        library.create("a", embedder="openai:text-embedding-3-small")


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a/b", "-a", ".a", "a" * 64, "ü", "a\n"])
def test_invalid_names_are_refused(library: Library, name: str) -> None:
    """Creating such a collection raises InvalidError, opening it NotFoundError."""
    with pytest.raises(InvalidError, match="cannot name a collection"):
        library.create(name)
    with pytest.raises(NotFoundError):
        library.open(name)
    assert not library.folder.exists()


@pytest.mark.parametrize("spec", ["bert", "local:x", "openai:", "openai:m@0", "openai:m@x", "openai:a b"])
def test_invalid_embedder_specs_are_refused(library: Library, spec: str) -> None:
    """An unknown embedder, or a SPEC that cannot be parsed, creates no collection."""
    with pytest.raises(InvalidError):
        library.create("a", embedder=spec)
    assert library.collections() == []


def test_another_embedding_endpoint_is_refused(tmp_path: Path) -> None:
    """The vector space includes the server. Another server is a conflict that names both."""
    first = Settings(data_dir=tmp_path, embeddings=Endpoint("http://localhost:1/v1"))
    second = Settings(data_dir=tmp_path, embeddings=Endpoint("http://localhost:2/v1"))
    with Library(settings=first) as library:
        library.create("a", embedder="openai:m@8")
    with Library(settings=second) as library, pytest.raises(ConflictError, match=r"localhost:1/v1.*localhost:2/v1"):
        library.open("a")


def test_creating_retries_a_failing_server_only_twice(tmp_path: Path) -> None:
    """A user waits for it as for an answer: two retries, not the many of an ingestion."""
    with double.run_upstream() as server:
        server.reply_rule = lambda call: double.error_reply(500, "broken")
        with Library(tmp_path, settings=Settings(embeddings=Endpoint(server.url))) as library:
            with pytest.raises(SemsearchError, match="broken"):
                library.create("a", embedder="openai:m")
            assert library.collections() == []
        assert len(server.calls) == 3


def test_two_libraries_on_one_folder_see_the_same_collections(tmp_path: Path) -> None:
    """One sees at once what the other creates or deletes, and never an old collection under a new name."""
    with Library(tmp_path) as first, Library(tmp_path) as second:
        first.create("a").upsert([text_source("x", "A lamp.")])
        old_collection = second.open("a")
        assert old_collection.search("lamp")
        first.delete("a")
        with pytest.raises(NotFoundError):
            old_collection.search("lamp")
        with pytest.raises(NotFoundError):
            second.open("a")
        first.create("a")
        assert second.open("a").search("lamp") == []
        with pytest.raises(NotFoundError, match="open it again"):
            old_collection.upsert([text_source("y", "A bell.")])


def test_concurrent_creation_makes_one_collection(tmp_path: Path) -> None:
    """All threads that create it at the same time get the same one."""
    errors = []

    def create() -> None:
        try:
            with Library(tmp_path) as library:
                library.create("a").upsert([text_source(threading.current_thread().name, "A lamp.")])
        except ConflictError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with Library(tmp_path) as library:
        assert library.open("a").info().documents == 6
        assert sorted(path.name for path in library.folder.iterdir()) == ["a", "library.lock"]


def test_unusable_data_directory_is_named(tmp_path: Path) -> None:
    """The error for a file in its place has the path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=f"the data directory {tmp_path / 'file'} is a file"):
        Library(tmp_path / "file")
    with Library(tmp_path / "later") as library:
        library.folder.write_text("x")
        with pytest.raises(StorageError, match="later cannot be"):
            library.create("a")


def test_caller_sees_only_its_collections_and_documents(library: Library) -> None:
    """Other collections do not exist for a caller, and no method shows documents outside its filter."""
    library.create("secret").upsert([text_source("s", "A secret lamp.")])
    library.create("open").upsert(
        [
            text_source("mine", "A lamp for me.", metadata={"team": "me"}),
            text_source("other", "A lamp for others.", metadata={"team": "other"}),
        ]
    )
    caller = Caller("me", collections=frozenset({"open"}), filter={"team": "me"})
    assert [info.name for info in library.collections(caller=caller)] == ["open"]
    with pytest.raises(NotFoundError) as hidden_error:
        library.open("secret", caller=caller)
    with pytest.raises(NotFoundError) as absent_error:
        library.open("absent", caller=caller)
    assert str(hidden_error.value).replace("secret", "absent") == str(absent_error.value)
    collection = library.open("open", caller=caller)
    assert [hit.uri for hit in collection.search("lamp for others")] == ["mine"]
    assert [hit.uri for hit in collection.search("lamp", filter={"$or": [{"team": "other"}, {"team": "me"}]})] == [
        "mine"
    ]
    assert [info.uri for info in collection.documents()] == ["mine"]
    assert {citation.uri for citation in collection.ask("Who is the lamp for?").citations} <= {"mine"}
    assert (collection.info().documents, collection.info().chunks) == (1, 1)
    assert library.collections(caller=caller) == [collection.info()]
    with pytest.raises(NotFoundError):
        collection.document("other")


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
def test_caller_with_a_filter_changes_nothing(library: Library, change: Callable[[Library, Caller], object]) -> None:
    """It may not write even the documents that it sees, nor create a collection outside its list."""
    library.create("open").upsert([text_source("mine", "A lamp for me.", metadata={"team": "me"})])
    with pytest.raises(ForbiddenError):
        change(library, Caller("me", collections=frozenset({"open"}), filter={"team": "me"}))
    assert [(info.name, info.documents) for info in library.collections()] == [("open", 1)]


def test_all_views_of_a_collection_share_one_search_batcher(tmp_path: Path) -> None:
    """Searches of different requests can run as one batch."""
    with Library(tmp_path, settings=Settings()) as library:
        library.create("notes")
        view = library.get_if_open("notes")
        assert view is not None
        assert library.open("notes").backends.search_batcher is view.backends.search_batcher


@pytest.mark.parametrize(
    "call",
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
def test_closed_library_is_unavailable(library: Library, call: Callable[[Library, Collection], object]) -> None:
    """Every method of it and of its collections raises the same error."""
    collection = library.create("hb")
    collection.upsert([text_source("a", "A lamp.")])
    library.close()
    with pytest.raises(UnavailableError, match="this library is closed"):
        call(library, collection)


def test_unreadable_collection_does_not_hide_the_others(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    """Its name and the cause go to `on_failure`, by default to the log."""
    for name in ("damaged", "empty", "newer", "well"):
        library.create(name)
    library.close()
    (library.folder / "damaged" / "catalog.db").write_bytes(b"not a database, but long enough for one" * 100)
    (library.folder / "empty" / "catalog.db").write_bytes(b"")
    with closing(sqlite3.connect(library.folder / "newer" / "catalog.db")) as db:
        db.execute("PRAGMA user_version = 1000")
    failures: list[Failure] = []
    with Library(library.folder) as reopened:
        assert [info.name for info in reopened.collections(on_failure=failures.append)] == ["well"]
        assert [info.name for info in reopened.collections()] == ["well"]
    assert [(failure.uri, failure.type) for failure in failures] == [
        ("damaged", "storage"),
        ("empty", "storage"),
        ("newer", "conflict"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"the collection {failure.uri} cannot be read: {failure.error}" for failure in failures
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_event_loop_has_its_own_connections(tmp_path: Path) -> None:
    """`search` and `asearch` alternate between loops; no connection is used on two of them."""
    with double.run_upstream() as server:
        settings = Settings(embeddings=Endpoint(server.url, Secret(double.KEY)))
        with Library(tmp_path, settings=settings) as library:
            collection = library.create("hb", embedder="openai:m@32")
            collection.upsert([text_source("a", "A lamp.")])
            for number in range(3):
                assert collection.search(f"lamp {number}")
                assert asyncio.run(collection.asearch(f"a lamp {number}"))
            assert (
                len(next(iter(library._models.get_clients()))._clients) == 2
            )  # of the closed loops only the last one is kept
        assert len({call.client for call in server.calls}) == 4
    gc.collect()  # closes what a closed loop left open, with a warning


@pytest.mark.parametrize("write", [Collection.upsert, Collection.ingest])
def test_closing_the_library_cancels_a_write(
    tmp_path: Path, write: Callable[[Collection, list[Source]], object]
) -> None:
    """A write that waits for a server ends with the same error as every later call."""
    with double.run_upstream() as server, ThreadPoolExecutor(1) as pool:
        library = Library(tmp_path, settings=Settings(embeddings=Endpoint(server.url, Secret(double.KEY))))
        collection = library.create("hb", embedder="openai:m@32")
        server.scripted_replies = [double.ScriptedReply([double.HANG])]
        future = pool.submit(write, collection, [text_source("a", "A lamp.")])
        for _ in range(1000):
            if server.calls:
                break
            time.sleep(0.01)
        library.close()
        with pytest.raises(UnavailableError, match="this library is closed"):
            future.result(10)


def test_write_while_the_library_closes_succeeds(library: Library) -> None:
    """The index is refreshed after the next write only."""
    collection = library.create("hb")
    library._open.index_executor.shutdown()
    assert [outcome.uri for outcome in collection.upsert([text_source("a", "A lamp.")])] == ["a"]
    assert collection.remove(["a"]) == ["a"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_collection_with_a_missing_model_is_not_left_open(library: Library) -> None:
    """Opening it fails each time, and no file of it stays open."""
    library.create("hb")
    library.close()
    with closing(sqlite3.connect(library.folder / "hb" / "catalog.db")) as db, db:
        db.execute("UPDATE space SET spec = 'static:/no/such'")
    with Library(library.folder) as reopened:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises(UnavailableError, match="/no/such"):
                    reopened.open("hb")
            links = Path("/proc/self/fd").iterdir()
            open_files = [link for link in links if str(library.folder / "hb") in _read_link(link)]
        finally:
            gc.enable()
    assert open_files == []


def _read_link(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the descriptor of the listing itself
        return ""
