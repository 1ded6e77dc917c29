"""Tests of the usage report: groups, budgets and rate limits, for one owner and for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.billing import ENDPOINT, Clock, make_reservation, make_settled_usage

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
