"""The vector generation: derived, checked, and never able to change an answer for the worse unnoticed."""

import errno
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import HashEmbedder
from support.writing import INDEX_THRESHOLDS, VOCABULARY, make_document, put_document

from semsearch.core.errors import LockedError, StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.core.types.documents import Chunk, ChunkedDocument
from semsearch.core.types.packed_terms import hash_terms
from semsearch.core.types.search import ScoredIds
from semsearch.storage.collections.local.catalog import PUBLISH_LOCK
from semsearch.storage.collections.local.index import vector_index as points
from semsearch.storage.collections.local.index.generations import Generations
from semsearch.storage.collections.local.index.segment_builder import IndexPart, build_part
from semsearch.storage.collections.local.rows.terms import TermRow
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

NewStore = Callable[[str], LocalStore]
ROWS = 3000
TEXTS = [
    *(f"{' '.join(VOCABULARY[at : at + 20])} k {at}.\n\nAnd number {at}." for at in range(7)),
    "Das Haus am Hafen Nr. 7.",
    "東京は雨です。",
    "...",
]
LISTS = (1, 1000)


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Random unit vectors in a few clusters."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(20, HashEmbedder.dim))
    made = centres[source.integers(0, 20, count)] + 0.5 * source.normal(size=(count, HashEmbedder.dim))
    unit: np.ndarray = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit.astype(np.float32)


def fill(store: LocalStore, vectors: np.ndarray, first: int = 0) -> None:
    """Documents of fifty chunks with these vectors, whatever their texts."""
    for at in range(0, len(vectors), 50):
        made = make_document(f"doc{first + at:06}", "\n\n".join(f"Text {first + at + n}." for n in range(50)))
        parts = [
            Chunk(start, end, block.text, "", None, "", ((0, end - start),))
            for block, (start, end) in zip(made.blocks, made.block_spans, strict=True)
        ]
        hashes = [part.text_hash for part in parts]
        store.put([ChunkedDocument(made, parts)], dict(zip(hashes, vectors[at : at + 50])))  # noqa: B905


def built(folder: Path, crossings: tuple[int, int]) -> Path:
    """A collection with a generation over ROWS chunks, in this folder."""
    LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(folder, crossings)) as store:
        fill(store, rows(ROWS))
        store.refresh_index()
        assert len(folders(store)) == 1
    return folder


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose codes are all looked at."""
    return built(tmp_path_factory.mktemp("scanned"), INDEX_THRESHOLDS)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose codes stand in lists."""
    return built(tmp_path_factory.mktemp("listed"), LISTS)


@pytest.fixture
def filled(new_store: NewStore, scanned: Path, tmp_path: Path) -> LocalStore:
    """A copy of the one without lists."""
    shutil.copytree(scanned, tmp_path / "big")
    return new_store("big")


def folders(store: LocalStore) -> list[Path]:
    """The generations on disk."""
    return sorted(store.folder.glob("index.*"))


def nearest(store: LocalStore, question: np.ndarray, k: int = 10, allowed: np.ndarray | None = None) -> ScoredIds:
    """The vectors' leg."""
    with store.snapshot() as snapshot:
        return snapshot.top_k(snapshot.vector_search(question, k, allowed), k)


def exact(store: LocalStore, question: np.ndarray, k: int = 10, allowed: np.ndarray | None = None) -> list[int]:
    """What a scan of every stored vector gives."""
    with store._catalog.read() as db:
        stored = db.execute("SELECT chunk_id, data FROM vector").fetchall()
    ids = np.array([row[0] for row in stored])
    scores = np.frombuffer(b"".join(row[1] for row in stored), np.float32).reshape(len(ids), -1) @ question
    if allowed is not None:
        scores[~np.isin(ids, allowed)] = -np.inf
    return [int(ids[i]) for i in np.argsort(-scores)[:k] if scores[i] > -np.inf]


def recall(store: LocalStore, questions: np.ndarray, allowed: np.ndarray | None = None) -> float:
    """Share of the true ten that are found, over these questions."""
    shares = []
    for question in questions:
        true = exact(store, question, 10, allowed)
        shares.append(len(set(nearest(store, question, 10, allowed).ids.tolist()) & set(true)) / max(1, len(true)))
    return float(np.mean(shares))


