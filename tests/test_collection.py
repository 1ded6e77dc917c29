"""A collection: ingest, search, and answers whose citations are in the stored text."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import support.upstream as double
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pdf_files import make_pdf, place_lines

from semsearch import Answer, AnswerRequest, GenerationOptions, Library, SearchRequest, read, text_source
from semsearch.collection import Collection, backends
from semsearch.core.cancellation import Cancellation
from semsearch.core.errors import InvalidError, StorageError, UnavailableError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import Delta, PassagesEvent, SourcesEvent
from semsearch.core.types.documents import PutResult
from semsearch.core.types.search import SearchMode
from semsearch.core.types.stored_documents import IndexState
from semsearch.ingest import loading
from semsearch.ingest.chunked_content import chunk_document, make_document
from semsearch.ingest.readers import read as read_content
from semsearch.ingest.readers.document_frames import Header, decode_header, encode_document
from semsearch.ingest.readers.pdf import reader as pdf_reader
from semsearch.ingest.readers.worker_pool import ReaderPool
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
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        library.create("handbook").upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
        library.create("empty")
        yield library


@pytest.fixture
def handbook(library: Library) -> Collection:
    """The collection of both documents."""
    return library.open("handbook")


def check_answer(collection: Collection, answer: Answer) -> None:
    """Check what holds for every answer."""
    for citation in answer.citations:
        assert collection.document(citation.uri).text[citation.start : citation.end] == citation.quote
        assert citation.content_sha256 == collection.document(citation.uri).content_sha256
    markers = [citation.marker for citation in answer.citations]
    assert markers == list(range(1, len(markers) + 1))
    assert all(f"[{marker}]" in answer.text for marker in markers)
    assert {marker for sentence in answer.sentences for marker in sentence.citations} == set(markers)
    assert answer.answered == bool(answer.text) == (answer.reason is None)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_search_returns_the_best_chunk_first(handbook: Collection, mode: SearchMode) -> None:
    """In each mode, hits are in descending order of score, and spans of their documents."""
    hits = handbook.search("How many weeks of parental leave?", mode=mode)
    assert hits[0].uri == "leave.txt"
    assert "26 weeks" in hits[0].text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert handbook.document(hit.uri).text[hit.start : hit.end] == hit.text


def test_search_returns_at_most_k_hits(handbook: Collection) -> None:
    """A k above the size of the collection returns all chunks."""
    assert len(handbook.search("euros and days", 1)) == 1
    assert len(handbook.search("euros and days", 1000)) == handbook.info().chunks


def test_extractive_answer_is_a_cited_excerpt(handbook: Collection) -> None:
    """Without a chat model the answer is one span of a document, word for word, with its citation."""
    answer = handbook.ask("How long is parental leave?")
    check_answer(handbook, answer)
    (sentence,), (citation,) = answer.sentences, answer.citations
    assert answer.text == sentence.text == f"{citation.quote}\n[1]"
    assert (answer.kind, answer.model, citation.uri, sentence.support) == (
        "excerpt",
        "extractive",
        "leave.txt",
        "verbatim",
    )
    assert answer.usage.cost_usd == 0


def test_closest_passages_are_spans_of_their_documents(handbook: Collection) -> None:
    """An excerpt stands in the first one, around its best sentence; they are shown without an answer too."""
    answer = handbook.ask("How long is parental leave?")
    (citation,), best = answer.citations, answer.passages[0].best
    assert answer.passages[0].uri == citation.uri
    assert citation.start <= best.start < best.end <= citation.end
    text = handbook.document(citation.uri).text
    assert text[best.start : best.end] == "Parental leave is 26 weeks at full pay for each parent."
    for passage in (*answer.passages, *handbook.ask("Which galaxy is nearest to ours?").passages):
        assert handbook.document(passage.uri).text[passage.start : passage.end] == passage.text
        assert passage.start <= passage.best.start < passage.best.end <= passage.end


@pytest.mark.parametrize(("threshold", "kind"), [(0.0, "excerpt"), (1.0, "passages")])
def test_threshold_is_a_setting(tmp_path: Path, threshold: float, kind: str) -> None:
    """Below it the closest passages are shown; the confidence is the same."""
    with Library(tmp_path, settings=Settings(answer_threshold=threshold)) as library:
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
        answer = handbook.ask("How long is parental leave?")
        assert (answer.kind, answer.answered) == (kind, kind == "excerpt")
        assert 0 < answer.confidence < 1
        assert answer.passages


def test_question_outside_the_documents_is_not_answered(handbook: Collection) -> None:
    """The answer has a reason and no text."""
    answer = handbook.ask("Which galaxy is nearest to ours?")
    check_answer(handbook, answer)
    assert (answer.answered, answer.text, answer.reason) == (False, "", "low_score")
    assert (answer.kind, answer.citations) == ("passages", ())
    assert answer.passages


def test_empty_collection_has_its_own_reason(library: Library) -> None:
    """The reason is `empty_collection`, and a search returns no hits."""
    assert library.open("empty").ask("Is there anything?").reason == "empty_collection"
    assert library.open("empty").search("anything") == []


def test_filter_without_documents_is_no_match(handbook: Collection) -> None:
    """The reason is `no_match`, and there are no hits."""
    answer = handbook.ask("How long is parental leave?", filter={"team": "nobody"})
    assert (answer.reason, answer.hits) == ("no_match", ())


def test_deltas_join_to_the_answer(handbook: Collection) -> None:
    """The stream is one SourcesEvent, one PassagesEvent, Deltas, and the Answer; the joined Deltas are its text."""
    sources, passages, *deltas, answer = handbook.stream("How much is a hotel room?")
    assert isinstance(sources, SourcesEvent)
    assert isinstance(passages, PassagesEvent)
    assert isinstance(answer, Answer)
    assert "".join(delta.text for delta in deltas if isinstance(delta, Delta)) == answer.text
    assert (sources.hits, passages.passages) == (answer.hits, answer.passages)


def test_methods_for_event_loops_return_the_same(handbook: Collection) -> None:
    """`asearch` returns the hits of `search`, `aask` the answer of `ask`."""
    question = "How much is a hotel room?"
    assert asyncio.run(handbook.asearch("hotel", 3)) == handbook.search("hotel", 3)
    assert replace(asyncio.run(handbook.aask(question, k=2)), id="") == replace(handbook.ask(question, k=2), id="")


def test_request_object_is_the_same_as_its_fields(handbook: Collection) -> None:
    """`search` and `ask` take a request, or its fields as keywords."""
    search_request = SearchRequest("hotel", 2, filter={"uri": "travel.txt"}, mode="lexical", explain=True)
    by_keywords = handbook.search("hotel", 2, filter={"uri": "travel.txt"}, mode="lexical", explain=True)
    assert by_keywords
    assert handbook.search(search_request) == asyncio.run(handbook.asearch(search_request)) == by_keywords
    answer_request = AnswerRequest("How much is a hotel room?", k=1, options=GenerationOptions(policy="flag"))
    answer = handbook.ask("How much is a hotel room?", k=1, options=GenerationOptions(policy="flag"))
    assert replace(handbook.ask(answer_request), id="") == replace(answer, id="")


@pytest.mark.parametrize(
    "call",
    [
        lambda collection: collection.search(SearchRequest("hotel"), 3),
        lambda collection: collection.search(SearchRequest("hotel"), filter={"uri": "travel.txt"}),
        lambda collection: collection.ask(AnswerRequest("hotel"), k=3),
        lambda collection: collection.stream(AnswerRequest("hotel"), session="ses_0"),
    ],
)
def test_request_object_with_other_arguments_is_refused(
    handbook: Collection, call: Callable[[Collection], object]
) -> None:
    """Neither would be ignored silently."""
    with pytest.raises(InvalidError, match="comes with other arguments; set them in the request"):
        call(handbook)


@pytest.mark.parametrize(
    "options",
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
def test_invalid_options_are_refused(handbook: Collection, options: GenerationOptions) -> None:
    """The error names the option, before any request is sent: a negative limit would count against no budget."""
    with pytest.raises(
        InvalidError, match=r"max_tokens is between|temperature is between|model's name is empty|policy is one of"
    ):
        handbook.ask("How long is parental leave?", options=options)


def test_options_without_effect_give_a_warning(handbook: Collection) -> None:
    """Without a chat model a temperature has no effect, and the answer has a warning."""
    answer = handbook.ask("How long is parental leave?", options=GenerationOptions(temperature=0.5))
    assert answer.answered
    assert "SEMSEARCH_CHAT__MODEL" in answer.warnings[0]


def test_key_without_a_chat_model_gives_a_warning(tmp_path: Path) -> None:
    """The warning names the setting. A request that names a model has another warning instead."""
    key_warning = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
    with Library(tmp_path, settings=Settings.load({"OPENAI_API_KEY": "sk-x"}, folder=tmp_path)) as library:
        collection = library.create("hb")
        collection.upsert([text_source("leave.md", "Parental leave is 26 weeks.")])
        for question in ("How long is parental leave?", "Which galaxy is nearest?"):
            assert collection.ask(question).warnings == (key_warning,)
        (warning,) = collection.ask("How long is parental leave?", options=GenerationOptions(model="m")).warnings
        assert warning.startswith("no chat model is set")


@pytest.mark.parametrize("query", ["", " \n\t ", "\u200b\u202e", "x" * 4001])
def test_empty_and_too_long_questions_are_refused(handbook: Collection, query: str) -> None:
    """So is a question of invisible characters only."""
    with pytest.raises(InvalidError):
        handbook.search(query)
    with pytest.raises(InvalidError):
        handbook.ask(query)


@pytest.mark.parametrize("k", [0, -1, 1001, 2**63])
def test_k_out_of_range_is_refused(handbook: Collection, k: int) -> None:
    """The error has the range."""
    with pytest.raises(InvalidError, match="between 1 and 1000"):
        handbook.search("hotel", k)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "Dense"}, "one of hybrid, dense"),
        ({"k": 2.0}, "whole"),
        ({"k": "2"}, "whole number .* not '2'"),
        ({"history": "And then?"}, "history is a list of questions"),
        ({"history": [5]}, "the question must be text, not 5"),
    ],
)
def test_argument_of_the_wrong_type_is_refused(handbook: Collection, arguments: dict[str, Any], message: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(InvalidError, match=message):
        handbook.search("hotel", **arguments)


@pytest.mark.parametrize("question", [None, b"hotel", 5])
def test_question_that_is_not_a_text_is_refused(handbook: Collection, question: Any) -> None:
    """Bytes, a number and None raise InvalidError."""
    for method in (handbook.search, handbook.ask):
        with pytest.raises(InvalidError, match="the question must be text, not"):
            method(question)


def test_remove_refuses_a_single_text(library: Library) -> None:
    """Its characters would be taken for uris, and some may exist."""
    notes = library.create("notes")
    notes.upsert([text_source("a", "A lamp."), text_source("a.md", "A bell.")])
    with pytest.raises(InvalidError, match=r"a list of uris, not one text: \['a\.md'\]"):
        notes.remove("a.md")
    assert [info.uri for info in notes.documents()] == ["a", "a.md"]


UNUSUAL_QUERIES = [
    "don't", '"', "*", "AND", "OR NOT", "NEAR(a b)", "title:lamp", "http://x", "a AND (b", "^lamp", "lamp*", "{lamp}",
    "'; DROP TABLE chunk; --", "\\", "%", "_", "🙂", "東京", "ไทย", "नमस्ते", "مرحبا", "a" * 4000, "the of and", "NaN",
    "?",    "\ud800 lone", "\x00", "-5", "--help", "[[a.1]]", "<script>",
]  # fmt: skip


@pytest.mark.parametrize("query", UNUSUAL_QUERIES)
@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_no_character_is_query_syntax(handbook: Collection, query: str, mode: SearchMode) -> None:
    """Search operators, other scripts, code and stop words are searched; only invisible text raises InvalidError."""
    if query == "\x00":
        with pytest.raises(InvalidError):
            handbook.search(query, mode=mode)
    else:
        assert isinstance(handbook.search(query, mode=mode), list)
        check_answer(handbook, handbook.ask(query))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_any_question_is_answered_or_invalid(handbook: Collection, question: str) -> None:
    """Any text is answered with valid citations, or raises InvalidError."""
    try:
        check_answer(handbook, handbook.ask(question))
    except InvalidError as exc:
        assert str(exc)


def chat_settings(url: str) -> Settings:
    """Return settings with one model server for embeddings and answers."""
    endpoint = Endpoint(f"{url}/v1" if not url.endswith("/v1") else url, Secret(double.KEY))
    return Settings(embeddings=endpoint, chat=endpoint, chat_model="a-model")


def test_model_server_embeds_and_answers(tmp_path: Path) -> None:
    """Its citations are verified like all others, and options and usage are passed on."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=chat_settings(upstream.url)) as library:
        handbook = library.create("handbook", embedder=f"openai:embedder@{double.DIM}")
        handbook.upsert([text_source("leave.txt", LEAVE), text_source("travel.txt", TRAVEL)])
        assert handbook.search("parental leave weeks")[0].uri == "leave.txt"
        answer = handbook.ask("How long is parental leave?", options=GenerationOptions(max_tokens=77))
        check_answer(handbook, answer)
        assert answer.answered
        assert answer.model == "a-model"
        assert answer.sentences[0].support == "supported"
        assert answer.usage.prompt_tokens > 0
        assert upstream.calls[-1].body["max_tokens"] == 77
        report = handbook.ingest([text_source("new.txt", "Something quite new.")])
        assert report.usage.embedding_tokens > 0
        assert report.usage.cost_usd is None


