"""One collection through its front door: search, and answers whose every citation stands in the stored text."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import support.upstream as double
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semsearch import Answer, GenerationOptions, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import InvalidError, StorageError, UnavailableError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import Delta, SourcesEvent
from semsearch.core.types.search import SearchMode
from semsearch.ingest.sources import bytes_source
from semsearch.storage.collections.local.index import generations
from semsearch.storage.collections.local.index.generations import Generations, UnpublishedGeneration
from semsearch.storage.collections.local.store import LocalStore

LEAVE = """Staff have 25 days of holiday in each year. Up to five days may be carried over.

Parental leave is 26 weeks at full pay for each parent. It is asked for eight weeks before it begins.

The lamp room is closed at night. Only the keeper on duty has the key."""
TRAVEL = """A hotel room is paid up to 140 euros a night. Breakfast is included.

Trains are booked by the office. A private car is paid at 0.38 euros per kilometre."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library with two documents and the embedded model."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as made:
        made.create("handbook").upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
        made.create("empty")
        yield made


@pytest.fixture
def handbook(library: Library) -> Collection:
    """The collection of both documents."""
    return library.open("handbook")


def check(collection: Collection, answer: Answer) -> None:
    """What holds for every answer that is ever returned."""
    for citation in answer.citations:
        assert collection.document(citation.uri).text[citation.start : citation.end] == citation.quote
        assert citation.content_sha256 == collection.document(citation.uri).content_sha256
    markers = [citation.marker for citation in answer.citations]
    assert markers == list(range(1, len(markers) + 1))
    assert all(f"[{marker}]" in answer.answer for marker in markers)
    assert {marker for sentence in answer.sentences for marker in sentence.citations} == set(markers)
    assert answer.answered == bool(answer.answer) == (answer.reason is None)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_search_finds_the_right_document(handbook: Collection, mode: SearchMode) -> None:
    """Each leg alone and both together find what is asked for, best first."""
    hits = handbook.search("How many weeks of parental leave?", mode=mode)
    assert hits[0].uri == "leave.txt"
    assert "26 weeks" in hits[0].text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert handbook.document(hit.uri).text[hit.start : hit.end] == hit.text


def test_a_hit_of_everything_is_bounded_by_k(handbook: Collection) -> None:
    """k over the collection's size gives all of it, k below it gives k."""
    assert len(handbook.search("euros and days", 1)) == 1
    assert len(handbook.search("euros and days", 1000)) == handbook.info().chunks


def test_answers_are_copied_and_cited(handbook: Collection) -> None:
    """Without a chat model an answer is a sentence of a document, word for word, with its place."""
    answer = handbook.ask("How long is parental leave?")
    check(handbook, answer)
    assert answer.answer == "Parental leave is 26 weeks at full pay for each parent. [1]"
    assert (answer.model, answer.citations[0].uri, answer.sentences[0].support) == (
        "extractive",
        "leave.txt",
        "supported",
    )
    assert answer.usage.cost_usd == 0


def test_what_the_documents_do_not_hold_is_not_answered(handbook: Collection) -> None:
    """A question about something else has no answer, a reason, and the nearest hits."""
    answer = handbook.ask("Which galaxy is nearest to ours?")
    check(handbook, answer)
    assert (answer.answered, answer.answer, answer.reason) == (False, "", "low_score")


def test_an_empty_collection_says_so(library: Library) -> None:
    """Nothing to search is a reason of its own."""
    assert library.open("empty").ask("Is there anything?").reason == "empty_collection"
    assert library.open("empty").search("anything") == []


def test_nothing_that_fits_is_no_match(handbook: Collection) -> None:
    """A filter that nothing passes leaves nothing to answer from."""
    answer = handbook.ask("How long is parental leave?", filter={"team": "nobody"})
    assert (answer.reason, answer.hits) == ("no_match", ())


def test_deltas_make_the_answer(handbook: Collection) -> None:
    """The stream is sources, then pieces, then the answer; the pieces joined are its text, to the character."""
    first, *pieces, last = handbook.stream("How much is a hotel room?")
    assert isinstance(first, SourcesEvent)
    assert isinstance(last, Answer)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Delta)) == last.answer
    assert first.hits == last.hits


def test_search_on_a_loop_is_the_same(handbook: Collection) -> None:
    """`asearch` gives what `search` gives."""
    assert asyncio.run(handbook.asearch("hotel", 3)) == handbook.search("hotel", 3)


@pytest.mark.parametrize(
    "wishes",
    [
        GenerationOptions(max_tokens=-5),
        GenerationOptions(max_tokens=0),
        GenerationOptions(max_tokens=10**30),
        GenerationOptions(temperature=-3.0),
        GenerationOptions(temperature=float("nan")),
        GenerationOptions(model=""),
        GenerationOptions(model=" "),
        GenerationOptions(policy="Strict"),  # type: ignore[arg-type]
    ],
)
def test_wishes_that_mean_nothing_are_refused(handbook: Collection, wishes: GenerationOptions) -> None:
    """By name, before anything is asked: a bound below 1 would count against no budget."""
    with pytest.raises(
        InvalidError, match=r"max_tokens is between|temperature is between|model's name is empty|policy is one of"
    ):
        handbook.ask("How long is parental leave?", options=wishes)


