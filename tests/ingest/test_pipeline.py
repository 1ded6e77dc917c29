"""The ingest pipeline, with real files and folders."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import pytest
from support.batch_server import EmbeddingServer, Refusal, run_embedding_server
from support.command_line import run_command
from support.fakes import HashEmbedder

from semsearch import IngestReport, Library, read, text_source
from semsearch.core.errors import ConflictError, ForbiddenError, NotFoundError, StorageError, UpstreamError
from semsearch.core.event_loop import EventLoopThread
from semsearch.core.ports import PartialEmbeddingError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.documents import ChunkedDocument, Failure, PutResult, Source, Vectors
from semsearch.core.types.usage import RequestContext, Usage
from semsearch.ingest.loading import FETCH_BATCH_SIZE, PREFETCH_BATCHES, IngestResult
from semsearch.ingest.pipeline import IngestPipeline
from semsearch.ingest.sources import FoundSource, bytes_source
from semsearch.storage.collections.local.store import LocalStore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]


class RejectingEmbedder(HashEmbedder):
    """Rejects texts with certain words, as a server may, and records its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.rejected_words: set[str] = set()
        self.requests: list[list[str]] = []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return the vectors; raise PartialEmbeddingError if some texts are rejected."""
        self.requests.append(list(texts))
        context.usage_counter.add(Usage(embedding_tokens=len(texts)))
        vectors = await super().embed(texts, context, query=query)
        rejections = {
            row: "it is rejected" for row, text in enumerate(texts) if self.rejected_words & set(text.split())
        }
        if rejections:
            vectors[list(rejections)] = 0
            raise PartialEmbeddingError(vectors, rejections)
        return vectors


class WaitingEmbedder(RejectingEmbedder):
    """Waits for a condition before its n-th request, as for a slow server."""

    concurrency = 2
    batch_size = 1

    def __init__(self, number: int, condition: Callable[[], bool]) -> None:
        super().__init__()
        self.number = number
        self.condition = condition

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Embed once the condition holds."""
        if len(self.requests) == self.number:
            await asyncio.wait_for(self._wait_for_condition(), 20)
        return await super().embed(texts, context, query=query)

    async def _wait_for_condition(self) -> None:
        while not self.condition():
            await asyncio.sleep(0.01)


class IngestHarness:
    """A store with a recording embedder, and short ways to ingest."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
        self.store = LocalStore(folder)
        self.embedder = RejectingEmbedder()
        self.loop = EventLoopThread()

    def ingest(
        self, *paths: Path, prune: bool = False, allow_large_prune: bool = False, dry_run: bool = False
    ) -> IngestReport:
        """Ingest the files at these paths."""
        return self.ingest_sources(read(*paths), prune=prune, allow_large_prune=allow_large_prune, dry_run=dry_run)

    def ingest_sources(
        self,
        sources: Iterator[FoundSource],
        *,
        prune: bool = False,
        allow_large_prune: bool = False,
        dry_run: bool = False,
    ) -> IngestReport:
        """Ingest these sources."""
        report = IngestReport()
        context = RequestContext("ingest")
        pipeline = IngestPipeline(self.store, self.embedder, self.loop, context, report, dry_run=dry_run)
        pipeline.run(sources, prune=prune, allow_large_prune=allow_large_prune)
        return report

    def uris(self) -> list[str]:
        """The stored URIs."""
        return [info.uri for info in self.store.documents(None, 1000)]

    def close(self) -> None:
        """Close the store and the loop."""
        self.store.close()
        self.loop.close()


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[IngestHarness]:
    """An empty store."""
    ingest_harness = IngestHarness(tmp_path / "store")
    yield ingest_harness
    ingest_harness.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with five short files."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.md", "c.txt", "sub/d.txt", "sub/e.md"):
        (folder / name).write_text(f"# About {name}\n\nThe file {name} speaks of lamps and of its own name.\n")
    return folder


def test_unchanged_files_are_not_embedded_again(harness: IngestHarness, docs: Path) -> None:
    """Unchanged files are hashed, but not read, embedded or written."""
    first = harness.ingest(docs)
    assert (first.added, first.embedded_chunks, first.failures) == (5, 5, [])
    harness.embedder.embedded_texts.clear()
    second = harness.ingest(docs)
    assert (second.unchanged, second.added, second.updated, second.embedded_chunks) == (5, 0, 0, 0)
    assert harness.embedder.embedded_texts == []


def test_only_changed_text_is_embedded(harness: IngestHarness, docs: Path) -> None:
    """Only the new text of a changed file is embedded."""
    harness.ingest(docs)
    harness.embedder.embedded_texts.clear()
    (docs / "a.txt").write_text("Something else altogether.")
    report = harness.ingest(docs)
    assert (report.updated, report.unchanged) == (1, 4)
    assert [text.splitlines()[-1] for text in harness.embedder.embedded_texts] == ["Something else altogether."]


def test_renamed_file_is_not_embedded_again(harness: IngestHarness, docs: Path) -> None:
    """A text that is stored under another URI is not embedded again."""
    (docs / "long.md").write_text("# Lamps\n\n" + "\n\n".join(f"Lamp {n} burns oil in the night." for n in range(200)))
    harness.ingest(docs)
    harness.embedder.embedded_texts.clear()
    (docs / "long.md").rename(docs / "other.md")
    assert harness.ingest(docs).added == 1
    assert harness.embedder.embedded_texts == []


def test_changed_metadata_is_stored_without_embedding(harness: IngestHarness, docs: Path) -> None:
    """New metadata for the same bytes updates the document and calls no embedder."""
    harness.ingest(docs)
    harness.embedder.embedded_texts.clear()
    report = harness.ingest_sources(read(docs, metadata={"team": "hr"}))
    assert (report.updated, report.embedded_chunks) == (5, 0)
    assert harness.embedder.embedded_texts == []
    assert all(info.metadata == {"team": "hr"} for info in harness.store.documents(None, 10))


def test_uris_do_not_depend_on_the_working_folder(
    harness: IngestHarness, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has one URI, whether its folder, a subfolder or the file itself is ingested."""
    harness.ingest(docs)
    monkeypatch.chdir(docs / "sub")
    assert harness.ingest_sources(read(".")).unchanged == 2
    assert harness.ingest_sources(read("d.txt", "../b.md")).unchanged == 2
    assert harness.ingest_sources(read(docs.parent / "docs" / "sub")).unchanged == 2
    assert harness.uris() == ["docs/a.txt", "docs/b.md", "docs/c.txt", "docs/sub/d.txt", "docs/sub/e.md"]


