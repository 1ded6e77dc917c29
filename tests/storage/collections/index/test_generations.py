"""Generations of index files: their recall, and what happens when they are stale or damaged."""

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import HashEmbedder
from support.stores import NewStore
from support.writing import INDEX_THRESHOLDS, VOCABULARY, make_document, put_document

from semsearch.core.errors import LockedError, StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.core.types.documents import Chunk, ChunkedDocument
from semsearch.core.types.packed_terms import hash_terms
from semsearch.core.types.search import ScoredIds
from semsearch.core.types.stored_documents import IndexState
from semsearch.search.lexical import search_terms
from semsearch.storage.collections.local.catalog import PUBLISH_LOCK
from semsearch.storage.collections.local.index import vector_index
from semsearch.storage.collections.local.index.generations import Generations
from semsearch.storage.collections.local.index.segment_builder import IndexPart, build_part
from semsearch.storage.collections.local.rows.terms import TermRow
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

ROWS = 3000
TEXTS = [
    *(f"{' '.join(VOCABULARY[at : at + 20])} k {at}.\n\nAnd number {at}." for at in range(7)),
    "Das Haus am Hafen Nr. 7.",
    "東京は雨です。",
    "...",
]
LISTS = (1, 1000)


def make_vectors(count: int, seed: int = 0) -> np.ndarray:
    """Return random unit vectors in a few clusters."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(20, HashEmbedder.dim))
    vectors = centres[source.integers(0, 20, count)] + 0.5 * source.normal(size=(count, HashEmbedder.dim))
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def fill(store: LocalStore, vectors: np.ndarray, first: int = 0) -> None:
    """Store documents of fifty chunks each with these vectors."""
    for offset in range(0, len(vectors), 50):
        document = make_document(
            f"doc{first + offset:06}", "\n\n".join(f"Text {first + offset + n}." for n in range(50))
        )
        chunks = [
            Chunk(start, end, block.text, "", None, "", ((0, end - start),))
            for block, (start, end) in zip(document.blocks, document.block_spans, strict=True)
        ]
        hashes = [piece.text_hash for piece in chunks]
        store.put([ChunkedDocument(document, chunks)], dict(zip(hashes, vectors[offset : offset + 50])))  # noqa: B905


def build_collection(folder: Path, thresholds: tuple[int, int]) -> Path:
    """Build a collection with a generation over ROWS chunks in this folder."""
    LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(folder, thresholds)) as store:
        fill(store, make_vectors(ROWS))
        store.refresh_index()
        assert len(folders(store)) == 1
    return folder


@pytest.fixture(scope="module", autouse=True)
def builds_in_this_process() -> Iterator[None]:
    """Build the small parts in this process, as with fewer rows: test_build_processes compares both ways.

    The tests of this module would start 460 processes, which take more than half of their time.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("build_processes.MAX_BACKGROUND_ROWS_IN_PROCESS", "new_postings.MAX_ROWS_IN_PROCESS"):
            patch.setattr(f"semsearch.storage.collections.local.index.{name}", 2 * ROWS)
        yield


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection whose codes are all scanned."""
    return build_collection(tmp_path_factory.mktemp("scanned"), INDEX_THRESHOLDS)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection whose codes are in lists."""
    return build_collection(tmp_path_factory.mktemp("listed"), LISTS)


@pytest.fixture
def filled(new_store: NewStore, scanned: Path, tmp_path: Path) -> LocalStore:
    """A store on a copy of the collection without lists."""
    shutil.copytree(scanned, tmp_path / "big")
    return new_store("big")


def folders(store: LocalStore) -> list[Path]:
    """Return the folders of the generations."""
    return sorted(store.folder.glob("index.*"))


def search_vectors(
    store: LocalStore, query: np.ndarray, k: int = 10, allowed_ids: np.ndarray | None = None
) -> ScoredIds:
    """Return the hits by vectors."""
    with store.snapshot() as snapshot:
        return snapshot.top_k(snapshot.vector_search(query, k, allowed_ids), k)