def test_finds_what_an_exact_scan_finds(filled: LocalStore) -> None:
    """Recall at ten is 0.98 or better, with and without filters of any width."""
    questions = rows(30, seed=1)
    ids = np.arange(1, ROWS + 1)
    assert recall(filled, questions) >= 0.98
    for share in (0.002, 0.05, 0.5):
        allowed = np.sort(np.random.default_rng(2).choice(ids, int(share * ROWS), replace=False))
        assert recall(filled, questions, allowed) >= 0.98


@pytest.mark.parametrize("lists", [1000, 150_000])
def test_equal_vectors_are_all_found(new_store: NewStore, lists: int) -> None:
    """Where no code is better than another, there are as many hits as ever."""
    new_store("equal").close()
    store = LocalStore(new_store("equal").folder, (1, lists))
    fill(store, np.repeat(rows(1), ROWS, axis=0))
    store.refresh_index()
    for allowed in (None, np.arange(1, ROWS, 2)):
        assert nearest(store, rows(1)[0], 10, allowed).ids.tolist() == (
            list(range(1, 11)) if allowed is None else allowed[:10].tolist()
        )
    store.close()


@pytest.mark.parametrize("lists", [1000, 150_000])
@pytest.mark.parametrize("allowed", [None, np.arange(1, ROWS + 1, 2), np.arange(1, ROWS + 1, 8)])
def test_ties_are_in_id_order_on_every_processor(
    new_store: NewStore, lists: int, allowed: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more equal vectors than there are candidates those with the lowest ids are returned, behind better ones."""
    monkeypatch.setattr(points, "MAX_EXACT_ROWS", 10)
    monkeypatch.setattr(points, "MIN_FILTERED_CANDIDATES", 50)
    new_store("ties").close()
    store = LocalStore(new_store("ties").folder, (1, lists))
    table, generator = rows(ROWS), np.random.default_rng(7)
    equal = np.union1d([0], generator.choice(ROWS, 1000, replace=False))
    table[equal] = table[0]
    question = table[0] + np.float32(0.1) * rows(1, seed=9)[0]
    better = ROWS - 8  # an id that both filters allow
    table[better] = question / np.linalg.norm(question)
    fill(store, table)
    store.refresh_index()
    ids = np.setdiff1d(equal, [better]) + 1
    if allowed is not None:
        ids = np.intersect1d(ids, allowed)
    assert nearest(store, question, 20, allowed).ids.tolist() == [better + 1, *ids[:19].tolist()]
    store.close()


def test_lists_find_what_an_exact_scan_finds(listed: Path) -> None:
    """From so many chunks on only the nearest lists are looked at: recall and filters keep what they promise."""
    store = LocalStore(listed, LISTS)
    questions = rows(30, seed=1)
    assert recall(store, questions) >= 0.97
    for share in (0.05, 0.5):
        allowed = np.sort(np.random.default_rng(2).choice(np.arange(1, ROWS + 1), int(share * ROWS), replace=False))
        assert all(len(nearest(store, question, 10, allowed).ids) == 10 for question in questions)
        assert recall(store, questions, allowed) >= 0.97
    store.close()


def test_a_wide_filter_beside_the_codes(filled: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters too wide for a scan of their rows find as much, and always k where there are k."""
    monkeypatch.setattr(points, "MAX_EXACT_ROWS", 10)
    monkeypatch.setattr(points, "MAX_SIGN_CODE_ROWS", 20)
    monkeypatch.setattr(points, "BASE_CANDIDATES", 150)
    questions = rows(30, seed=1)
    for share in (0.01, 0.1, 0.6):
        allowed = np.sort(np.random.default_rng(2).choice(np.arange(1, ROWS + 1), int(share * ROWS), replace=False))
        assert all(len(nearest(filled, question, 10, allowed).ids) == 10 for question in questions)
        assert recall(filled, questions, allowed) >= 0.95


def test_new_and_removed_chunks_count_at_once(filled: LocalStore) -> None:
    """The tail is found and the dead are not, before any generation is built anew."""
    before = folders(filled)
    nearest(filled, rows(1)[0])  # so that the view is advanced, and not made anew
    fill(filled, rows(200, seed=5), first=ROWS)
    gone = filled.remove([f"doc{n:06}" for n in range(0, 200, 50)])
    filled.refresh_index()
    assert len(gone) == 4
    assert folders(filled) == before
    assert recall(filled, rows(30, seed=5)) >= 0.98
    for question in rows(20):
        assert not set(nearest(filled, question).ids.tolist()) & set(range(1, 201))


def test_rebuilt_when_too_much_has_changed(filled: LocalStore) -> None:
    """Enough new chunks lead to a new generation; the one before stays until the next."""
    first = folders(filled)
    fill(filled, rows(600, seed=5), first=ROWS)
    filled.refresh_index()
    second = folders(filled)
    assert len(second) == 2
    assert set(first) < set(second)
    fill(filled, rows(600, seed=6), first=ROWS + 600)
    filled.refresh_index()
    assert len(folders(filled)) == 2
    assert not set(first) & set(folders(filled))
    assert recall(filled, rows(30, seed=6)) >= 0.98


_changes = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove", "settle"]), st.integers(0, 40), st.integers(0, 9)), max_size=40
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_changes)
def test_what_is_carried_over_is_as_if_made_anew(tmp_path: Path, changes: list[tuple[str, int, int]]) -> None:
    """After any history a generation that is made from the one before has the very bytes of one made from the truth."""
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    LocalStore.create(folder, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(folder, (1, 150_000))) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 3)
        patch.setattr("semsearch.storage.collections.local.index.build_processes.count_usable_cores", lambda: 1)
        for module in ("term_stream", "build_processes", "sentence_terms"):
            patch.setattr(f"semsearch.storage.collections.local.index.{module}.BATCH_ROWS", 4)
        for what, number, kind in [*changes, ("put", 1, 0), ("put", 2, 3)]:
            uri = f"docs/{number * 7 % 41}"
            if what == "put":
                put_document(store, make_document(uri, TEXTS[kind]))
            elif what == "remove":
                store.remove([uri])
            else:
                store.refresh_index()
        with store._catalog.read() as db:
            carried, anew = (store._generations.build(db, from_scratch=anew) for anew in (False, True))
    assert carried == anew


