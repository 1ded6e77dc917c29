"""Hashed terms of sentences: the same from a file and from the text."""

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stores import NewStore, create_store
from support.writing import make_document, put_document

from semsearch.core.types.packed_terms import encode_sentences
from semsearch.storage.collections.local.index import sentence_terms
from semsearch.storage.collections.local.index.term_stream import read_terms
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

_lines = st.lists(st.lists(st.sampled_from(["lamp", "fog", "k", "17", "東京"]), max_size=5).map(" ".join), max_size=4)


@given(st.lists(_lines, min_size=1, max_size=12))
def test_rows_round_trip(chunks: list[list[str]]) -> None:
    """Rows of any length are encoded; terms outside sentences and of titles are left out."""
    term_rows = [(number, "lamp title", "\n".join([*lines, "rest of it"])) for number, lines in enumerate(chunks)]
    numbers, sizes = sentence_terms.encode_sentence_terms(*read_terms(term_rows))
    ends = np.cumsum(sizes)
    rows = [numbers[end - size : end].tolist() for size, end in zip(sizes, ends, strict=True)]
    assert rows == [row.tolist() for row in encode_sentences(chunks)]
    assert ends[-1] == len(numbers)


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection with an index over most chunks, and some newer chunks; tests copy it."""
    folder = tmp_path_factory.mktemp("lamps")
    documents = [
        make_document(f"docs/{number}", f"Lamp {number} in the fog. It is number {number % 7}!")
        for number in range(530)
    ]
    with closing(create_store(folder)) as store:
        for document in documents[:520]:
            put_document(store, document)
        store.refresh_index()
        for document in documents[520:]:
            put_document(store, document)
    return folder


@pytest.fixture
def filled(new_store: NewStore, lamps: Path, tmp_path: Path) -> LocalStore:
    """A copy of the collection."""
    shutil.copytree(lamps, tmp_path / "lamps")
    return new_store("lamps")


def load_terms(store: LocalStore) -> list[tuple[list[int], list[int], list[tuple[str, ...]]]]:
    """Return hashes, sentence sizes and terms of every chunk."""
    with store.snapshot() as snapshot:
        chunks = snapshot.load(snapshot.lexical_search(["lamp"], 1000).ids.tolist())
        return [
            (chunk.terms.term_hashes[0].tolist(), chunk.terms.term_hashes[1], list(chunk.terms)) for chunk in chunks
        ]


def test_stored_hashes_are_those_of_the_terms(filled: LocalStore) -> None:
    """The hashes of indexed and of newer chunks are those of their terms."""
    chunks = load_terms(filled)
    assert len(chunks) == 530
    with filled.snapshot() as snapshot:
        assert snapshot.view.sentence_terms is not None
        assert list(snapshot.view.sentence_terms.lookup(range(600))) == list(range(1, 521))
    for numbers, sizes, terms in chunks:
        (row,) = encode_sentences([[" ".join(sentence) for sentence in terms]])
        assert [*sizes, *numbers] == row.tolist()


@pytest.mark.parametrize("name", ["sentences.numbers", "sentences.starts"])
def test_damaged_files_are_replaced_by_the_terms(
    filled: LocalStore, new_store: NewStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a damaged file the hashes are computed from the terms."""
    expected = load_terms(filled)
    (file,) = filled.folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    for offset in range(0, len(data), 4096):
        data[offset] ^= 4
    file.unlink()
    file.write_bytes(data)
    assert load_terms(new_store("lamps")) == expected
    assert f"{name} is damaged" in caplog.text


def test_hashes_are_the_same_in_every_process() -> None:
    """The hash of a term never changes, because hashes are stored in files."""
    (row,) = encode_sentences([["lamp fog", "lamp"]])
    assert row.tolist()[:2] == [2, 1]
    assert row.tolist()[2] == row.tolist()[4] == 1_281_922_305