HOSTILE_REPLIES = [
    "Leave is 99 weeks [[zzzzzz.1]].",
    "As [1] and [2] say, all is well.",
    "Copied: [[PASSAGE-ONE.4]].",
    "[[", "]]", "[[a.1", "[1][2][3]", "［1］", "<b>bold</b> [x](http://evil)",
]  # fmt: skip


@pytest.mark.parametrize("reply", HOSTILE_REPLIES)
def test_invented_marker_is_no_citation(tmp_path: Path, reply: str) -> None:
    """Ids and numbers that the model invents are removed; an answer without citations has a warning."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=replace(chat_settings(upstream.url))) as library:
        upstream.answer = lambda messages: reply
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        answer = handbook.ask("How long is parental leave?")
        check_answer(handbook, answer)
        assert answer.citations == ()
        assert not any(f"[{n}]" in answer.text for n in range(1, 4))
        assert not answer.answered or "cites nothing" in answer.warnings[-1]


def test_model_without_an_answer_is_unanswered(tmp_path: Path) -> None:
    """The reply NO_ANSWER gives the reason `unsupported`."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=chat_settings(upstream.url)) as library:
        upstream.answer = lambda messages: "NO_ANSWER"
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        answer = handbook.ask("How long is parental leave?")
        assert (answer.answered, answer.reason, answer.text) == (False, "unsupported", "")


