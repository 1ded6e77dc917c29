"""Dry runs and cost estimates match the run that follows, and send and write nothing."""

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
from semsearch.core.types.documents import Source
from semsearch.core.types.usage import CostEstimate, IngestEstimate, ModelRequest, Price, TokenEstimate
from semsearch.ingest.estimate import CostEstimator
from semsearch.ingest.sources import FoundSource
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.storage.ledger.local.ledger import LocalLedger

pytestmark = pytest.mark.slow

SPEC = "openai:m@8"
USD_PER_MILLION_TOKENS = 0.02
PARAGRAPHS = [" ".join(f"{word}{number}" for number in range(90)) + "." for word in ("lamp", "fog", "quay", "oil")]

Corpus = dict[str, list[int]]
"""URI to the indexes of the paragraphs in the document."""

corpora: st.SearchStrategy[Corpus] = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.integers(0, len(PARAGRAPHS) - 1), max_size=4), max_size=8
)


@pytest.fixture(scope="module")
def module_server() -> Iterator[EmbeddingServer]:
    """One server for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(module_server: EmbeddingServer) -> EmbeddingServer:
    """The server as if it were new."""
    module_server.reset()
    return module_server


@contextmanager
def open_library(
    folder: Path, server: EmbeddingServer, max_batch_inputs: int = 2048, concurrency: int = 4
) -> Iterator[Library]:
    """A library that uses the server's embeddings, at a known price."""
    custom_settings = Settings(
        embeddings=Endpoint(base_url=server.url, key=Secret("sk-test-5ecret")),
        max_batch_inputs=max_batch_inputs,
        concurrency=concurrency,
        prices=(Price("m", "2020-01-01", USD_PER_MILLION_TOKENS),),
    )
    with Library(folder, settings=custom_settings) as library:
        yield library


def make_sources(corpus: Corpus) -> list[Source]:
    """Return the documents; all have one title, so that equal paragraphs have equal embedding texts."""
    return [
        text_source(uri, "\n\n".join(PARAGRAPHS[number] for number in numbers) or " ", title="Harbour")
        for uri, numbers in corpus.items()
    ]


def dry_run(library: Library, name: str, documents: Sequence[FoundSource]) -> tuple[IngestReport, IngestEstimate]:
    """Return the report and the estimate of a dry run."""
    with library.dry_run_collection(name, embedder=SPEC) as collection:
        report = collection.ingest(documents, dry_run=True)
    assert report.plan is not None
    return report, report.plan


def predicted_counts(report: IngestReport) -> tuple[int, ...]:
    """Return the counts that a dry run must predict exactly."""
    return report.added, report.updated, report.unchanged, report.chunks, len(report.failures)


