"""Loading of sources: what the bytes of large and unreadable files cost."""

import gc
import threading
import time
import weakref
from pathlib import Path

import pytest

from semsearch import Library, Source, bytes_source
from semsearch.core.settings import Settings
from semsearch.ingest import loading


class FakeContent:
    """Stands for the bytes of a file: it can be seen whether it is freed."""


def test_an_unreadable_file_frees_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error holds no variable of the frames that it came through; only a collection would free these."""
    references = []
    read = loading.SourceLoader._read_in_worker

    def read_and_hold(self: loading.SourceLoader, *arguments: object) -> object:
        content = FakeContent()
        references.append(weakref.ref(content))
        return read(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loading.SourceLoader, "_read_in_worker", read_and_hold)
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("few")
        gc.disable()
        try:
            report = collection.ingest([bytes_source("a.pdf", b"%PDF-1.4 no file", "application/pdf")])
            assert [failure.uri for failure in report.failures] == ["a.pdf"]
            assert [reference() for reference in references] == [None]
        finally:
            gc.enable()


def test_large_files_are_read_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bytes are never in memory at the same time; small files do not wait."""
    running, most = set[int](), []
    read = loading.SourceLoader._load

    def read_slowly(self: loading.SourceLoader, source: Source, data: bytes, version: None) -> object:
        if len(data) > 100:
            running.add(threading.get_ident())
            most.append(len(running))
            time.sleep(0.05)
            running.discard(threading.get_ident())
        return read(self, source, data, version)

    monkeypatch.setattr(loading, "LARGE_SOURCE_BYTES", 100)
    monkeypatch.setattr(loading, "FETCH_BATCH_SIZE", 1)
    monkeypatch.setattr(loading.SourceLoader, "_load", read_slowly)
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(4):
        (docs / f"{number}.txt").write_text(f"The lamp {number} is lit. " * 20)
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        assert library.create("few").ingest(docs).added == 4
    assert most == [1] * 4
