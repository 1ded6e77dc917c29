"""Embeddings through the Batch API: half the price, each text sent once, across any number of restarts."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.batch_server import BatchScript, EmbeddingServer, Refusal, embed_text, refuse_texts, run_embedding_server

from semsearch import IngestReport, Library, read
from semsearch.core.errors import BudgetError, InvalidError, UnavailableError
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.ports import PartialEmbeddingError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import Budget, BudgetLimits, PendingBatch, Price, RequestContext
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.embedders.openai import OpenAIEmbedder, hash_text
from semsearch.models.embedders.openai_batch import (
    MAX_ROUNDS,
    BatchEmbeddingRun,
    CachedOnlyEmbedder,
    require_openai_embedder,
)
from semsearch.models.openai.client import OpenAIClient
from semsearch.storage.embedding_cache import SqliteEmbeddingCache
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage.metering import LedgerMeter
from semsearch.usage.pricing import PriceTable
from semsearch.usage.token_estimates import estimate_tokens

pytestmark = pytest.mark.slow

USD_PER_MILLION_TOKENS = 0.02
"""20 nano-dollars for one token, 10 in a batch."""
TEXTS = [f"lamp {number} burns in the fog" for number in range(20)]


class ProcessStopped(Exception):
    """Simulates the end of the process."""


class StoppableClient(OpenAIClient):
    """A client that can stop just before or just after it creates a batch."""

    stop: Literal["", "before", "after"] = ""

    async def fetch(
        self, method: Literal["GET", "POST"], path: str, context: RequestContext, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the reply, unless the process stops first."""
        if method == "POST" and self.stop == "before":
            raise ProcessStopped
        reply = await super().fetch(method, path, context, body)
        if method == "POST" and self.stop == "after":
            raise ProcessStopped
        return reply


class BatchSetup:
    """One data directory, with methods that run batches as new processes would."""

    def __init__(self, folder: Path, server: EmbeddingServer) -> None:
        self.folder = folder
        self.server = server
        self.messages: list[str] = []
        self.space = f"openai:m@8 {server.url}"
        self.budget = Budget()

    def run(
        self,
        texts: Sequence[str] = TEXTS,
        *,
        stop: Literal["", "before", "after"] = "",
        on_message: Callable[[str], None] | None = None,
        collection: str = "one",
        dimensions: int | None = 8,
    ) -> BatchEmbeddingRun:
        """Embed these texts in a simulated process."""

        async def embed(embedder: OpenAIEmbedder, meter: LedgerMeter) -> BatchEmbeddingRun:
            context = RequestContext("ingest", collection=collection)
            run = BatchEmbeddingRun(embedder, meter, context, on_message or self.messages.append, poll_seconds=0.001)
            await run.run(texts)
            return run

        return self._run_process(embed, stop, dimensions)

    def _run_process(
        self,
        action: Callable[[OpenAIEmbedder, LedgerMeter], Awaitable[BatchEmbeddingRun]],
        stop: Literal["", "before", "after"],
        dimensions: int | None,
    ) -> BatchEmbeddingRun:
        async def run() -> BatchEmbeddingRun:
            with self.ledger() as ledger, self.embedding_cache() as cache:
                meter = LedgerMeter(ledger, PriceTable([Price("m", "2020-01-01", USD_PER_MILLION_TOKENS)]), self.budget)
                client = StoppableClient(self.server.url, lambda: "sk-test-5ecret", meter=meter)
                client.stop = stop
                try:
                    return await action(OpenAIEmbedder("m", client, cache, dimensions=dimensions), meter)
                finally:
                    await client.aclose()
                    meter.close()

        return asyncio.run(run())

    @contextmanager
    def ledger(self) -> Iterator[LocalLedger]:
        """Open the ledger."""
        ledger = LocalLedger(self.folder)
        yield ledger
        ledger.close()

    @contextmanager
    def embedding_cache(self) -> Iterator[SqliteEmbeddingCache]:
        """Open the embedding cache."""
        cache = SqliteEmbeddingCache(self.folder)
        yield cache
        cache.close()

    def find_cached_texts(self, texts: Sequence[str] = TEXTS) -> list[str]:
        """Return the texts with a cached vector, and check that it is correct."""
        with self.embedding_cache() as cache:
            vectors = cache.find(self.space, [hash_text(text) for text in texts])
        for text in texts:
            if hash_text(text) in vectors:
                expected = embed_text(text)[:8] / np.linalg.norm(embed_text(text)[:8])
                assert np.allclose(vectors[hash_text(text)], expected, atol=1e-6)
        return [text for text in texts if hash_text(text) in vectors]

    def list_pending(self) -> list[str]:
        """Return the ids of the stored pending batches."""
        with self.embedding_cache() as cache:
            return [pending.id for pending in cache.pending_batches(self.space)]

    def get_settled(self) -> tuple[int, float | None]:
        """Return the settled tokens and dollars; none may be estimated."""
        with self.ledger() as ledger:
            rows = ledger.usage("model")
        assert all(row.estimated_requests == 0 for row in rows)
        assert len(rows) <= 1
        return (rows[0].input_tokens, rows[0].cost_usd) if rows else (0, 0.0)

    def list_uploads(self) -> list[list[str]]:
        """Return the texts of each uploaded file."""
        return [[line["body"]["input"][0] for line in lines] for lines in self.server.uploads]