def test_wishes_nobody_can_fulfil_are_said(handbook: Collection) -> None:
    """Without a chat model a temperature has no effect, and the answer says so."""
    answer = handbook.ask("How long is parental leave?", options=GenerationOptions(temperature=0.5))
    assert answer.answered
    assert "SEMSEARCH_CHAT__MODEL" in answer.warnings[0]


def test_a_key_without_a_chat_model_is_said(tmp_path: Path) -> None:
    """With the setting to choose one; not where a model was named, which has a warning of its own."""
    hint = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
    with Library(tmp_path, settings=Settings.load({"OPENAI_API_KEY": "sk-x"}, folder=tmp_path)) as library:
        collection = library.create("hb")
        collection.upsert([text_source("leave.md", "Parental leave is 26 weeks.")])
        for question in ("How long is parental leave?", "Which galaxy is nearest?"):
            assert collection.ask(question).warnings == (hint,)
        (warning,) = collection.ask("How long is parental leave?", options=GenerationOptions(model="m")).warnings
        assert warning.startswith("no chat model is set")


@pytest.mark.parametrize("query", ["", " \n\t ", "\u200b\u202e", "x" * 4001])
def test_questions_without_content_are_refused(handbook: Collection, query: str) -> None:
    """An empty question, one of invisible characters, one without end."""
    with pytest.raises(InvalidError):
        handbook.search(query)
    with pytest.raises(InvalidError):
        handbook.ask(query)


@pytest.mark.parametrize("k", [0, -1, 1001, 2**63])
def test_k_has_bounds(handbook: Collection, k: int) -> None:
    """How many hits is said within bounds."""
    with pytest.raises(InvalidError, match="between 1 and 1000"):
        handbook.search("hotel", k)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"mode": "Dense"}, "one of hybrid, dense"),
        ({"k": 2.0}, "whole"),
        ({"k": "2"}, "whole number .* not '2'"),
        ({"history": "And then?"}, "history is a list of questions"),
        ({"history": [5]}, "the question is a text, not 5"),
    ],
)
def test_what_is_mistyped_is_said(handbook: Collection, wanted: dict[str, Any], said: str) -> None:
    """With what would be right."""
    with pytest.raises(InvalidError, match=said):
        handbook.search("hotel", **wanted)


@pytest.mark.parametrize("odd", [None, b"hotel", 5])
def test_a_question_is_a_text(handbook: Collection, odd: Any) -> None:
    """Not bytes, and not nothing."""
    for ask in (handbook.search, handbook.ask):
        with pytest.raises(InvalidError, match="the question is a text, not"):
            ask(odd)


def test_one_uri_is_no_list_of_them(library: Library) -> None:
    """Its letters would be taken for documents, and some may be there."""
    notes = library.create("notes")
    notes.upsert([text_source("a", "A lamp."), text_source("a.md", "A bell.")])
    with pytest.raises(InvalidError, match=r"a list of uris, not one text: \['a\.md'\]"):
        notes.remove("a.md")
    assert [info.uri for info in notes.documents()] == ["a", "a.md"]