def scan_exactly(store: LocalStore, query: np.ndarray, k: int = 10, allowed_ids: np.ndarray | None = None) -> list[int]:
    """Return the ids that a scan of all stored vectors gives."""
    with store._catalog.read() as db:
        rows = db.execute("SELECT chunk_id, data FROM vector").fetchall()
    ids = np.array([row[0] for row in rows])
    scores = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(ids), -1) @ query
    if allowed_ids is not None:
        scores[~np.isin(ids, allowed_ids)] = -np.inf
    return [int(ids[i]) for i in np.argsort(-scores)[:k] if scores[i] > -np.inf]


def measure_recall(store: LocalStore, queries: np.ndarray, allowed_ids: np.ndarray | None = None) -> float:
    """Return recall@10, the mean over these queries."""
    shares = []
    for query in queries:
        expected = scan_exactly(store, query, 10, allowed_ids)
        shares.append(
            len(set(search_vectors(store, query, 10, allowed_ids).ids.tolist()) & set(expected)) / max(1, len(expected))
        )
    return float(np.mean(shares))


def test_codes_find_what_an_exact_scan_finds(filled: LocalStore) -> None:
    """Recall@10 is .98 or better, without a filter and with filters of any width."""
    queries = make_vectors(30, seed=1)
    ids = np.arange(1, ROWS + 1)
    assert measure_recall(filled, queries) >= 0.98
    for share in (0.002, 0.05, 0.5):
        allowed_ids = np.sort(np.random.default_rng(2).choice(ids, int(share * ROWS), replace=False))
        assert measure_recall(filled, queries, allowed_ids) >= 0.98


@pytest.mark.parametrize("lists", [1000, 150_000])
def test_equal_vectors_are_all_found(new_store: NewStore, lists: int) -> None:
    """With equal codes of all rows there are still ten hits, in the order of their ids."""
    new_store("equal").close()
    store = LocalStore(new_store("equal").folder, (1, lists))
    fill(store, np.repeat(make_vectors(1), ROWS, axis=0))
    store.refresh_index()
    for allowed_ids in (None, np.arange(1, ROWS, 2)):
        assert search_vectors(store, make_vectors(1)[0], 10, allowed_ids).ids.tolist() == (
            list(range(1, 11)) if allowed_ids is None else allowed_ids[:10].tolist()
        )
    store.close()


