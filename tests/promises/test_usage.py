"""The bill through the whole service: bounded by its budget and exact to the token, however its clients leave."""

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
from semsearch.core.types.usage import Budget, BudgetLimits, Caller, Price

pytestmark = pytest.mark.slow

QUESTION = {"question": "How many weeks of leave do parents take?"}


def settings(url: str, budget: Budget | None = None) -> Settings:
    """Settings of a service with a chat model that costs a dollar for a million tokens."""
    endpoint = Endpoint(url, Secret(double.KEY))
    return Settings(
        chat=endpoint,
        embeddings=endpoint,
        chat_model="m",
        budget=budget or Budget(),
        prices=(Price("m", "2020-01-01", 1.0, 1.0), Price("vec", "2020-01-01", 0.5)),
    )


@contextmanager
def priced(folder: Path) -> Iterator[tuple[double.Upstream, int]]:
    """A model server, and what one ask of the question takes in tokens at most: all bytes of the prompt, all output."""
    with double.run_upstream() as upstream:
        with run_service(folder / "first", settings(upstream.url)) as client:
            fill_collection(client, "hb")
            client.post("/v1/collections/hb/ask", json=QUESTION)
            body = upstream.calls[-1].body
            most = sum(len(message["content"].encode()) + 8 for message in body["messages"]) + body["max_tokens"]
        upstream.reset()
        yield upstream, most


async def many(url: httpx.URL, count: int) -> list[httpx.Response]:
    """The replies to so many asks at once."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        return list(await asyncio.gather(*(client.post("/v1/collections/hb/ask", json=QUESTION) for _ in range(count))))


def test_a_crowd_with_room_for_ten(tmp_path: Path) -> None:
    """What fits goes out, the others are told when there is room again, and the sums are the server's own."""
    with priced(tmp_path) as (upstream, most):
        budget = Budget(BudgetLimits(day_tokens=10 * most))
        with run_service(tmp_path / "second", settings(upstream.url, budget)) as client:
            fill_collection(client, "hb")
            started = time.monotonic()
            replies = asyncio.run(many(client.base_url, 50))
            assert time.monotonic() - started < 55
            answered = [reply for reply in replies if reply.status_code == 200]
            refused = [reply for reply in replies if reply.status_code != 200]
            calls = len(upstream.calls)
            rows = client.get("/v1/usage", params={"by": "model"}).json()["rows"]
        spent = sum(reply.json()["usage"]["prompt_tokens"] for reply in answered)
        assert len(answered) == calls
        assert answered
        assert spent + sum(reply.json()["usage"]["completion_tokens"] for reply in answered) <= 10 * most
        assert "budget.day_tokens" in check_problem(refused[0], "budget", 429) if refused else calls == 50
        assert [row["input_tokens"] for row in rows] == [spent]
        assert rows[0]["requests"] == calls


def test_a_budget_for_exactly_ten_lets_no_eleventh_through(tmp_path: Path) -> None:
    """With a model whose answers take all that is held for them, ten go out and not one more."""
    with priced(tmp_path) as (upstream, most):
        budget = Budget(BudgetLimits(day_tokens=10 * most))

        def chat(body: dict[str, Any]) -> double.ScriptedReply:
            said = double.delta_event(double.cite_first_sentence(body["messages"]))
            return double.stream_reply(
                said, double.delta_event(finish_reason="stop"), double.usage_event(most - 800, 800)
            )

        upstream.chat_reply = chat  # type: ignore[method-assign]
        with run_service(tmp_path / "second", settings(upstream.url, budget)) as client:
            fill_collection(client, "hb")
            replies = asyncio.run(many(client.base_url, 200))
            assert len(upstream.calls) == 10
            assert sum(reply.status_code == 200 for reply in replies) == 10
            assert {reply.status_code for reply in replies} == {200, 429}
            assert all("retry-after" in reply.headers for reply in replies if reply.status_code == 429)


