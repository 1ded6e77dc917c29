"""The usage report: usage by group, budgets and rate limits. Reads the ledger and changes nothing."""

from collections.abc import Iterable, Iterator

from ..core.ports import Ledger
from ..core.types.access import LOCAL_CALLER
from ..core.types.usage import (
    ALL_OWNERS,
    Budget,
    BudgetLimits,
    BudgetStatus,
    ModelRateLimits,
    UsageGroupBy,
    UsageReport,
)
from .budgets import budget_name


def build_usage_report(
    ledger: Ledger,
    budget: Budget,
    by: UsageGroupBy,
    since: str | None = None,
    *,
    owner: str | None,
    include_total: bool,
    include_rate_limits: bool = True,
    collections: Iterable[str] | None = None,
) -> UsageReport:
    """Return the usage of one owner, or of all (None), from the ISO date `since` on, with budgets and rate limits.

    `include_total` adds the budget that all owners share; `collections` leaves out the rows of others.
    """
    statuses = [*_budget_statuses(ALL_OWNERS, ledger, budget.total)] if include_total else []
    statuses += _budget_statuses(owner or LOCAL_CALLER.owner, ledger, budget.per_owner)
    shared_limits = ledger.rate_limits() if include_rate_limits else {}
    rate_limits = [ModelRateLimits(endpoint, model, limits) for (endpoint, model), limits in shared_limits.items()]
    return UsageReport(by, ledger.usage(by, owner, since, collections=collections), statuses, rate_limits)


def _budget_statuses(owner: str, ledger: Ledger, limits: BudgetLimits) -> Iterator[BudgetStatus]:
    name = budget_name(owner)
    (day, (day_tokens, day_usd)), (month, (month_tokens, month_usd)) = ledger.spent_amounts(owner).items()
    for key, period, spent, limit in (
        ("day_tokens", day, day_tokens, limits.day_tokens),
        ("day_usd", day, day_usd, limits.day_usd),
        ("month_tokens", month, month_tokens, limits.month_tokens),
        ("month_usd", month, month_usd, limits.month_usd),
    ):
        if limit is not None:
            yield BudgetStatus(f"{name}.{key}", period, spent, limit)