@pytest.mark.parametrize("lists", [1000, 150_000])
@pytest.mark.parametrize("allowed", [None, np.arange(1, ROWS + 1, 2), np.arange(1, ROWS + 1, 8)])
def test_ties_are_in_id_order_on_every_processor(
    new_store: NewStore, lists: int, allowed: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more equal vectors than candidates those with the lowest ids are returned, after better ones."""
    monkeypatch.setattr(vector_index, "MAX_EXACT_ROWS", 10)
    monkeypatch.setattr(vector_index, "MIN_FILTERED_CANDIDATES", 50)
    new_store("ties").close()
    store = LocalStore(new_store("ties").folder, (1, lists))
    table, generator = make_vectors(ROWS), np.random.default_rng(7)
    equal = np.union1d([0], generator.choice(ROWS, 1000, replace=False))
    table[equal] = table[0]
    query = table[0] + np.float32(0.1) * make_vectors(1, seed=9)[0]
    best_row = ROWS - 8  # its id matches both filters
    table[best_row] = query / np.linalg.norm(query)
    fill(store, table)
    store.refresh_index()
    ids = np.setdiff1d(equal, [best_row]) + 1
    if allowed is not None:
        ids = np.intersect1d(ids, allowed)
    assert search_vectors(store, query, 20, allowed).ids.tolist() == [best_row + 1, *ids[:19].tolist()]
    store.close()


def test_lists_find_what_an_exact_scan_finds(listed: Path) -> None:
    """With lists recall@10 is .97 or better, with and without filters, and there are always ten hits."""
    store = LocalStore(listed, LISTS)
    queries = make_vectors(30, seed=1)
    assert measure_recall(store, queries) >= 0.97
    for share in (0.05, 0.5):
        allowed_ids = np.sort(np.random.default_rng(2).choice(np.arange(1, ROWS + 1), int(share * ROWS), replace=False))
        assert all(len(search_vectors(store, query, 10, allowed_ids).ids) == 10 for query in queries)
        assert measure_recall(store, queries, allowed_ids) >= 0.97
    store.close()


def test_wide_filters_find_enough(filled: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters too wide for an exact scan have a recall@10 of .95 or better, and always ten hits."""
    monkeypatch.setattr(vector_index, "MAX_EXACT_ROWS", 10)
    monkeypatch.setattr(vector_index, "MAX_SIGN_CODE_ROWS", 20)
    monkeypatch.setattr(vector_index, "BASE_CANDIDATES", 150)
    queries = make_vectors(30, seed=1)
    for share in (0.01, 0.1, 0.6):
        allowed_ids = np.sort(np.random.default_rng(2).choice(np.arange(1, ROWS + 1), int(share * ROWS), replace=False))
        assert all(len(search_vectors(filled, query, 10, allowed_ids).ids) == 10 for query in queries)
        assert measure_recall(filled, queries, allowed_ids) >= 0.95


def test_changes_are_searched_before_the_next_generation(filled: LocalStore) -> None:
    """New chunks are found and removed ones are not, before another generation is built."""
    folders_before = folders(filled)
    search_vectors(filled, make_vectors(1)[0])  # the view is advanced, not built anew
    fill(filled, make_vectors(200, seed=5), first=ROWS)
    removed_uris = filled.remove([f"doc{n:06}" for n in range(0, 200, 50)])
    filled.refresh_index()
    assert len(removed_uris) == 4
    assert folders(filled) == folders_before
    assert measure_recall(filled, make_vectors(30, seed=5)) >= 0.98
    for query in make_vectors(20):
        assert not set(search_vectors(filled, query).ids.tolist()) & set(range(1, 201))


def test_index_is_rebuilt_after_many_changes(filled: LocalStore) -> None:
    """Enough new chunks lead to another generation; the previous one is kept until the next."""
    first = folders(filled)
    fill(filled, make_vectors(600, seed=5), first=ROWS)
    filled.refresh_index()
    second = folders(filled)
    assert len(second) == 2
    assert set(first) < set(second)
    fill(filled, make_vectors(600, seed=6), first=ROWS + 600)
    filled.refresh_index()
    assert len(folders(filled)) == 2
    assert not set(first) & set(folders(filled))
    assert measure_recall(filled, make_vectors(30, seed=6)) >= 0.98


_changes = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove", "settle"]), st.integers(0, 40), st.integers(0, 9)), max_size=40
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_changes)
def test_reuse_gives_the_bytes_of_a_build_from_scratch(tmp_path: Path, changes: list[tuple[str, int, int]]) -> None:
    """After any history a generation that reuses the one before has the bytes of one built from scratch."""
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(folder, (1, 150_000))) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 3)
        patch.setattr("semsearch.storage.collections.local.index.postings_slices.SLICE_POSTINGS", 50)
        for module in ("term_stream", "build_processes", "sentence_terms"):
            patch.setattr(f"semsearch.storage.collections.local.index.{module}.BATCH_ROWS", 4)
        for operation, number, kind in [*changes, ("put", 1, 0), ("put", 2, 3)]:
            uri = f"docs/{number * 7 % 41}"
            if operation == "put":
                put_document(store, make_document(uri, TEXTS[kind]))
            elif operation == "remove":
                store.remove([uri])
            else:
                store.refresh_index()
        with store._catalog.read() as db:
            reused, rebuilt = (
                store._generations.build(db, from_scratch=from_scratch) for from_scratch in (False, True)
            )
    assert reused == rebuilt


def test_state_counts_covered_and_new_chunks(filled: LocalStore) -> None:
    """Few changes leave it current; many make it behind until the next generation is built."""
    assert filled.index_state() == IndexState("current", ROWS, 0)
    fill(filled, make_vectors(100, seed=1), first=ROWS)
    filled.remove(["doc000000"])
    assert filled.index_state() == IndexState("current", ROWS - 50, 100)
    fill(filled, make_vectors(500, seed=2), first=ROWS + 100)
    assert filled.index_state() == IndexState("behind", ROWS - 50, 600)
    filled.refresh_index()
    assert filled.index_state() == IndexState("current", ROWS + 550, 0)