@pytest.fixture(scope="module")
def module_server() -> Iterator[EmbeddingServer]:
    """Run one server for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(module_server: EmbeddingServer) -> EmbeddingServer:
    """Return the server in its initial state."""
    module_server.reset()
    return module_server


@pytest.fixture
def setup(tmp_path: Path, server: EmbeddingServer) -> BatchSetup:
    """Return an empty data directory."""
    return BatchSetup(tmp_path, server)


def test_every_text_is_embedded_at_half_the_price(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Vectors are correct although the output is shuffled; the ledger has the exact tokens and half the price."""
    setup.run([*TEXTS, *TEXTS, " "])
    assert setup.find_cached_texts() == TEXTS
    assert setup.list_uploads() == [TEXTS]
    assert server.batch_billed == 6 * len(TEXTS)
    assert setup.get_settled() == (server.batch_billed, server.batch_billed * 10 / 1e9)
    assert setup.list_pending() == []
    assert server.requests == []


def test_uploaded_line_has_the_format_of_the_api(setup: BatchSetup, server: EmbeddingServer) -> None:
    """There is one line for each text, and its id is a hash."""
    setup.run(["a lamp"])
    assert server.uploads == [
        [
            {
                "custom_id": hash_text("a lamp"),
                "method": "POST",
                "url": "/v1/embeddings",
                "body": {"model": "m", "input": ["a lamp"], "encoding_format": "base64", "dimensions": 8},
            }
        ]
    ]
    assert len(hash_text("a lamp")) == 64


def test_second_run_sends_nothing(setup: BatchSetup, server: EmbeddingServer) -> None:
    """All vectors are in the cache."""
    setup.run()
    setup.run()
    assert len(server.uploads) == 1


def test_progress_is_reported(setup: BatchSetup, server: EmbeddingServer) -> None:
    """There are messages for sending, waiting and fetching."""
    setup.run()
    assert setup.messages[0] == "sent a batch of 20 texts: batch_1"
    assert "batch batch_1 of 20 texts: in_progress" in setup.messages
    assert setup.messages[-1] == "fetched batch batch_1: completed"


def test_text_in_the_error_file_is_rejected(setup: BatchSetup, server: EmbeddingServer) -> None:
    """It has the server's reason and is not sent again; the other texts have vectors."""
    server.refuse = refuse_texts(TEXTS[3])
    run = setup.run()
    assert run.refused == {TEXTS[3]: "the server rejected it in a batch: content is not allowed"}
    assert setup.find_cached_texts() == [text for text in TEXTS if text != TEXTS[3]]
    assert len(server.uploads) == 1
    assert setup.get_settled()[0] == server.batch_billed