def test_a_long_log_is_cut(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what it tells of has come and gone again: who opens the collection reads it from end to end."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_LOG_ROWS", 20)
    store = new_store("a")

    def logged() -> int:
        with store._catalog.read() as db:
            return int(db.execute("SELECT count(*) FROM change").fetchone()[0])

    for _ in range(10):
        put_document(store, make_document("a", "A lamp."))
        store.remove(["a"])
    store.refresh_index()
    assert logged() == 20
    put_document(store, make_document("a", "A lamp."))
    store.refresh_index()
    assert logged() == 0


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were indexed, each time that some were."""
    counts = []

    def counting(rows: Sequence[TermRow]) -> IndexPart:
        counts.append(len(rows))
        return build_part(rows)

    monkeypatch.setattr("semsearch.storage.collections.local.index.build_processes.build_part", counting)
    return counts


def test_only_what_is_new_is_indexed(filled: LocalStore, indexed: list[int]) -> None:
    """A large collection that grows is not read from end to end each time; only reindex does that."""
    fill(filled, rows(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert indexed == [600]
    filled.reindex()
    assert indexed == [600, ROWS + 600]


def test_damage_behind_a_search_is_not_carried_over(filled: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    """What a search has found to be sound may have changed since, in the same file."""
    with filled.snapshot() as snapshot:
        assert snapshot.view.vectors.segment is not None
        snapshot.view.vectors.segment.vectors.read_all()
        snapshot.view.term_index.segments[0].postings.to_columns()
    for name in ("words.rows", "floats"):
        (file,) = filled.folder.glob(f"index.*/{name}")
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        with file.open("r+b") as harmed:
            harmed.write(data)
    fill(filled, rows(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert "is damaged" in caplog.text
    with filled._catalog.read() as db:
        carried, anew = (filled._generations.build(db, from_scratch=anew) for anew in (False, True))
    assert carried == anew


def test_what_another_version_has_made_is_not_carried_over(
    filled: LocalStore, indexed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows may have come to something else there."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.INDEX_VERSION", "another")
    fill(filled, rows(600, seed=5), first=ROWS)
    filled.refresh_index()
    assert indexed == [ROWS + 600]


@pytest.mark.parametrize(
    "name", ["words.rows", "words.hashes", "grams.counts", "sentences.numbers", "sentences.starts", "floats", "order"]
)
def test_nothing_damaged_is_carried_over(filled: LocalStore, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where a build meets damage that no search has met before, it begins again from the truth."""
    (file,) = filled.folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.unlink()
    file.write_bytes(data)
    with closing(LocalStore(filled.folder, INDEX_THRESHOLDS)) as store:
        fill(store, rows(600, seed=5), first=ROWS)
        store.refresh_index()
        assert f"{name} is damaged" in caplog.text
        with store._catalog.read() as db:
            carried, anew = (store._generations.build(db, from_scratch=anew) for anew in (False, True))
    assert carried == anew