def test_another_folder_of_the_same_name_is_a_conflict(harness: IngestHarness, docs: Path, tmp_path: Path) -> None:
    """Two folders called docs are not mixed; --root gives the second another name."""
    harness.ingest(docs)
    other = tmp_path / "elsewhere" / "docs"
    other.mkdir(parents=True)
    (other / "a.txt").write_text("Another a.")
    with pytest.raises(ConflictError, match="--root NAME"):
        harness.ingest(other)
    assert harness.ingest_sources(read(other, root_name="other")).added == 1
    assert "other/a.txt" in harness.uris()


def test_bad_inputs_fail_alone(harness: IngestHarness, docs: Path) -> None:
    """Each bad file is a failure with a reason, and all others are stored."""
    (docs / "empty.txt").write_bytes(b"")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 50)
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (docs / "broken.docx").write_bytes(b"PK\x03\x04 nothing")
    (docs / "unknown.xyz").write_bytes(b"what is it")
    (docs / "loop").symlink_to(docs)
    (docs / "away.txt").symlink_to("/etc/hostname")
    (docs / "gone.txt").symlink_to(docs / "nowhere.txt")
    os.mkfifo(docs / "pipe.txt")
    report = harness.ingest(docs)
    assert report.added == 5
    failures_by_name = {failure.uri.removeprefix("docs/"): failure for failure in report.failures}
    assert set(failures_by_name) == {
        "empty.txt", "binary.txt", "broken.pdf", "broken.docx", "loop", "away.txt", "gone.txt", "pipe.txt",
    }  # fmt: skip
    assert report.skipped_by_kind == {"unknown_type": 1}
    assert all(failure.error and failure.type for failure in failures_by_name.values())


def test_huge_file_is_refused_without_reading_it(harness: IngestHarness, docs: Path) -> None:
    """A file over the size limit is refused by name and is not read into memory."""
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(10 << 30)
    report = harness.ingest(docs)
    assert report.added == 5
    assert [(failure.uri, failure.type) for failure in report.failures] == [("docs/huge.txt", "too_large")]
    assert "64 MiB" in report.failures[0].error


def test_unusual_file_names_get_distinct_uris(harness: IngestHarness, tmp_path: Path) -> None:
    """Names with newlines, percent signs, spaces, leading dashes or bytes that are not UTF-8 get distinct URIs."""
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [b"new\nline.txt", b"100%.txt", b"a b.txt", b"-rf.txt", b"\xff\xfe.txt", "ü.txt".encode()]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(
            b"About " + name.replace(b"\xff", b"").replace(b"\xfe", b"") + b" and lamps."
        )
    assert harness.ingest(folder).added == len(names)
    assert set(harness.uris()) == {
        "odd/new%0Aline.txt", "odd/100%25.txt", "odd/a b.txt", "odd/-rf.txt", "odd/%FF%FE.txt", "odd/ü.txt",
    }  # fmt: skip
    assert harness.ingest(folder).unchanged == len(names)


