"""A plan is what the run then does: told before a word is sent or written."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.batch_server import EmbeddingServer, run_embedding_server
from support.fakes import HashEmbedder

from semsearch import IngestReport, Library, read, text_source
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.documents import Failure, Source
from semsearch.core.types.usage import CostEstimate, IngestEstimate, ModelRequest, Price, TokenEstimate
from semsearch.ingest.estimate import CostEstimator
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.storage.ledger.local.ledger import LocalLedger

SPEC = "openai:m@8"
DOLLARS = 0.02
PARAGRAPHS = [" ".join(f"{word}{number}" for number in range(90)) + "." for word in ("lamp", "fog", "quay", "oil")]

Corpus = dict[str, list[int]]
"""Which paragraphs stand in each document."""

corpora: st.SearchStrategy[Corpus] = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.integers(0, len(PARAGRAPHS) - 1), max_size=4), max_size=8
)


@pytest.fixture(scope="module")
def its_server() -> Iterator[EmbeddingServer]:
    """One server for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(its_server: EmbeddingServer) -> EmbeddingServer:
    """The server as if it were new."""
    its_server.reset()
    return its_server


@contextmanager
def library(
    folder: Path, server: EmbeddingServer, max_batch_inputs: int = 2048, concurrency: int = 4
) -> Iterator[Library]:
    """A library whose collections are embedded by the server, at a known price."""
    chosen = Settings(
        embeddings=Endpoint(base_url=server.url, key=Secret("sk-test-5ecret")),
        max_batch_inputs=max_batch_inputs,
        concurrency=concurrency,
        prices=(Price("m", "2020-01-01", DOLLARS),),
    )
    with Library(folder, settings=chosen) as made:
        yield made


def sources(corpus: Corpus) -> list[Source]:
    """The documents, all with one title, so that equal paragraphs are equal texts."""
    return [
        text_source(uri, "\n\n".join(PARAGRAPHS[number] for number in numbers) or " ", title="Harbour")
        for uri, numbers in corpus.items()
    ]


def dry(made: Library, name: str, found: Sequence[Source | Failure]) -> tuple[IngestReport, IngestEstimate]:
    """What a dry run reports."""
    with made.dry_run_collection(name, embedder=SPEC) as collection:
        report = collection.ingest(found, dry_run=True)
    assert report.plan is not None
    return report, report.plan


def counts(report: IngestReport) -> tuple[int, ...]:
    """What a plan tells exactly."""
    return report.added, report.updated, report.unchanged, report.chunks, len(report.failures)


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder, by what it holds; empty logs and shared memory come with reading."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".db-shm" and (path.suffix != ".db-wal" or path.stat().st_size)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(corpora, min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 2))
def test_a_plan_is_what_is_done(
    its_server: EmbeddingServer,
    tmp_path_factory: pytest.TempPathFactory,
    rounds: list[Corpus],
    max_batch_inputs: int,
    concurrency: int,
) -> None:
    """Over any documents, repetitions, re-runs and edits: files, chunks, texts and requests are those that follow."""
    folder = tmp_path_factory.mktemp("plans") / "indexes"
    with library(folder, its_server, max_batch_inputs, concurrency) as made:
        for corpus in rounds:
            its_server.reset()
            found = sources(corpus)
            planned, plan = dry(made, "harbour", found)
            assert its_server.requests == []
            report = made.create("harbour", embedder=SPEC).ingest(found)
            assert counts(planned) == counts(report)
            if corpus is rounds[0]:  # later, a text may leave one document and come back with another
                assert planned.embedded_chunks == report.embedded_chunks
            assert (plan.texts, plan.requests) == (len(its_server.sent_texts), len(its_server.requests))
            assert report.usage.embedding_tokens == its_server.billed <= plan.tokens.at_most


def test_a_dry_run_changes_no_file(tmp_path: Path, server: EmbeddingServer) -> None:
    """Neither into a collection that is there, nor into one that is not, which it does not make."""
    folder, docs = tmp_path / "indexes", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("A lamp.")
    with library(folder, server) as made:
        dry(made, "notes", list(read(docs)))
        assert not folder.exists()
        made.create("notes", embedder=SPEC).ingest(read(docs))
    (docs / "a.txt").write_text("Another lamp.")
    (docs / "b.txt").write_text("A quay.")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.txt").write_text("A boat.")
    before = state(folder)
    server.requests.clear()
    with library(folder, server) as made:
        for name in ("notes", "others"):
            report, plan = dry(made, name, list(read(docs, tmp_path / "more")))
            assert plan.texts == len(report.failures) + report.chunks == 3
            assert state(folder) == before
    assert server.requests == []


