"""Tests of the usage report: groups, budgets and rate limits, for one owner and for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.billing import DAY, ENDPOINT, Clock, make_reservation, make_settled_usage

from semsearch.core.types.usage import Budget, BudgetLimits, RateLimits
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage.report import build_usage_report

BUDGET = Budget(BudgetLimits(day_tokens=1000, month_usd=1.5), BudgetLimits(day_usd=0.5, month_tokens=7000))
RATE_LIMITS = RateLimits(500, 499, "120ms")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LocalLedger]:
    """A ledger that does not exist yet."""
    ledger = LocalLedger(tmp_path, clock=Clock())
    yield ledger
    ledger.close()


@pytest.fixture
def filled_ledger(ledger: LocalLedger) -> LocalLedger:
    """A ledger with one request of each of two owners."""
    answer = ledger.reserve(make_reservation(Clock(), "ann", purpose="answer"), {})
    query = ledger.reserve(make_reservation(Clock(), "bob"), {})
    assert answer is not None
    assert query is not None
    ledger.settle(answer, make_settled_usage(50, 50, 600_000, rate_limits=RATE_LIMITS))
    ledger.settle(query, make_settled_usage(10, 0, 20_000))
    return ledger


def test_report_of_one_owner(filled_ledger: LocalLedger) -> None:
    """It has the owner's rows, every limit that is set with the spend of its period, and the rate limits."""
    report = build_usage_report(filled_ledger, BUDGET, "purpose", owner="ann", include_total=True)
    assert [(row.name, row.input_tokens) for row in report.rows] == [("answer", 50)]
    assert [(status.name, status.period, status.spent, status.limit) for status in report.budget] == [
        ("budget.day_tokens", "2026-11-23", 110, 1000),
        ("budget.month_usd", "2026-11", 6.2e-4, 1.5),
        ("budget.per_owner.day_usd", "2026-11-23", 6e-4, 0.5),
        ("budget.per_owner.month_tokens", "2026-11", 100, 7000),
    ]
    assert [(limits.endpoint, limits.model, limits.rate_limits) for limits in report.rate_limits] == [
        (ENDPOINT, "m", RATE_LIMITS)
    ]


def test_report_without_the_total_budget(filled_ledger: LocalLedger) -> None:
    """Only the limits of the owner are in it."""
    report = build_usage_report(filled_ledger, BUDGET, "purpose", owner="bob", include_total=False)
    assert [status.name for status in report.budget] == ["budget.per_owner.day_usd", "budget.per_owner.month_tokens"]


def test_report_of_all_owners(filled_ledger: LocalLedger) -> None:
    """It has the rows of every owner."""
    report = build_usage_report(filled_ledger, BUDGET, "purpose", owner=None, include_total=True)
    assert [row.name for row in report.rows] == ["answer", "query"]


def test_report_of_an_empty_ledger_creates_no_file(ledger: LocalLedger, tmp_path: Path) -> None:
    """There are no rows, and nothing of the budget is spent."""
    budget = Budget(BudgetLimits(day_tokens=5))
    report = build_usage_report(ledger, budget, "day", owner=None, include_total=True)
    assert (report.rows, report.rate_limits) == ([], [])
    assert [(status.spent, status.limit) for status in report.budget] == [(0, 5)]
    assert list(tmp_path.iterdir()) == []


def test_usage_of_each_model_on_each_day(ledger: LocalLedger) -> None:
    """Days are in order, the models of a day by falling cost; other groupings have no model."""
    for day, model, tokens, nanousd in ((0, "a", 7, 10), (0, "b", 5, 30), (0, "b", 6, 30), (1, "a", 8, 0)):
        clock = Clock()
        clock.now += day * DAY
        reservation = ledger.reserve(make_reservation(clock, model=model), {})
        assert reservation is not None
        ledger.settle(reservation, make_settled_usage(tokens, 0, nanousd))
    report = build_usage_report(ledger, BUDGET, "day,model", owner=None, include_total=False)
    assert [(row.name, row.model, row.requests, row.input_tokens) for row in report.rows] == [
        ("2026-11-23", "b", 2, 11),
        ("2026-11-23", "a", 1, 7),
        ("2026-11-24", "a", 1, 8),
    ]
    since = build_usage_report(ledger, BUDGET, "day,model", "2026-11-24", owner=None, include_total=False)
    assert since.rows == report.rows[2:]
    by_model = build_usage_report(ledger, BUDGET, "model", owner=None, include_total=False).rows
    assert [(row.name, row.model, row.input_tokens) for row in by_model] == [("b", None, 11), ("a", None, 15)]
