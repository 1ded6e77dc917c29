"""The way of sources into a collection, on real files in real folders."""

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
from support.fakes import HashEmbedder

from semsearch import IngestReport, Library, read, text_source
from semsearch.core.errors import ConflictError, ForbiddenError, NotFoundError, StorageError
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.event_loop import EventLoopThread
from semsearch.core.ports import PartialEmbeddingError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.documents import ChunkedDocument, Failure, PutResult, Source, Vectors
from semsearch.core.types.usage import RequestContext, Usage
from semsearch.ingest.loading import FETCH_BATCH_SIZE, PREFETCH_BATCHES, IngestResult
from semsearch.ingest.pipeline import IngestPipeline
from semsearch.ingest.sources import bytes_source
from semsearch.storage.collections.local.store import LocalStore


class Choosy(HashEmbedder):
    """Refuses texts with certain words, as a server may, and notes what it was asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.minds: set[str] = set()
        self.lists: list[list[str]] = []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """The vectors, or those of the texts that it takes."""
        self.lists.append(list(texts))
        context.usage_counter.add(Usage(embedding_tokens=len(texts)))
        vectors = await super().embed(texts, context, query=query)
        refused = {row: "it is minded" for row, text in enumerate(texts) if self.minds & set(text.split())}
        if refused:
            vectors[list(refused)] = 0
            raise PartialEmbeddingError(vectors, refused)
        return vectors


class Waiting(Choosy):
    """Waits for something before its n-th request, as for a server."""

    concurrency = 2
    batch_size = 1

    def __init__(self, number: int, until: Callable[[], bool]) -> None:
        super().__init__()
        self.number = number
        self.until = until

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Embed, when it is time."""
        if len(self.lists) == self.number:
            await asyncio.wait_for(self._waited(), 20)
        return await super().embed(texts, context, query=query)

    async def _waited(self) -> None:
        while not self.until():
            await asyncio.sleep(0.01)


class Bench:
    """A store with an embedder that counts, and a short way to ingest."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
        self.store = LocalStore(folder)
        self.embedder = Choosy()
        self.loop = EventLoopThread()

    def ingest(self, *paths: Path, prune: bool = False, confirmed: bool = False, dry_run: bool = False) -> IngestReport:
        """Read these paths and take them in."""
        return self.take(read(*paths), prune=prune, confirmed=confirmed, dry_run=dry_run)

    def take(
        self,
        sources: Iterator[Source | Failure],
        *,
        prune: bool = False,
        confirmed: bool = False,
        dry_run: bool = False,
    ) -> IngestReport:
        """Take these sources in."""
        report = IngestReport()
        errand = RequestContext("ingest")
        run = IngestPipeline(self.store, self.embedder, self.loop, errand, report, dry_run=dry_run)
        run.run(sources, prune=prune, allow_large_prune=confirmed)
        return report

    def uris(self) -> list[str]:
        """What is stored."""
        return [info.uri for info in self.store.documents(None, 1000)]

    def close(self) -> None:
        """End it."""
        self.store.close()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty store."""
    made = Bench(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with five short files."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.md", "c.txt", "sub/d.txt", "sub/e.md"):
        (folder / name).write_text(f"# About {name}\n\nThe file {name} speaks of lamps and of its own name.\n")
    return folder


def test_a_second_run_embeds_nothing(bench: Bench, docs: Path) -> None:
    """What has not changed is hashed, not read, not embedded and not written."""
    first = bench.ingest(docs)
    assert (first.added, first.embedded_chunks, first.failures) == (5, 5, [])
    bench.embedder.embedded_texts.clear()
    second = bench.ingest(docs)
    assert (second.unchanged, second.added, second.updated, second.embedded_chunks) == (5, 0, 0, 0)
    assert bench.embedder.embedded_texts == []


def test_a_change_embeds_what_changed(bench: Bench, docs: Path) -> None:
    """Only the new text of a changed file goes to the embedder."""
    bench.ingest(docs)
    bench.embedder.embedded_texts.clear()
    (docs / "a.txt").write_text("Something else altogether.")
    report = bench.ingest(docs)
    assert (report.updated, report.unchanged) == (1, 4)
    assert [text.splitlines()[-1] for text in bench.embedder.embedded_texts] == ["Something else altogether."]


