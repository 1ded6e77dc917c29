"""The bill where people and programs look at it: `semsearch usage` and GET /v1/usage."""

import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import support.upstream as double
from support.billing import DAY, Clock, make_reservation, make_settled_usage, to_utc_date
from support.http_service import check_problem, fill_collection, run_service

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.usage import (
    LOCAL_CALLER,
    Budget,
    BudgetLimits,
    BudgetStatus,
    Caller,
    ModelRateLimits,
    RateLimits,
    UsageGroupBy,
    UsageReport,
    UsageRow,
)
from semsearch.interfaces.cli import usage as spending
from semsearch.interfaces.cli.main import main
from semsearch.interfaces.http import service
from semsearch.storage.ledger.local.ledger import LocalLedger

TOML = """
[chat]
base_url = "{url}"
api_key = "{key}"
model = "m"

[prices."m"]
since = 2026-01-01
input = 2.0
output = 10.0

[budget]
day_tokens = 1000000
month_usd = 50.0

[budget.per_key]
day_usd = 5.0
"""
QUESTION = {"question": "How many weeks of leave do parents take?"}

Usage = Callable[..., tuple[int, str, str]]


@pytest.fixture
def semsearch(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Usage:
    """Runs `semsearch ...` in an empty folder: its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return command


@pytest.fixture(scope="module")
def upstream() -> Iterator[double.Upstream]:
    """A model server."""
    with double.run_upstream() as upstream:
        yield upstream


def book(ledger: LocalLedger, clock: Clock, owner: str, tokens: int, nano: int | None, **more: Any) -> None:
    """One request that went well."""
    reservation = ledger.reserve(make_reservation(clock, owner, **more), {})
    assert reservation is not None
    ledger.settle(reservation, make_settled_usage(tokens, 1, nano))


def filled(folder: Path) -> Clock:
    """A ledger of two days, two owners and three models; the clock stands at the second day."""
    clock = Clock(time.time() - 2 * DAY)
    ledger = LocalLedger(folder, clock=clock)
    book(ledger, clock, LOCAL_CALLER.owner, 100, 1000, model="m", collection="hb")
    book(ledger, clock, "ann", 5000, 9000, model="n", key="k1", purpose="answer")
    clock.now += DAY
    book(ledger, clock, LOCAL_CALLER.owner, 30, None, model="own", collection="faq", attempt=1, purpose="ingest")
    ledger.close()
    return clock


# on the terminal


def test_before_anything_was_asked(semsearch: Usage, tmp_path: Path) -> None:
    """It says so in words, an empty list in JSON, and makes no file."""
    assert semsearch("usage") == (0, "nothing was asked of a model server yet\n", "")
    code, out, _ = semsearch("usage", "--json")
    assert (code, json.loads(out)) == (0, {"by": "day", "rows": [], "budget": [], "headroom": []})
    assert list(tmp_path.iterdir()) == []


def test_the_bill_on_the_terminal(semsearch: Usage, tmp_path: Path, upstream: double.Upstream) -> None:
    """What the server counted stands there to the token, with its cost and what is left of each budget."""
    (tmp_path / "semsearch.toml").write_text(TOML.format(url=upstream.url, key=double.KEY))
    assert semsearch("config", "trust")[0] == 0
    (tmp_path / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    assert semsearch("ingest", "leave.md")[0] == 0
    code, asked, err = semsearch("ask", "How long is parental leave?", "--json")
    assert (code, err) == (0, "")
    usage = json.loads(asked)["usage"]
    assert usage["prompt_tokens"] > 20
    code, out, err = semsearch("usage", "--by", "purpose")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    cost = (usage["prompt_tokens"] * 2000 + usage["completion_tokens"] * 10_000) / 1e9
    numbers = ["1", str(usage["prompt_tokens"]), str(usage["completion_tokens"]), f"${cost:.9f}".rstrip("0")]
    assert lines[:3] == [
        ["purpose", "requests", "in", "out", "cost"],
        ["answer", *numbers, "█" * 16],
        ["all", *numbers],
    ]
    assert [line[0] for line in lines if line and line[0].startswith("budget.")] == [
        "budget.day_tokens",
        "budget.month_usd",
        "budget.per_key.day_usd",
    ]
    assert double.KEY not in out
    found = json.loads(semsearch("usage", "--json")[1])
    assert found["rows"][0]["cost_usd"] == usage["cost_usd"] == cost
    assert found["budget"][0]["spent"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("by", get_args(UsageGroupBy))
def test_every_grouping_on_the_terminal(semsearch: Usage, tmp_path: Path, by: UsageGroupBy) -> None:
    """The person at the machine sees what all owners have spent; text and JSON have the same rows."""
    filled(tmp_path / "indexes")
    found = json.loads(semsearch("usage", "--by", by, "--json")[1])
    assert found["by"] == by
    assert sum(row["input_tokens"] for row in found["rows"]) == 5130
    _, out, _ = semsearch("usage", "--by", by)
    names = [line.split()[0] for line in out.split("\n\n")[0].splitlines()]
    assert names == [by, *(row["name"] or "-" for row in found["rows"]), "all"]


def test_since_a_day_on_the_terminal(semsearch: Usage, tmp_path: Path) -> None:
    """Rows from that day on; what is no date is wrong usage, and says so."""
    clock = filled(tmp_path / "indexes")
    rows = json.loads(semsearch("usage", "--since", to_utc_date(clock.now), "--json")[1])["rows"]
    assert [row["name"] for row in rows] == [to_utc_date(clock.now)]
    assert semsearch("usage", "--since", "2999-01-01")[1] == "nothing was asked of a model server since 2999-01-01\n"
    code, out, err = semsearch("usage", "--since", "yesterday")
    assert (code, out) == (2, "")
    assert "--since: 'yesterday' is not a date such as 2026-11-01" in err
    assert semsearch("usage", "--by", "owner")[0] == 2


def test_a_ledger_that_cannot_be_read(semsearch: Usage, tmp_path: Path) -> None:
    """Exit code 7, and the file is named."""
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / "ledger.db").write_bytes(b"no ledger" * 1000)
    code, out, err = semsearch("usage")
    assert (code, out) == (7, "")
    assert "ledger.db" in err


def row(name: str, cost: float | None, tokens: int = 1) -> UsageRow:
    """One row of the table."""
    return UsageRow(name, 1, 0, tokens, 0, 0, cost, 0)


def bars(rows: list[UsageRow]) -> list[str]:
    """The charts of the rows."""
    lines = spending.format_usage_report(UsageReport("model", rows, [], [])).splitlines()[1:-1]
    return ["".join(re.findall(r"[\u2580-\u259f]", line)) for line in lines]


def test_the_chart_is_of_costs_where_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dearest is the longest; half of it is half as long."""
    monkeypatch.setenv("COLUMNS", "120")
    dear, half, nothing = bars([row("a", 0.5), row("b", 0.25, 99), row("c", 0.0)])
    assert (len(dear), len(half), nothing) == (16, 8, "")


@pytest.mark.parametrize("costs", [(0.5, None), (0.0, 0.0)])
def test_the_chart_is_of_tokens_elsewhere(
    costs: tuple[float | None, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some cost is unknown or all are nothing, tokens are compared; none at all is no chart and no error."""
    monkeypatch.setenv("COLUMNS", "120")
    assert [len(bar) for bar in bars([row("a", costs[0], 50), row("b", costs[1], 100)])] == [8, 16]
    assert [len(bar) for bar in bars([row("a", costs[0], 0), row("b", costs[1], 0)])] == [0, 0]


def test_an_unknown_cost_is_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its row and in the sum, which no known part stands for."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = spending.format_usage_report(UsageReport("model", [row("a", 0.5), row("b", None)], [], [])).splitlines()
    assert [line.split()[4] for line in lines[1:]] == ["$0.50", "unknown", "unknown"]


def test_columns_are_shown_where_there_is_something_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries, cached tokens and estimates, in this order, and every sum is that of its column."""
    monkeypatch.setenv("COLUMNS", "120")
    rows = [UsageRow("a", 3, 1, 1000, 20, 5, 0.5, 2), UsageRow("b", 2, 0, 500, 10, 0, 0.25, 0)]
    words = [line.split() for line in spending.format_usage_report(UsageReport("model", rows, [], [])).splitlines()]
    assert words[0] == ["model", "requests", "retries", "in", "cached", "out", "guessed", "cost"]
    assert words[1][:8] == ["a", "3", "1", "1,000", "5", "20", "2", "$0.50"]
    assert words[3] == ["all", "5", "1", "1,500", "5", "30", "2", "$0.75"]


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [(0.0, "$0.00"), (1e-9, "$0.000000001"), (0.1, "$0.10"), (1234.5, "$1,234.50"), (2.0625, "$2.0625")],
)
def test_dollars_are_exact(dollars: float, shown: str) -> None:
    """To the billionth, with two digits at least."""
    assert spending._format_usd(dollars) == shown


def test_budgets_and_headroom_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit with its period, what is spent and a bar that never overflows; what a server said, or unknown."""
    monkeypatch.setenv("COLUMNS", "120")
    budget = [
        BudgetStatus("budget.day_tokens", "2026-11-23", 1500, 3000),
        BudgetStatus("budget.month_usd", "2026-11", 7.5, 5.0),
        BudgetStatus("budget.per_key.day_tokens", "2026-11-23", 0, 0),
    ]
    said = [
        ModelRateLimits("https://a.test/v1", "m", RateLimits(remaining_requests=499, reset_requests="120ms")),
        ModelRateLimits("https://b.test/v1", "n", RateLimits(remaining_tokens=198_200)),
    ]
    budgets, headroom = spending.format_usage_report(UsageReport("day", [], budget, said)).split("\n\n")
    words = [line.split() for line in budgets.splitlines()]
    assert [line[:4] for line in words[1:]] == [
        ["budget.day_tokens", "2026-11-23", "1,500", "3,000"],
        ["budget.month_usd", "2026-11", "$7.50", "$5.00"],
        ["budget.per_key.day_tokens", "2026-11-23", "0", "0"],
    ]
    assert [len(line[4]) for line in words[1:]] == [8, 16, 16]
    assert re.search(r"m at https://a\.test/v1 +499, all again in 120ms +unknown", headroom)
    assert re.search(r"n at https://b\.test/v1 +unknown +198,200", headroom)


@pytest.mark.parametrize("columns", ["20", "60", "80", "300"])
def test_the_table_fits_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide, whatever a model is called."""
    monkeypatch.setenv("COLUMNS", columns)
    text = spending.format_usage_report(UsageReport("model", [row("x" * 90, 0.5), row("[bold]y", None)], [], []))
    assert max(map(len, text.splitlines())) <= int(columns)
    assert columns != "300" or "[bold]y" in text


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01", "2026-02-30", "1.11.2026", "x" * 500])
def test_what_is_no_date(text: str) -> None:
    """It is refused in few words."""
    with pytest.raises(InvalidError) as refused:
        spending.validate_date(text)
    assert len(str(refused.value)) < 120
    assert spending.validate_date(None) is None


# over HTTP


@pytest.fixture(scope="module")
def booked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Clock]]:
    """A service whose ledger has rows of two owners, and the second of their days."""
    folder = tmp_path_factory.mktemp("indexes")
    clock = filled(folder)
    with run_service(folder) as client:
        yield client, clock