def test_vanished_file_is_a_failure(harness: IngestHarness, docs: Path) -> None:
    """A file that is deleted between walking and reading is a failure and does not end the run."""
    sources = list(read(docs))
    (docs / "a.txt").unlink()
    report = harness.ingest_sources(iter(sources))
    assert (report.added, [failure.uri for failure in report.failures]) == (4, ["docs/a.txt"])


def test_missing_path_is_not_found(harness: IngestHarness, tmp_path: Path) -> None:
    """A path that does not exist ends the run before it begins."""
    with pytest.raises(NotFoundError, match="nowhere"):
        harness.ingest(tmp_path / "nowhere")


def test_prune_removes_deleted_files_below_the_ingested_folder(harness: IngestHarness, docs: Path) -> None:
    """Deleted files are removed only with --prune, and only below the ingested folder."""
    harness.ingest(docs)
    harness.ingest_sources(iter([text_source("mine", "Not from a folder.")]))
    (docs / "a.txt").unlink()
    (docs / "sub" / "d.txt").unlink()
    assert harness.ingest(docs).removed == 0
    assert harness.ingest(docs / "sub", prune=True).removed == 1
    assert harness.uris() == ["docs/a.txt", "docs/b.md", "docs/c.txt", "docs/sub/e.md", "mine"]
    assert harness.ingest(docs, prune=True, dry_run=True).removed == 1
    assert harness.ingest(docs, prune=True).removed == 1
    assert "docs/a.txt" not in harness.uris()


def test_large_prune_needs_confirmation(harness: IngestHarness, docs: Path) -> None:
    """Removing most of a collection needs --yes; without it nothing is removed."""
    harness.ingest(docs)
    for name in ("a.txt", "b.md", "c.txt", "sub/d.txt"):
        (docs / name).unlink()
    with pytest.raises(ForbiddenError, match=r"4 of 5 documents.*--yes"):
        harness.ingest(docs, prune=True)
    assert len(harness.uris()) == 5
    assert harness.ingest(docs, prune=True, allow_large_prune=True).removed == 4


def test_prune_is_refused_if_a_folder_could_not_be_listed(harness: IngestHarness, docs: Path) -> None:
    """A folder that cannot be listed may contain the files that seem to be deleted."""
    harness.ingest(docs)
    (docs / "a.txt").unlink()
    sources = [*read(docs), Failure("docs/secret", "the folder cannot be listed", "storage")]
    with pytest.raises(ForbiddenError, match="docs/secret"):
        harness.ingest_sources(iter(sources), prune=True)
    assert "docs/a.txt" in harness.uris()


def test_prune_keeps_documents_that_are_not_files_of_the_folder(
    harness: IngestHarness, docs: Path, tmp_path: Path
) -> None:
    """Documents with an explicit URI stay, even if their URI looks like a file's or replaced a file's document."""
    harness.ingest(docs)
    (tmp_path / "ext.md").write_text("Another text on lamps.")
    harness.ingest_sources(read(tmp_path / "ext.md", uri="docs/extra.md"))
    by_hand = text_source("docs/a.txt", (docs / "a.txt").read_text())
    harness.ingest_sources(iter([text_source("docs/put.txt", "Put by hand."), by_hand]))
    for name in ("a.txt", "b.md"):
        (docs / name).unlink()
    assert harness.ingest(docs, prune=True).removed == 1
    assert set(harness.uris()) >= {"docs/a.txt", "docs/extra.md", "docs/put.txt"}


@pytest.mark.parametrize("part", ["", "sub"])
def test_prune_removes_all_documents_of_an_emptied_folder(harness: IngestHarness, docs: Path, part: str) -> None:
    """All documents of an emptied folder are removed, with the usual confirmation."""
    harness.ingest(docs)
    harness.ingest_sources(iter(text_source(f"mine/{n}", f"Lamp {n}.") for n in range(3)))
    for path in [path for path in (docs / part).rglob("*") if path.is_file()]:
        path.unlink()
    if not part:
        with pytest.raises(ForbiddenError, match="5 of 8 documents"):
            harness.ingest(docs, prune=True)
    assert harness.ingest(docs / part, prune=True, allow_large_prune=not part).removed == (2 if part else 5)
    assert harness.ingest(docs / part).failures == []


def test_broken_link_does_not_stop_prune(harness: IngestHarness, docs: Path) -> None:
    """The link is a failure, its stored document stays, and other files are pruned."""
    (docs / "link.txt").symlink_to("sub/d.txt")
    harness.ingest(docs)
    (docs / "sub" / "d.txt").unlink()
    (docs / "loop").symlink_to("loop")
    report = harness.ingest(docs, prune=True)
    assert report.removed == 1
    assert [(failure.uri, failure.type) for failure in report.failures] == [
        ("docs/link.txt", "storage"),
        ("docs/loop", "storage"),
    ]
    assert "broken link" in report.failures[0].error
    assert "docs/link.txt" in harness.uris()