def test_unreachable_server_is_unavailable(tmp_path: Path) -> None:
    """The error names the setting of the endpoint."""
    with Library(tmp_path, settings=chat_settings("http://127.0.0.1:9")) as library:
        handbook = library.create("handbook")
        handbook.upsert([text_source("leave.txt", LEAVE)])
        with pytest.raises(UnavailableError, match="SEMSEARCH_CHAT__BASE_URL"):
            handbook.ask("How long is parental leave?")


def test_index_is_refreshed_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A write does not wait for the index. A failure is logged, and the next write tries again."""
    has_started, may_continue = threading.Event(), threading.Event()
    refresh_index = LocalStore.refresh_index

    def refresh_slowly(store: LocalStore) -> None:
        has_started.set()
        assert may_continue.wait(10)
        if not caplog.records:
            raise StorageError("the disk is full")
        refresh_index(store)

    monkeypatch.setattr(LocalStore, "refresh_index", refresh_slowly)
    with Library(tmp_path) as library:
        collection = library.create("default")
        collection.upsert([text_source(f"lamp{n}", f"The lamp number {n} burns.") for n in range(600)])
        assert has_started.wait(10)
        assert collection.search("lamp number 77", 1)[0].uri == "lamp77"
        may_continue.set()
        collection.upsert([text_source("bell.md", "A bell.")])
    assert "was not refreshed" in caplog.text
    assert len(list((tmp_path / "default").glob("index.*"))) == 1


def test_large_write_ends_when_a_search_need_not_index_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its chunks are in the index and in the view; a smaller write ends before."""
    monkeypatch.setattr(backends, "MIN_LARGE_WRITE_CHUNKS", 600)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source(f"lamp{n}", f"The lamp number {n} burns.") for n in range(600)])
        assert collection.index_state() == IndexState("current", 600, 0)
        with collection.backends.store.try_snapshot() as snapshot:
            assert snapshot is not None
        collection.upsert([text_source("bell.md", "A bell.")])
        with collection.backends.store.try_snapshot() as snapshot:
            assert snapshot is None