@pytest.mark.parametrize("by", get_args(UsageGroupBy))
def test_every_grouping_over_http(booked: tuple[httpx.Client, Clock], by: UsageGroupBy) -> None:
    """The caller's own requests, with every documented field and nothing else."""
    client, _ = booked
    found = client.get("/v1/usage", params={"by": by})
    assert found.status_code == 200
    body = found.json()
    assert (set(body), body["by"]) == ({"by", "rows", "budget", "headroom"}, by)
    assert {name for each in body["rows"] for name in each} == set(UsageRow.__dataclass_fields__)
    assert sum(each["input_tokens"] for each in body["rows"]) == 130
    unknown = [each for each in body["rows"] if each["cost_usd"] is None]
    assert sum(each["input_tokens"] for each in unknown) == (130 if by == "key" else 30)


def test_other_owners_are_not_seen_over_http(booked: tuple[httpx.Client, Clock]) -> None:
    """Neither their models, keys nor collections."""
    client, _ = booked
    found = {
        by: [each["name"] for each in client.get("/v1/usage", params={"by": by}).json()["rows"]]
        for by in get_args(UsageGroupBy)
    }
    assert found["model"] == ["m", "own"]
    assert found["key"] == [LOCAL_CALLER.owner]
    assert sorted(found["collection"]) == ["faq", "hb"]
    assert sorted(found["purpose"]) == ["ingest", "query"]
    assert len(found["day"]) == 2