def test_text_without_a_usable_vector_is_rejected(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The other vectors are cached, and the text is not sent again."""
    server.odd_embeddings = {TEXTS[3]: [0.0] * 8, TEXTS[4]: [float("nan")] * 8, TEXTS[5]: None}
    run = setup.run()
    assert sorted(run.refused) == TEXTS[3:6]
    assert "zeros" in run.refused[TEXTS[3]]
    assert setup.find_cached_texts() == TEXTS[:3] + TEXTS[6:]
    assert len(server.uploads) == 1
    assert setup.get_settled()[0] == server.batch_billed


def test_expired_texts_are_sent_again(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The other texts are cached and settled."""
    server.batch_scripts = [BatchScript(("in_progress", "expired"), processed_count=12)]
    run = setup.run()
    assert run.refused == {}
    assert setup.list_uploads() == [TEXTS, TEXTS[12:]]
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed == 6 * len(TEXTS)


def test_text_is_rejected_after_three_rounds(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Each text that the server did not process has a reason, and no batch is left."""
    server.batch_scripts = [BatchScript(("expired",), processed_count=2)] * 9
    run = setup.run()
    assert [len(texts) for texts in setup.list_uploads()] == [20, 18, 16]
    assert run.refused == dict.fromkeys(
        TEXTS[6:], f"the server did not process it in {MAX_ROUNDS} batches; run the command again"
    )
    assert setup.find_cached_texts() == TEXTS[:6]
    assert setup.list_pending() == []


def test_rejected_batch_is_an_error(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The error has the reason and comes after one try; nothing stays reserved or stored."""
    server.batch_scripts = [BatchScript(("validating", "failed"))] * 9
    with pytest.raises(UpstreamError, match="rejected batch batch_1: The provided model is not there"):
        setup.run()
    assert len(server.uploads) == 1
    assert setup.list_pending() == []
    assert setup.get_settled() == (0, 0.0)


def test_batch_of_unknown_status_is_not_sent_again(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Other vendors may use other names, and sending again would be paid again."""
    server.batch_scripts = [BatchScript(("queued", "pondering", "completed"))]
    setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert len(server.uploads) == 1


def stop_at_message(message_part: str) -> Callable[[str], None]:
    """Return a message handler that stops the process at this message."""

    def on_message(line: str) -> None:
        if message_part in line:
            raise ProcessStopped

    return on_message


@pytest.mark.parametrize("message_part", ["sent a batch", "of 20 texts: in_progress"])
def test_next_process_waits_for_the_same_batch(setup: BatchSetup, server: EmbeddingServer, message_part: str) -> None:
    """It settles the batch with the stored reservation."""
    with pytest.raises(ProcessStopped):
        setup.run(on_message=stop_at_message(message_part))
    assert setup.list_pending() == ["batch_1"]
    setup.run()
    assert len(server.uploads) == 1
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed == 6 * len(TEXTS)
    assert setup.list_pending() == []


def test_batch_that_was_not_created_is_sent_again(setup: BatchSetup, server: EmbeddingServer) -> None:
    """An unused upload costs nothing; its reservation is released, so that the batch fits the budget."""
    setup.budget = Budget(total=BudgetLimits(day_tokens=estimate_tokens(TEXTS, {}).upper_bound))
    with pytest.raises(ProcessStopped):
        setup.run(stop="before")
    assert (len(server.uploads), server.batches) == (1, {})
    setup.run()
    assert list(server.batches) == ["batch_1"]
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed


def test_batch_whose_id_was_not_stored_is_recovered(setup: BatchSetup, server: EmbeddingServer) -> None:
    """After a crash between creating a batch and storing its id, the batch is found by its mark."""
    with pytest.raises(ProcessStopped):
        setup.run(stop="after")
    assert setup.list_pending()[0].startswith("new:")
    setup.run()
    assert len(server.uploads) == len(server.batches) == 1
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed


def test_batch_is_recovered_after_a_gateway_error(setup: BatchSetup, server: EmbeddingServer) -> None:
    """After a gateway error the batch may exist, so it is not created again."""
    server.intercept = intercept_once("POST", "/batches", lambda data: (502, HTML_PAGE))
    with pytest.raises(UpstreamError, match="answered 502"):
        setup.run()
    assert len(server.batches) == 1
    setup.run()
    assert list(server.batches) == ["batch_1"]
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed


def test_rate_limited_batch_creation_is_retried(setup: BatchSetup, server: EmbeddingServer) -> None:
    """After a 429 no batch exists."""
    calls = []

    def reply_429_once(method: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        if method == "POST" and path == "/batches":
            calls.append(path)
            if len(calls) == 1:
                server.batches.clear()
                return 429, b""
        return None

    server.intercept = reply_429_once
    setup.run()
    assert len(calls) == 2
    assert setup.find_cached_texts() == TEXTS


def test_batch_is_recovered_from_a_later_page(setup: BatchSetup, server: EmbeddingServer) -> None:
    """All pages of the list are read; an unreadable page does not mean that the batch does not exist."""
    with pytest.raises(ProcessStopped):
        setup.run(stop="after")
    server.batches |= {f"batch_x{number}": {"id": f"batch_x{number}", "metadata": {}} for number in range(7)}
    server.page_size = 3
    server.intercept = lambda method, path, data: (200, b"{}") if (method, path) == ("GET", "/batches") else None
    with pytest.raises(UpstreamError, match="did not return a list of batches"):
        setup.run()
    server.intercept = lambda method, path, data: None
    setup.run()
    assert len(server.uploads) == 1
    assert setup.find_cached_texts() == TEXTS


def test_batch_without_our_mark_is_not_recovered(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Other batches of the account have another mark or none."""
    server.batches = {
        "batch_other": {"id": "batch_other", "status": "completed", "metadata": {"semsearch": "0" * 24}},
        "batch_none": {"id": "batch_none", "status": "completed", "metadata": None},
    }
    with pytest.raises(ProcessStopped):
        setup.run(stop="before")
    setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert [name for name in server.batches if name.startswith("batch_3")] == ["batch_3"]


def test_new_batch_of_another_process_is_not_touched(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Its new record is neither deleted nor released."""
    with pytest.raises(ProcessStopped):
        setup.run(stop="before", collection="two")
    setup.run(["something else"], collection="one")
    assert len(setup.list_pending()) == 1
    setup.run(["something else"], collection="two")
    assert setup.list_pending() == []


def test_vectors_of_changed_texts_are_cached(setup: BatchSetup, server: EmbeddingServer) -> None:
    """All vectors of a batch are cached, even if a text is no longer needed."""
    with pytest.raises(ProcessStopped):
        setup.run(on_message=stop_at_message("of 20 texts: in_progress"))
    setup.run(["another text"])
    assert setup.find_cached_texts() == TEXTS
    assert setup.list_uploads() == [TEXTS, ["another text"]]
    assert setup.get_settled()[0] == server.batch_billed


Intercept = Callable[[str, str, bytes], tuple[int, bytes] | None]


def intercept_once(method: str, path_prefix: str, corrupt: Callable[[bytes], tuple[int, bytes]]) -> Intercept:
    """Return an intercept function that corrupts one reply to this method and path prefix."""
    remaining = [corrupt]

    def intercept(requested_method: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        return (
            remaining.pop()(data) if remaining and requested_method == method and path.startswith(path_prefix) else None
        )

    return intercept


HTML_PAGE = b"<html>\n<h1>one moment</h1>\n</html>\n"


@pytest.mark.parametrize("reply", [HTML_PAGE, b"[]", b'{"id": "batch_1", "stat'])
def test_unreadable_status_is_requested_again(setup: BatchSetup, server: EmbeddingServer, reply: bytes) -> None:
    """A page of a gateway says nothing about the batch."""
    server.intercept = intercept_once("GET", "/batches/", lambda data: (200, reply))
    setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert len(server.uploads) == 1
    assert setup.get_settled()[0] == server.batch_billed


INCOMPLETE_FILES: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda data: HTML_PAGE,
    "a list": lambda data: b"[]",
    "nothing": lambda data: b"",
    "cut in a line": lambda data: data[: len(data) // 2 + 9],
    "cut at the end of a line": lambda data: data[: data.index(b"\n") + 1],
}


@pytest.mark.parametrize("kind", INCOMPLETE_FILES)
def test_incomplete_result_file_is_fetched_again(setup: BatchSetup, server: EmbeddingServer, kind: str) -> None:
    """The run fails, the batch stays stored, and the next run fetches all results."""
    corrupt = INCOMPLETE_FILES[kind]
    server.intercept = intercept_once("GET", "/files/", lambda data: (200, corrupt(data)))
    with pytest.raises(UnavailableError, match=r"batch_1 are incomplete"):
        setup.run()
    assert setup.list_pending() == ["batch_1"]
    setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert len(server.uploads) == 1
    assert setup.get_settled()[0] == server.batch_billed


@pytest.mark.parametrize("kind", INCOMPLETE_FILES)
def test_expired_batch_with_incomplete_results_is_settled_in_full(
    setup: BatchSetup, server: EmbeddingServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is deleted, and missing texts are sent now or by the next run."""
    monkeypatch.setattr("semsearch.models.embedders.openai_batch_results.COMPLETION_WINDOW_SECONDS", -1.0)
    server.intercept = intercept_once("GET", "/files/", lambda data: (200, INCOMPLETE_FILES[kind](data)))
    with suppress(UpstreamError):
        setup.run()
    assert setup.list_pending() == []
    with setup.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert row.input_tokens >= estimate_tokens(TEXTS, {}).expected
    setup.run()
    assert setup.find_cached_texts() == TEXTS


def test_completed_batch_must_have_every_text(setup: BatchSetup, server: EmbeddingServer) -> None:
    """A file that ends early is incomplete, even if the server does not report the number of texts."""
    is_truncated = [True, False]

    def intercept(method: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        if path.startswith("/batches/"):
            return 200, json.dumps({**json.loads(data), "request_counts": None}).encode()
        if path.startswith("/files/") and is_truncated.pop(0):
            return 200, data[: data.index(b"\n") + 1]
        return None

    server.intercept = intercept
    with pytest.raises(UnavailableError, match="are incomplete"):
        setup.run()
    setup.run()
    assert len(server.uploads) == 1
    assert setup.get_settled()[0] == server.batch_billed


def test_blank_lines_are_ignored(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Some servers end a file with a blank line."""
    server.intercept = intercept_once("GET", "/files/", lambda data: (200, b"\r\n" + data + b"\n\n"))
    setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert setup.get_settled()[0] == server.batch_billed


def test_corrupt_line_before_other_lines_ends_the_batch(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The file is not truncated there, so fetching it again cannot help."""
    server.intercept = intercept_once("GET", "/files/", lambda data: (200, b"{oops\n" + data))
    with pytest.raises(UpstreamError, match="not valid JSON"):
        setup.run()
    assert setup.list_pending() == []


def test_abandoned_batch_is_settled_in_full(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The server has done the work for every text."""
    server.batch_scripts = [BatchScript(extra_line="unknown_id")]
    server.intercept = intercept_once("GET", "/files/", lambda data: (200, b"\n".join(reversed(data.splitlines()))))
    with pytest.raises(UpstreamError, match="unknown or repeated"):
        setup.run()
    with setup.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert row.input_tokens == estimate_tokens(TEXTS, {}).expected


@pytest.mark.parametrize("extra", ["unknown_id", "repetition"])
def test_unknown_or_repeated_line_is_rejected(
    setup: BatchSetup, server: EmbeddingServer, extra: Literal["unknown_id", "repetition"]
) -> None:
    """The run fails; earlier vectors are cached, the batch is abandoned, and the next run sends missing texts."""
    server.batch_scripts = [BatchScript(extra_line=extra)]
    with pytest.raises(UpstreamError, match="unknown or repeated"):
        setup.run()
    assert setup.find_cached_texts() == TEXTS
    assert setup.list_pending() == []
    setup.run()
    assert len(server.uploads) == 1


def test_vector_of_another_dimension_ends_the_run(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Earlier vectors are cached; a vector of another dimension is not."""
    server.batch_scripts = [BatchScript(dim=5)]
    with pytest.raises(UpstreamError, match="returned vectors of 5 numbers instead of 8"):
        setup.run()
    assert setup.list_pending() == []
    setup.run()
    assert setup.find_cached_texts() == TEXTS


def test_tokens_are_estimated_without_usage(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The estimate is based on the embedded texts."""
    server.batch_scripts = [BatchScript(reports_usage=False)]
    setup.run()
    with setup.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert 0 < row.input_tokens < sum(map(len, TEXTS))


def test_server_without_the_batch_api_fails_at_once(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Nothing stays reserved or stored."""
    other_setup = BatchSetup(setup.folder, server)
    other_setup.server = EmbeddingServer()
    other_setup.server.url = f"{server.url}/nowhere"
    with pytest.raises(UpstreamError, match="404"):
        other_setup.run()
    assert BatchSetup(setup.folder, other_setup.server).list_pending() == []
    assert setup.get_settled() == (0, 0.0)


def test_batch_stays_stored_while_the_server_is_unreachable(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Its record stays until the server can be reached."""
    with pytest.raises(ProcessStopped):
        setup.run(on_message=stop_at_message("of 20 texts: in_progress"))
    url, unreachable_server = server.url, EmbeddingServer()
    unreachable_server.url = "http://127.0.0.1:9/v1"
    setup.server = unreachable_server
    setup.space = f"openai:m@8 {unreachable_server.url}"
    with setup.embedding_cache() as cache:
        (pending,) = cache.pending_batches(f"openai:m@8 {url}")
        cache.put_batch(replace(pending, id="batch_9", space=setup.space))
    with pytest.raises(UnavailableError):
        setup.run()
    assert setup.list_pending() == ["batch_9"]


def test_batch_is_reserved_in_the_budget(setup: BatchSetup, server: EmbeddingServer) -> None:
    """Its maximum price must fit the budget before anything is sent."""
    setup.budget = Budget(total=BudgetLimits(day_tokens=50))
    with pytest.raises(BudgetError):
        setup.run()
    assert server.uploads == []
    assert setup.list_pending() == []


@contextmanager
def open_library(folder: Path, server: EmbeddingServer) -> Iterator[Library]:
    """Open a library whose embeddings come from the server."""
    endpoint = Endpoint(base_url=server.url, key=Secret("sk-test-5ecret"))
    with Library(folder, settings=Settings(embeddings=endpoint)) as library:
        yield library


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with one text in each file."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"{number:02}.txt").write_text(text)
    return folder


def test_collection_is_ingested_in_batches(tmp_path: Path, docs: Path, server: EmbeddingServer) -> None:
    """All documents are searchable, no request has the full price, and rejected files are reported."""
    server.batch_scripts = [BatchScript(("completed",))] * 2
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("lamp 7 " in text for text in inputs) else None
    with open_library(tmp_path / "indexes", server) as library:
        collection = library.create("one", embedder="openai:m@8")
        report = collection.ingest(read(docs), batch=True)
        assert server.requests == []
        assert (report.added, [failure.uri for failure in report.failures]) == (19, ["docs/07.txt"])
        assert "not allowed" in report.failures[0].error
        assert report.usage.embedding_tokens == server.batch_billed
        assert collection.search("lamp 5 burns in the fog", 1)[0].uri == "docs/05.txt"
        second_report = collection.ingest(read(docs), batch=True)
        assert (second_report.unchanged, len(second_report.failures), len(server.uploads)) == (19, 1, 2)


def test_local_embedder_rejects_batches(tmp_path: Path, docs: Path) -> None:
    """The error says so, and nothing is stored."""
    with pytest.raises(InvalidError, match="leave it out"):
        require_openai_embedder(LocalEmbedder())
    with Library(tmp_path / "indexes") as library:
        collection, report = library.create("one"), IngestReport()
        with pytest.raises(InvalidError, match="on this machine"):
            collection.ingest(read(docs), batch=True, report=report)
        assert collection.info().documents == 0


def test_text_without_a_batch_result_is_rejected(setup: BatchSetup, server: EmbeddingServer) -> None:
    """The embedder after a batch sends no requests and reports each missing text."""
    setup.run(["one"])
    with setup.embedding_cache() as cache:

        async def embed_cached() -> None:
            client = OpenAIClient(
                server.url, lambda: None, meter=LedgerMeter(LocalLedger(setup.folder), PriceTable(), Budget())
            )
            cached_only = CachedOnlyEmbedder(
                OpenAIEmbedder("m", client, cache, dimensions=8), {"two": "it was rejected"}
            )
            assert cached_only.plan_requests(["one", "two"]) == []
            assert (await cached_only.embed(["one", " "], RequestContext("ingest"))).shape == (2, 8)
            with pytest.raises(PartialEmbeddingError) as caught:
                await cached_only.embed(["three", "one", "two"], RequestContext("ingest"))
            assert caught.value.rejections == {
                0: "no batch has returned it; run the command again",
                2: "it was rejected",
            }
            assert caught.value.vectors[1].any()

        asyncio.run(embed_cached())
    assert server.requests == []


def test_stored_batch_can_be_read_back(setup: BatchSetup) -> None:
    """Its record is JSON without any text."""
    with pytest.raises(ProcessStopped):
        setup.run(stop="before")
    with setup.embedding_cache() as cache, cache._current_file().read() as db:
        (record,) = db.execute("SELECT batch FROM batch").fetchone()
    assert "lamp" not in record
    assert PendingBatch(**json.loads(record)).keys == [hash_text(text) for text in TEXTS]