def test_long_change_log_is_cut(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log leads to another generation, also where its chunks were removed again: opening reads all of it."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_LOG_ROWS", 20)
    store = new_store("a")

    def count_log_rows() -> int:
        with store._catalog.read() as db:
            return int(db.execute("SELECT count(*) FROM change").fetchone()[0])

    for _ in range(10):
        put_document(store, make_document("a", "A lamp."))
        store.remove(["a"])
    store.refresh_index()
    assert count_log_rows() == 20
    put_document(store, make_document("a", "A lamp."))
    store.refresh_index()
    assert count_log_rows() == 0


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each index part had, in order."""
    counts = []

    def count_rows(rows: Sequence[TermRow]) -> IndexPart:
        counts.append(len(rows))
        return build_part(rows)

    monkeypatch.setattr("semsearch.storage.collections.local.index.build_processes.build_part", count_rows)
    return counts


def test_only_new_chunks_are_indexed(filled: LocalStore, indexed: list[int]) -> None:
    """Another generation indexes new chunks only; reindex indexes all of them."""
    fill(filled, make_vectors(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert indexed == [600]
    filled.reindex()
    assert sum(indexed) == 600 + ROWS + 600


def test_damage_after_a_search_is_not_reused(filled: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    """A block that a search verified may have been damaged since; it is verified again."""
    with filled.snapshot() as snapshot:
        assert snapshot.view.vectors.segment is not None
        snapshot.view.vectors.segment.vectors.read_all()
        snapshot.view.term_index.segments[0].postings.to_columns()
    for name in ("words.rows", "floats"):
        (file,) = filled.folder.glob(f"index.*/{name}")
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        with file.open("r+b") as stream:
            stream.write(data)
    fill(filled, make_vectors(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert "is damaged" in caplog.text
    with filled._catalog.read() as db:
        reused, rebuilt = (filled._generations.build(db, from_scratch=from_scratch) for from_scratch in (False, True))
    assert reused == rebuilt


def test_files_of_another_version_are_not_reused(
    filled: LocalStore, indexed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version may give another index for the same rows."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.INDEX_VERSION", "another")
    fill(filled, make_vectors(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert sum(indexed) == ROWS + 600


@pytest.mark.parametrize(
    "name", ["words.rows", "words.hashes", "grams.counts", "sentences.numbers", "sentences.starts", "floats", "order"]
)
def test_damaged_files_are_not_reused(filled: LocalStore, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A build that meets a damaged file starts again from the stored documents."""
    (file,) = filled.folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.unlink()
    file.write_bytes(data)
    with closing(LocalStore(filled.folder, INDEX_THRESHOLDS)) as store:
        fill(store, make_vectors(600, seed=5), first=ROWS)
        store.refresh_index()
        assert f"{name} is damaged" in caplog.text
        with store._catalog.read() as db:
            reused, rebuilt = (
                store._generations.build(db, from_scratch=from_scratch) for from_scratch in (False, True)
            )
    assert reused == rebuilt


def test_generation_of_another_process_is_used(filled: LocalStore, new_store: NewStore) -> None:
    """A store that only searches uses the generation of another process, and does not keep a growing tail."""
    other_store = new_store("big")
    for batch in range(3):
        fill(filled, make_vectors(400, seed=batch), first=ROWS + 400 * batch)
        search_vectors(other_store, make_vectors(1)[0])
        filled.refresh_index()
    search_vectors(other_store, make_vectors(1)[0])
    assert other_store._view is not None
    assert other_store._view.vectors.segment is not None
    assert len(other_store._view.vectors.segment.ids) > ROWS
    assert len(other_store._view.vectors.tail_ids) < 1_000
    assert measure_recall(other_store, make_vectors(20, seed=2)) >= 0.98