def test_explicit_uri_overrides_the_path(harness: IngestHarness, docs: Path) -> None:
    """An explicit URI applies to a file of a known folder too; a known folder cannot get a second root name."""
    harness.ingest(docs)
    assert harness.ingest_sources(read(docs / "a.txt", uri="a.txt")).added == 1
    assert "a.txt" in harness.uris()
    for folder, existing_uri in ((docs, "docs"), (docs / "sub", "docs/sub")):
        with pytest.raises(ConflictError, match=rf"named {existing_uri}/\.\.\..*leave --root out"):
            harness.ingest_sources(read(folder, root_name="other"))
        assert harness.ingest_sources(read(folder, root_name="docs" if folder == docs else None)).added == 0


def test_dry_run_changes_nothing(harness: IngestHarness, docs: Path) -> None:
    """A dry run reports the exact counts of the run and writes nothing."""
    harness.ingest(docs)
    (docs / "a.txt").write_text("Something else.")
    (docs / "new.txt").write_text("A new file.")
    harness.embedder.embedded_texts.clear()
    dry_report = harness.ingest(docs, dry_run=True)
    assert harness.embedder.embedded_texts == []
    assert "docs/new.txt" not in harness.uris()
    report = harness.ingest(docs)
    counts = [(r.added, r.updated, r.unchanged, r.chunks, r.embedded_chunks) for r in (dry_report, report)]
    assert counts[0] == counts[1] == (1, 1, 4, 2, 2)


def test_unreadable_file_keeps_its_stored_version(harness: IngestHarness, docs: Path) -> None:
    """A file that can no longer be read leaves its stored version in place."""
    harness.ingest(docs)
    (docs / "b.md").write_bytes(b"\x00\x01\x02" * 1000)
    report = harness.ingest(docs)
    assert [failure.uri for failure in report.failures] == ["docs/b.md"]
    stored = harness.store.document("docs/b.md")
    assert stored is not None
    assert "speaks of lamps" in stored.text


def test_error_of_an_emptied_file_says_that_its_old_version_is_kept(harness: IngestHarness, docs: Path) -> None:
    """Pruning keeps the old version of an emptied file, which may be half written; a new empty file has none."""
    harness.ingest(docs)
    (docs / "b.md").write_text(" ")
    (docs / "new.md").write_text(" ")
    first, second = harness.ingest(docs, prune=True).failures
    assert first.error.endswith("still found, until the document is read again or removed")
    assert "found" not in second.error
    assert "docs/b.md" in harness.uris()


def test_changed_media_type_or_charset_is_read_again(harness: IngestHarness) -> None:
    """A corrected media type or charset takes effect; repeating it is unchanged."""

    def stored_text(data: bytes, media_type: str) -> str:
        report = harness.ingest_sources(iter([bytes_source("a", data, media_type)]))
        assert report.unchanged == len(report.failures) == 0
        assert harness.ingest_sources(iter([bytes_source("a", data, media_type)])).unchanged == 1
        stored = harness.store.document("a")
        assert stored is not None
        return stored.text

    data = "Łódź i źdźbło".encode("iso-8859-2")
    assert stored_text(data, "text/plain") != "Łódź i źdźbło"
    assert stored_text(data, "text/plain; charset=ISO-8859-2") == "Łódź i źdźbło"
    (failure,) = harness.ingest_sources(iter([bytes_source("a", data, "text/plain; charset=bogus")])).failures
    assert "bogus" in failure.error
    assert stored_text(b"# Head\n\n*Body* text.", "text/plain").startswith("#")
    assert stored_text(b"# Head\n\n*Body* text.", "text/markdown") == "Head\n\nBody text."


@pytest.mark.parametrize("title", ["a  b", " a ", "T" * 400])
def test_title_is_compared_in_its_stored_form(harness: IngestHarness, title: str) -> None:
    """A title whose spaces are collapsed or whose end is truncated counts as unchanged."""
    assert harness.ingest_sources(iter([text_source("a", "Text.", title=title)])).added == 1
    assert harness.ingest_sources(iter([text_source("a", "Text.", title=title)])).unchanged == 1


def test_files_are_fetched_in_parallel(harness: IngestHarness, tmp_path: Path) -> None:
    """Two files are fetched at the same time."""
    barrier = threading.Barrier(2, timeout=20)

    def source(n: int) -> Source:
        def open_when_both_are_fetched() -> BinaryIO:
            barrier.wait()
            return text_source(f"s{n}", f"Text {n}.").open()

        return Source(f"s{n}", "text/plain", open_when_both_are_fetched)

    assert harness.ingest_sources(iter([source(n) for n in range(2 * FETCH_BATCH_SIZE)])).added == 2 * FETCH_BATCH_SIZE