def test_large_write_does_not_wait_beyond_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored, and the index is built after the response."""
    monkeypatch.setattr(backends, "MIN_LARGE_WRITE_CHUNKS", 1)
    may_end, refresh_index = threading.Event(), LocalStore.refresh_index

    def refresh_slowly(store: LocalStore) -> None:
        assert may_end.wait(20)
        refresh_index(store)

    monkeypatch.setattr(LocalStore, "refresh_index", refresh_slowly)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("default")
        deadline = time.monotonic() + backends.RESPONSE_SECONDS
        results = collection.upsert([text_source("bell", "A bell.")], deadline=deadline)
        assert results[0] == PutResult("bell", "added", 1)
        assert collection.search("bell")[0].uri == "bell"
        may_end.set()


def test_jobs_run_while_an_index_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingestion does not wait for the build; reindex and delete work after it."""
    has_started, may_end, build = threading.Event(), threading.Event(), Generations.build

    def build_slowly(
        generations: Generations, db: sqlite3.Connection, *, from_scratch: bool = False
    ) -> UnpublishedGeneration:
        has_started.set()
        assert may_end.wait(20)
        return build(generations, db, from_scratch=from_scratch)

    monkeypatch.setattr(Generations, "build", build_slowly)
    monkeypatch.setattr(generations, "MAX_STALE_ROWS", 20)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source(f"lamp{n}", f"The lamp number {n} burns.") for n in range(30)])
        assert has_started.wait(20)
        report = collection.ingest([text_source("bell", "A bell.")], on_document=lambda result: may_end.set())
        assert report.added == 1
        collection.reindex()
        library.delete("default")


