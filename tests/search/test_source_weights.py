"""Chunks of misleading sources are ranked by their score times a weight, unless the query asks for such a source."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.stores import NewStore
from support.writing import embed_query, make_document

from semsearch import Library
from semsearch.core.settings import Settings
from semsearch.core.types.documents import ChunkedDocument
from semsearch.core.types.search import Hit, ResultOptions, SearchMode
from semsearch.ingest.chunking import chunk
from semsearch.ingest.sources import bytes_source
from semsearch.search.retrieval import Query, Search, run_searches
from semsearch.storage.collections.local.store import LocalStore
from semsearch.text.questions import detect_requested_roles

QUERY = "lamp oil valve"


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """Thirty documents with the words of the query; the best five are changelogs."""
    store = new_store("weights")
    for number in range(30):
        document = make_document(f"docs/{number:02}", f"lamp oil valve {'rope ' * number}number {number}")
        chunks = [replace(item, role="changelog" if number < 5 else "") for item in chunk(document)]
        store.put([ChunkedDocument(document, chunks)], {item.text_hash: embed_query(item.text) for item in chunks})
    return store


def search(
    store: LocalStore,
    weight: float | None,
    k: int = 10,
    *,
    texts: tuple[str, ...] = (QUERY,),
    mode: SearchMode = "hybrid",
    diversity: float = 0.0,
) -> list[Hit]:
    """Return the hits with this weight of changelogs, or without weights."""
    weights = {} if weight is None else {"changelog": weight}
    options = ResultOptions(collapse=False, diversity=diversity, source_weights=weights)
    queries = [Query(text, embed_query(text), None, mode, 0.35) for text in texts]
    with store.snapshot() as snapshot:
        (hits,) = run_searches(snapshot, [Search(queries, k, options, explain=True)])
    return hits


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize("k", [1, 3, 10, 25])
def test_order_is_that_of_the_weighted_scores(store: LocalStore, mode: SearchMode, k: int) -> None:
    """The hits are the first k of all chunks, sorted by score times weight, however few are asked for."""
    weighted = {hit.uri: hit.score * (0.5 if hit.uri < "docs/05" else 1) for hit in search(store, None, 30, mode=mode)}
    hits = search(store, 0.5, k, mode=mode)
    assert np.allclose([hit.score for hit in hits], [weighted[hit.uri] for hit in hits], atol=1e-5)
    assert np.allclose([hit.score for hit in hits], sorted(weighted.values(), reverse=True)[:k], atol=1e-5)


def test_explanation_names_role_and_weight(store: LocalStore) -> None:
    """A chunk without a role has the weight 1."""
    explained = {hit.uri: (hit.explanation or [])[0] for hit in search(store, 0.5, 30)}
    assert (explained["docs/00"].role, explained["docs/00"].source_weight) == ("changelog", 0.5)
    assert (explained["docs/20"].role, explained["docs/20"].source_weight) == ("", 1.0)


def test_question_for_a_changelog_gets_its_full_score(store: LocalStore) -> None:
    """The same holds for one of two queries: each weighs its own scores."""
    text = f"{QUERY}: what changed in version 2.1?"
    assert [hit.uri for hit in search(store, 0.5, texts=(text,))] == [
        hit.uri for hit in search(store, None, texts=(text,))
    ]
    both = search(store, 0.0, 30, texts=(QUERY, text))
    first, second = next(hit.explanation or [] for hit in both if hit.uri == "docs/00")
    assert (first.source_weight, second.source_weight) == (0.0, 1.0)


def test_weight_counts_in_mmr(store: LocalStore) -> None:
    """MMR takes its relevance from the weighted scores."""
    assert search(store, 0.0, 1, diversity=0.2)[0].uri >= "docs/05" > search(store, None, 1, diversity=0.2)[0].uri


@pytest.mark.slow
def test_ingested_changelog_is_ranked_behind_the_manual(tmp_path: Path) -> None:
    """The default weights hold for a file that is ingested; without weights the changelog is first."""
    changes = "".join(f"## {version}\n\nThe lamp oil valve opens.\n\n" for version in ("1.2.0", "1.1.0", "1.0.0"))
    manual = "# Use\n\nThe lamp oil valve opens to the left: turn it until the flame is steady, then wait for a minute."
    files = {"changes.md": changes, "manual.md": manual}
    sources = [bytes_source(uri, text.encode(), "text/markdown") for uri, text in files.items()]
    for settings, expected in ((Settings(), "manual.md"), (Settings(source_weights={}), "changes.md")):
        with Library(tmp_path, settings=settings) as library:
            collection = library.create("default")
            collection.ingest(sources)
            assert collection.search("how does the lamp oil valve open?")[0].uri == expected


@pytest.mark.parametrize(
    ("question", "roles"),
    [
        ("What changed in version 2.1?", {"changelog"}),
        ("release notes of the boiler", {"changelog"}),
        ("When was the drain valve added?", {"changelog"}),
        ("Which licence does it have?", {"licence"}),
        ("Is it licensed for commercial use?", {"licence"}),
        ("show me the table of contents", {"contents"}),
        ("Which methods has the class Boiler?", {"api_list"}),
        ("How do I add a filter to a search?", set()),
        ("What should a new employee read first?", set()),
        ("How do I create an index?", set()),
    ],
)
def test_requested_roles(question: str, roles: set[str]) -> None:
    """Few other questions are taken for one of these: they would only lose the weight."""
    assert detect_requested_roles(question) == roles