def test_what_is_paid_for_is_not_planned(tmp_path: Path, server: EmbeddingServer) -> None:
    """Another collection of the same embedder costs nothing, and the plan says so."""
    with library(tmp_path / "indexes", server) as made:
        made.create("one", embedder=SPEC).ingest(sources({"a": [0, 1]}))
        report, plan = dry(made, "two", sources({"b": [0, 1], "c": [2]}))
        assert (report.embedded_chunks, plan.texts, plan.requests) == (report.chunks, 1, 1)
        assert dry(made, "two", sources({"b": [0, 1]}))[1] == IngestEstimate(0, 0, TokenEstimate(0, 0), 0.0, 0.0, 0.0)


def test_the_guess_is_near_from_the_first_call_on(tmp_path: Path, shared_data: Path, server: EmbeddingServer) -> None:
    """Tokens and dollars are within 15 % at first, within 3 % after 100,000, and never over what was said at most."""

    tokenizer = LocalEmbedder()
    server.count_tokens = lambda text: len(tokenizer.tokenize(text))
    lines = (shared_data / "cranfield" / "corpus.jsonl").read_text().splitlines()
    random.Random(3).shuffle(lines)
    texts = [json.loads(line)["text"] for line in lines[:1000]]
    found = [text_source(f"{at}", "\n\n".join(texts[at : at + 20])) for at in range(0, len(texts), 20)]
    with library(tmp_path / "indexes", server, max_batch_inputs=64) as made:
        collection = made.create("papers", embedder=SPEC)
        for some, near in ((found[:30], 0.15), (found[30:], 0.03)):
            _, plan = dry(made, "papers", some)
            server.billed = 0
            report = collection.ingest(some)
            assert server.billed > (100_000 if near == 0.15 else 50_000)
            assert report.usage.embedding_tokens == server.billed
            assert plan.tokens.likely == pytest.approx(server.billed, rel=near)
            assert plan.tokens.at_most >= server.billed
            assert plan.usd == pytest.approx(report.usage.cost_usd, rel=near)
            assert plan.usd_at_most is not None
            assert report.usage.cost_usd is not None
            assert report.usage.cost_usd == pytest.approx(server.billed * DOLLARS / 1e6)
            assert plan.usd_at_most >= report.usage.cost_usd


def test_time_is_known_after_a_first_run(tmp_path: Path, server: EmbeddingServer) -> None:
    """It is that of earlier requests of the model, side by side as they then are."""
    server.delay_seconds = lambda inputs: 0.02
    with library(tmp_path / "indexes", server, max_batch_inputs=1, concurrency=2) as made:
        assert dry(made, "notes", sources({"a": [0]}))[1].seconds is None
        made.create("notes", embedder=SPEC).ingest(sources({"a": [0]}))
        _, plan = dry(made, "notes", sources({"b": [1, 2, 3]}))
        assert plan.requests == 3
        assert plan.seconds is not None
        assert 0 <= plan.seconds < 5


class Remote(HashEmbedder):
    """An embedder of two inputs at once, whose orders are never sent."""

    concurrency = 2

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Two texts each."""
        return [ModelRequest("embedding", "http://h", "m", texts[at : at + 2]) for at in range(0, len(texts), 2)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LocalLedger]:
    """An empty one."""
    made = LocalLedger(tmp_path)
    yield made
    made.close()


def test_an_unknown_price_is_unknown(ledger: LocalLedger) -> None:
    """One request without a price makes the sum unknown; tokens add up all the same."""
    prices = {"a": 5, "b": None}

    def quote(order: ModelRequest) -> CostEstimate:
        nano = prices[order.texts[0]]
        return CostEstimate(TokenEstimate(1, 3), nano, nano)

    planner = CostEstimator(Remote(), quote, ledger)
    planner.add(["a", "x"])
    assert planner.estimate() == IngestEstimate(2, 1, TokenEstimate(1, 3), 5e-9, 5e-9, None)
    planner.add(["b", "y", "a"])
    assert planner.estimate() == IngestEstimate(4, 2, TokenEstimate(2, 6), None, None, None)


def test_an_embedder_on_this_machine_sends_nothing(ledger: LocalLedger) -> None:
    """Its plan is empty and free."""
    planner = CostEstimator(HashEmbedder(), lambda order: CostEstimate(TokenEstimate(1, 1), 1, 1), ledger)
    planner.add(["a", "b"])
    assert planner.estimate() == IngestEstimate(0, 0, TokenEstimate(0, 0), 0.0, 0.0, 0.0)