def test_new_sentence_boundaries_of_the_same_text_are_stored(library: Library) -> None:
    """A text that becomes code has one sentence per line, as if it had been stored as code first."""
    text = "check the carburetor valve now\nreplace the rudder cable soon\n"
    plain, code = "text/plain", "text/x-python"
    changed, fresh = library.create("changed"), library.create("fresh")
    changed.upsert([bytes_source("n", text.encode(), plain, title="N")])
    changed.upsert([bytes_source("n", text.encode() + b"\n", code, title="N")])
    fresh.upsert([bytes_source("n", text.encode(), code, title="N")])
    assert changed.search("rudder cable")[0].sentence == fresh.search("rudder cable")[0].sentence


@pytest.mark.parametrize("argument", [["examples"], "examples", [5]])
def test_upsert_refuses_arguments_that_are_not_sources(library: Library, argument: Any) -> None:
    """A path is not a source; the error says where sources come from."""
    with pytest.raises(InvalidError, match=r"is not a source; use semsearch\.read"):
        library.open("empty").upsert(argument)


@pytest.mark.parametrize("argument", [[5], 5, None])
def test_ingest_refuses_arguments_that_are_not_paths_or_sources(library: Library, argument: Any) -> None:
    """The error says where sources come from."""
    with pytest.raises(InvalidError, match=r"is not a source; use semsearch\.read"):
        library.open("empty").ingest(argument)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with two documents."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "lamp.md").write_text("The lamp burns oil.")
    (folder / "bell.md").write_text("The bell rings.")
    return folder