def test_two_histories_give_the_same_hits_after_reindex(new_store: NewStore) -> None:
    """After reindex a collection with a history gives the hits and scores of a fresh one."""
    changed, fresh = new_store("lived"), new_store("fresh")
    vectors = make_vectors(1500)
    fill(changed, make_vectors(300, seed=9), first=5000)
    fill(changed, vectors[700:], first=700)
    changed.remove([f"doc{n:06}" for n in range(5000, 5300, 50)])
    fill(changed, vectors[:700])
    fill(fresh, vectors)
    changed.reindex()
    fresh.reindex()

    def search(store: LocalStore, query: np.ndarray) -> list[tuple[str, int, float]]:
        scored = search_vectors(store, query)
        with store.snapshot() as snapshot:
            return [
                (chunk.uri, chunk.start, score)
                for chunk, score in zip(snapshot.load(scored.ids.tolist()), scored.scores, strict=True)
            ]

    for query in make_vectors(20, seed=1):
        assert search(changed, query) == search(fresh, query)


def test_changes_during_a_build_are_kept(filled: LocalStore, new_store: NewStore) -> None:
    """Chunks that are removed or added during a build are not found, or found, after it is published."""
    with filled._catalog.read() as db:
        generation = filled._generations.build(db)
    filled.remove(["doc000000"])
    fill(filled, make_vectors(50, seed=8), first=ROWS)
    with filled._catalog.write("publish") as db:
        filled._generations.publish(db, generation)
    for store in (filled, new_store("big")):
        for query in make_vectors(20):
            assert not set(search_vectors(store, query).ids.tolist()) & set(range(1, 51))
        assert measure_recall(store, make_vectors(20, seed=8)) >= 0.98


FILES = ["codes", "bits", "ones", "factors", "floats", "ids", "order", "by_id", "sums.u32"]
COLUMNS = ("ids", "lengths", "hashes", "starts", "rows", "counts")
WORD_FILES = [f"{kind}.{name}" for kind in ("words", "grams") for name in COLUMNS]


def search_lexical(store: LocalStore, *terms: str, k: int = ROWS) -> ScoredIds:
    """Return the hits by terms and trigrams."""
    with store.snapshot() as snapshot:
        return search_terms(snapshot, terms, k, language="other")


