"""The numbers of sentences' terms: read from a file or made anew, they are the same."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.writing import make_document, put_document

from semsearch.core.types.packed_terms import encode_sentences
from semsearch.storage.collections.local.index import sentence_terms as sentences
from semsearch.storage.collections.local.index.checked_files import BLOCK_BYTES
from semsearch.storage.collections.local.index.term_stream import read_terms
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

NewStore = Callable[[str], LocalStore]
_lines = st.lists(st.lists(st.sampled_from(["lamp", "fog", "k", "17", "東京"]), max_size=5).map(" ".join), max_size=4)


@given(st.lists(_lines, min_size=1, max_size=12))
def test_each_row_comes_back(chunks: list[list[str]]) -> None:
    """Whatever its length; the terms that stand in no sentence are left out, and those of titles."""
    found = [(number, "lamp title", "\n".join([*lines, "rest of it"])) for number, lines in enumerate(chunks)]
    numbers, sizes = sentences.encode_sentence_terms(*read_terms(found))
    ends = np.cumsum(sizes)
    rows = [numbers[end - size : end].tolist() for size, end in zip(sizes, ends, strict=True)]
    assert rows == [row.tolist() for row in encode_sentences(chunks)]
    assert ends[-1] == len(numbers)


@given(st.lists(st.integers(0, 3 * BLOCK_BYTES), max_size=9))
def test_pieces_are_whole_blocks(sizes: list[int]) -> None:
    """All but the last, as a file wants them; nothing is lost between them."""
    given = [np.arange(size, dtype=np.uint32) for size in sizes]
    pieces = list(sentences.align_to_blocks(given))
    assert all(len(piece) % BLOCK_BYTES == 0 for piece in pieces[:-1])
    assert np.array_equal(np.concatenate(pieces), np.concatenate([np.empty(0, np.uint32), *given]))


@pytest.fixture
def filled(new_store: NewStore) -> LocalStore:
    """A collection with an index over most of it, and some chunks that came later."""
    store = new_store("lamps")
    for number in range(520):
        put_document(store, make_document(f"docs/{number}", f"Lamp {number} in the fog. It is number {number % 7}!"))
    store.refresh_index()
    for number in range(520, 530):
        put_document(store, make_document(f"docs/{number}", f"Lamp {number} in the fog. It is number {number % 7}!"))
    return store


def loaded(store: LocalStore) -> list[tuple[list[int], list[int], list[tuple[str, ...]]]]:
    """The numbers of every chunk, their sizes, and its terms."""
    with store.snapshot() as snapshot:
        chunks = snapshot.load(snapshot.lexical_search(["lamp"], 1000).ids.tolist())
        return [
            (chunk.terms.term_hashes[0].tolist(), chunk.terms.term_hashes[1], list(chunk.terms)) for chunk in chunks
        ]


def test_they_are_those_of_the_terms(filled: LocalStore) -> None:
    """In the index and behind it."""
    found = loaded(filled)
    assert len(found) == 530
    with filled.snapshot() as snapshot:
        assert snapshot.view.sentence_terms is not None
        assert list(snapshot.view.sentence_terms.lookup(range(600))) == list(range(1, 521))
    for numbers, sizes, terms in found:
        (row,) = encode_sentences([[" ".join(sentence) for sentence in terms]])
        assert [*sizes, *numbers] == row.tolist()


@pytest.mark.parametrize("name", ["sentences.numbers", "sentences.starts"])
def test_damage_is_noticed(
    filled: LocalStore, new_store: NewStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Then they are made from the terms."""
    wanted = loaded(filled)
    (file,) = filled.folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    for at in range(0, len(data), 4096):
        data[at] ^= 4
    file.unlink()
    file.write_bytes(data)
    assert loaded(new_store("lamps")) == wanted
    assert f"{name} is damaged" in caplog.text


def test_bytes_are_the_same_in_every_process() -> None:
    """They are kept in files: a term has one number for ever."""
    (row,) = encode_sentences([["lamp fog", "lamp"]])
    assert row.tolist()[:2] == [2, 1]
    assert row.tolist()[2] == row.tolist()[4] == 1_281_922_305