def test_every_token_of_a_conversation_is_booked(tmp_path: Path) -> None:
    """Embeddings of documents and questions, condensing and answers: the sums are the server's, in tokens and USD."""
    with double.run_upstream() as upstream, Library(tmp_path, settings=settings(upstream.url)) as library:
        handbook = library.create("hb", embedder=f"openai:vec@{double.DIM}")
        handbook.ingest([text_source("a.txt", "Parental leave lasts 26 weeks. It is paid.")])
        session = handbook.create_session().id
        for question in ("How long is parental leave?", "And is it paid?"):
            handbook.ask(question, session=session)
        rows = {row.name: row for row in library.ledger.usage("purpose")}
        assert {name: row.requests for name, row in rows.items()} == {
            "ingest": 1,
            "query": 2,
            "condense": 1,
            "answer": 2,
        }
        assert sum(row.estimated_requests for row in rows.values()) == 0
        models = {row.name: row for row in library.ledger.usage("model")}
        embedded = sum(tokens for path, tokens, _ in upstream.billed if path.endswith("embeddings"))
        assert models["vec"].input_tokens == embedded
        assert models["vec"].cost_usd == pytest.approx(embedded * 0.5e-6)
        chats = [(inputs, outputs) for path, inputs, outputs in upstream.billed if path.endswith("completions")]
        assert (models["m"].input_tokens, models["m"].output_tokens) == tuple(map(sum, zip(*chats, strict=True)))
        assert models["m"].cost_usd == pytest.approx(sum(map(sum, chats)) * 1e-6)


def test_a_budget_counts_for_each_owner_and_for_all(tmp_path: Path) -> None:
    """What one owner has spent leaves another's budget whole; embeddings count in."""
    limited = Budget(per_owner=BudgetLimits(day_tokens=3_000))
    with double.run_upstream() as upstream, Library(tmp_path, settings=settings(upstream.url, limited)) as library:
        library.create("hb", embedder=f"openai:vec@{double.DIM}").upsert(
            [text_source("a.txt", "Leave lasts 26 weeks.")]
        )
        ann, bob = (library.open("hb", caller=Caller(name, key=f"key-{name}")) for name in ("ann", "bob"))
        for number in range(1_000):
            try:
                ann.search(f"{number} " * 400)
            except BudgetError as exc:
                assert "budget.per_key.day_tokens" in str(exc)
                break
        else:
            pytest.fail("the budget never ended")
        assert bob.search("leave")
        assert {row.name for row in library.ledger.usage("key")} == {"local", "key-ann", "key-bob"}


def test_a_price_that_is_not_known_stops_a_budget_in_dollars(tmp_path: Path) -> None:
    """Nothing is sent whose price nobody knows, and the way out is named; without such a budget the cost is unknown."""
    with double.run_upstream() as upstream:
        unknown = replace(settings(upstream.url), prices=())
        with Library(tmp_path / "a", settings=replace(unknown, budget=Budget(BudgetLimits(day_usd=5.0)))) as library:
            library.create("hb").upsert([text_source("a.txt", "Parental leave lasts 26 weeks.")])
            with pytest.raises(BudgetError, match=r'\[prices."m"\]'):
                library.open("hb").ask("How long is parental leave?")
            assert not upstream.calls
        with Library(tmp_path / "b", settings=unknown) as library:
            library.create("hb").upsert([text_source("a.txt", "Parental leave lasts 26 weeks.")])
            assert library.open("hb").ask("How long is parental leave?").usage.cost_usd is None


@pytest.mark.parametrize("first", [False, True])
def test_who_hangs_up_closes_the_call_and_it_is_booked(tmp_path: Path, first: bool) -> None:
    """Before the first word and after it, streamed or not: closed within a second, booked as an estimate."""
    said = b'data: {"choices": [{"delta": {"content": "Parents take up to 26 weeks of leave [[x"}}]}\n\n'
    with double.run_upstream() as upstream, run_service(tmp_path, settings(upstream.url)) as client:
        fill_collection(client, "hb")
        upstream.scripted_replies = [double.raw_stream_reply(*([said] if first else []), double.HANG)]
        with suppress(httpx.TimeoutException):
            client.post("/v1/collections/hb/ask", json={**QUESTION, "stream": first}, timeout=0.5)
        assert upstream.hung_up.wait(1.0)
        for _ in range(40):
            rows = client.get("/v1/usage").json()["rows"]
            if rows:
                break
            time.sleep(0.05)
        assert (rows[0]["requests"], rows[0]["estimated_requests"]) == (1, 1)
        assert rows[0]["input_tokens"] > 100
