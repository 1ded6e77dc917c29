"""The usage report: `semsearch usage` and GET /v1/usage."""

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
from support.billing import DAY, Clock, make_reservation, make_settled_usage, to_utc_date
from support.http_service import check_problem, fill_collection, run_service
from support.upstream import KEY, Upstream, run_upstream

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.access import DEFAULT_SCOPES, LOCAL_CALLER, Caller
from semsearch.core.types.usage import (
    Budget,
    BudgetLimits,
    BudgetStatus,
    ModelRateLimits,
    RateLimits,
    UsageGroupBy,
    UsageReport,
    UsageRow,
)
from semsearch.interfaces.cli import usage
from semsearch.interfaces.cli.main import main
from semsearch.interfaces.http import auth
from semsearch.storage.ledger.local.ledger import LocalLedger

pytestmark = pytest.mark.usefixtures("shared_readers")

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

[budget.per_owner]
day_usd = 5.0
"""
QUESTION = {"question": "How many weeks of leave do parents take?"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `semsearch ...` in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # where trusted files are recorded

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, out, err

    return command


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Run a model server."""
    with run_upstream() as upstream:
        yield upstream


def record_request(
    ledger: LocalLedger, clock: Clock, owner: str, tokens: int, nanousd: int | None, **fields: Any
) -> None:
    """Reserve and settle one successful request."""
    reservation = ledger.reserve(make_reservation(clock, owner, **fields), {})
    assert reservation is not None
    ledger.settle(reservation, make_settled_usage(tokens, 1, nanousd))


def fill_ledger(folder: Path) -> Clock:
    """Write a ledger of two days, two owners and three models; return a clock at the second day."""
    clock = Clock(time.time() - 2 * DAY)
    ledger = LocalLedger(folder, clock=clock)
    record_request(ledger, clock, LOCAL_CALLER.owner, 100, 1000, model="m", collection="hb")
    record_request(ledger, clock, "ann", 5000, 9000, model="n", key="k1", purpose="answer")
    clock.now += DAY
    fields = {"model": "own", "collection": "faq", "attempt": 1, "purpose": "ingest"}
    record_request(ledger, clock, LOCAL_CALLER.owner, 30, None, **fields)
    ledger.close()
    return clock


# on the terminal


def test_usage_without_requests(run: Run, tmp_path: Path) -> None:
    """The text states that there are none, the JSON has empty lists, and no file is created."""
    assert run("usage") == (0, "no requests to model servers yet\n", "")
    code, out, _ = run("usage", "--json")
    assert (code, json.loads(out)) == (0, {"by": "day", "rows": [], "budget": [], "rate_limits": []})
    assert list(tmp_path.iterdir()) == []


