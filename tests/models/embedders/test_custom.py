"""Functions and objects of a Python program as embedders: names, validation, opening again, threads."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.http_service import run_service

from semsearch import ConflictError, InvalidError, Library, text_source
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.custom import CustomEmbedder

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def count_letters(texts: list[str]) -> list[list[int]]:
    """Embed a text by the number of its letters."""
    return [[text.lower().count(letter) for letter in LETTERS] for text in texts]


class LetterModel:
    """An object with `embed`, which tells questions from passages and records its calls."""

    name = "letters"

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], bool]] = []
        self.threads: set[int] = set()

    def embed(self, texts: list[str], query: bool = False) -> npt.NDArray[np.float64]:
        """Record the call and count the letters."""
        self.calls.append((texts, query))
        self.threads.add(threading.get_ident())
        return np.array(count_letters(texts), float)


class Unnamed:
    """An object without a name."""

    def embed(self, texts: list[str]) -> list[list[int]]:
        """Count the letters."""
        return count_letters(texts)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with Library(tmp_path / "indexes") as library:
        yield library


def embed(source: Any, texts: list[str]) -> npt.NDArray[np.float32]:
    """Return the vectors of these texts."""
    return asyncio.run(CustomEmbedder(source).embed(texts, RequestContext("query")))


def test_function_embeds_documents_and_questions(library: Library) -> None:
    """It is stored under its name; search and answers use its vectors."""
    notes = library.create("notes", embedder=count_letters)
    assert notes.info().embedder == "custom:count_letters"
    assert notes.ingest([text_source("a", "zzz zz"), text_source("b", "A lamp.")]).embedded_chunks == 2
    assert [hit.uri for hit in notes.search("zz", k=1, mode="dense")] == ["a"]
    assert [hit.uri for hit in asyncio.run(notes.asearch("plam", k=1, mode="dense"))] == ["b"]
    assert notes.ask("What is a lamp?").hits


@pytest.mark.parametrize(
    ("source", "name"), [(count_letters, "count_letters"), (LetterModel(), "letters"), (Unnamed(), "Unnamed")]
)
def test_name_is_that_of_the_object_or_its_class(source: Any, name: str) -> None:
    """The attribute `name`, else `__name__`, else the name of the class."""
    assert CustomEmbedder(source).spec == f"custom:{name}"


def test_lambda_needs_a_name(library: Library) -> None:
    """Its `__name__` is that of every lambda; with an attribute `name` it is accepted."""
    source = lambda texts: count_letters(texts)  # noqa: E731  # a lambda is what is tested
    with pytest.raises(InvalidError, match="set the attribute `name`"):
        library.create("notes", embedder=source)
    source.name = "mine"  # type: ignore[attr-defined]
    assert library.create("notes", embedder=source).info().embedder == "custom:mine"


@pytest.mark.parametrize("source", [3, LetterModel, object(), asyncio.sleep])
def test_something_else_is_refused(library: Library, source: Any) -> None:
    """A class, an async function, or an object without `embed` is an InvalidError, and creates nothing."""
    with pytest.raises(InvalidError, match=r"cannot embed|is async"):
        library.create("notes", embedder=source)
    assert library.collections() == []


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ([[1.0, 2.0]], "1 vectors for 2 texts"),
        ([1.0, 2.0], "shape"),
        ([[1.0], [1.0, 2.0]], "equal length"),
        ([["a"], ["b"]], "equal length"),
        ([[1.0], [float("nan")]], "not finite"),
        ([[], []], "shape"),
        (None, "shape"),
    ],
)
def test_invalid_result_is_an_error_that_names_the_function(library: Library, result: Any, problem: str) -> None:
    """One finite vector of equal length for each text is required; a collection is not created without."""

    def embed_wrongly(texts: list[str]) -> Any:
        return result

    with pytest.raises(InvalidError, match=rf"custom:embed_wrongly.*{problem}"):
        embed(embed_wrongly, ["a", "b"])
    if problem == "shape":  # the others come to light with a second text
        with pytest.raises(InvalidError, match="custom:embed_wrongly"):
            library.create("notes", embedder=embed_wrongly)
        assert library.collections() == []


def test_dimension_must_not_change() -> None:
    """A later call with other vectors is an error."""
    sizes = iter([3, 4])
    embedder = CustomEmbedder(named(lambda texts: np.ones((len(texts), next(sizes)))))
    asyncio.run(embedder.embed(["a"], RequestContext("query")))
    with pytest.raises(InvalidError, match="4 numbers instead of 3"):
        asyncio.run(embedder.embed(["a"], RequestContext("query")))


def named(function: Callable[[list[str]], Any]) -> Callable[[list[str]], Any]:
    """Give a lambda a name."""
    function.__name__ = "named"
    return function


def test_vectors_are_normalized_and_blank_texts_are_not_embedded() -> None:
    """Also integers and large numbers; a text without characters has a zero vector."""
    model = LetterModel()
    vectors = embed(model, ["aab", " \n", "zz"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1])
    assert [texts for texts, _ in model.calls] == [["aab", "zz"]]
    assert np.allclose(embed(named(lambda texts: [[1e200, 1e200]]), ["a"]), 2**-0.5)


def test_questions_are_told_from_passages(library: Library) -> None:
    """`query=True` is passed for questions only, where `embed` has this parameter; calls have at most 64 texts."""
    model = LetterModel()
    notes = library.create("notes", embedder=model)
    notes.ingest(text_source(f"{number}", f"Lamp number {number}.") for number in range(150))
    notes.search("lamp?")
    assert [text for texts, query in model.calls if query for text in texts] == ["lamp?"]
    assert max(len(texts) for texts, _ in model.calls) <= 64


def test_event_loop_is_not_blocked(library: Library) -> None:
    """The function runs on a thread of its own, always the same one."""
    model = LetterModel()
    notes = library.create("notes", embedder=model)
    notes.upsert([text_source("a", "A lamp.")])

    async def search() -> None:
        await asyncio.gather(*(notes.asearch(f"lamp {number}") for number in range(5)))

    asyncio.run(search())
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads


def test_own_error_of_the_function_is_passed_on(library: Library) -> None:
    """It keeps its type and its traceback; the collection stays usable."""
    is_broken = False

    def embed_or_fail(texts: list[str]) -> list[list[int]]:
        if is_broken:
            raise ZeroDivisionError("no")
        return count_letters(texts)

    notes = library.create("notes", embedder=embed_or_fail)
    is_broken = True
    for call in (lambda: notes.search("lamp"), lambda: notes.ingest(text_source("a", "A lamp."))):
        with pytest.raises(ZeroDivisionError, match="no"):
            call()
    is_broken = False
    assert notes.ingest(text_source("a", "A lamp.")).added == 1


def test_embedder_is_required_again(library: Library) -> None:
    """In another process; without it the error says what to pass, and another name or dimension is a conflict."""
    library.create("notes", embedder=LetterModel()).upsert([text_source("a", "A lamp.")])
    assert library.open("notes").search("lamp")
    library.close()
    with Library(library.folder) as reopened:
        for open_again in (reopened.open, reopened.create):
            with pytest.raises(ConflictError, match=r"custom:letters.*library.open\('notes', embedder=...\)"):
                open_again("notes")
            with pytest.raises(ConflictError, match="custom:letters, not custom:count_letters"):
                open_again("notes", embedder=count_letters)
            with pytest.raises(ConflictError, match="custom:letters, not local"):
                open_again("notes", embedder="local")
            short = named(lambda texts: np.ones((len(texts), 3)))
            short.name = "letters"  # type: ignore[attr-defined]
            with pytest.raises(ConflictError, match="vectors of 26 numbers, but custom:letters now returns 3"):
                open_again("notes", embedder=short)
        assert [info.embedder for info in reopened.collections()] == ["custom:letters"]
        assert reopened.open("notes", embedder=LetterModel()).search("lamp")
        assert reopened.open("notes").search("lamp")
        with pytest.raises(InvalidError, match="only that program can pass"):
            reopened.open("notes", embedder="custom:letters")


def test_function_that_is_passed_again_replaces_the_earlier_one(library: Library) -> None:
    """Its vectors of questions are used, not those that were cached; the same object is not called to check it."""
    model, other = LetterModel(), LetterModel()
    library.create("notes", embedder=model).search("lamp")
    count = len(model.calls)
    assert library.open("notes", embedder=model) == library.open("notes")
    assert len(model.calls) == count
    library.open("notes", embedder=other).search("lamp")
    library.open("notes").search("lamp again")
    assert [texts for texts, query in other.calls if query] == [["lamp"], ["lamp again"]]


def test_collection_with_a_builtin_embedder_takes_no_function(library: Library) -> None:
    """It is a conflict that names both, whether the collection is open or not."""
    library.create("notes")
    with pytest.raises(ConflictError, match="has the embedder local, not custom:count_letters"):
        library.create("notes", embedder=count_letters)
    assert library.open("notes", embedder="local").search("lamp") == []


@pytest.mark.slow
def test_shell_and_http_say_that_only_python_can_open_it(library: Library) -> None:
    """The exit code is that of a conflict, and the status 409; listing works."""
    library.create("notes", embedder=count_letters)
    library.close()
    arguments = ["--data-dir", str(library.folder), "search", "lamp", "-c", "notes"]
    run = subprocess.run([sys.executable, "-m", "semsearch", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 4
    assert "only Python can open it" in run.stderr
    with run_service(library.folder) as client:
        reply = client.post("/v1/collections/notes/search", json={"query": "lamp"})
        assert (reply.status_code, reply.json()["type"]) == (409, "/problems/conflict")
        assert "only Python can open it" in reply.json()["detail"]
        listing = client.get("/v1/collections").json()["collections"]
        assert [info["embedder"] for info in listing] == ["custom:count_letters"]
        reply = client.put("/v1/collections/other", json={"embedder": "custom:count_letters"})
        assert (reply.status_code, reply.json()["type"]) == (422, "/problems/invalid")