def test_next_batch_is_read_while_the_embedder_waits(harness: IngestHarness) -> None:
    """The first request returns only after more files were opened than the first batch and its prefetch need."""
    opened_uris: list[str] = []

    def source(n: int) -> Source:
        def open_and_record() -> BinaryIO:
            opened_uris.append(f"s{n}")
            return text_source(f"s{n}", f"Lamp {n} burns.").open()

        return Source(f"s{n}", "text/plain", open_and_record)

    harness.embedder = WaitingEmbedder(0, lambda: len(opened_uris) > (4 + PREFETCH_BATCHES) * FETCH_BATCH_SIZE)
    harness.embedder.batch_size = 4 * FETCH_BATCH_SIZE
    assert harness.ingest_sources(source(n) for n in range(16 * FETCH_BATCH_SIZE)).added == 16 * FETCH_BATCH_SIZE


def test_batch_is_written_while_the_next_is_embedded(harness: IngestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the first batch waits here until the second request is sent."""
    put = harness.store.put

    def late_put(documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        deadline = time.monotonic() + 20
        while len(harness.embedder.requests) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return put(documents, vectors)

    harness.embedder.concurrency, harness.embedder.batch_size = 2, 1
    monkeypatch.setattr(harness.store, "put", late_put)
    assert harness.ingest_sources(text_source(f"s{n}", f"Lamp {n} burns.") for n in range(2)).added == 2


def test_embedded_batch_is_stored_when_the_run_fails(harness: IngestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is stored even if the lookup of the next one fails before its write began."""
    original_vectors, lookups = harness.store.vectors, []

    def fail_second_lookup(hashes: Iterable[str]) -> Mapping[str, Vectors]:
        lookups.append(1)
        if len(lookups) == 2:
            raise StorageError("the disk is gone for a moment")
        return original_vectors(hashes)

    harness.embedder.concurrency, harness.embedder.batch_size = 2, 1
    monkeypatch.setattr(harness.store, "vectors", fail_second_lookup)
    report = IngestReport()
    pipeline = IngestPipeline(harness.store, harness.embedder, harness.loop, RequestContext("ingest"), report)
    with pytest.raises(StorageError, match="for a moment"):
        pipeline.run(text_source(f"s{n}", f"Lamp {n} burns.") for n in range(3))
    assert report.added == len(harness.uris()) == 1


def test_each_result_is_reported_once_it_is_on_disk(harness: IngestHarness) -> None:
    """Every input is reported once, when it is on disk."""
    results: list[IngestResult] = []

    def on_document(result: IngestResult) -> None:
        if not isinstance(result, Failure):
            assert harness.store.document(result.uri)
        results.append(result)

    sources = [text_source("a", "One."), text_source("b", " \n "), text_source("c", "Two.")]
    IngestPipeline(
        harness.store, harness.embedder, harness.loop, RequestContext("ingest"), IngestReport(), on_document
    ).run(sources)
    assert {result.uri for result in results} == {"a", "b", "c"}
    assert [result.uri for result in results if isinstance(result, Failure)] == ["b"]


@pytest.mark.usefixtures("own_readers")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_ctrl_c_during_a_commit_keeps_the_report_exact(
    harness: IngestHarness, docs: Path, monkeypatch: pytest.MonkeyPatch, times: int, concurrency: int
) -> None:
    """Documents committed during one or two interruptions are counted in the report."""
    put, main_thread, signal_handled = harness.store.put, threading.main_thread().ident, threading.Event()
    assert main_thread is not None

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal_handled.set()
        raise KeyboardInterrupt

    def put_interrupted(documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        for _ in range(times):
            signal_handled.clear()
            signal.pthread_kill(main_thread, signal.SIGINT)
            for _ in range(1000):
                if signal_handled.wait(0.01):
                    break
                signal.pthread_kill(main_thread, signal.SIGUSR1)  # wakes a wait that began after SIGINT
            else:
                raise AssertionError("the signal was not handled")
        return put(documents, vectors)

    harness.embedder.concurrency = concurrency
    monkeypatch.setattr(harness.store, "put", put_interrupted)
    report = IngestReport()
    handlers = {signal.SIGINT: interrupt, signal.SIGUSR1: lambda number, frame: None}
    previous_handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with pytest.raises(KeyboardInterrupt):
            IngestPipeline(harness.store, harness.embedder, harness.loop, RequestContext("ingest"), report).run(
                read(docs)
            )
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
    assert report.added == len(harness.uris()) > 0


@pytest.mark.usefixtures("own_readers")
@pytest.mark.parametrize("concurrency", [1, 2])
def test_ctrl_c_during_submit_writes_the_batch_once(
    harness: IngestHarness, docs: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """An interruption right after `submit` does not submit the batch a second time."""

    class InterruptingExecutor(ThreadPoolExecutor):
        def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(function, *args, **kwargs)
            if getattr(function, "__name__", "") == "_write" and args[0]:
                raise KeyboardInterrupt
            return future

    harness.embedder.concurrency = concurrency
    monkeypatch.setattr("semsearch.ingest.pipeline.ThreadPoolExecutor", InterruptingExecutor)
    report = IngestReport()
    with pytest.raises(KeyboardInterrupt):
        IngestPipeline(harness.store, harness.embedder, harness.loop, RequestContext("ingest"), report).run(read(docs))
    assert (report.added, report.updated) == (len(harness.uris()), 0)
    assert report.added > 0


def count_documents(data_dir: Path) -> int:
    """Return the number of documents that another process has stored."""
    with Library(data_dir) as library:
        return sum(info.documents for info in library.collections())


@pytest.mark.slow
def test_interrupted_run_keeps_committed_documents(tmp_path: Path) -> None:
    """Ctrl-C ends a run with exit code 130 and a count of stored files; the next run continues from there."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(400):
        (folder / f"{n:04}.txt").write_text("\n\n".join(f"Lamp {n} {line} burns in the fog." for line in range(100)))
    arguments = ["--data-dir", str(tmp_path / "data"), "ingest", str(folder)]
    command = [sys.executable, "-m", "semsearch", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while count_documents(tmp_path / "data") == 0:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    stored_count = int(stdout.split(" added")[0])
    assert 0 < stored_count < 400
    second_report = json.loads(run_command([*arguments, "--json"], folder=tmp_path, environ=os.environ).stdout)
    assert second_report["unchanged"] == stored_count
    assert second_report["added"] == 400 - stored_count


def test_rejected_text_fails_only_its_file(harness: IngestHarness, docs: Path) -> None:
    """The file is a failure with the reason and nothing of it is stored; other files are."""
    paragraphs = "\n\n".join("fog " * 200 for _ in range(2))
    (docs / "c.txt").write_text(f"{paragraphs}\n\n{'poison ' * 200}")
    harness.embedder.rejected_words = {"poison"}
    report = harness.ingest(docs)
    assert report.added == 4
    assert [(failure.uri, failure.type) for failure in report.failures] == [("docs/c.txt", "upstream")]
    assert "chunks: it is rejected" in report.failures[0].error
    assert "docs/c.txt" not in harness.uris()
    assert len(harness.embedder.requests) == 1


def test_rejected_edit_keeps_the_stored_version(harness: IngestHarness, docs: Path) -> None:
    """A file whose edit is rejected keeps its old text."""
    harness.ingest(docs)
    (docs / "a.txt").write_text("Now with poison in it.")
    harness.embedder.rejected_words = {"poison"}
    report = harness.ingest(docs)
    assert [failure.uri for failure in report.failures] == ["docs/a.txt"]
    stored = harness.store.document("docs/a.txt")
    assert stored is not None
    assert "speaks of lamps" in stored.text
    assert (report.unchanged, report.embedded_chunks) == (4, 0)


def test_shared_rejected_text_fails_both_files(harness: IngestHarness) -> None:
    """A rejected text that two files share is requested once and fails both."""
    harness.embedder.rejected_words = {"poison"}
    sources = [text_source(name, "All poison here.", title="T") for name in ("a", "b")]
    report = harness.ingest_sources(iter([*sources, text_source("c", "A lamp.")]))
    assert [failure.uri for failure in report.failures] == ["a", "b"]
    assert (report.added, len(harness.embedder.requests[0])) == (1, 2)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_equal_texts_are_embedded_once(harness: IngestHarness, concurrency: int) -> None:
    """Equal texts are embedded once within a batch, across overlapping batches, and in a dry run."""
    harness.embedder.batch_size, harness.embedder.concurrency = 2, concurrency
    sources = [text_source(f"{number}", f"Lamp {number % 3} burns.", title="T") for number in range(9)]
    planned_texts: list[str] = []
    report = IngestReport()
    pipeline = IngestPipeline(
        harness.store,
        harness.embedder,
        harness.loop,
        RequestContext("ingest"),
        report,
        None,
        True,
        planned_texts.extend,
    )
    pipeline.run(sources)
    assert harness.ingest_sources(iter(sources)).embedded_chunks == report.embedded_chunks == 3
    assert harness.embedder.embedded_texts == planned_texts


def test_texts_are_embedded_in_file_order(harness: IngestHarness) -> None:
    """The order does not depend on read times, so that a dry run and its run make the same requests."""
    last_opened = threading.Event()

    def open_slowly() -> BinaryIO:
        assert last_opened.wait(30)
        return text_source("1", "Number one.").open()

    def open_last() -> BinaryIO:
        last_opened.set()
        return text_source("last", "Number last.").open()

    # fetched by the same task as the slow one
    middle_sources = [text_source(str(number), f"Number {number}.") for number in range(2, FETCH_BATCH_SIZE + 1)]
    harness.ingest_sources(
        iter([Source("1", "text/plain", open_slowly), *middle_sources, Source("last", "text/plain", open_last)])
    )
    assert [text.split()[0] for text in harness.embedder.embedded_texts] == ["1", "2", "3", "4", "last"]


def test_report_has_the_usage_of_the_run(harness: IngestHarness, docs: Path) -> None:
    """The report contains the usage of its requests."""
    assert harness.ingest(docs).usage.embedding_tokens == 5


PAID_SPEC = "openai:m@8"
TEXTS_BY_FILE = {
    f"{number:02}.txt": f"File {number} speaks of lamp {number} and of nothing else." for number in range(40)
}


@pytest.fixture(scope="module")
def module_server() -> Iterator[EmbeddingServer]:
    """One server with paid embeddings for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(module_server: EmbeddingServer) -> EmbeddingServer:
    """The server as if it were new."""
    module_server.reset()
    return module_server


@contextmanager
def open_paid_library(folder: Path, server: EmbeddingServer, max_batch_inputs: int = 4) -> Iterator[Library]:
    """A library whose embeddings cost money."""
    endpoint = Endpoint(base_url=server.url, key=Secret("sk-test-5ecret"))
    settings = Settings(embeddings=endpoint, max_batch_inputs=max_batch_inputs, concurrency=2)
    with Library(folder, settings=settings) as library:
        yield library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data directory of a library."""
    return tmp_path / "indexes"


def write_files(folder: Path, texts: Mapping[str, str] = TEXTS_BY_FILE) -> Path:
    """Create a folder with these files."""
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(f"# Harbour\n\n{text}")
    return folder


@pytest.mark.slow
def test_no_text_is_paid_for_twice(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """A second run, renamed or copied files, another collection and deleted collections cost no new embeddings."""
    docs = write_files(tmp_path / "docs", {f"{name}.md": text for name, text in TEXTS_BY_FILE.items()})
    with open_paid_library(folder, server) as library:
        assert library.create("one", embedder=PAID_SPEC).ingest(read(docs)).added == 40
        assert library.create("one").ingest(read(docs)).unchanged == 40
        (docs / "00.txt.md").rename(docs / "renamed.md")
        (docs / "copy.md").write_text((docs / "01.txt.md").read_text())
        assert library.create("one").ingest(read(docs)).added == 2
        assert library.create("two", embedder=PAID_SPEC).ingest(read(docs)).added == 41
        library.delete("one")
        library.delete("two")
    with open_paid_library(folder, server) as library:
        report = library.create("three", embedder=PAID_SPEC).ingest(read(docs))
    assert (report.added, report.usage.embedding_tokens) == (41, 0)
    assert len(server.sent_texts) == len(set(server.sent_texts)) == 40


class ProcessEnded(Exception):
    """Stands for the end of the process."""


def test_crash_before_the_first_put_loses_no_paid_embeddings(
    folder: Path, tmp_path: Path, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Received embeddings are cached before they are used."""
    docs = write_files(tmp_path / "docs")

    def put(store: LocalStore, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        raise ProcessEnded

    with open_paid_library(folder, server) as library, monkeypatch.context() as patched:
        patched.setattr(LocalStore, "put", put)
        with pytest.raises(ProcessEnded):
            library.create("one", embedder=PAID_SPEC).ingest(read(docs))
    assert server.sent_texts
    with open_paid_library(folder, server) as library:
        assert library.create("one").ingest(read(docs)).added == 40
    assert len(server.sent_texts) == len(set(server.sent_texts)) == 40


def test_outage_does_not_pay_twice(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """The run ends with the server's error; the next one requests only the missing texts."""
    docs = write_files(tmp_path / "docs")
    server.refuse = lambda inputs: Refusal(401, "gone") if len(server.requests) > 4 else None
    with open_paid_library(folder, server) as library, pytest.raises(UpstreamError, match="401"):
        library.create("one", embedder=PAID_SPEC).ingest(read(docs))
    paid_texts = [text for inputs in server.requests[:4] for text in inputs]
    assert len(paid_texts) == 16
    server.reset()
    with open_paid_library(folder, server) as library:
        report = library.create("one").ingest(read(docs))
    assert (report.added + report.unchanged, report.failures) == (40, [])
    assert not set(paid_texts) & set(server.sent_texts)
    assert len(server.sent_texts) == 24


def test_file_with_a_rejected_text_is_named(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """99 of 100 files are stored after at most 16 requests; the next run requests only the rejected text."""
    docs = write_files(tmp_path / "docs", {f"{number:03}.md": f"Lamp {number} burns." for number in range(100)})
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("Lamp 0 " in text for text in inputs) else None
    with open_paid_library(folder, server, max_batch_inputs=2048) as library:
        collection = library.create("one", embedder=PAID_SPEC)
        for added in (99, 0):
            server.requests.clear()
            report = collection.ingest(read(docs))
            assert (report.added, [failure.uri for failure in report.failures]) == (added, ["docs/000.md"])
            assert "not allowed" in report.failures[0].error
            assert len(server.requests) <= 16
    assert [text for text in server.sent_texts if "Lamp" in text] == ["Harbour\nLamp 0 burns."]
    assert report.unchanged == 99


@pytest.mark.slow
@pytest.mark.parametrize("reply", [None, b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}'])
def test_file_that_makes_the_server_fail_is_named(
    folder: Path, tmp_path: Path, server: EmbeddingServer, reply: bytes | None
) -> None:
    """299 of 300 files are stored; the next run requests only the failing text and names its file."""
    docs = write_files(tmp_path / "docs", {f"{number:03}.md": f"Lamp {number} burns." for number in range(300)})
    bad_text = "Harbour\nLamp 170 burns."
    if reply is None:
        server.refuse = lambda inputs: Refusal(500, "it broke") if bad_text in inputs else None
    else:
        server.corrupt = lambda inputs: reply if bad_text in inputs else None
    with open_paid_library(folder, server, max_batch_inputs=2048) as library:
        collection = library.create("one", embedder=PAID_SPEC)
        for added in (299, 0):
            server.requests.clear()
            report = collection.ingest(read(docs))
            assert (report.added, [failure.uri for failure in report.failures]) == (added, ["docs/170.md"])
            assert report.failures[0].type == "upstream"
            assert ("it broke" if reply is None else "vectors of 3 numbers") in report.failures[0].error
            assert len(server.requests) <= 3 + 2 * 9
        assert collection.search("Lamp 171", k=1)
    assert {text for text in server.sent_texts if "burns" in text} == {bad_text}


def test_other_files_are_stored_next_to_a_rejected_one(folder: Path, server: EmbeddingServer) -> None:
    """If the rejected text is the only new one, its file is named and the other file is stored."""
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("poison" in text for text in inputs) else None
    known_source, rejected_source = text_source("a", "A lamp.", title="T"), text_source("b", "All poison.", title="T")
    with open_paid_library(folder, server) as library:
        library.create("one", embedder=PAID_SPEC).ingest([known_source])
    with open_paid_library(folder, server) as library:
        results = library.create("two", embedder=PAID_SPEC).upsert([rejected_source, known_source])
    assert {result.uri: isinstance(result, Failure) for result in results} == {"a": False, "b": True}


def test_error_of_every_request_blames_no_file(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """An unsupported parameter ends the run after a few requests."""
    docs = write_files(tmp_path / "docs")
    server.refuse = lambda inputs: Refusal(400, "dimensions is not supported")
    report = IngestReport()
    with (
        open_paid_library(folder, server) as library,
        pytest.raises(UpstreamError, match="dimensions is not supported"),
    ):
        library.create("one", embedder=PAID_SPEC).ingest(read(docs), report=report)
    assert report.failures == []
    assert len(server.requests) <= 8


def test_file_of_front_matter_alone_is_skipped(harness: IngestHarness, tmp_path: Path) -> None:
    """It is no failure; a stored version is kept, and a prune removes it."""
    folder = tmp_path / "site"
    folder.mkdir()
    page, moved = folder / "page.md", folder / "moved.md"
    page.write_text("# Leave\n\nParents take 26 weeks.\n")
    moved.write_text("# Old\n\nText of the old page.\n")
    assert harness.ingest(folder).skipped == 0
    moved.write_text("---\ntitle: Moved\nredirect_to: https://example.org/\n---\n")
    report = harness.ingest(folder)
    assert (report.failures, report.skipped, report.unchanged) == ([], 1, 1)
    assert [skip.uri for skip in report.skips] == ["site/moved.md"]
    assert "only front matter" in report.skips[0].reason
    assert "still found, until it is removed or pruned" in report.skips[0].reason
    assert harness.uris() == ["site/moved.md", "site/page.md"]
    assert harness.ingest(folder, prune=True).removed == 1
    assert harness.uris() == ["site/page.md"]