def test_usage_on_the_terminal(run: Run, tmp_path: Path, upstream: Upstream) -> None:
    """The table has the tokens that the server counted, their cost, and each budget."""
    (tmp_path / "semsearch.toml").write_text(TOML.format(url=upstream.url, key=KEY))
    assert run("config", "trust")[0] == 0
    (tmp_path / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay for each parent.\n")
    assert run("ingest", "leave.md")[0] == 0
    code, answer, err = run("ask", "How long is parental leave?", "--json")
    assert (code, err) == (0, "")
    counted = json.loads(answer)["usage"]
    assert counted["prompt_tokens"] > 20
    code, out, err = run("usage", "--by", "purpose")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    cost = (counted["prompt_tokens"] * 2000 + counted["completion_tokens"] * 10_000) / 1e9
    numbers = ["1", str(counted["prompt_tokens"]), str(counted["completion_tokens"]), f"${cost:.9f}".rstrip("0")]
    assert lines[:3] == [
        ["purpose", "requests", "in", "out", "cost"],
        ["answer", *numbers, "█" * 16],
        ["all", *numbers],
    ]
    assert [line[0] for line in lines if line and line[0].startswith("budget.")] == [
        "budget.day_tokens",
        "budget.month_usd",
        "budget.per_owner.day_usd",
    ]
    assert KEY not in out
    report = json.loads(run("usage", "--json")[1])
    assert report["rows"][0]["cost_usd"] == counted["cost_usd"] == cost
    assert report["budget"][0]["spent"] == counted["prompt_tokens"] + counted["completion_tokens"]


@pytest.mark.parametrize("by", get_args(UsageGroupBy))
def test_the_command_shows_all_owners_in_every_grouping(run: Run, tmp_path: Path, by: UsageGroupBy) -> None:
    """Text and JSON have the same rows."""
    fill_ledger(tmp_path / "indexes")
    report = json.loads(run("usage", "--by", by, "--json")[1])
    assert report["by"] == by
    assert sum(row["input_tokens"] for row in report["rows"]) == 5130
    _, out, _ = run("usage", "--by", by)
    names = [line.split()[0] for line in out.split("\n\n")[0].splitlines()]
    assert names == [by, *(row["name"] or "-" for row in report["rows"]), "all"]


def test_since_selects_rows_from_that_day_on(run: Run, tmp_path: Path) -> None:
    """A text that is not a date, and an unknown grouping, are wrong usage."""
    clock = fill_ledger(tmp_path / "indexes")
    rows = json.loads(run("usage", "--since", to_utc_date(clock.now), "--json")[1])["rows"]
    assert [row["name"] for row in rows] == [to_utc_date(clock.now)]
    assert run("usage", "--since", "2999-01-01")[1] == "no requests to model servers since 2999-01-01\n"
    code, out, err = run("usage", "--since", "yesterday")
    assert (code, out) == (2, "")
    assert "--since: 'yesterday' is not a date such as 2026-11-01" in err
    assert run("usage", "--by", "owner")[0] == 2


def test_a_damaged_ledger_is_named(run: Run, tmp_path: Path) -> None:
    """The exit code is 7, and stderr names the file."""
    (tmp_path / "indexes").mkdir()
    (tmp_path / "indexes" / "ledger.db").write_bytes(b"not a ledger" * 1000)
    code, out, err = run("usage")
    assert (code, out) == (7, "")
    assert "ledger.db" in err


def make_row(name: str, cost: float | None, tokens: int = 1) -> UsageRow:
    """Return one row of the table."""
    return UsageRow(name, 1, 0, tokens, 0, 0, cost, 0)


def format_bars(rows: list[UsageRow]) -> list[str]:
    """Return the bars of the rows."""
    lines = usage.format_usage_report(UsageReport("model", rows, [], [])).splitlines()[1:-1]
    return ["".join(re.findall(r"[\u2580-\u259f]", line)) for line in lines]


def test_bars_show_known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest cost has the longest bar, half of it a bar of half the length, and 0 no bar."""
    monkeypatch.setenv("COLUMNS", "120")
    highest, half, nothing = format_bars([make_row("a", 0.5), make_row("b", 0.25, 99), make_row("c", 0.0)])
    assert (len(highest), len(half), nothing) == (16, 8, "")


@pytest.mark.parametrize("costs", [(0.5, None), (0.0, 0.0)])
def test_bars_show_tokens_without_known_costs(
    costs: tuple[float | None, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a cost is unknown or all are 0, the bars show tokens; without tokens there are no bars and no error."""
    monkeypatch.setenv("COLUMNS", "120")
    assert [len(bar) for bar in format_bars([make_row("a", costs[0], 50), make_row("b", costs[1], 100)])] == [8, 16]
    assert [len(bar) for bar in format_bars([make_row("a", costs[0], 0), make_row("b", costs[1], 0)])] == [0, 0]


def test_an_unknown_cost_makes_the_total_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row and the total show `unknown`, not the sum of the known costs."""
    monkeypatch.setenv("COLUMNS", "120")
    lines = usage.format_usage_report(
        UsageReport("model", [make_row("a", 0.5), make_row("b", None)], [], [])
    ).splitlines()
    assert [line.split()[4] for line in lines[1:]] == ["$0.50", "unknown", "unknown"]


def test_optional_columns_are_shown_if_they_have_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries, cached tokens and estimates are shown in this order; the last row has the sum of each column."""
    monkeypatch.setenv("COLUMNS", "120")
    rows = [UsageRow("a", 3, 1, 1000, 20, 5, 0.5, 2), UsageRow("b", 2, 0, 500, 10, 0, 0.25, 0)]
    words = [line.split() for line in usage.format_usage_report(UsageReport("model", rows, [], [])).splitlines()]
    assert words[0] == ["model", "requests", "retries", "in", "cached", "out", "guessed", "cost"]
    assert words[1][:8] == ["a", "3", "1", "1,000", "5", "20", "2", "$0.50"]
    assert words[3] == ["all", "5", "1", "1,500", "5", "30", "2", "$0.75"]


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(0.0, "$0.00"), (1e-9, "$0.000000001"), (0.1, "$0.10"), (1234.5, "$1,234.50"), (2.0625, "$2.0625")],
)
def test_dollars_are_exact_to_the_nano_dollar(dollars: float, text: str) -> None:
    """They have at least two decimal places."""
    assert usage._format_usd(dollars) == text


