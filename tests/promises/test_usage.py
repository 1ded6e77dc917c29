"""Tests of usage through the whole service: it never exceeds a budget and is exact, also if clients disconnect."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import support.upstream as double
from support.http_service import check_problem, fill_collection, run_service

from semsearch import Library, text_source
from semsearch.core.errors import BudgetError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.access import LOCAL_CALLER, Caller
from semsearch.core.types.usage import Budget, BudgetLimits, Price

pytestmark = pytest.mark.slow

QUESTION = {"question": "How many weeks of leave do parents take?"}


def make_settings(url: str, budget: Budget | None = None) -> Settings:
    """Return the settings of a service with a chat model that costs a dollar per million tokens."""
    endpoint = Endpoint(url, Secret(double.KEY))
    return Settings(
        chat=endpoint,
        embeddings=endpoint,
        chat_model="m",
        budget=budget or Budget(),
        prices=(Price("m", "2020-01-01", 1.0, 1.0), Price("vec", "2020-01-01", 0.5)),
    )


@contextmanager
def run_upstream_and_measure(folder: Path) -> Iterator[tuple[double.Upstream, int]]:
    """Run a model server; yield it with the maximum tokens of one question: all bytes of the prompt, all output."""
    with double.run_upstream() as upstream:
        with run_service(folder / "first", make_settings(upstream.url)) as client:
            fill_collection(client, "hb")
            client.post("/v1/collections/hb/ask", json=QUESTION)
            body = upstream.calls[-1].body
            prompt_bytes = sum(len(message["content"].encode()) + 8 for message in body["messages"])
        upstream.reset()
        yield upstream, prompt_bytes + body["max_tokens"]


async def ask_concurrently(url: httpx.URL, count: int) -> list[httpx.Response]:
    """Ask the question this many times concurrently; return the responses."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        return list(await asyncio.gather(*(client.post("/v1/collections/hb/ask", json=QUESTION) for _ in range(count))))


def test_50_concurrent_clients_with_budget_for_ten(tmp_path: Path) -> None:
    """Requests within the budget are sent, the others get a budget error, and the totals equal the server's counts."""
    with run_upstream_and_measure(tmp_path) as (upstream, max_tokens):
        budget = Budget(BudgetLimits(day_tokens=10 * max_tokens))
        with run_service(tmp_path / "second", make_settings(upstream.url, budget)) as client:
            fill_collection(client, "hb")
            start = time.monotonic()
            responses = asyncio.run(ask_concurrently(client.base_url, 50))
            assert time.monotonic() - start < 55
            answered = [response for response in responses if response.status_code == 200]
            refused = [response for response in responses if response.status_code != 200]
            calls = len(upstream.calls)
            rows = client.get("/v1/usage", params={"by": "model"}).json()["rows"]
        prompt_tokens = sum(response.json()["usage"]["prompt_tokens"] for response in answered)
        completion_tokens = sum(response.json()["usage"]["completion_tokens"] for response in answered)
        assert len(answered) == calls
        assert answered
        assert prompt_tokens + completion_tokens <= 10 * max_tokens
        assert "budget.day_tokens" in check_problem(refused[0], "budget", 429) if refused else calls == 50
        assert [row["input_tokens"] for row in rows] == [prompt_tokens]
        assert rows[0]["requests"] == calls


def test_budget_for_ten_allows_exactly_ten_requests(tmp_path: Path) -> None:
    """If each answer uses all of its reserved tokens, ten requests of 200 are sent."""
    with run_upstream_and_measure(tmp_path) as (upstream, max_tokens):
        budget = Budget(BudgetLimits(day_tokens=10 * max_tokens))

        def chat(body: dict[str, Any]) -> double.ScriptedReply:
            text = double.delta_event(double.cite_first_sentence(body["messages"]))
            end = double.delta_event(finish_reason="stop")
            return double.stream_reply(text, end, double.usage_event(max_tokens - 800, 800))

        upstream.chat_reply = chat  # type: ignore[method-assign]
        with run_service(tmp_path / "second", make_settings(upstream.url, budget)) as client:
            fill_collection(client, "hb")
            responses = asyncio.run(ask_concurrently(client.base_url, 200))
            assert len(upstream.calls) == 10
            assert sum(response.status_code == 200 for response in responses) == 10
            assert {response.status_code for response in responses} == {200, 429}
            assert all("retry-after" in response.headers for response in responses if response.status_code == 429)