def test_another_process_s_generation_is_taken_up(filled: LocalStore, new_store: NewStore) -> None:
    """Who searches all the time does not carry what was written since its own generation along for ever."""
    other = new_store("big")
    for batch in range(3):
        fill(filled, rows(400, seed=batch), first=ROWS + 400 * batch)
        nearest(other, rows(1)[0])
        filled.refresh_index()
    nearest(other, rows(1)[0])
    assert other._view is not None
    assert other._view.vectors.segment is not None
    assert len(other._view.vectors.segment.ids) > ROWS
    assert len(other._view.vectors.tail_ids) < 1_000
    assert recall(other, rows(20, seed=2)) >= 0.98


def test_two_histories_give_the_same_hits_after_reindex(new_store: NewStore) -> None:
    """After reindex a collection with a past finds exactly what a fresh one finds."""
    lived, fresh = new_store("lived"), new_store("fresh")
    made = rows(1500)
    fill(lived, rows(300, seed=9), first=5000)
    fill(lived, made[700:], first=700)
    lived.remove([f"doc{n:06}" for n in range(5000, 5300, 50)])
    fill(lived, made[:700])
    fill(fresh, made)
    lived.reindex()
    fresh.reindex()

    def found(store: LocalStore, question: np.ndarray) -> list[tuple[str, int, float]]:
        scored = nearest(store, question)
        with store.snapshot() as snapshot:
            return [(p.uri, p.start, s) for p, s in zip(snapshot.load(scored.ids.tolist()), scored.scores, strict=True)]

    for question in rows(20, seed=1):
        assert found(lived, question) == found(fresh, question)


def test_what_changes_during_a_build_is_not_forgotten(filled: LocalStore, new_store: NewStore) -> None:
    """Chunks removed and added while a generation is being built are gone and found once it is named."""
    with filled._catalog.read() as db:
        draft = filled._generations.build(db)
    filled.remove(["doc000000"])
    fill(filled, rows(50, seed=8), first=ROWS)
    with filled._catalog.write("publish") as db:
        filled._generations.publish(db, draft)
    for store in (filled, new_store("big")):
        for question in rows(20):
            assert not set(nearest(store, question).ids.tolist()) & set(range(1, 51))
        assert recall(store, rows(20, seed=8)) >= 0.98


FILES = ["codes", "bits", "ones", "factors", "floats", "ids", "order", "build_row_table", "sums.u32"]
COLUMNS = ("ids", "lengths", "hashes", "starts", "rows", "counts")
WORD_FILES = [f"{kind}.{name}" for kind in ("words", "grams") for name in COLUMNS]


def matched(store: LocalStore, *terms: str, k: int = ROWS) -> ScoredIds:
    """The words' leg."""
    with store.snapshot() as snapshot:
        return snapshot.lexical_search(terms, k, language="other")


