"""The blocks of a span are those of the stored document, and damaged ones are an error with its uri."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stores import NewStore
from support.writing import put_document

from semsearch.core.errors import StorageError
from semsearch.core.types.documents import BLOCK_SEPARATOR, Block, BlockKind, Document, Locator
from semsearch.core.types.stored_documents import TextBlock
from semsearch.storage.collections.local.catalog import CATALOG_FILE
from semsearch.storage.collections.local.store import LocalStore

KINDS: tuple[BlockKind, ...] = ("paragraph", "heading", "list", "table", "code")
BLOCKS = tuple(
    Block(f"Block {n} {'lamp ' * (n % 4)}".strip(), KINDS[n % len(KINDS)], Locator(page=n // 5 or None))
    for n in range(40)
)
DOCUMENT = Document("docs/lamp", "lamp", "text/plain", BLOCKS, "0" * 64, "1", {})


def load(store: LocalStore, start: int, end: int) -> list[TextBlock]:
    """Return the blocks of the only document."""
    with store.snapshot() as snapshot:
        document_id = snapshot.load(snapshot.lexical_search(["lamp"], 1).ids.tolist())[0].document_id
        return snapshot.blocks(document_id, start, end)


def scan(start: int, end: int) -> list[TextBlock]:
    """Return the expected blocks, by a scan of the whole document."""
    blocks, offset = list[TextBlock](), 0
    for block in BLOCKS:
        blocks.append(TextBlock(offset, offset + len(block.text), block.text, block.kind, block.locator.page))
        offset += len(block.text) + len(BLOCK_SEPARATOR)
    return [block for block in blocks if block.end > start and block.start < end]


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """A store with one document of forty blocks."""
    store = new_store("one")
    put_document(store, DOCUMENT)
    return store


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_blocks_of_a_span_are_those_of_a_linear_scan(store: LocalStore, data: st.DataObject) -> None:
    """For every span that overlaps a block."""
    block = data.draw(st.sampled_from(scan(0, 10**6)))
    start = data.draw(st.integers(max(0, block.start - 60), block.end - 1))
    end = data.draw(st.integers(max(start, block.start) + 1, block.end + 60))
    assert load(store, start, end) == scan(start, end)


def test_block_that_ends_where_the_span_starts_is_not_included(store: LocalStore) -> None:
    """Nor is one that starts where the span ends."""
    blocks = scan(0, 10**6)
    for previous, block, following in zip(blocks, blocks[1:], blocks[2:], strict=False):
        assert load(store, previous.end, following.start) == [block]


def test_blocks_are_spans_of_the_document(store: LocalStore) -> None:
    """Also with an end beyond the document."""
    document = store.document("docs/lamp")
    assert document is not None
    blocks = load(store, 0, 10**9)
    assert [document.text[block.start : block.end] for block in blocks] == [block.text for block in BLOCKS]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM block WHERE ordinal = 20",
        "DELETE FROM block",
        "UPDATE block SET start = start + 1 WHERE ordinal = 20",
        "UPDATE block SET end = end + 1 WHERE ordinal = 20",
        "UPDATE block SET end = 'x' WHERE ordinal = 20",
        "UPDATE block SET kind = 'lamp' WHERE ordinal = 20",
        "UPDATE block SET locator = '{' WHERE ordinal = 20",
    ],
)
def test_damaged_blocks_are_an_error_with_the_uri(store: LocalStore, statement: str) -> None:
    """Neither a wrong text nor a crash follows."""
    middle = scan(0, 10**6)[20]
    with closing(sqlite3.connect(store.folder / CATALOG_FILE)) as db, db:
        assert db.execute(statement).rowcount
    store._view = None
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        load(store, middle.start - 30, middle.end + 30)


def test_only_a_part_of_a_long_block_is_read(new_store: NewStore) -> None:
    """It consists of whole rows inside the span, with the header of the table."""
    rows = ["name | lamp", *(f"row {number} | {number}" for number in range(5_000))]
    text = "\n".join(rows)
    store = new_store("long")
    put_document(store, Document("docs/lamp", "lamp", "text/csv", (Block(text, "table"),), "0" * 64, "1", {}))
    (part,) = load(store, 30_000, 33_000)
    assert (part.header, part.text) == (rows[0], text[part.start : part.end])
    assert set(part.text.split("\n")) <= set(rows)
    assert 30_000 <= part.start < 30_800 < 32_200 < part.end <= 33_000
    (head,) = load(store, 0, 500)
    assert (head.header, head.start) == ("", 0)