def test_budgets_and_rate_limits_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit has its period, the spent amount and a bar of at most full length; a rate limit may be unknown."""
    monkeypatch.setenv("COLUMNS", "120")
    budget = [
        BudgetStatus("budget.day_tokens", "2026-11-23", 1500, 3000),
        BudgetStatus("budget.month_usd", "2026-11", 7.5, 5.0),
        BudgetStatus("budget.per_owner.day_tokens", "2026-11-23", 0, 0),
    ]
    rate_limits = [
        ModelRateLimits("https://a.test/v1", "m", RateLimits(remaining_requests=499, reset_requests="120ms")),
        ModelRateLimits("https://b.test/v1", "n", RateLimits(remaining_tokens=198_200)),
    ]
    budgets, rate_limits_text = usage.format_usage_report(UsageReport("day", [], budget, rate_limits)).split("\n\n")
    words = [line.split() for line in budgets.splitlines()]
    assert [line[:4] for line in words[1:]] == [
        ["budget.day_tokens", "2026-11-23", "1,500", "3,000"],
        ["budget.month_usd", "2026-11", "$7.50", "$5.00"],
        ["budget.per_owner.day_tokens", "2026-11-23", "0", "0"],
    ]
    assert [len(line[4]) for line in words[1:]] == [8, 16, 16]
    assert re.search(r"m at https://a\.test/v1 +499, reset in 120ms +unknown", rate_limits_text)
    assert re.search(r"n at https://b\.test/v1 +unknown +198,200", rate_limits_text)


@pytest.mark.parametrize("columns", ["20", "60", "80", "300"])
def test_the_table_fits_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the width of the terminal, for any name of a model."""
    monkeypatch.setenv("COLUMNS", columns)
    text = usage.format_usage_report(UsageReport("model", [make_row("x" * 90, 0.5), make_row("[bold]y", None)], [], []))
    assert max(map(len, text.splitlines())) <= int(columns)
    assert columns != "300" or "[bold]y" in text


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01", "2026-02-30", "1.11.2026", "x" * 500])
def test_an_invalid_date_is_refused_with_a_short_message(text: str) -> None:
    """The message does not repeat a long text; without a date the result is None."""
    with pytest.raises(InvalidError) as error_info:
        usage.validate_date(text)
    assert len(str(error_info.value)) < 120
    assert usage.validate_date(None) is None


# over HTTP


@pytest.fixture(scope="module")
def service_and_clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Clock]]:
    """Run a service whose ledger has rows of two owners; yield its client and a clock at the second day."""
    folder = tmp_path_factory.mktemp("indexes")
    clock = fill_ledger(folder)
    with run_service(folder) as client:
        yield client, clock


@pytest.mark.parametrize("by", get_args(UsageGroupBy))
def test_every_grouping_over_http(service_and_clock: tuple[httpx.Client, Clock], by: UsageGroupBy) -> None:
    """The report has the requests of the caller, with exactly the documented fields."""
    client, _ = service_and_clock
    response = client.get("/v1/usage", params={"by": by})
    assert response.status_code == 200
    body = response.json()
    assert (set(body), body["by"]) == ({"by", "rows", "budget", "rate_limits"}, by)
    assert {name for row in body["rows"] for name in row} == set(UsageRow.__dataclass_fields__)
    assert sum(row["input_tokens"] for row in body["rows"]) == 130
    rows_without_cost = [row for row in body["rows"] if row["cost_usd"] is None]
    assert sum(row["input_tokens"] for row in rows_without_cost) == (130 if by == "key" else 30)


