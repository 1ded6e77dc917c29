"""Limits of one document: it is refused by name, read in linear time, and keeps nobody waiting."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semsearch import Library, bytes_source
from semsearch.core.cancellation import Cancellation
from semsearch.core.errors import DeadlineError, TooLargeError, UnavailableError
from semsearch.core.types.documents import ChunkedDocument, Document, Failure
from semsearch.ingest import limits, loading
from semsearch.ingest.chunked_content import chunk_document, make_document
from semsearch.ingest.readers import read
from semsearch.ingest.readers.document_frames import decode_header, encode_document
from semsearch.ingest.readers.worker_pool import ReaderPool
from semsearch.ingest.spooled_document import FrameSpool, SpooledDocument, assemble_document
from semsearch.text.cleaning import clean

pytestmark = pytest.mark.slow

PROSE = "# Guide\n\n" + "\n\n".join(
    f"## Part {number}\n\nThe lamp {number} was mended in spring. It cost {number} euros; nobody complained about it."
    for number in range(600)
)


def read_markdown(text: str) -> Document:
    """Return the document of a Markdown text."""
    return make_document("guide.md", None, "text/markdown", read(text.encode(), "text/markdown"))


def send_through_frames(document: Document, max_buffered_bytes: int) -> ChunkedDocument:
    """Return a document as its parent process gets it."""
    header, *parts = encode_document(document, chunk_document(document))
    spool = FrameSpool(max_buffered_bytes)
    for part in parts:
        spool.add(part)
    shell = Document(document.uri, document.title, document.media_type, (), "", "")
    return assemble_document(shell, spool, decode_header(header))


def test_document_of_a_reader_process_equals_the_document() -> None:
    """Text, blocks and chunks are the same, whether the parts are in memory or in a file."""
    document = read_markdown(PROSE)
    chunks = chunk_document(document)
    buffered, spooled = send_through_frames(document, 1 << 30), send_through_frames(document, 0)
    assert isinstance(spooled.document, SpooledDocument)
    for received in (buffered, spooled):
        assert received.document.text == document.text
        assert [*received.document.iter_segments(1_000)] == [*document.iter_segments(1_000)]
        assert [*received.document.iter_block_positions()] == [*document.iter_block_positions()]
        assert [chunk.text_hash for chunk in received.chunks] == [chunk.text_hash for chunk in chunks]
        assert [chunk.sentences for chunk in received.chunks] == [chunk.sentences for chunk in chunks]
        assert received.chunks[300] == [*received.chunks][300]
    assert buffered.document.blocks == document.blocks


def test_large_document_is_stored_as_a_small_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document whose parts wait in a file gets the same text, chunks and hits."""
    results = []
    with Library(tmp_path) as library:
        for name, max_bytes in (("small", 1 << 30), ("large", 0)):
            monkeypatch.setattr(loading, "FrameSpool", lambda max_bytes=max_bytes: FrameSpool(max_bytes))
            collection = library.create(name)
            assert collection.ingest(bytes_source("guide.md", PROSE.encode(), "text/markdown")).failures == []
            hits = collection.search("Which lamp cost 314 euros?", k=5)
            before = collection.info().chunks
            assert collection.ingest(bytes_source("guide.md", f"{PROSE} More.".encode(), "text/markdown")).updated == 1
            texts = [collection.document("guide.md").text, *(hit.text for hit in hits)]
            results.append((texts, before, collection.info().chunks))
    assert results[0] == results[1]


def test_document_with_too_many_chunks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the limit."""
    monkeypatch.setattr(limits, "MAX_CHUNKS", 100)
    with pytest.raises(TooLargeError, match="more than 100 chunks"):
        chunk_document(read_markdown(PROSE))


@pytest.mark.parametrize("make", [lambda n: b",".join([b"1"] * n), lambda n: b"1\n" * n], ids=["wide", "tall"])
def test_table_with_too_many_cells_is_refused(make: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of one row and rows of one cell count alike."""
    monkeypatch.setattr(limits, "MAX_CELLS", 1_000)
    assert read(make(1_000), "text/csv").blocks
    with pytest.raises(TooLargeError, match="more than 1,000 cells"):
        read(make(1_001), "text/csv")


@pytest.mark.parametrize("media_type", ["application/xml", "text/html", "application/xhtml+xml"])
def test_element_with_many_attributes_is_refused_at_once(media_type: str) -> None:
    """500,000 attributes took the parsers more than a minute."""
    started = time.process_time()
    attributes = " ".join(f'a{number}="{number}"' for number in range(500_000))
    with pytest.raises(TooLargeError, match="more than 1,000 attributes"):
        read(f"<p {attributes}>text</p>".encode(), media_type)
    assert time.process_time() - started < 5
    few = " ".join(f'a{number}="{number}"' for number in range(900))
    assert read(f"<p {few}>text</p>".encode(), media_type).blocks[-1].text.endswith("text")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_attributes_of_utf_16_are_counted(encoding: str) -> None:
    """The limit holds in each encoding with two bytes for a character."""
    attributes = " ".join(f'a{number}="{number}"' for number in range(3_000))
    with pytest.raises(TooLargeError, match="attributes"):
        read(f"<p {attributes}>text</p>".encode(encoding), "application/xml")


def test_long_run_of_marks_is_cleaned_in_linear_time() -> None:
    """Normalisation of 64,000 marks in a row took 12 seconds; the result is stable."""
    started = time.process_time()
    text = clean("a" + "\u0301\u0316" * 60_000)
    assert time.process_time() - started < 3
    assert clean(text) == text
    assert clean("x" * 300 + "\u0344" * 31) == clean(clean("x" * 300 + "\u0344" * 31))


def test_deadline_of_a_run_ends_a_read() -> None:
    """A reader process is killed when the time of its request has passed, or when its owner stops."""
    slow = b"[" * 3_000_000
    with ReaderPool(1) as pool:
        spool, started = FrameSpool(), time.monotonic()
        with pytest.raises(DeadlineError, match="time of this request"):
            pool.read_document(
                slow, "text/markdown", None, uri="a", title=None, add_part=spool.add,
                cancellation=Cancellation(time.monotonic() + 0.5),
            )  # fmt: skip
        cancellation = Cancellation()
        threading.Timer(0.5, cancellation.cancel).start()
        with pytest.raises(UnavailableError, match="stopping"):
            pool.read_document(
                slow, "text/markdown", None, uri="a", title=None, add_part=spool.add, cancellation=cancellation
            )
        assert time.monotonic() - started < 10
        assert pool.read(b"next", "text/plain").blocks


def test_stopping_ends_an_upload_that_is_read(tmp_path: Path) -> None:
    """`cancel_all`, which a service calls when it stops, fails the upload within a second or two."""
    with Library(tmp_path) as library:
        collection = library.create("notes")
        threading.Timer(1.0, library.loop.cancel_all).start()
        started = time.monotonic()
        [result] = collection.upsert([bytes_source("a.md", b"[" * 3_000_000, "text/markdown")])
        assert time.monotonic() - started < 10
    assert isinstance(result, Failure)
    assert result.type == "unavailable"