@pytest.mark.parametrize(
    ("caller", "names", "tokens"),
    [
        (Caller("ann", key="k1"), ["budget.per_key.day_tokens"], 5000),
        (LOCAL_CALLER, ["budget.day_tokens", "budget.per_key.day_tokens"], 130),
    ],
)
def test_what_all_have_spent_is_for_who_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: Caller, names: list[str], tokens: int
) -> None:
    """Who comes with a key sees their own budget, and not how much of everybody's is left."""
    filled(tmp_path)
    monkeypatch.setattr(service, "LOCAL_CALLER", caller)
    limits = Budget(BudgetLimits(day_tokens=10**6), BudgetLimits(day_tokens=10**5))
    with run_service(tmp_path, Settings(budget=limits)) as client:
        found = client.get("/v1/usage").json()
    assert [each["name"] for each in found["budget"]] == names
    assert sum(each["input_tokens"] for each in found["rows"]) == tokens


def test_since_a_day_over_http(booked: tuple[httpx.Client, Clock]) -> None:
    """Days are the default; what is no date, no grouping or not known at all is invalid, by name."""
    client, clock = booked
    found = client.get("/v1/usage", params={"since": to_utc_date(clock.now)}).json()
    assert (found["by"], [each["name"] for each in found["rows"]]) == ("day", [to_utc_date(clock.now)])
    assert client.get("/v1/usage", params={"since": "2999-01-01"}).json()["rows"] == []
    for wrong in ({"since": "yesterday"}, {"since": "2026-02-30"}, {"by": "owner"}, {"by": ""}, {"owner": "ann"}):
        detail = check_problem(client.get("/v1/usage", params=wrong), "invalid", 422)
        assert next(iter(wrong)) in detail