def test_other_owners_are_not_shown_over_http(service_and_clock: tuple[httpx.Client, Clock]) -> None:
    """The rows contain no models, keys or collections of other owners."""
    client, _ = service_and_clock
    names = {
        by: [row["name"] for row in client.get("/v1/usage", params={"by": by}).json()["rows"]]
        for by in get_args(UsageGroupBy)
    }
    assert names["model"] == ["m", "own"]
    assert names["key"] == [LOCAL_CALLER.owner]
    assert sorted(names["collection"]) == ["faq", "hb"]
    assert sorted(names["purpose"]) == ["ingest", "query"]
    assert len(names["day"]) == 2
    rows = client.get("/v1/usage", params={"by": "day,model"}).json()["rows"]
    assert [(row["name"], row["model"]) for row in rows] == list(zip(names["day"], ["m", "own"], strict=True))


@pytest.mark.parametrize(
    ("caller", "names", "tokens"),
    [
        (Caller("ann", key="k1", scopes=DEFAULT_SCOPES), ["budget.per_owner.day_tokens"], 5000),
        (LOCAL_CALLER, ["budget.day_tokens", "budget.per_owner.day_tokens"], 130),
    ],
)
def test_a_caller_with_a_key_does_not_see_the_total_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: Caller, names: list[str], tokens: int
) -> None:
    """A caller with a key sees its own usage and budget only; the local caller also sees the budget of all."""
    fill_ledger(tmp_path)
    monkeypatch.setattr(auth, "LOCAL_CALLER", caller)
    limits = Budget(BudgetLimits(day_tokens=10**6), BudgetLimits(day_tokens=10**5))
    with run_service(tmp_path, Settings(budget=limits)) as client:
        report = client.get("/v1/usage").json()
    assert [budget["name"] for budget in report["budget"]] == names
    assert sum(row["input_tokens"] for row in report["rows"]) == tokens


def test_since_selects_rows_over_http(service_and_clock: tuple[httpx.Client, Clock]) -> None:
    """The default grouping is by day; an invalid date or grouping and an unknown parameter are named."""
    client, clock = service_and_clock
    report = client.get("/v1/usage", params={"since": to_utc_date(clock.now)}).json()
    assert (report["by"], [row["name"] for row in report["rows"]]) == ("day", [to_utc_date(clock.now)])
    assert client.get("/v1/usage", params={"since": "2999-01-01"}).json()["rows"] == []
    for invalid in ({"since": "yesterday"}, {"since": "2026-02-30"}, {"by": "owner"}, {"by": ""}, {"owner": "ann"}):
        detail = check_problem(client.get("/v1/usage", params=invalid), "invalid", 422)
        assert next(iter(invalid)) in detail


def test_usage_without_requests_over_http(tmp_path: Path) -> None:
    """The lists are empty, and no file is created."""
    with run_service(tmp_path) as client:
        assert client.get("/v1/usage").json() == {"by": "day", "rows": [], "budget": [], "rate_limits": []}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_usage_over_http_has_the_token_counts_of_the_server(tmp_path: Path, upstream: Upstream) -> None:
    """The report has the tokens that the server counted, their cost, and the budgets of the settings."""
    (tmp_path / "semsearch.toml").write_text(TOML.format(url=upstream.url, key=KEY))
    settings = Settings.load(config=tmp_path / "semsearch.toml")
    with run_service(tmp_path / "indexes", settings) as client:
        collection = fill_collection(client, "hb")
        answers = [client.post(f"{collection}/ask", json=QUESTION).json() for _ in range(3)]
        report = client.get("/v1/usage", params={"by": "collection"}).json()
    (row,) = report["rows"]
    inputs = sum(answer["usage"]["prompt_tokens"] for answer in answers)
    outputs = sum(answer["usage"]["completion_tokens"] for answer in answers)
    assert (row["name"], row["requests"], row["input_tokens"], row["output_tokens"]) == ("hb", 3, inputs, outputs)
    assert row["cost_usd"] == (inputs * 2000 + outputs * 10_000) / 1e9
    assert [(budget["name"], budget["limit"]) for budget in report["budget"]] == [
        ("budget.day_tokens", 1_000_000),
        ("budget.month_usd", 50.0),
        ("budget.per_owner.day_usd", 5.0),
    ]
    assert report["budget"][0]["spent"] == inputs + outputs
    assert settings.budget.total == BudgetLimits(day_tokens=1_000_000, month_usd=50.0)
