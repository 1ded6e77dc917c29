"""Tests of the budget policy without a ledger: which limits are checked, and in which order."""

import pytest
from support.billing import Clock, make_reservation

from semsearch.core.errors import BudgetError
from semsearch.core.types.usage import ALL_OWNERS, BudgetLimits, key_owner
from semsearch.usage.budgets import PeriodTotals, budget_periods, fits_budgets

DAY, MONTH = "2026-11-23", "2026-11"


def test_only_totals_of_set_limits_are_read() -> None:
    """A missing limit costs no query; without limits every reservation fits."""
    reads: list[tuple[str, str]] = []

    def read_totals(owner: str, period: str) -> PeriodTotals:
        reads.append((owner, period))
        return PeriodTotals()

    assert fits_budgets(make_reservation(Clock()), {ALL_OWNERS: BudgetLimits(), "ann": BudgetLimits()}, read_totals)
    assert reads == []
    limits = {ALL_OWNERS: BudgetLimits(month_usd=1.0), "ann": BudgetLimits(day_tokens=100, month_tokens=100)}
    assert fits_budgets(make_reservation(Clock()), limits, read_totals)
    assert reads == [(ALL_OWNERS, MONTH), ("ann", MONTH), ("ann", DAY)]


def test_reservations_make_a_request_wait_and_settled_usage_refuses_it() -> None:
    """Reserved tokens may become free again; settled ones do not within the period."""
    limits = {ALL_OWNERS: BudgetLimits(day_tokens=100)}
    reservation = make_reservation(Clock(), upper_bound=20)
    assert fits_budgets(reservation, limits, lambda *_: PeriodTotals(40, 0, 40, 0))
    assert not fits_budgets(reservation, limits, lambda *_: PeriodTotals(40, 0, 41, 0))
    with pytest.raises(BudgetError, match=r"budget\.day_tokens"):
        fits_budgets(reservation, limits, lambda *_: PeriodTotals(81, 0, 0, 0))


def test_full_owner_budget_is_an_error_even_if_the_total_budget_makes_the_request_wait() -> None:
    """Every limit is checked before the answer is to wait."""
    totals = {ALL_OWNERS: PeriodTotals(0, 0, 100, 0), "ann": PeriodTotals(50, 0, 0, 0)}
    limits = {ALL_OWNERS: BudgetLimits(day_tokens=100), "ann": BudgetLimits(day_tokens=60)}
    with pytest.raises(BudgetError, match=r"budget\.per_owner\.day_tokens"):
        fits_budgets(make_reservation(Clock()), limits, lambda owner, _: totals[owner])


def test_periods_are_utc() -> None:
    """The day and the month of a time in seconds since 1970."""
    assert budget_periods(Clock().now) == (DAY, MONTH)
    assert budget_periods(Clock().now - 1) == ("2026-11-22", MONTH)


def test_error_of_a_key_names_no_setting_of_the_operator() -> None:
    """The budget of a key is counted under a name of its own, which is not in the message."""
    limits = {ALL_OWNERS: BudgetLimits(), key_owner("k3v9x0q2m7ab"): BudgetLimits(day_usd=1e-6)}
    totals = {key_owner("k3v9x0q2m7ab"): PeriodTotals(0, 900, 0, 0)}
    reservation = make_reservation(Clock(), key="k3v9x0q2m7ab")
    with pytest.raises(BudgetError, match=r"^the access key's budget\.day_usd is 0\.000001 USD") as caught:
        fits_budgets(reservation, limits, lambda owner, _: totals[owner])
    assert caught.value.retry_after_seconds
