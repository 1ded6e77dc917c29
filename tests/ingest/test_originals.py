"""What an ingestion keeps: the bytes of files that are not below an ingested folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from semsearch import Library, bytes_source, read, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ConflictError, NotFoundError
from semsearch.core.settings import Settings
from semsearch.core.types.documents import ChunkedDocument, Document
from semsearch.core.types.originals import OriginalFile
from semsearch.ingest import pipeline

DATA = "# Lämp\r\n\r\nThe lamp is lit.\r\n".encode()


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Collection]:
    """An empty collection."""
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        yield library.create("notes")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with one file."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_bytes(DATA)
    return folder


def list_originals(collection: Collection) -> list[Path]:
    """Return the files in which originals are kept."""
    return list(Path(str(collection.backends.store.folder)).glob("originals/*"))  # type: ignore[attr-defined]


def test_lone_file_is_kept(notes: Collection, docs: Path) -> None:
    """Its original can be read when the file is gone."""
    notes.ingest(docs / "a.md")
    (docs / "a.md").unlink()
    original = notes.get_original("a.md")
    assert (original.data, original.filename, original.media_type) == (DATA, "a.md", "text/markdown")


@pytest.mark.slow
def test_file_of_a_folder_is_not_kept(notes: Collection, docs: Path) -> None:
    """It is read from the folder, also after a lone ingestion; the folder may be ingested after the file."""
    notes.ingest(docs / "a.md")
    assert len(list_originals(notes)) == 1
    notes.remove(["a.md"])
    notes.ingest(docs)
    notes.ingest(docs / "a.md")
    assert [info.uri for info in notes.documents()] == ["docs/a.md"]
    assert notes.get_original("docs/a.md").data == DATA
    assert list_originals(notes) == []
    (docs / "a.md").write_bytes(b"# Bell\n")
    with pytest.raises(ConflictError, match="ingest it again"):
        notes.get_original("docs/a.md")
    notes.ingest(docs)
    assert notes.get_original("docs/a.md").data == b"# Bell\n"


def test_text_has_no_original(notes: Collection) -> None:
    """Its file, if it had one before, is not kept any more."""
    notes.upsert([bytes_source("a", b"A lamp.", "text/plain")])
    assert notes.get_original("a").data == b"A lamp."
    notes.upsert([text_source("a", "A bell.")])
    with pytest.raises(NotFoundError, match="there is no original of 'a': it came as a text"):
        notes.get_original("a")
    assert list_originals(notes) == []


@pytest.mark.slow
def test_file_without_original_gets_it_when_it_is_ingested_again(tmp_path: Path) -> None:
    """As soon as there is space; until then it costs nothing, like every unchanged file."""
    source = bytes_source("a.md", DATA, "text/markdown")
    for gib, status, message in (
        (0.0, "added", "was used up"),
        (0.0, "unchanged", "was used up"),
        (1.0, "updated", ""),
    ):
        with Library(tmp_path / "indexes", settings=Settings(originals_gib=gib)) as library:
            notes = library.create("notes")
            [result] = notes.upsert([source])
            assert getattr(result, "status", None) == status
            if message:
                with pytest.raises(NotFoundError, match=message):
                    notes.get_original("a.md")
            else:
                assert notes.get_original("a.md").data == DATA
                assert [getattr(again, "status", None) for again in notes.upsert([source])] == ["unchanged"]


def test_report_counts_originals_without_space(tmp_path: Path) -> None:
    """The documents are stored; a dry run counts none."""
    sources = [bytes_source(f"{number}.md", b"# Lamp %d" % number, "text/markdown") for number in range(3)]
    with Library(tmp_path / "indexes", settings=Settings(originals_gib=17 / 2**30)) as library:
        notes = library.create("notes")
        assert notes.ingest(sources, dry_run=True).originals_not_kept == 0
        report = notes.ingest([*sources, text_source("text", "A bell.")])
        assert (report.added, report.originals_not_kept) == (4, 1)


@pytest.mark.slow
def test_originals_are_deleted_with_their_documents(notes: Collection, docs: Path) -> None:
    """Not before the last one of equal bytes; a pruned file has none."""
    notes.ingest(read(docs / "a.md", uri="x"))
    notes.upsert([bytes_source("y", DATA, "text/markdown")])
    assert len(list_originals(notes)) == 1
    notes.remove(["x"])
    assert notes.get_original("y").data == DATA
    notes.remove_matching({"uri": "y"})
    assert list_originals(notes) == []


def test_large_originals_close_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came as bytes wait in memory until their batch is written."""
    monkeypatch.setattr(pipeline, "MAX_BATCH_ORIGINAL_BYTES", 100)

    def make(size: int | None) -> ChunkedDocument:
        original = None if size is None else OriginalFile(open, size)  # type: ignore[arg-type]
        return ChunkedDocument(Document("a", "a", "text/plain", (), "", "1", original=original), [])

    documents = [make(size) for size in (None, 60, 60, None, 100, 1)]
    assert [len(batch) for batch in pipeline._group_into_batches(documents, 1_000)] == [3, 2, 1]