@pytest.mark.parametrize("name", [*FILES, *WORD_FILES])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_damaged_file_is_reported_and_replaced(
    filled: LocalStore,
    new_store: NewStore,
    name: str,
    damage: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A damaged file is reported, searches are exact, and the next write builds another generation."""
    monkeypatch.setattr(vector_index, "MAX_EXACT_ROWS", 100)  # with the usual bounds a filter over so few rows, or
    monkeypatch.setattr(vector_index, "MIN_CODE_SCAN_SHARE", 2.0)  # over all of them, does not use sign codes
    expected_hits = search_lexical(filled, "text", "1500")
    file = folders(filled)[0] / name
    data = bytearray(file.read_bytes())
    for offset in range(len(data) // 2 % 4096, len(data), 4096):
        data[offset] ^= 4
    file.unlink()
    if damage != "remove":
        file.write_bytes({"flip": bytes(data), "truncate": bytes(data[:-9]), "empty": b""}[damage])
    store = new_store("big")
    questions = make_vectors(ROWS)[1490:1498]
    all_ids = np.arange(1, ROWS + 1)
    filtered = [search_vectors(store, question, allowed_ids=all_ids).ids.tolist() for question in questions]
    unfiltered = [search_vectors(store, question).ids.tolist() for question in questions]
    lexical_hits = search_lexical(store, "text", "1500")
    assert (lexical_hits.ids.tolist(), lexical_hits.scores.tolist()) == (
        expected_hits.ids.tolist(),
        expected_hits.scores.tolist(),
    )
    assert name in caplog.text
    assert unfiltered == filtered == [scan_exactly(store, q) for q in questions]
    store.refresh_index()
    assert measure_recall(new_store("big"), questions) >= 0.98
    assert len(folders(store)) == 2


@pytest.mark.parametrize("name", ["codes", "lists", "sizes"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damaged_lists_are_reported_and_replaced(
    listed: Path, tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged lists are reported when they are scanned, searches are exact, and the next write builds another."""
    folder = shutil.copytree(listed, tmp_path / "lists")
    (file,) = folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.unlink()
    if damage != "remove":
        file.write_bytes(bytes(data) if damage == "flip" else bytes(data[:-9]))
    with closing(LocalStore(folder, LISTS)) as store:
        for question in make_vectors(20):
            assert search_vectors(store, question).ids.tolist() == scan_exactly(store, question)
        assert name in caplog.text
        store.refresh_index()
        assert len(folders(store)) == 2


@pytest.mark.parametrize("name", ["ids", "order", "by_id", "words.ids", "words.hashes"])
@pytest.mark.parametrize("has_view", [True, False])
def test_removal_that_needs_a_damaged_file(
    filled: LocalStore, new_store: NewStore, name: str, has_view: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A search works also where the view needs the damaged file, to be advanced or built."""
    file = folders(filled)[0] / name
    store = new_store("big")
    if has_view:
        with store.snapshot():  # the view exists, but the file was not read yet
            pass
    data = bytearray(file.read_bytes())
    for offset in range(0, len(data), 4096):
        data[offset] ^= 4
    with file.open("r+b") as stream:  # in place, because the file is mapped
        stream.write(data)
    store.remove(["doc000050"])
    question = make_vectors(ROWS)[60]
    assert search_vectors(store, question).ids.tolist() == scan_exactly(store, question)
    assert search_lexical(store, "text", "1500").ids.tolist()
    assert "is damaged" in caplog.text or (has_view and name == "ids")


def test_deleting_generations_loses_nothing(filled: LocalStore, new_store: NewStore) -> None:
    """The folders of generations can be deleted at any time."""
    for folder in folders(filled):
        shutil.rmtree(folder)
    store = new_store("big")
    assert measure_recall(store, make_vectors(5, seed=1)) == 1.0
    store.reindex()
    assert len(folders(store)) == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failed_reindex_changes_nothing(
    filled: LocalStore, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terms and index are replaced together, or not at all."""
    expected_ids = search_lexical(filled, "text", "1500").ids.tolist()
    with monkeypatch.context() as patched:
        name = "semsearch.text.chunk_terms.analyze_many"
        patched.setattr(name, lambda texts: ["rebuilt"] * len(texts))
        patched.setattr("semsearch.storage.collections.local.index.generations.build_row_table", raise_always(error))
        with pytest.raises((StorageError, KeyboardInterrupt)):
            filled.reindex()
    assert search_lexical(filled, "text", "1500").ids.tolist() == expected_ids
    assert not len(search_lexical(filled, "rebuilt").ids)
    with filled.snapshot() as snapshot:
        chunk = snapshot.load([1])[0]
    assert "text" in chunk.terms[0]
    assert chunk.terms.term_hashes[0].tolist() == hash_terms(chunk.terms[0]).tolist()
    filled.reindex()
    assert search_lexical(filled, "text", "1500").ids.tolist() == expected_ids


def raise_always(error: BaseException) -> Callable[..., None]:
    """Return a function that raises this error."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_folders_of_a_killed_build_are_deleted(filled: LocalStore) -> None:
    """Unfinished generations are never loaded, and are deleted when the next one is published."""
    (filled.folder / ".building-0123").mkdir()
    (filled.folder / "index.99-unnamed").mkdir()
    filled.reindex()
    names = {path.name for path in filled.folder.iterdir()}
    assert not names & {".building-0123", "index.99-unnamed"}


def test_unnamed_folders_are_deleted_under_the_lock_only(filled: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unnamed folders are deleted only under the lock of publishing: another process may be writing one."""
    cleared = list[Path]()

    def delete_unused(self: Generations, _: object) -> None:
        with pytest.raises(LockedError), hold_lock(self.folder / PUBLISH_LOCK, wait_seconds=0, operation="publish"):
            pass
        cleared.append(self.folder)

    monkeypatch.setattr(Generations, "delete_unused", delete_unused)
    filled.reindex()
    fill(filled, make_vectors(ROWS, seed=5), first=ROWS)
    filled.refresh_index()
    assert cleared == [filled.folder, filled.folder]