@pytest.mark.parametrize(
    ("make_argument", "uris"),
    [
        (str, ["docs/bell.md", "docs/lamp.md"]),
        (lambda docs: docs, ["docs/bell.md", "docs/lamp.md"]),
        (lambda docs: [docs / "lamp.md", str(docs / "bell.md")], ["bell.md", "lamp.md"]),
        (lambda docs: docs.glob("l*.md"), ["lamp.md"]),
        (lambda docs: read(docs), ["docs/bell.md", "docs/lamp.md"]),
        (lambda docs: text_source("a", "A lamp."), ["a"]),
        (lambda docs: [], []),
    ],
)
def test_ingest_takes_paths_and_sources(docs: Path, make_argument: Callable[[Path], Any], uris: list[str]) -> None:
    """One or several of either."""
    with Library(docs.parent / "indexes", settings=Settings()) as library:
        collection = library.create("notes")
        assert collection.ingest(make_argument(docs)).added == len(uris)
        assert [info.uri for info in collection.documents()] == uris


def test_ingest_refuses_paths_mixed_with_sources(library: Library, docs: Path) -> None:
    """In either order."""
    source = text_source("a", "A lamp.")
    arguments: list[list[Any]] = [[docs, source], [source, docs]]
    for argument in arguments:
        with pytest.raises(InvalidError, match=r"is not a path, but comes with paths|is not a source"):
            library.open("empty").ingest(argument)


def test_documents_iterates_over_all_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every document comes once, by uri."""
    monkeypatch.setattr("semsearch.collection.documents.MAX_PAGE_SIZE", 2)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("notes")
        collection.upsert([text_source(uri, "A lamp.") for uri in "edcba"])
        assert [info.uri for info in collection.documents()] == ["a", "b", "c", "d", "e"]
        assert [info.uri for info in collection.get_document_page(2, after="b")] == ["c", "d"]


def read_document_in_process(
    pool: ReaderPool,
    data: bytes,
    media_type: str,
    plugin: None,
    *,
    uri: str,
    title: str | None,
    add_part: Callable[[bytes], None],
    cancellation: Cancellation,
) -> Header:
    """Do what a reader process does."""
    document = make_document(uri, title, media_type, read_content(data, media_type))
    header, *parts = encode_document(document, chunk_document(document))
    for part in parts:
        add_part(part)
    return decode_header(header)


@pytest.mark.slow
def test_pdf_of_an_earlier_version_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored before there were maps, it has no rectangles; the next ingestion adds them, and embeds nothing."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "lamp.pdf").write_bytes(make_pdf(place_lines("A lamp in the fog.")))
    (tmp_path / "docs" / "note.txt").write_text("A bell in the night.")
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        collection = library.create("handbook")
        with monkeypatch.context() as earlier:
            earlier.setattr(loading, "TYPE_VERSIONS", {})
            earlier.setattr(pdf_reader, "map_pages", lambda blocks, pages: b"")
            # reads in this process, where the patches are
            earlier.setattr(ReaderPool, "read_document", read_document_in_process)
            collection.ingest(tmp_path / "docs")
        assert collection.get_rectangles("docs/lamp.pdf", 0, 6) == []
        assert collection.render_page("docs/lamp.pdf", 1, 300).data.startswith(b"\x89PNG")
        report = collection.ingest(tmp_path / "docs")
        assert (report.updated, report.unchanged, report.embedded_chunks) == (1, 1, 0)
        [page] = collection.get_rectangles("docs/lamp.pdf", 2, 6)
        assert len(page.rectangles) == 1