@pytest.mark.parametrize("name", [*FILES, *WORD_FILES])
@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
def test_damage_is_noticed_and_mended(
    filled: LocalStore,
    new_store: NewStore,
    name: str,
    harm: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is damaged is never searched: it is reported, the scan is exact, and the next write builds another."""
    monkeypatch.setattr(points, "MAX_EXACT_ROWS", 100)  # else a filter over so few rows, or over all of them, does not
    monkeypatch.setattr(points, "MIN_CODE_SCAN_SHARE", 2.0)  # look at the signs
    words = matched(filled, "text", "1500")
    file = folders(filled)[0] / name
    data = bytearray(file.read_bytes())
    for at in range(len(data) // 2 % 4096, len(data), 4096):
        data[at] ^= 4
    file.unlink()
    if harm != "remove":
        file.write_bytes({"flip": bytes(data), "truncate": bytes(data[:-9]), "empty": b""}[harm])
    store = new_store("big")
    questions = rows(ROWS)[1490:1498]
    everything = np.arange(1, ROWS + 1)
    behind = [nearest(store, question, allowed=everything).ids.tolist() for question in questions]
    found = [nearest(store, question).ids.tolist() for question in questions]
    again = matched(store, "text", "1500")
    assert (again.ids.tolist(), again.scores.tolist()) == (words.ids.tolist(), words.scores.tolist())
    assert name in caplog.text
    assert found == behind == [exact(store, q) for q in questions]
    store.refresh_index()
    assert recall(new_store("big"), questions) >= 0.98
    assert len(folders(store)) == 2


@pytest.mark.parametrize("name", ["codes", "lists", "sizes"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_damaged_lists_are_noticed_and_mended(
    listed: Path, tmp_path: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The same of a collection so large that codes stand in lists, which are checked when a question comes to them."""
    folder = shutil.copytree(listed, tmp_path / "lists")
    (file,) = folder.glob(f"index.*/{name}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.unlink()
    if harm != "remove":
        file.write_bytes(bytes(data) if harm == "flip" else bytes(data[:-9]))
    with closing(LocalStore(folder, LISTS)) as store:
        for question in rows(20):
            assert nearest(store, question).ids.tolist() == exact(store, question)
        assert name in caplog.text
        store.refresh_index()
        assert len(folders(store)) == 2


@pytest.mark.parametrize("name", ["ids", "order", "build_row_table", "words.ids", "words.hashes"])
@pytest.mark.parametrize("opened", [True, False])
def test_damage_that_a_removal_meets(
    filled: LocalStore, new_store: NewStore, name: str, opened: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a view is advanced or made, and needs a damaged file for that, the search goes on without it too."""
    file = folders(filled)[0] / name
    store = new_store("big")
    if opened:
        with store.snapshot():  # a view, for which the file was not read yet
            pass
    data = bytearray(file.read_bytes())
    for at in range(0, len(data), 4096):
        data[at] ^= 4
    with file.open("r+b") as harmed:  # the same file, as it is mapped
        harmed.write(data)
    store.remove(["doc000050"])
    question = rows(ROWS)[60]
    assert nearest(store, question).ids.tolist() == exact(store, question)
    assert matched(store, "text", "1500").ids.tolist()
    assert "is damaged" in caplog.text or (opened and name == "ids")


def test_deleting_what_is_derived_loses_nothing(filled: LocalStore, new_store: NewStore) -> None:
    """The folders of generations may be deleted at any time."""
    for folder in folders(filled):
        shutil.rmtree(folder)
    store = new_store("big")
    assert recall(store, rows(5, seed=1)) == 1.0
    store.reindex()
    assert len(folders(store)) == 1


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_reindex_that_breaks_off_changes_nothing(
    filled: LocalStore, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terms of one analyser are never beside an index of another."""
    words = matched(filled, "text", "1500").ids.tolist()
    with monkeypatch.context() as patched:
        name = "semsearch.storage.collections.local.rows.terms.analyze_many"
        patched.setattr(name, lambda texts: ["anew"] * len(texts))
        patched.setattr("semsearch.storage.collections.local.index.generations.build_row_table", raising(error))
        with pytest.raises((StorageError, KeyboardInterrupt)):
            filled.reindex()
    assert matched(filled, "text", "1500").ids.tolist() == words
    assert not len(matched(filled, "anew").ids)
    with filled.snapshot() as snapshot:
        chunk = snapshot.load([1])[0]
    assert "text" in chunk.terms[0]
    assert chunk.terms.term_hashes[0].tolist() == hash_terms(chunk.terms[0]).tolist()
    filled.reindex()
    assert matched(filled, "text", "1500").ids.tolist() == words


def raising(error: BaseException) -> Callable[..., None]:
    """What always fails so."""

    def fails(*_: object) -> None:
        raise error

    return fails


def test_what_a_killed_build_left_is_cleared(filled: LocalStore) -> None:
    """Half-built generations are never loaded, and go when the next one is named."""
    (filled.folder / ".building-0123").mkdir()
    (filled.folder / "index.99-unnamed").mkdir()
    filled.reindex()
    names = {path.name for path in filled.folder.iterdir()}
    assert not names & {".building-0123", "index.99-unnamed"}


def test_what_another_publishes_is_not_cleared_away(filled: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no name yet, so that only who holds the lock of those who publish may clear what has none."""
    tidied = list[Path]()

    def tidy(self: Generations, _: object) -> None:
        with pytest.raises(LockedError), hold_lock(self.folder / PUBLISH_LOCK, wait_seconds=0, operation="publish"):
            pass
        tidied.append(self.folder)

    monkeypatch.setattr(Generations, "delete_unused", tidy)
    filled.reindex()
    fill(filled, rows(ROWS, seed=5), first=ROWS)
    filled.refresh_index()
    assert tidied == [filled.folder, filled.folder]