def test_an_empty_bill_over_http(tmp_path: Path) -> None:
    """Nothing was asked, nothing is made."""
    with run_service(tmp_path) as client:
        assert client.get("/v1/usage").json() == {"by": "day", "rows": [], "budget": [], "headroom": []}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_bill_equals_the_servers_own(tmp_path: Path, upstream: double.Upstream) -> None:
    """Over HTTP too: to the token that it counted, with the budgets that are set."""
    (tmp_path / "semsearch.toml").write_text(TOML.format(url=upstream.url, key=double.KEY))
    settings = Settings.load(config=tmp_path / "semsearch.toml")
    with run_service(tmp_path / "indexes", settings) as client:
        collection = fill_collection(client, "hb")
        answers = [client.post(f"{collection}/ask", json=QUESTION).json() for _ in range(3)]
        found = client.get("/v1/usage", params={"by": "collection"}).json()
    (only,) = found["rows"]
    tokens = sum(each["usage"]["prompt_tokens"] for each in answers)
    outputs = sum(each["usage"]["completion_tokens"] for each in answers)
    assert (only["name"], only["requests"], only["input_tokens"], only["output_tokens"]) == ("hb", 3, tokens, outputs)
    assert only["cost_usd"] == (tokens * 2000 + outputs * 10_000) / 1e9
    assert [(each["name"], each["limit"]) for each in found["budget"]] == [
        ("budget.day_tokens", 1_000_000),
        ("budget.month_usd", 50.0),
        ("budget.per_key.day_usd", 5.0),
    ]
    assert found["budget"][0]["spent"] == tokens + outputs
    assert settings.budget.total == BudgetLimits(day_tokens=1_000_000, month_usd=50.0)