def test_every_token_of_a_session_is_settled(tmp_path: Path) -> None:
    """Embeddings, condensing and answers: tokens and cost equal the server's counts."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=make_settings(upstream.url)) as library:
        handbook = library.create("hb", embedder=f"openai:vec@{double.DIM}")
        handbook.ingest([text_source("a.txt", "Parental leave lasts 26 weeks. It is paid.")])
        session = handbook.create_session().id
        for question in ("How long is parental leave?", "And is it paid?"):
            handbook.ask(question, session=session)
        rows = {row.name: row for row in library.usage("purpose").rows}
        assert {name: row.requests for name, row in rows.items()} == {
            "ingest": 1,
            "query": 2,
            "condense": 1,
            "answer": 2,
        }
        assert sum(row.estimated_requests for row in rows.values()) == 0
        models = {row.name: row for row in library.usage("model").rows}
        embedded = sum(tokens for path, tokens, _ in upstream.billed if path.endswith("embeddings"))
        assert models["vec"].input_tokens == embedded
        assert models["vec"].cost_usd == pytest.approx(embedded * 0.5e-6)
        chats = [(inputs, outputs) for path, inputs, outputs in upstream.billed if path.endswith("completions")]
        assert (models["m"].input_tokens, models["m"].output_tokens) == tuple(map(sum, zip(*chats, strict=True)))
        assert models["m"].cost_usd == pytest.approx(sum(map(sum, chats)) * 1e-6)


def test_budget_per_owner_counts_each_owner_apart(tmp_path: Path) -> None:
    """An owner over the limit does not affect another owner; embeddings count."""
    budget = Budget(per_owner=BudgetLimits(day_tokens=3_000))
    with double.run_upstream() as upstream, Library(tmp_path, settings=make_settings(upstream.url, budget)) as library:
        library.create("hb", embedder=f"openai:vec@{double.DIM}").upsert(
            [text_source("a.txt", "Leave lasts 26 weeks.")]
        )
        ann, bob = (library.open("hb", caller=Caller(name, key=f"key-{name}")) for name in ("ann", "bob"))
        for number in range(1_000):
            try:
                ann.search(f"{number} " * 400)
            except BudgetError as exc:
                assert "budget.per_owner.day_tokens" in str(exc)
                break
        else:
            pytest.fail("the budget was never exceeded")
        assert bob.search("leave")
        assert {row.name for row in library.usage("key").rows} == {"local", "key-ann", "key-bob"}


def test_usage_of_one_caller_and_of_all(tmp_path: Path) -> None:
    """A caller with a key sees their own rows and budget; without a caller the report is of all owners."""
    budget = Budget(BudgetLimits(day_tokens=10**6), BudgetLimits(day_tokens=10**5))
    with double.run_upstream() as upstream, Library(tmp_path, settings=make_settings(upstream.url, budget)) as library:
        library.create("hb", embedder=f"openai:vec@{double.DIM}").upsert(
            [text_source("a.txt", "Leave lasts 26 weeks.")]
        )
        ann = Caller("ann", key="key-ann")
        library.open("hb", caller=ann).search("leave")
        reports = [library.usage("key"), library.usage("key", caller=LOCAL_CALLER), library.usage("key", caller=ann)]
        future = library.usage("key", "2999-01-01")
    assert [{row.name for row in report.rows} for report in reports] == [{"local", "key-ann"}, {"local"}, {"key-ann"}]
    assert [[status.name for status in report.budget] for report in reports] == [
        ["budget.day_tokens", "budget.per_owner.day_tokens"],
        ["budget.day_tokens", "budget.per_owner.day_tokens"],
        ["budget.per_owner.day_tokens"],
    ]
    assert future.rows == []


def test_unknown_price_is_refused_by_a_budget_in_dollars(tmp_path: Path) -> None:
    """No request is sent, and the error names the setting; without such a budget the cost is unknown."""
    with double.run_upstream() as upstream:
        without_prices = replace(make_settings(upstream.url), prices=())
        with Library(
            tmp_path / "a", settings=replace(without_prices, budget=Budget(BudgetLimits(day_usd=5.0)))
        ) as library:
            library.create("hb").upsert([text_source("a.txt", "Parental leave lasts 26 weeks.")])
            with pytest.raises(BudgetError, match=r'\[prices."m"\]'):
                library.open("hb").ask("How long is parental leave?")
            assert not upstream.calls
        with Library(tmp_path / "b", settings=without_prices) as library:
            library.create("hb").upsert([text_source("a.txt", "Parental leave lasts 26 weeks.")])
            assert library.open("hb").ask("How long is parental leave?").usage.cost_usd is None


@pytest.mark.parametrize("has_text", [False, True])
def test_disconnect_closes_the_upstream_request_and_settles_an_estimate(tmp_path: Path, has_text: bool) -> None:
    """Before the first text and after it, streamed or not: it is closed within a second and settled as an estimate."""
    text = b'data: {"choices": [{"delta": {"content": "Parents take up to 26 weeks of leave [[x"}}]}\n\n'
    with double.run_upstream() as upstream, run_service(tmp_path, make_settings(upstream.url)) as client:
        fill_collection(client, "hb")
        upstream.scripted_replies = [double.raw_stream_reply(*([text] if has_text else []), double.HANG)]
        with suppress(httpx.TimeoutException):
            client.post("/v1/collections/hb/ask", json={**QUESTION, "stream": has_text}, timeout=0.5)
        assert upstream.hung_up.wait(1.0)
        for _ in range(40):
            rows = client.get("/v1/usage").json()["rows"]
            if rows:
                break
            time.sleep(0.05)
        assert (rows[0]["requests"], rows[0]["estimated_requests"]) == (1, 1)
        assert rows[0]["input_tokens"] > 100
