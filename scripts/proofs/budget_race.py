"""Prove that requests that race in several workers never exceed a budget together.

A budget has room for ten questions, and many more are sent at once: at most ten calls reach the model server, and the
totals of the ledger equal its bill. The budget is that of an access key, of an owner with two keys, or of all owners.
The server bills each call as much as was reserved for it, so that no settlement makes room for another one.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
from support.upstream import (
    ScriptedReply,
    Upstream,
    delta_event,
    run_upstream,
    stream_reply,
    usage_event,
)

from semsearch import KeyGrants, Library, text_source
from semsearch.core.settings import Settings
from semsearch.core.types.usage import ALL_OWNERS, BudgetLimits, key_owner

from .ledger import run_service

PRICES = """[prices.m]
since = 2020-01-01
input = 1.0
output = 1.0
"""
ROOM = 10
QUESTION = {"question": "How long is parental leave?"}
NANOUSD_PER_USD = 1_000_000_000

Holder = Literal["key", "owner", "all"]
"""Whose budget it is."""


class FullBillUpstream(Upstream):
    """A model server that bills what was reserved: `prompt_tokens`, and all output that the request allows."""

    def __init__(self, prompt_tokens: int = 0) -> None:
        super().__init__()
        self.prompt_tokens = prompt_tokens

    def chat_reply(self, body: dict[str, Any]) -> ScriptedReply:
        """Return an answer."""
        output = body.get("max_tokens") or body["max_completion_tokens"]
        self.billed.append(("/v1/chat/completions", self.prompt_tokens, output))
        text = self.answer(body["messages"])
        return stream_reply(
            delta_event(text), delta_event(finish_reason="stop"), usage_event(self.prompt_tokens, output)
        )


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What a race had: statuses of the replies, calls of the model server, and what is wrong."""

    statuses: Counter[int]
    calls: int
    errors: list[str]


def measure_request(folder: Path) -> tuple[int, int, int]:
    """Return the reserved prompt tokens, output tokens and billionths of a dollar of one question."""
    keys = _fill(folder, BudgetLimits(), ["ann"])
    with (
        run_upstream(FullBillUpstream()) as upstream,
        run_service(folder, upstream.url, settings=_write_prices(folder)) as (_, url),
    ):
        asyncio.run(_ask_at_once(url, keys, 1))
        body = upstream.calls[-1].body
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        tokens, nanousd = db.execute("SELECT held_tokens, held_nano FROM call ORDER BY id DESC").fetchone()
    output = body.get("max_tokens") or body["max_completion_tokens"]
    return tokens - output, output, nanousd


def prove(folder: Path, holder: Holder, requests: int, workers: int) -> RaceResult:
    """Send so many questions at once to a service with so many workers."""
    prompt_tokens, _, nanousd = measure_request(folder / "first")
    limit_usd = ROOM * nanousd / NANOUSD_PER_USD
    data = folder / "second"
    settings = _write_prices(data)
    budget = BudgetLimits(day_usd=limit_usd) if holder == "key" else BudgetLimits()
    keys = _fill(data, budget, {"key": ["ann"], "owner": ["ann", "ann"], "all": ["ann", "bob"]}[holder])
    if holder != "key":
        name = "DAY_USD" if holder == "all" else "PER_OWNER__DAY_USD"
        settings[f"SEMSEARCH_BUDGET__{name}"] = f"{limit_usd:.9f}"
    with (
        run_upstream(FullBillUpstream(prompt_tokens)) as upstream,
        run_service(data, upstream.url, "--workers", str(workers), settings=settings) as (_, url),
    ):
        statuses = asyncio.run(_ask_at_once(url, keys, requests))
    owner = {"key": key_owner(keys[0].split("_")[1]), "owner": "ann", "all": ALL_OWNERS}[holder]
    return RaceResult(statuses, len(upstream.calls), _find_errors(data, owner, statuses, upstream, nanousd))


def _find_errors(folder: Path, owner: str, statuses: Counter[int], upstream: Upstream, nanousd: int) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        row = db.execute(
            "SELECT tokens, nano, held_nano FROM spent WHERE owner = ? AND length(period) = 10", (owner,)
        ).fetchone()
    tokens, spent, reserved = row or (0, 0, 0)
    billed = sum(inputs + outputs for _, inputs, outputs in upstream.billed)
    errors = []
    if not 0 < len(upstream.calls) <= ROOM:
        errors.append(f"{len(upstream.calls)} calls, but the budget has room for {ROOM}")
    if (tokens, reserved) != (billed, 0) or spent > ROOM * nanousd:
        errors.append(f"the ledger has {tokens} tokens and {spent} spent, {reserved} reserved; {billed} were billed")
    if set(statuses) - {200, 429, 503} or statuses[200] != len(upstream.calls):
        errors.append(f"the statuses are {dict(statuses)} for {len(upstream.calls)} calls")
    return errors


def _write_prices(folder: Path) -> dict[str, str]:
    """Write the price of the model to a file beside a data directory; return the setting that names it."""
    path = folder.with_suffix(".toml")
    path.write_text(PRICES)
    return {"SEMSEARCH_CONFIG": str(path)}


def _fill(folder: Path, budget: BudgetLimits, owners: list[str]) -> list[str]:
    """Store a document, and create a key for each owner; return the keys."""
    with Library(folder, settings=Settings()) as library:
        library.create("notes").upsert([text_source("leave", "Parental leave lasts 26 weeks. It is paid in full.")])
        return [library.create_key(KeyGrants(owner, owner, budget=budget))[1] for owner in owners]


async def _ask_at_once(url: str, keys: list[str], count: int) -> Counter[int]:
    """Ask the question so many times at once, each time with the next key; return the statuses."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, trust_env=False) as client:

        async def ask(number: int) -> int:
            headers = {"authorization": f"Bearer {keys[number % len(keys)]}"}
            return (await client.post("/v1/collections/notes/ask", json=QUESTION, headers=headers)).status_code

        return Counter(await asyncio.gather(*map(ask, range(count))))


def main() -> None:
    """Run the race for each holder of a budget, print the results, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove budget_race", description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    errors = []
    for holder in get_args(Holder):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            result = prove(Path(name), holder, options.requests, options.workers)
        statuses = dict(sorted(result.statuses.items()))
        print(
            f"{holder}: {options.requests} at once, {options.workers} workers, {result.calls} calls, {statuses}", end=""
        )
        print(f", {time.monotonic() - began:.0f} s")
        errors += [f"{holder}: {error}" for error in result.errors]
    print("\n".join(errors) or f"no budget with room for {ROOM} was exceeded")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