ODD = [
    "don't", '"', "*", "AND", "OR NOT", "NEAR(a b)", "title:lamp", "http://x", "a AND (b", "^lamp", "lamp*", "{lamp}",
    "'; DROP TABLE chunk; --", "\\", "%", "_", "🙂", "東京", "ไทย", "नमस्ते", "مرحبا", "a" * 4000, "the of and", "NaN",
    "?",    "\ud800 lone", "\x00", "-5", "--help", "[[a.1]]", "<script>",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("query", ODD)
@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_odd_questions_are_ordinary(handbook: Collection, query: str, mode: SearchMode) -> None:
    """Search syntax, other scripts, code, stop words alone: a list of hits, or Invalid for nothing visible at all."""
    if query == "\x00":
        with pytest.raises(InvalidError):
            handbook.search(query, mode=mode)
    else:
        assert isinstance(handbook.search(query, mode=mode), list)
        check(handbook, handbook.ask(query))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_question_is_answered_or_invalid(handbook: Collection, question: str) -> None:
    """No text whatever makes asking fail in another way, and every citation is checked."""
    try:
        check(handbook, handbook.ask(question))
    except InvalidError as exc:
        assert str(exc)


def chat_settings(url: str) -> Settings:
    """Settings of someone who uses a model server for embeddings and for answers."""
    endpoint = Endpoint(f"{url}/v1" if not url.endswith("/v1") else url, Secret(double.KEY))
    return Settings(embeddings=endpoint, chat=endpoint, chat_model="a-model")


def test_with_a_model_server(tmp_path: Path) -> None:
    """With an endpoint set, its vectors are searched and its model writes; its citations are checked all the same."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=chat_settings(upstream.url)) as library:
        handbook = library.create("handbook", embedder=f"openai:embedder@{double.DIM}")
        handbook.upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
        assert handbook.search("parental leave weeks")[0].uri == "leave.txt"
        answer = handbook.ask("How long is parental leave?", options=GenerationOptions(max_tokens=77))
        check(handbook, answer)
        assert answer.answered
        assert answer.model == "a-model"
        assert answer.sentences[0].support == "supported"
        assert answer.usage.prompt_tokens > 0
        assert upstream.calls[-1].body["max_tokens"] == 77
        report = handbook.ingest([text_source("new.txt", "Something quite new.")])
        assert report.usage.embedding_tokens > 0
        assert report.usage.cost_usd is None


HOSTILE = [
    "Leave is 99 weeks [[zzzzzz.1]].",
    "As [1] and [2] say, all is well.",
    "Copied: [[PASSAGE-ONE.4]].",
    "[[", "]]", "[[a.1", "[1][2][3]", "［1］", "<b>bold</b> [x](http://evil)",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("reply", HOSTILE)
def test_what_a_model_invents_is_no_citation(tmp_path: Path, reply: str) -> None:
    """Invented ids, and numbers that the model writes, are no citations; an uncited answer carries a warning."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=replace(chat_settings(upstream.url))) as library:
        upstream.answer = lambda messages: reply
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        answer = handbook.ask("How long is parental leave?")
        check(handbook, answer)
        assert answer.citations == ()
        assert not any(f"[{n}]" in answer.answer for n in range(1, 4))
        assert not answer.answered or "cites nothing" in answer.warnings[-1]


def test_a_model_that_knows_no_answer(tmp_path: Path) -> None:
    """A model that says that the passages do not hold the answer has not answered."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=chat_settings(upstream.url)) as library:
        upstream.answer = lambda messages: "NO_ANSWER"
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        answer = handbook.ask("How long is parental leave?")
        assert (answer.answered, answer.reason, answer.answer) == (False, "unsupported", "")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """An endpoint that refuses connections is Unavailable, with the setting that names it."""
    with Library(tmp_path, settings=chat_settings("http://127.0.0.1:9")) as library:
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        with pytest.raises(UnavailableError, match="SEMSEARCH_CHAT__BASE_URL"):
            handbook.ask("How long is parental leave?")


def test_the_index_is_renewed_while_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever puts a document does not wait for the index; that it failed is said, and the next write tries again."""
    begun, go_on = threading.Event(), threading.Event()
    settle = LocalStore.refresh_index

    def slow(store: LocalStore) -> None:
        begun.set()
        assert go_on.wait(10)
        if not caplog.records:
            raise StorageError("the disk is full")
        settle(store)

    monkeypatch.setattr(LocalStore, "refresh_index", slow)
    with Library(tmp_path) as library:
        collection = library.create("default")
        collection.upsert([text_source(f"lamp{n}", f"The lamp number {n} burns.") for n in range(600)])
        assert begun.wait(10)
        assert collection.search("lamp number 77", 1)[0].uri == "lamp77"
        go_on.set()
        collection.upsert([text_source("bell.md", "A bell.")])
    assert "was not renewed" in caplog.text
    assert len(list((tmp_path / "default").glob("index.*"))) == 1


def test_a_job_does_not_mind_that_an_index_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has put documents may ingest at once, and reindex and delete when its index is there."""
    making, may_end, build = threading.Event(), threading.Event(), Generations.build

    def slow(generations: Generations, db: sqlite3.Connection, *, from_scratch: bool = False) -> UnpublishedGeneration:
        making.set()
        assert may_end.wait(20)
        return build(generations, db, from_scratch=from_scratch)

    monkeypatch.setattr(Generations, "build", slow)
    monkeypatch.setattr(generations, "MAX_STALE_ROWS", 20)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source(f"lamp{n}", f"The lamp number {n} burns.") for n in range(30)])
        assert making.wait(20)
        report = collection.ingest([text_source("bell", "A bell.")], on_document=lambda outcome: may_end.set())
        assert report.added == 1
        collection.reindex()
        library.delete("default")


def test_new_sentences_of_the_same_text_count(library: Library) -> None:
    """A text that is told to be code has a sentence in each line: as if it had never been another."""
    text = "check the carburetor valve now\nreplace the rudder cable soon\n"
    kinds = ("text/plain", "text/x-python")
    changed, fresh = library.create("changed"), library.create("fresh")
    changed.upsert([bytes_source("n", text.encode(), kinds[0], title="N")])
    changed.upsert([bytes_source("n", text.encode() + b"\n", kinds[1], title="N")])
    fresh.upsert([bytes_source("n", text.encode(), kinds[-1], title="N")])
    assert changed.search("rudder cable")[0].sentence == fresh.search("rudder cable")[0].sentence


@pytest.mark.parametrize("given", [["examples"], "examples"])
def test_what_is_no_source_is_told_where_sources_come_from(library: Library, given: Any) -> None:
    """A path is not one."""
    for take in (library.open("empty").ingest, library.open("empty").upsert):
        with pytest.raises(InvalidError, match=r"is no source; semsearch\.read"):
            take(given)
