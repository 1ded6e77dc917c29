"""What is promised of embeddings in batches: half the price, each text once, across any number of restarts."""

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

DOLLARS = 0.02
"""For a million tokens: 20 billionths for one, 10 in a batch."""
TEXTS = [f"lamp {number} burns in the fog" for number in range(20)]


class Stopped(Exception):
    """As if the process had ended here."""


class Client(OpenAIClient):
    """A client that can be stopped just before or just after a batch is made."""

    stop: Literal["", "before", "after"] = ""

    async def fetch(
        self, method: Literal["GET", "POST"], path: str, errand: RequestContext, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The reply, unless the process ends first."""
        if method == "POST" and self.stop == "before":
            raise Stopped
        reply = await super().fetch(method, path, errand, body)
        if method == "POST" and self.stop == "after":
            raise Stopped
        return reply


class Bench:
    """The files of one data directory, and short ways to run batches as new processes would."""

    def __init__(self, folder: Path, server: EmbeddingServer) -> None:
        self.folder = folder
        self.server = server
        self.said: list[str] = []
        self.space = f"openai:m@8 {server.url}"
        self.budget = Budget()

    def run(
        self,
        texts: Sequence[str] = TEXTS,
        *,
        stop: Literal["", "before", "after"] = "",
        say: Callable[[str], None] | None = None,
        collection: str = "one",
        dimensions: int | None = 8,
    ) -> BatchEmbeddingRun:
        """Have these embedded by a process of its own."""

        async def deed(embedder: OpenAIEmbedder, meter: LedgerMeter) -> BatchEmbeddingRun:
            errand = RequestContext("ingest", collection=collection)
            run = BatchEmbeddingRun(embedder, meter, errand, say or self.said.append, poll_seconds=0.001)
            await run.run(texts)
            return run

        return self._process(deed, stop, dimensions)

    def _process(
        self,
        deed: Callable[[OpenAIEmbedder, LedgerMeter], Awaitable[BatchEmbeddingRun]],
        stop: Literal["", "before", "after"],
        dimensions: int | None,
    ) -> BatchEmbeddingRun:
        async def within() -> BatchEmbeddingRun:
            with self.ledger() as ledger, self.paid() as paid:
                meter = LedgerMeter(ledger, PriceTable([Price("m", "2020-01-01", DOLLARS)]), self.budget)
                client = Client(self.server.url, lambda: "sk-test-5ecret", meter=meter)
                client.stop = stop
                try:
                    return await deed(OpenAIEmbedder("m", client, paid, dimensions=dimensions), meter)
                finally:
                    await client.aclose()
                    meter.close()

        return asyncio.run(within())

    @contextmanager
    def ledger(self) -> Iterator[LocalLedger]:
        """What was spent."""
        made = LocalLedger(self.folder)
        yield made
        made.close()

    @contextmanager
    def paid(self) -> Iterator[SqliteEmbeddingCache]:
        """What was paid for."""
        made = SqliteEmbeddingCache(self.folder)
        yield made
        made.close()

    def known(self, texts: Sequence[str] = TEXTS) -> list[str]:
        """Which of these have their vector, and it is their own."""
        with self.paid() as paid:
            found = paid.find(self.space, [hash_text(text) for text in texts])
        for text in texts:
            if hash_text(text) in found:
                wanted = embed_text(text)[:8] / np.linalg.norm(embed_text(text)[:8])
                assert np.allclose(found[hash_text(text)], wanted, atol=1e-6)
        return [text for text in texts if hash_text(text) in found]

    def under_way(self) -> list[str]:
        """Batches that are remembered."""
        with self.paid() as paid:
            return [pending.id for pending in paid.pending_batches(self.space)]

    def booked(self) -> tuple[int, float | None]:
        """Tokens and dollars, none of them estimated."""
        with self.ledger() as ledger:
            rows = ledger.usage("model")
        assert all(row.estimated_requests == 0 for row in rows)
        assert len(rows) <= 1
        return (rows[0].input_tokens, rows[0].cost_usd) if rows else (0, 0.0)

    def uploaded(self) -> list[list[str]]:
        """The texts of each file that the server took."""
        return [[line["body"]["input"][0] for line in lines] for lines in self.server.uploads]


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


@pytest.fixture
def bench(tmp_path: Path, server: EmbeddingServer) -> Bench:
    """An empty data directory."""
    return Bench(tmp_path, server)


def test_every_text_is_embedded_at_half_the_price(bench: Bench, server: EmbeddingServer) -> None:
    """Each vector is its text's own, though the output is shuffled; the ledger has the exact tokens, and half."""
    bench.run([*TEXTS, *TEXTS, " "])
    assert bench.known() == TEXTS
    assert bench.uploaded() == [TEXTS]
    assert server.batch_billed == 6 * len(TEXTS)
    assert bench.booked() == (server.batch_billed, server.batch_billed * 10 / 1e9)
    assert bench.under_way() == []
    assert server.requests == []


def test_a_request_is_written_as_the_server_wants_it(bench: Bench, server: EmbeddingServer) -> None:
    """One line for each text, with an id that does not show it."""
    bench.run(["a lamp"])
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


def test_a_second_run_sends_nothing(bench: Bench, server: EmbeddingServer) -> None:
    """What is paid for is there."""
    bench.run()
    bench.run()
    assert len(server.uploads) == 1


def test_progress_is_told(bench: Bench, server: EmbeddingServer) -> None:
    """Sent, under way, fetched."""
    bench.run()
    assert bench.said[0] == "sent a batch of 20 texts: batch_1"
    assert "the batch batch_1 of 20 texts is under way: in_progress" in bench.said
    assert bench.said[-1] == "fetched the batch batch_1: completed"


def test_a_text_in_the_error_file_is_named(bench: Bench, server: EmbeddingServer) -> None:
    """With the server's reason, and it is not sent again; the others have their vectors."""
    server.refuse = refuse_texts(TEXTS[3])
    run = bench.run()
    assert run.refused == {TEXTS[3]: "the server minds it in a batch: content is not allowed"}
    assert bench.known() == [text for text in TEXTS if text != TEXTS[3]]
    assert len(server.uploads) == 1
    assert bench.booked()[0] == server.batch_billed


def test_a_text_that_gets_no_vector_is_named(bench: Bench, server: EmbeddingServer) -> None:
    """It was paid for like the others, which are kept; it is not sent again."""
    server.odd_embeddings = {TEXTS[3]: [0.0] * 8, TEXTS[4]: [float("nan")] * 8, TEXTS[5]: None}
    run = bench.run()
    assert sorted(run.refused) == TEXTS[3:6]
    assert "zeros" in run.refused[TEXTS[3]]
    assert bench.known() == TEXTS[:3] + TEXTS[6:]
    assert len(server.uploads) == 1
    assert bench.booked()[0] == server.batch_billed


def test_what_expired_is_sent_again(bench: Bench, server: EmbeddingServer) -> None:
    """Only that; what came in time is kept and booked."""
    server.batch_scripts = [BatchScript(("in_progress", "expired"), processed_count=12)]
    run = bench.run()
    assert run.refused == {}
    assert bench.uploaded() == [TEXTS, TEXTS[12:]]
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed == 6 * len(TEXTS)


def test_after_three_rounds_it_is_given_up(bench: Bench, server: EmbeddingServer) -> None:
    """Each text that the server never got to is named, and no batch is left behind."""
    server.batch_scripts = [BatchScript(("expired",), processed_count=2)] * 9
    run = bench.run()
    assert [len(texts) for texts in bench.uploaded()] == [20, 18, 16]
    assert run.refused == dict.fromkeys(TEXTS[6:], f"the server did not get to it in {MAX_ROUNDS} batches")
    assert bench.known() == TEXTS[:6]
    assert bench.under_way() == []


def test_a_batch_that_is_not_taken_is_an_error(bench: Bench, server: EmbeddingServer) -> None:
    """It says why, at once and not three times; nothing is held or remembered."""
    server.batch_scripts = [BatchScript(("validating", "failed"))] * 9
    with pytest.raises(UpstreamError, match="did not take the batch batch_1: The provided model is not there"):
        bench.run()
    assert len(server.uploads) == 1
    assert bench.under_way() == []
    assert bench.booked() == (0, 0.0)


def test_a_state_that_is_not_known_is_waited_for(bench: Bench, server: EmbeddingServer) -> None:
    """Another vendor may have names of its own; sending again would be paid again."""
    server.batch_scripts = [BatchScript(("queued", "pondering", "completed"))]
    bench.run()
    assert bench.known() == TEXTS
    assert len(server.uploads) == 1


def stop_at(words: str) -> Callable[[str], None]:
    """Ends the process when it says this."""

    def say(line: str) -> None:
        if words in line:
            raise Stopped

    return say


@pytest.mark.parametrize("words", ["sent a batch", "under way"])
def test_interrupted_while_it_waits_it_goes_on(bench: Bench, server: EmbeddingServer, words: str) -> None:
    """The next process waits for the same batch, and books it under what was held for it."""
    with pytest.raises(Stopped):
        bench.run(say=stop_at(words))
    assert bench.under_way() == ["batch_1"]
    bench.run()
    assert len(server.uploads) == 1
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed == 6 * len(TEXTS)
    assert bench.under_way() == []


def test_interrupted_before_it_is_made_it_is_sent_once(bench: Bench, server: EmbeddingServer) -> None:
    """A file that was uploaded and never used costs nothing; what was held for it is given back, so that it fits."""
    bench.budget = Budget(total=BudgetLimits(day_tokens=estimate_tokens(TEXTS, {}).at_most))
    with pytest.raises(Stopped):
        bench.run(stop="before")
    assert (len(server.uploads), server.batches) == (1, {})
    bench.run()
    assert list(server.batches) == ["batch_1"]
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed


def test_a_batch_that_nobody_noted_is_adopted(bench: Bench, server: EmbeddingServer) -> None:
    """A crash between the making of a batch and the noting of its name: it is known by its mark, and not sent again."""
    with pytest.raises(Stopped):
        bench.run(stop="after")
    assert bench.under_way()[0].startswith("new:")
    bench.run()
    assert len(server.uploads) == len(server.batches) == 1
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed


def test_a_batch_whose_making_ended_in_a_page_is_adopted(bench: Bench, server: EmbeddingServer) -> None:
    """A gateway that fails says nothing of the server behind it: what may have been made is not made again."""
    server.intercept = once("POST", "/batches", lambda data: (502, PAGE))
    with pytest.raises(UpstreamError, match="answered 502"):
        bench.run()
    assert len(server.batches) == 1
    bench.run()
    assert list(server.batches) == ["batch_1"]
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed


def test_a_making_that_is_put_off_is_tried_again(bench: Bench, server: EmbeddingServer) -> None:
    """A rate limit says that nothing was made."""
    calls = []

    def busy(method: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        if method == "POST" and path == "/batches":
            calls.append(path)
            if len(calls) == 1:
                server.batches.clear()
                return 429, b""
        return None

    server.intercept = busy
    bench.run()
    assert len(calls) == 2
    assert bench.known() == TEXTS


def test_a_batch_is_found_behind_many_others(bench: Bench, server: EmbeddingServer) -> None:
    """A list of batches comes in pages, and all are read; one that cannot be read says nothing of the batch."""
    with pytest.raises(Stopped):
        bench.run(stop="after")
    server.batches |= {f"batch_x{number}": {"id": f"batch_x{number}", "metadata": {}} for number in range(7)}
    server.page_size = 3
    server.intercept = lambda method, path, data: (200, b"{}") if (method, path) == ("GET", "/batches") else None
    with pytest.raises(UpstreamError, match="no list of batches"):
        bench.run()
    server.intercept = lambda method, path, data: None
    bench.run()
    assert len(server.uploads) == 1
    assert bench.known() == TEXTS


def test_a_stranger_s_batch_is_not_adopted(bench: Bench, server: EmbeddingServer) -> None:
    """Other batches of the same account have another mark, or none."""
    server.batches = {
        "batch_other": {"id": "batch_other", "status": "completed", "metadata": {"semsearch": "0" * 24}},
        "batch_none": {"id": "batch_none", "status": "completed", "metadata": None},
    }
    with pytest.raises(Stopped):
        bench.run(stop="before")
    bench.run()
    assert bench.known() == TEXTS
    assert [name for name in server.batches if name.startswith("batch_3")] == ["batch_3"]


def test_what_another_process_is_about_to_send_is_left_to_it(bench: Bench, server: EmbeddingServer) -> None:
    """Its note is fresh: it is neither dropped nor given back."""
    with pytest.raises(Stopped):
        bench.run(stop="before", collection="two")
    bench.run(["something else"], collection="one")
    assert len(bench.under_way()) == 1
    bench.run(["something else"], collection="two")
    assert bench.under_way() == []


def test_texts_that_changed_meanwhile_lose_no_vector(bench: Bench, server: EmbeddingServer) -> None:
    """All that a batch brings is kept, whether it is still wanted or not."""
    with pytest.raises(Stopped):
        bench.run(say=stop_at("under way"))
    bench.run(["another text"])
    assert bench.known() == TEXTS
    assert bench.uploaded() == [TEXTS, ["another text"]]
    assert bench.booked()[0] == server.batch_billed


Gateway = Callable[[str, str, bytes], tuple[int, bytes] | None]


def once(method: str, beginning: str, garble: Callable[[bytes], tuple[int, bytes]]) -> Gateway:
    """A gateway that garbles one reply to this method under this path."""
    left = [garble]

    def gateway(asked: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        return left.pop()(data) if left and asked == method and path.startswith(beginning) else None

    return gateway


PAGE = b"<html>\n<h1>one moment</h1>\n</html>\n"


@pytest.mark.parametrize("reply", [PAGE, b"[]", b'{"id": "batch_1", "stat'])
def test_a_look_that_cannot_be_read_is_taken_again(bench: Bench, server: EmbeddingServer, reply: bytes) -> None:
    """A page of a gateway says nothing of the batch, which runs on."""
    server.intercept = once("GET", "/batches/", lambda data: (200, reply))
    bench.run()
    assert bench.known() == TEXTS
    assert len(server.uploads) == 1
    assert bench.booked()[0] == server.batch_billed


NOT_WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "a page": lambda data: PAGE,
    "a list": lambda data: b"[]",
    "nothing": lambda data: b"",
    "cut in a line": lambda data: data[: len(data) // 2 + 9],
    "cut at the end of a line": lambda data: data[: data.index(b"\n") + 1],
}


@pytest.mark.parametrize("kind", NOT_WHOLE)
def test_a_file_that_is_not_whole_is_fetched_again(bench: Bench, server: EmbeddingServer, kind: str) -> None:
    """The run ends, the batch stays remembered, and the next run has it all: nothing is sent or paid again."""
    garble = NOT_WHOLE[kind]
    server.intercept = once("GET", "/files/", lambda data: (200, garble(data)))
    with pytest.raises(UnavailableError, match=r"batch_1 .*whole"):
        bench.run()
    assert bench.under_way() == ["batch_1"]
    bench.run()
    assert bench.known() == TEXTS
    assert len(server.uploads) == 1
    assert bench.booked()[0] == server.batch_billed


@pytest.mark.parametrize("kind", NOT_WHOLE)
def test_an_old_batch_without_whole_results_is_booked_whole(
    bench: Bench, server: EmbeddingServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up when no server works on it any more, and what is missing is sent, now or by the next run."""
    monkeypatch.setattr("semsearch.models.embedders.openai_batch.COMPLETION_WINDOW_SECONDS", -1.0)
    server.intercept = once("GET", "/files/", lambda data: (200, NOT_WHOLE[kind](data)))
    with suppress(UpstreamError):
        bench.run()
    assert bench.under_way() == []
    with bench.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert row.input_tokens >= estimate_tokens(TEXTS, {}).likely
    bench.run()
    assert bench.known() == TEXTS


def test_a_batch_that_is_completed_has_every_text(bench: Bench, server: EmbeddingServer) -> None:
    """Also where the server does not say how many: a file that ends early with a whole line was cut off."""
    short = [True, False]

    def gateway(method: str, path: str, data: bytes) -> tuple[int, bytes] | None:
        if path.startswith("/batches/"):
            return 200, json.dumps({**json.loads(data), "request_counts": None}).encode()
        if path.startswith("/files/") and short.pop(0):
            return 200, data[: data.index(b"\n") + 1]
        return None

    server.intercept = gateway
    with pytest.raises(UnavailableError, match="did not come whole"):
        bench.run()
    bench.run()
    assert len(server.uploads) == 1
    assert bench.booked()[0] == server.batch_billed


def test_blank_lines_say_nothing(bench: Bench, server: EmbeddingServer) -> None:
    """Some servers end a file with one."""
    server.intercept = once("GET", "/files/", lambda data: (200, b"\r\n" + data + b"\n\n"))
    bench.run()
    assert bench.known() == TEXTS
    assert bench.booked()[0] == server.batch_billed


def test_a_line_that_is_garbled_by_the_server_itself_ends_the_batch(bench: Bench, server: EmbeddingServer) -> None:
    """What stands before whole lines was not cut off: asking again brings nothing better."""
    server.intercept = once("GET", "/files/", lambda data: (200, b"{oops\n" + data))
    with pytest.raises(UpstreamError, match="cannot be read"):
        bench.run()
    assert bench.under_way() == []


def test_what_is_given_up_is_booked_whole(bench: Bench, server: EmbeddingServer) -> None:
    """The server has worked for every text, whatever became of its results."""
    server.batch_scripts = [BatchScript(extra_line="stranger")]
    server.intercept = once("GET", "/files/", lambda data: (200, b"\n".join(reversed(data.splitlines()))))
    with pytest.raises(UpstreamError, match="nobody asked for"):
        bench.run()
    with bench.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert row.input_tokens == estimate_tokens(TEXTS, {}).likely


@pytest.mark.parametrize("extra", ["stranger", "repetition"])
def test_a_line_that_nobody_asked_for_is_refused(
    bench: Bench, server: EmbeddingServer, extra: Literal["stranger", "repetition"]
) -> None:
    """The run ends; what came before it is kept, the batch is given up, and the next run asks for the rest."""
    server.batch_scripts = [BatchScript(extra_line=extra)]
    with pytest.raises(UpstreamError, match="nobody asked for"):
        bench.run()
    assert bench.known() == TEXTS
    assert bench.under_way() == []
    bench.run()
    assert len(server.uploads) == 1


def test_a_vector_of_another_length_ends_the_run(bench: Bench, server: EmbeddingServer) -> None:
    """Vectors before it are kept; none of another length is."""
    server.batch_scripts = [BatchScript(dim=5)]
    with pytest.raises(UpstreamError, match="gave vectors of 5 numbers where 8 belong"):
        bench.run()
    assert bench.under_way() == []
    bench.run()
    assert bench.known() == TEXTS


def test_what_is_not_counted_is_estimated(bench: Bench, server: EmbeddingServer) -> None:
    """By the texts that were embedded."""
    server.batch_scripts = [BatchScript(reports_usage=False)]
    bench.run()
    with bench.ledger() as ledger:
        (row,) = ledger.usage("model")
    assert row.estimated_requests == 1
    assert 0 < row.input_tokens < sum(map(len, TEXTS))


def test_a_server_without_batches_refuses_at_once(bench: Bench, server: EmbeddingServer) -> None:
    """Nothing stays held or remembered."""
    wrong = Bench(bench.folder, server)
    wrong.server = EmbeddingServer()
    wrong.server.url = f"{server.url}/nowhere"
    with pytest.raises(UpstreamError, match="404"):
        wrong.run()
    assert Bench(bench.folder, wrong.server).under_way() == []
    assert bench.booked() == (0, 0.0)


def test_a_server_that_is_gone_leaves_the_batch_for_later(bench: Bench, server: EmbeddingServer) -> None:
    """Its note stays until the server can be asked."""
    with pytest.raises(Stopped):
        bench.run(say=stop_at("under way"))
    url, gone = server.url, EmbeddingServer()
    gone.url = "http://127.0.0.1:9/v1"
    bench.server = gone
    bench.space = f"openai:m@8 {gone.url}"
    with bench.paid() as paid:
        (pending,) = paid.pending_batches(f"openai:m@8 {url}")
        paid.put_batch(replace(pending, id="batch_9", space=bench.space))
    with pytest.raises(UnavailableError):
        bench.run()
    assert bench.under_way() == ["batch_9"]


def test_a_batch_is_held_against_the_budget(bench: Bench, server: EmbeddingServer) -> None:
    """What it may cost at most must fit, before anything is sent."""
    bench.budget = Budget(total=BudgetLimits(day_tokens=50))
    with pytest.raises(BudgetError):
        bench.run()
    assert server.uploads == []
    assert bench.under_way() == []


@contextmanager
def library(folder: Path, server: EmbeddingServer) -> Iterator[Library]:
    """A library whose embeddings come from the server."""
    endpoint = Endpoint(base_url=server.url, key=Secret("sk-test-5ecret"))
    with Library(folder, settings=Settings(embeddings=endpoint)) as made:
        yield made


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with files of one text each."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"{number:02}.txt").write_text(text)
    return folder


def test_a_collection_is_filled_in_batches(tmp_path: Path, docs: Path, server: EmbeddingServer) -> None:
    """Everything is stored and found, not one request went out at the full price, and refused files are named."""
    server.batch_scripts = [BatchScript(("completed",))] * 2
    server.refuse = lambda inputs: Refusal(400, "not allowed") if any("lamp 7 " in text for text in inputs) else None
    with library(tmp_path / "indexes", server) as made:
        collection = made.create("one", embedder="openai:m@8")
        report = collection.ingest(read(docs), batch=True)
        assert server.requests == []
        assert (report.added, [failure.uri for failure in report.failures]) == (19, ["docs/07.txt"])
        assert "not allowed" in report.failures[0].error
        assert report.usage.embedding_tokens == server.batch_billed
        assert collection.search("lamp 5 burns in the fog", 1)[0].uri == "docs/05.txt"
        again = collection.ingest(read(docs), batch=True)
        assert (again.unchanged, len(again.failures), len(server.uploads)) == (19, 1, 2)


def test_a_local_embedder_has_no_batches(tmp_path: Path, docs: Path) -> None:
    """The refusal says so, and nothing is stored."""
    with pytest.raises(InvalidError, match="leave it out"):
        require_openai_embedder(LocalEmbedder())
    with Library(tmp_path / "indexes") as made:
        collection, report = made.create("one"), IngestReport()
        with pytest.raises(InvalidError, match="on this machine"):
            collection.ingest(read(docs), batch=True, report=report)
        assert collection.info().documents == 0


def test_what_no_batch_brought_is_refused(bench: Bench, server: EmbeddingServer) -> None:
    """The embedder that follows a batch asks nobody, and names each text that is missing."""
    bench.run(["one"])
    with bench.paid() as paid:

        async def rest() -> None:
            client = OpenAIClient(
                server.url, lambda: None, meter=LedgerMeter(LocalLedger(bench.folder), PriceTable(), Budget())
            )
            only = CachedOnlyEmbedder(OpenAIEmbedder("m", client, paid, dimensions=8), {"two": "it is minded"})
            assert only.plan_requests(["one", "two"]) == []
            assert (await only.embed(["one", " "], RequestContext("ingest"))).shape == (2, 8)
            with pytest.raises(PartialEmbeddingError) as caught:
                await only.embed(["three", "one", "two"], RequestContext("ingest"))
            assert caught.value.rejections == {0: "no batch held it", 2: "it is minded"}
            assert caught.value.vectors[1].any()

        asyncio.run(rest())
    assert server.requests == []


def test_what_is_remembered_can_be_read_back(bench: Bench) -> None:
    """A note is a line of JSON that holds no text."""
    with pytest.raises(Stopped):
        bench.run(stop="before")
    with bench.paid() as paid, paid._current_file().read() as db:
        (note,) = db.execute("SELECT batch FROM batch").fetchone()
    assert "lamp" not in note
    assert PendingBatch(**json.loads(note)).keys == [hash_text(text) for text in TEXTS]