def hash_files(folder: Path) -> dict[str, str]:
    """Return path to hash of the files below a folder, without the files that reading a database creates."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".db-shm" and (path.suffix != ".db-wal" or path.stat().st_size)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(corpora, min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 2))
def test_dry_run_predicts_the_run(
    module_server: EmbeddingServer,
    tmp_path_factory: pytest.TempPathFactory,
    rounds: list[Corpus],
    max_batch_inputs: int,
    concurrency: int,
) -> None:
    """Counts of files, chunks, texts and requests equal those of the run, for any documents, re-runs and edits."""
    folder = tmp_path_factory.mktemp("plans") / "indexes"
    with open_library(folder, module_server, max_batch_inputs, concurrency) as library:
        for corpus in rounds:
            module_server.reset()
            documents = make_sources(corpus)
            dry_report, plan = dry_run(library, "harbour", documents)
            assert module_server.requests == []
            report = library.create("harbour", embedder=SPEC).ingest(documents)
            assert predicted_counts(dry_report) == predicted_counts(report)
            if corpus is rounds[0]:  # in later rounds a text may leave one document and return with another
                assert dry_report.embedded_chunks == report.embedded_chunks
            assert (plan.texts, plan.requests) == (len(module_server.sent_texts), len(module_server.requests))
            assert report.usage.embedding_tokens == module_server.billed <= plan.tokens.upper_bound


def test_dry_run_changes_no_file(tmp_path: Path, server: EmbeddingServer) -> None:
    """A dry run changes no file, for an existing collection or a new one, which it does not create."""
    folder, docs = tmp_path / "indexes", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("A lamp.")
    with open_library(folder, server) as library:
        dry_run(library, "notes", list(read(docs)))
        assert not folder.exists()
        library.create("notes", embedder=SPEC).ingest(read(docs))
    (docs / "a.txt").write_text("Another lamp.")
    (docs / "b.txt").write_text("A quay.")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.txt").write_text("A boat.")
    old_hashes = hash_files(folder)
    server.requests.clear()
    with open_library(folder, server) as library:
        for name in ("notes", "others"):
            report, plan = dry_run(library, name, list(read(docs, tmp_path / "more")))
            assert plan.texts == len(report.failures) + report.chunks == 3
            assert hash_files(folder) == old_hashes
    assert server.requests == []


def test_paid_texts_are_not_in_the_estimate(tmp_path: Path, server: EmbeddingServer) -> None:
    """Texts that another collection has paid for are not in the estimate."""
    with open_library(tmp_path / "indexes", server) as library:
        library.create("one", embedder=SPEC).ingest(make_sources({"a": [0, 1]}))
        report, plan = dry_run(library, "two", make_sources({"b": [0, 1], "c": [2]}))
        assert (report.embedded_chunks, plan.texts, plan.requests) == (report.chunks, 1, 1)
        assert dry_run(library, "two", make_sources({"b": [0, 1]}))[1] == IngestEstimate(
            0, 0, TokenEstimate(0, 0), 0.0, 0.0, 0.0
        )


def test_estimate_is_close_from_the_first_call_on(tmp_path: Path, shared_data: Path, server: EmbeddingServer) -> None:
    """Tokens and dollars are within 15 % at first, within 3 % after 100,000 tokens, and never over the maximum."""
    tokenizer = LocalEmbedder()
    server.count_tokens = lambda text: len(tokenizer.tokenize(text))
    lines = (shared_data / "cranfield" / "corpus.jsonl").read_text().splitlines()
    random.Random(3).shuffle(lines)
    texts = [json.loads(line)["text"] for line in lines[:1000]]
    documents = [text_source(f"{start}", "\n\n".join(texts[start : start + 20])) for start in range(0, len(texts), 20)]
    with open_library(tmp_path / "indexes", server, max_batch_inputs=64) as library:
        collection = library.create("papers", embedder=SPEC)
        for batch, tolerance in ((documents[:30], 0.15), (documents[30:], 0.03)):
            _, plan = dry_run(library, "papers", batch)
            server.billed = 0
            report = collection.ingest(batch)
            assert server.billed > (100_000 if tolerance == 0.15 else 50_000)
            assert report.usage.embedding_tokens == server.billed
            assert plan.tokens.expected == pytest.approx(server.billed, rel=tolerance)
            assert plan.tokens.upper_bound >= server.billed
            assert plan.usd == pytest.approx(report.usage.cost_usd, rel=tolerance)
            assert plan.max_usd is not None
            assert report.usage.cost_usd is not None
            assert report.usage.cost_usd == pytest.approx(server.billed * USD_PER_MILLION_TOKENS / 1e6)
            assert plan.max_usd >= report.usage.cost_usd


def test_time_is_estimated_after_a_first_run(tmp_path: Path, server: EmbeddingServer) -> None:
    """The estimated time uses the throughput of earlier requests and the number of parallel requests."""
    server.delay_seconds = lambda inputs: 0.02
    with open_library(tmp_path / "indexes", server, max_batch_inputs=1, concurrency=2) as library:
        assert dry_run(library, "notes", make_sources({"a": [0]}))[1].seconds is None
        library.create("notes", embedder=SPEC).ingest(make_sources({"a": [0]}))
        _, plan = dry_run(library, "notes", make_sources({"b": [1, 2, 3]}))
        assert plan.requests == 3
        assert plan.seconds is not None
        assert 0 <= plan.seconds < 5


class RemoteEmbedder(HashEmbedder):
    """An embedder with two inputs per request and two parallel requests; it sends nothing."""

    concurrency = 2

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Plan requests of two texts each."""
        return [
            ModelRequest("embedding", "http://h", "m", texts[start : start + 2]) for start in range(0, len(texts), 2)
        ]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LocalLedger]:
    """An empty ledger."""
    local_ledger = LocalLedger(tmp_path)
    yield local_ledger
    local_ledger.close()


def test_unknown_price_makes_the_total_unknown(ledger: LocalLedger) -> None:
    """One request without a price makes the sum unknown; tokens are still added up."""
    prices = {"a": 5, "b": None}

    def estimate_cost(request: ModelRequest) -> CostEstimate:
        nanousd = prices[request.texts[0]]
        return CostEstimate(TokenEstimate(1, 3), nanousd, nanousd)

    estimator = CostEstimator(RemoteEmbedder(), estimate_cost, ledger)
    estimator.add(["a", "x"])
    assert estimator.estimate() == IngestEstimate(2, 1, TokenEstimate(1, 3), 5e-9, 5e-9, None)
    estimator.add(["b", "y", "a"])
    assert estimator.estimate() == IngestEstimate(4, 2, TokenEstimate(2, 6), None, None, None)


def test_local_embedder_has_an_empty_estimate(ledger: LocalLedger) -> None:
    """The estimate of a local embedder has no requests and no cost."""
    estimator = CostEstimator(HashEmbedder(), lambda request: CostEstimate(TokenEstimate(1, 1), 1, 1), ledger)
    estimator.add(["a", "b"])
    assert estimator.estimate() == IngestEstimate(0, 0, TokenEstimate(0, 0), 0.0, 0.0, 0.0)