def test_a_renamed_file_costs_nothing(bench: Bench, docs: Path) -> None:
    """A text that is stored under another name is not embedded again."""
    (docs / "long.md").write_text("# Lamps\n\n" + "\n\n".join(f"Lamp {n} burns oil in the night." for n in range(200)))
    bench.ingest(docs)
    bench.embedder.embedded_texts.clear()
    (docs / "long.md").rename(docs / "other.md")
    assert bench.ingest(docs).added == 1
    assert bench.embedder.embedded_texts == []


def test_changed_metadata_is_stored_without_embedding(bench: Bench, docs: Path) -> None:
    """New metadata for the same bytes updates the document and calls no embedder."""
    bench.ingest(docs)
    bench.embedder.embedded_texts.clear()
    report = bench.take(read(docs, metadata={"team": "hr"}))
    assert (report.updated, report.embedded_chunks) == (5, 0)
    assert bench.embedder.embedded_texts == []
    assert all(info.metadata == {"team": "hr"} for info in bench.store.documents(None, 10))


def test_names_do_not_depend_on_where_one_stands(bench: Bench, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a part of it, a single file in it: every file keeps one name."""
    bench.ingest(docs)
    monkeypatch.chdir(docs / "sub")
    assert bench.take(read(".")).unchanged == 2
    assert bench.take(read("d.txt", "../b.md")).unchanged == 2
    assert bench.take(read(docs.parent / "docs" / "sub")).unchanged == 2
    assert bench.uris() == ["docs/a.txt", "docs/b.md", "docs/c.txt", "docs/sub/d.txt", "docs/sub/e.md"]


def test_another_folder_of_the_same_name_is_a_conflict(bench: Bench, docs: Path, tmp_path: Path) -> None:
    """Two folders called docs do not mix; --root gives the second a name."""
    bench.ingest(docs)
    other = tmp_path / "elsewhere" / "docs"
    other.mkdir(parents=True)
    (other / "a.txt").write_text("Another a.")
    with pytest.raises(ConflictError, match="--root NAME"):
        bench.ingest(other)
    assert bench.take(read(other, root_name="other")).added == 1
    assert "other/a.txt" in bench.uris()


def test_one_bad_input_harms_only_itself(bench: Bench, docs: Path) -> None:
    """Whatever is wrong with some files, each is named with a reason, and all others are stored."""
    (docs / "empty.txt").write_bytes(b"")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 50)
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (docs / "broken.docx").write_bytes(b"PK\x03\x04 nothing")
    (docs / "unknown.xyz").write_bytes(b"what is it")
    (docs / "loop").symlink_to(docs)
    (docs / "away.txt").symlink_to("/etc/hostname")
    (docs / "gone.txt").symlink_to(docs / "nowhere.txt")
    os.mkfifo(docs / "pipe.txt")
    report = bench.ingest(docs)
    assert report.added == 5
    failed = {failure.uri.removeprefix("docs/"): failure for failure in report.failures}
    assert set(failed) == {
        "empty.txt", "binary.txt", "broken.pdf", "broken.docx", "unknown.xyz", "loop", "away.txt", "gone.txt",
        "pipe.txt",
    }  # fmt: skip
    assert all(failure.error and failure.type for failure in failed.values())


def test_a_huge_file_is_named(bench: Bench, docs: Path) -> None:
    """A file over the stated bound is refused by its size, and not read into memory to find out."""
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(10 << 30)
    report = bench.ingest(docs)
    assert report.added == 5
    assert [(failure.uri, failure.type) for failure in report.failures] == [("docs/huge.txt", "too_large")]
    assert "64 MiB" in report.failures[0].error


def test_odd_names_are_kept_apart(bench: Bench, tmp_path: Path) -> None:
    """Names with newlines, percent signs, spaces, leading dashes or bytes that are no UTF-8 are stored, each apart."""
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [b"new\nline.txt", b"100%.txt", b"a b.txt", b"-rf.txt", b"\xff\xfe.txt", "ü.txt".encode()]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(
            b"About " + name.replace(b"\xff", b"").replace(b"\xfe", b"") + b" and lamps."
        )
    assert bench.ingest(folder).added == len(names)
    assert set(bench.uris()) == {
        "odd/new%0Aline.txt", "odd/100%25.txt", "odd/a b.txt", "odd/-rf.txt", "odd/%FF%FE.txt", "odd/ü.txt",
    }  # fmt: skip
    assert bench.ingest(folder).unchanged == len(names)


def test_a_file_that_vanishes_is_named(bench: Bench, docs: Path) -> None:
    """A file that is deleted between the walk and the reading is a failure, not the end."""
    found = list(read(docs))
    (docs / "a.txt").unlink()
    report = bench.take(iter(found))
    assert (report.added, [failure.uri for failure in report.failures]) == (4, ["docs/a.txt"])


def test_a_path_that_is_not_there_is_not_found(bench: Bench, tmp_path: Path) -> None:
    """A path that was named and does not exist ends the run before it begins."""
    with pytest.raises(NotFoundError, match="nowhere"):
        bench.ingest(tmp_path / "nowhere")


def test_prune_removes_what_is_gone(bench: Bench, docs: Path) -> None:
    """Files that are gone are removed with --prune only, and only below the folder that was ingested."""
    bench.ingest(docs)
    bench.take(iter([text_source("mine", "Not from a folder.")]))
    (docs / "a.txt").unlink()
    (docs / "sub" / "d.txt").unlink()
    assert bench.ingest(docs).removed == 0
    assert bench.ingest(docs / "sub", prune=True).removed == 1
    assert bench.uris() == ["docs/a.txt", "docs/b.md", "docs/c.txt", "docs/sub/e.md", "mine"]
    assert bench.ingest(docs, prune=True, dry_run=True).removed == 1
    assert bench.ingest(docs, prune=True).removed == 1
    assert "docs/a.txt" not in bench.uris()


def test_prune_asks_before_it_empties_a_collection(bench: Bench, docs: Path) -> None:
    """Removing most of a collection needs a yes; until then nothing is removed."""
    bench.ingest(docs)
    for name in ("a.txt", "b.md", "c.txt", "sub/d.txt"):
        (docs / name).unlink()
    with pytest.raises(ForbiddenError, match=r"4 of 5 documents.*--yes"):
        bench.ingest(docs, prune=True)
    assert len(bench.uris()) == 5
    assert bench.ingest(docs, prune=True, confirmed=True).removed == 4


def test_prune_removes_nothing_where_it_could_not_look(bench: Bench, docs: Path) -> None:
    """A folder that cannot be listed might hold everything that seems gone."""
    bench.ingest(docs)
    (docs / "a.txt").unlink()
    found = [*read(docs), Failure("docs/secret", "the folder cannot be listed", "storage")]
    with pytest.raises(ForbiddenError, match="docs/secret"):
        bench.take(iter(found), prune=True)
    assert "docs/a.txt" in bench.uris()


def test_prune_leaves_what_is_no_file_of_the_folder(bench: Bench, docs: Path, tmp_path: Path) -> None:
    """Documents that were named by hand stay, whatever they are called, also once they replaced a file's."""
    bench.ingest(docs)
    (tmp_path / "ext.md").write_text("Another text on lamps.")
    bench.take(read(tmp_path / "ext.md", uri="docs/extra.md"))
    by_hand = text_source("docs/a.txt", (docs / "a.txt").read_text())
    bench.take(iter([text_source("docs/put.txt", "Put by hand."), by_hand]))
    for name in ("a.txt", "b.md"):
        (docs / name).unlink()
    assert bench.ingest(docs, prune=True).removed == 1
    assert set(bench.uris()) >= {"docs/a.txt", "docs/extra.md", "docs/put.txt"}


@pytest.mark.parametrize("part", ["", "sub"])
def test_prune_sees_that_a_folder_was_emptied(bench: Bench, docs: Path, part: str) -> None:
    """Nothing is found in it, and so all is gone; the guard is asked as always."""
    bench.ingest(docs)
    bench.take(iter(text_source(f"mine/{n}", f"Lamp {n}.") for n in range(3)))
    for path in [path for path in (docs / part).rglob("*") if path.is_file()]:
        path.unlink()
    if not part:
        with pytest.raises(ForbiddenError, match="5 of 8 documents"):
            bench.ingest(docs, prune=True)
    assert bench.ingest(docs / part, prune=True, confirmed=not part).removed == (2 if part else 5)
    assert bench.ingest(docs / part).failures == []


def test_a_broken_link_harms_only_itself(bench: Bench, docs: Path) -> None:
    """Pruning goes on; the link is a failure by name, and what was stored under it stays."""
    (docs / "link.txt").symlink_to("sub/d.txt")
    bench.ingest(docs)
    (docs / "sub" / "d.txt").unlink()
    (docs / "loop").symlink_to("loop")
    report = bench.ingest(docs, prune=True)
    assert report.removed == 1
    assert [(failure.uri, failure.type) for failure in report.failures] == [
        ("docs/link.txt", "storage"),
        ("docs/loop", "storage"),
    ]
    assert "leads nowhere" in report.failures[0].error
    assert "docs/link.txt" in bench.uris()


def test_a_name_that_was_given_counts(bench: Bench, docs: Path) -> None:
    """Also for a file of a known folder, and if it is that of the file; a known folder gets no second name."""
    bench.ingest(docs)
    assert bench.take(read(docs / "a.txt", uri="a.txt")).added == 1
    assert "a.txt" in bench.uris()
    for folder, known in ((docs, "docs"), (docs / "sub", "docs/sub")):
        with pytest.raises(ConflictError, match=rf"named {known}/\.\.\..*leave --root out"):
            bench.take(read(folder, root_name="other"))
        assert bench.take(read(folder, root_name="docs" if folder == docs else None)).added == 0


def test_a_dry_run_changes_nothing(bench: Bench, docs: Path) -> None:
    """A dry run counts what would be done, exactly, and does none of it."""
    bench.ingest(docs)
    (docs / "a.txt").write_text("Something else.")
    (docs / "new.txt").write_text("A new file.")
    bench.embedder.embedded_texts.clear()
    dry = bench.ingest(docs, dry_run=True)
    assert bench.embedder.embedded_texts == []
    assert "docs/new.txt" not in bench.uris()
    real = bench.ingest(docs)
    counts = [(r.added, r.updated, r.unchanged, r.chunks, r.embedded_chunks) for r in (dry, real)]
    assert counts[0] == counts[1] == (1, 1, 4, 2, 2)


def test_the_old_version_answers_until_the_new_one_is_there(bench: Bench, docs: Path) -> None:
    """A file that can no longer be read leaves its stored version in place."""
    bench.ingest(docs)
    (docs / "b.md").write_bytes(b"\x00\x01\x02" * 1000)
    report = bench.ingest(docs)
    assert [failure.uri for failure in report.failures] == ["docs/b.md"]
    stored = bench.store.document("docs/b.md")
    assert stored is not None
    assert "speaks of lamps" in stored.text


def test_a_file_that_was_emptied_says_that_its_old_text_is_found(bench: Bench, docs: Path) -> None:
    """Pruning too leaves it: it is there, and may be half written; a new file without text has nothing to say so of."""
    bench.ingest(docs)
    (docs / "b.md").write_text(" ")
    (docs / "new.md").write_text(" ")
    first, second = bench.ingest(docs, prune=True).failures
    assert first.error.endswith("still found, until it is read again or removed")
    assert "found" not in second.error
    assert "docs/b.md" in bench.uris()


def test_another_type_or_charset_of_the_same_bytes_is_read_again(bench: Bench) -> None:
    """Whoever corrects either gets what it changes; the same once more is unchanged."""

    def text(data: bytes, media_type: str) -> str:
        report = bench.take(iter([bytes_source("a", data, media_type)]))
        assert report.unchanged == len(report.failures) == 0
        assert bench.take(iter([bytes_source("a", data, media_type)])).unchanged == 1
        stored = bench.store.document("a")
        assert stored is not None
        return stored.text

    latin = "Łódź i źdźbło".encode("iso-8859-2")
    assert text(latin, "text/plain") != "Łódź i źdźbło"
    assert text(latin, "text/plain; charset=ISO-8859-2") == "Łódź i źdźbło"
    (failure,) = bench.take(iter([bytes_source("a", latin, "text/plain; charset=bogus")])).failures
    assert "bogus" in failure.error
    assert text(b"# Head\n\n*Body* text.", "text/plain").startswith("#")
    assert text(b"# Head\n\n*Body* text.", "text/markdown") == "Head\n\nBody text."


@pytest.mark.parametrize("title", ["a  b", " a ", "T" * 400])
def test_a_title_is_compared_as_it_is_stored(bench: Bench, title: str) -> None:
    """Spaces that it loses and an end that is cut off do not make it another."""
    assert bench.take(iter([text_source("a", "Text.", title=title)])).added == 1
    assert bench.take(iter([text_source("a", "Text.", title=title)])).unchanged == 1


def test_files_are_fetched_in_parallel(bench: Bench, tmp_path: Path) -> None:
    """More than one file is being fetched at a time."""
    together = threading.Barrier(2, timeout=20)

    def source(n: int) -> Source:
        def opened() -> BinaryIO:
            together.wait()
            return text_source(f"s{n}", f"Text {n}.").open()

        return Source(f"s{n}", "text/plain", opened)

    assert bench.take(iter([source(n) for n in range(2 * FETCH_BATCH_SIZE)])).added == 2 * FETCH_BATCH_SIZE


def test_the_next_batch_is_read_while_a_server_is_waited_for(bench: Bench) -> None:
    """The first request does not come back before more was opened than is fetched ahead of the first batch."""
    opened: list[str] = []

    def source(n: int) -> Source:
        def opening() -> BinaryIO:
            opened.append(f"s{n}")
            return text_source(f"s{n}", f"Lamp {n} burns.").open()

        return Source(f"s{n}", "text/plain", opening)

    bench.embedder = Waiting(0, lambda: len(opened) > (4 + PREFETCH_BATCHES) * FETCH_BATCH_SIZE)
    bench.embedder.batch_size = 4 * FETCH_BATCH_SIZE
    assert bench.take(source(n) for n in range(16 * FETCH_BATCH_SIZE)).added == 16 * FETCH_BATCH_SIZE


def test_a_batch_is_written_while_the_next_is_embedded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch is not on disk before the second request was sent."""
    put = bench.store.put

    def late(cuts: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        until = time.monotonic() + 20
        while len(bench.embedder.lists) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        return put(cuts, vectors)

    bench.embedder.concurrency, bench.embedder.batch_size = 2, 1
    monkeypatch.setattr(bench.store, "put", late)
    assert bench.take(text_source(f"s{n}", f"Lamp {n} burns.") for n in range(2)).added == 2


def test_what_was_embedded_is_stored_also_where_the_run_breaks_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch whose writing had not begun, because the next one was still being looked up."""
    vectors, looks = bench.store.vectors, []

    def failing(hashes: Iterable[str]) -> Mapping[str, Vectors]:
        looks.append(1)
        if len(looks) == 2:
            raise StorageError("the disk is gone for a moment")
        return vectors(hashes)

    bench.embedder.concurrency, bench.embedder.batch_size = 2, 1
    monkeypatch.setattr(bench.store, "vectors", failing)
    report = IngestReport()
    run = IngestPipeline(bench.store, bench.embedder, bench.loop, RequestContext("ingest"), report)
    with pytest.raises(StorageError, match="for a moment"):
        run.run(text_source(f"s{n}", f"Lamp {n} burns.") for n in range(3))
    assert report.added == len(bench.uris()) == 1


def test_outcomes_are_told_as_they_happen(bench: Bench) -> None:
    """Every input is told once, when it is on disk."""
    told: list[IngestResult] = []

    def on_done(outcome: IngestResult) -> None:
        if not isinstance(outcome, Failure):
            assert bench.store.document(outcome.uri)
        told.append(outcome)

    sources = [text_source("a", "One."), text_source("b", " \n "), text_source("c", "Two.")]
    IngestPipeline(bench.store, bench.embedder, bench.loop, RequestContext("ingest"), IngestReport(), on_done).run(
        sources
    )
    assert {outcome.uri for outcome in told} == {"a", "b", "c"}
    assert [outcome.uri for outcome in told if isinstance(outcome, Failure)] == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_ctrl_c_at_a_commit_does_not_part_it_from_its_count(
    bench: Bench, docs: Path, monkeypatch: pytest.MonkeyPatch, times: int, concurrency: int
) -> None:
    """Most interruptions come while the disk is waited for: what it then has is in the report, also at the second."""
    put, main, met = bench.store.put, threading.main_thread().ident, threading.Event()
    assert main is not None

    def meeting(number: int, frame: FrameType | None) -> None:
        met.set()
        raise KeyboardInterrupt

    def interrupted(cuts: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        for _ in range(times):
            met.clear()
            signal.pthread_kill(main, signal.SIGINT)
            for _ in range(1000):
                if met.wait(0.01):
                    break
                signal.pthread_kill(main, signal.SIGUSR1)  # a wait just begun has not noticed
            else:
                raise AssertionError("nobody met the signal")
        return put(cuts, vectors)

    bench.embedder.concurrency = concurrency
    monkeypatch.setattr(bench.store, "put", interrupted)
    report = IngestReport()
    handlers = {signal.SIGINT: meeting, signal.SIGUSR1: lambda number, frame: None}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with pytest.raises(KeyboardInterrupt):
            IngestPipeline(bench.store, bench.embedder, bench.loop, RequestContext("ingest"), report).run(read(docs))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert report.added == len(bench.uris()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 2])
def test_ctrl_c_as_a_batch_is_handed_over_writes_it_once(
    bench: Bench, docs: Path, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """Also where it comes between the helper's having the batch and this thread's knowing it."""

    class Handing(ThreadPoolExecutor):
        def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
            begun = super().submit(work, *args, **named)
            if getattr(work, "__name__", "") == "_write" and args[0]:
                raise KeyboardInterrupt
            return begun

    bench.embedder.concurrency = concurrency
    monkeypatch.setattr("semsearch.ingest.pipeline.ThreadPoolExecutor", Handing)
    report = IngestReport()
    with pytest.raises(KeyboardInterrupt):
        IngestPipeline(bench.store, bench.embedder, bench.loop, RequestContext("ingest"), report).run(read(docs))
    assert (report.added, report.updated) == (len(bench.uris()), 0)
    assert report.added > 0


@pytest.mark.slow
def test_interrupting_keeps_what_was_committed(tmp_path: Path) -> None:
    """Ctrl-C ends a run with a word on what is stored; that stays, and the next run goes on from there."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(700):
        (folder / f"{n:04}.txt").write_text("\n\n".join(f"Lamp {n} {line} burns in the fog." for line in range(100)))
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path / "data"), "ingest", str(folder)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    listing = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path / "data"), "collections", "--json"]
    while (
        '"documents": 0' in (out := subprocess.run(listing, capture_output=True, text=True, check=True).stdout)
        or out == "[]\n"
    ):
        assert time.monotonic() < until
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "interrupted" in err
    counted = int(out.split(" added")[0])
    assert 0 < counted < 700
    again = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert again["unchanged"] == counted
    assert again["added"] == 700 - counted


def test_a_text_that_is_refused_harms_only_its_file(bench: Bench, docs: Path) -> None:
    """The file is named with the reason and not stored, in whole or in part; its neighbours are."""
    paragraphs = "\n\n".join("fog " * 200 for _ in range(2))
    (docs / "c.txt").write_text(f"{paragraphs}\n\n{'poison ' * 200}")
    bench.embedder.minds = {"poison"}
    report = bench.ingest(docs)
    assert report.added == 4
    assert [(failure.uri, failure.type) for failure in report.failures] == [("docs/c.txt", "upstream")]
    assert "chunks: it is minded" in report.failures[0].error
    assert "docs/c.txt" not in bench.uris()
    assert len(bench.embedder.lists) == 1


def test_a_refused_edit_leaves_the_old_version(bench: Bench, docs: Path) -> None:
    """The file goes on answering with what it said before."""
    bench.ingest(docs)
    (docs / "a.txt").write_text("Now with poison in it.")
    bench.embedder.minds = {"poison"}
    report = bench.ingest(docs)
    assert [failure.uri for failure in report.failures] == ["docs/a.txt"]
    stored = bench.store.document("docs/a.txt")
    assert stored is not None
    assert "speaks of lamps" in stored.text
    assert (report.unchanged, report.embedded_chunks) == (4, 0)


def test_two_files_with_the_same_refused_text_are_both_named(bench: Bench) -> None:
    """A text that is shared is asked for once and blamed for each."""
    bench.embedder.minds = {"poison"}
    sources = [text_source(name, "All poison here.", title="T") for name in ("a", "b")]
    report = bench.take(iter([*sources, text_source("c", "A lamp.")]))
    assert [failure.uri for failure in report.failures] == ["a", "b"]
    assert (report.added, len(bench.embedder.lists[0])) == (1, 2)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_equal_texts_are_embedded_once(bench: Bench, concurrency: int) -> None:
    """Within a batch, across batches of which one is still being written, and in a plan as in the run."""
    bench.embedder.batch_size, bench.embedder.concurrency = 2, concurrency
    sources = [text_source(f"{number}", f"Lamp {number % 3} burns.", title="T") for number in range(9)]
    planned: list[str] = []
    report = IngestReport()
    look = IngestPipeline(
        bench.store, bench.embedder, bench.loop, RequestContext("ingest"), report, None, True, planned.extend
    )
    look.run(sources)
    assert bench.take(iter(sources)).embedded_chunks == report.embedded_chunks == 3
    assert bench.embedder.embedded_texts == planned


def test_texts_are_asked_for_in_the_order_of_their_files(bench: Bench) -> None:
    """However long each takes to read: a plan and its run fill the same requests."""
    waiting = threading.Event()

    def slow() -> BinaryIO:
        assert waiting.wait(30)
        return text_source("1", "Number one.").open()

    def quick() -> BinaryIO:
        waiting.set()
        return text_source("last", "Number last.").open()

    between = [
        text_source(str(number), f"Number {number}.") for number in range(2, FETCH_BATCH_SIZE + 1)
    ]  # by the same thread
    bench.take(iter([Source("1", "text/plain", slow), *between, Source("last", "text/plain", quick)]))
    assert [text.split()[0] for text in bench.embedder.embedded_texts] == ["1", "2", "3", "4", "last"]


def test_usage_is_that_of_the_run(bench: Bench, docs: Path) -> None:
    """What its requests have cost stands in the report, also when it fails."""
    assert bench.ingest(docs).usage.embedding_tokens == 5


PAID = "openai:m@8"
TEXTS = {f"{number:02}.txt": f"File {number} speaks of lamp {number} and of nothing else." for number in range(40)}


@pytest.fixture(scope="module")
def its_server() -> Iterator[EmbeddingServer]:
    """One server that wants money for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(its_server: EmbeddingServer) -> EmbeddingServer:
    """The server as if it were new."""
    its_server.reset()
    return its_server


@contextmanager
def paying(folder: Path, server: EmbeddingServer, max_batch_inputs: int = 4) -> Iterator[Library]:
    """A library whose embeddings cost money."""
    endpoint = Endpoint(base_url=server.url, key=Secret("sk-test-5ecret"))
    chosen = Settings(embeddings=endpoint, max_batch_inputs=max_batch_inputs, concurrency=2)
    with Library(folder, settings=chosen) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a library will be."""
    return tmp_path / "indexes"


def write(folder: Path, texts: Mapping[str, str] = TEXTS) -> Path:
    """A folder with these files."""
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(f"# Harbour\n\n{text}")
    return folder


@pytest.mark.slow
def test_no_text_is_paid_for_twice(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """Not on a second run, for a renamed or a duplicated file, in another collection, or after deleting the first."""
    docs = write(tmp_path / "docs", {f"{name}.md": text for name, text in TEXTS.items()})
    with paying(folder, server) as library:
        assert library.create("one", embedder=PAID).ingest(read(docs)).added == 40
        assert library.create("one").ingest(read(docs)).unchanged == 40
        (docs / "00.txt.md").rename(docs / "renamed.md")
        (docs / "copy.md").write_text((docs / "01.txt.md").read_text())
        assert library.create("one").ingest(read(docs)).added == 2
        assert library.create("two", embedder=PAID).ingest(read(docs)).added == 41
        library.delete("one")
        library.delete("two")
    with paying(folder, server) as library:
        report = library.create("three", embedder=PAID).ingest(read(docs))
    assert (report.added, report.usage.embedding_tokens) == (41, 0)
    assert len(server.sent_texts) == len(set(server.sent_texts)) == 40


class Stopped(Exception):
    """As if the process had ended here."""


def test_a_crash_before_the_first_put_costs_nothing(
    folder: Path, tmp_path: Path, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server answered is kept before anything else is done with it."""
    docs = write(tmp_path / "docs")

    def put(store: LocalStore, cuts: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        raise Stopped

    with paying(folder, server) as library, monkeypatch.context() as patched:
        patched.setattr(LocalStore, "put", put)
        with pytest.raises(Stopped):
            library.create("one", embedder=PAID).ingest(read(docs))
    assert server.sent_texts
    with paying(folder, server) as library:
        assert library.create("one").ingest(read(docs)).added == 40
    assert len(server.sent_texts) == len(set(server.sent_texts)) == 40


def test_an_outage_in_the_middle_is_paid_once(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """The run ends with the server's error; the next one asks only for what is still missing."""
    docs = write(tmp_path / "docs")
    server.refuse = lambda inputs: Refusal(401, "gone") if len(server.requests) > 4 else None
    with paying(folder, server) as library, pytest.raises(UpstreamError, match="401"):
        library.create("one", embedder=PAID).ingest(read(docs))
    bought = [text for inputs in server.requests[:4] for text in inputs]
    assert len(bought) == 16
    server.reset()
    with paying(folder, server) as library:
        report = library.create("one").ingest(read(docs))
    assert (report.added + report.unchanged, report.failures) == (40, [])
    assert not set(bought) & set(server.sent_texts)
    assert len(server.sent_texts) == 24


def test_poison_is_named_by_its_file(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """99 of 100 files are stored after 16 requests at most; the next run asks for the poison alone and names it."""
    docs = write(tmp_path / "docs", {f"{number:03}.md": f"Lamp {number} burns." for number in range(100)})
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("Lamp 0 " in text for text in inputs) else None
    with paying(folder, server, max_batch_inputs=2048) as library:
        collection = library.create("one", embedder=PAID)
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
def test_a_file_that_the_server_fails_for_is_named(
    folder: Path, tmp_path: Path, server: EmbeddingServer, reply: bytes | None
) -> None:
    """299 of 300 files are stored; the next run asks for the bad one alone and names it."""
    docs = write(tmp_path / "docs", {f"{number:03}.md": f"Lamp {number} burns." for number in range(300)})
    bad = "Harbour\nLamp 170 burns."
    if reply is None:
        server.refuse = lambda inputs: Refusal(500, "it broke") if bad in inputs else None
    else:
        server.corrupt = lambda inputs: reply if bad in inputs else None
    with paying(folder, server, max_batch_inputs=2048) as library:
        collection = library.create("one", embedder=PAID)
        for added in (299, 0):
            server.requests.clear()
            report = collection.ingest(read(docs))
            assert (report.added, [failure.uri for failure in report.failures]) == (added, ["docs/170.md"])
            assert report.failures[0].type == "upstream"
            assert ("it broke" if reply is None else "vectors of 3 numbers") in report.failures[0].error
            assert len(server.requests) <= 3 + 2 * 9
        assert collection.search("Lamp 171", k=1)
    assert {text for text in server.sent_texts if "burns" in text} == {bad}


def test_another_file_beside_known_poison_is_stored(folder: Path, server: EmbeddingServer) -> None:
    """A list of which nothing but the poison is new names it, and stores what is known or new beside it."""
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("poison" in text for text in inputs) else None
    known, bad = text_source("a", "A lamp.", title="T"), text_source("b", "All poison.", title="T")
    with paying(folder, server) as library:
        library.create("one", embedder=PAID).ingest([known])
    with paying(folder, server) as library:
        outcomes = library.create("two", embedder=PAID).upsert([bad, known])
    assert {outcome.uri: isinstance(outcome, Failure) for outcome in outcomes} == {"a": False, "b": True}


def test_a_run_that_is_wrong_in_all_blames_no_file(folder: Path, tmp_path: Path, server: EmbeddingServer) -> None:
    """A parameter that the server does not take ends the run after a few requests."""
    docs = write(tmp_path / "docs")
    server.refuse = lambda inputs: Refusal(400, "dimensions is not supported")
    report = IngestReport()
    with paying(folder, server) as library, pytest.raises(UpstreamError, match="dimensions is not supported"):
        library.create("one", embedder=PAID).ingest(read(docs), report=report)
    assert report.failures == []
    assert len(server.requests) <= 8
