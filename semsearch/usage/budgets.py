"""Budgets: decide whether a reservation fits the limits of its day and month. Reads and writes no ledger."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from ..core.errors import BudgetError
from ..core.types.usage import ALL_OWNERS, KEY_OWNER_PREFIX, NANOUSD_PER_USD, BudgetLimits, Reservation


class PeriodTotals(NamedTuple):
    """Tokens and cost of one owner in one day or month: settled ones, and those of reservations."""

    tokens: int = 0
    cost_nanousd: int = 0
    reserved_tokens: int = 0
    reserved_nanousd: int = 0


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """One limit of an owner in the current day or month."""

    name: str
    """Of the setting: budget.day_usd."""
    period: str
    unit: Literal["tokens", "USD"]
    amount: int
    """Tokens, or billionths of a dollar."""
    hides_amounts: bool = False
    """Whether the error may not tell what others have spent."""

    def fits(self, totals: PeriodTotals, required: int, now: float) -> bool:
        """Return whether `required` fits beside the other reservations; BudgetError if it does not fit without them."""
        if self.unit == "tokens":
            spent, reserved = totals.tokens, totals.reserved_tokens
        else:
            spent, reserved = totals.cost_nanousd, totals.reserved_nanousd
        if spent + required > self.amount:
            raise self._over_budget_error(spent, required, now)
        return spent + reserved + required <= self.amount

    def _over_budget_error(self, spent: int, required: int, now: float) -> BudgetError:
        end = _period_end(self.period)
        retry_seconds = end.timestamp() - now
        if self.hides_amounts:
            message = "the budget of the service leaves no room for this request"
            if required > self.amount:
                return BudgetError(f"{message}: make it smaller")
            return BudgetError(f"{message}; try again on {end.date()} (UTC)", retry_after_seconds=retry_seconds)
        limit, need = f"{self.name} is {self._format_amount(self.amount)} {self.unit}", self._format_amount(required)
        if required > self.amount:
            return BudgetError(
                f"{limit}, and this request alone could take {need}: make it smaller, or raise the limit"
            )
        message = (
            f"{limit}: {self._format_amount(spent)} are spent in {self.period}, and this request could take"
            f" {need} more; try again on {end.date()} (UTC)"
        )
        return BudgetError(message, retry_after_seconds=retry_seconds)

    def _format_amount(self, amount: int) -> str:
        """Return 1234567 tokens as 1,234,567, and 1500000 billionths of a dollar as 0.0015."""
        if self.unit == "tokens":
            return f"{amount:,}"
        return f"{amount / NANOUSD_PER_USD:,.9f}".rstrip("0").rstrip(".")


def fits_budgets(
    reservation: Reservation,
    limits: Mapping[str, BudgetLimits],
    read_totals: Callable[[str, str], PeriodTotals],
) -> bool:
    """Return whether a reservation fits every limit beside the other reservations.

    `limits` are by owner; `read_totals(owner, period)` runs in the transaction that inserts the reservation.
    BudgetError if the reservation exceeds a limit by itself or with the settled usage, or if a limit is in USD and the
    price is unknown.
    """
    fits = True
    for owner, owner_limits in limits.items():
        hides_amounts = owner == ALL_OWNERS and reservation.context.key is not None
        for limit in _list_limits(owner, owner_limits, reservation.created_at, hides_amounts=hides_amounts):
            required = count_reserved_tokens(reservation) if limit.unit == "tokens" else _max_cost_nanousd(reservation)
            fits &= limit.fits(read_totals(owner, limit.period), required, reservation.created_at)
    return fits


def count_reserved_tokens(reservation: Reservation) -> int:
    """Return the most tokens that a request can take, its output included."""
    return reservation.estimate.tokens.upper_bound + reservation.request.max_output_tokens


def budget_name(owner: str) -> str:
    """Return the settings table that limits this owner."""
    if owner.startswith(KEY_OWNER_PREFIX):
        return "the access key's budget"
    return "budget" if owner == ALL_OWNERS else "budget.per_owner"


def budget_periods(now: float) -> tuple[str, str]:
    """Return the UTC day and month of a time in seconds since 1970: 2026-11-23 and 2026-11."""
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return day, month_of(day)


def month_of(day: str) -> str:
    """Return the month of an ISO date: 2026-11-23 is in 2026-11."""
    return day[:7]


def _list_limits(owner: str, limits: BudgetLimits, now: float, *, hides_amounts: bool) -> Iterator[BudgetLimit]:
    """Yield the limits that are set, those of the month first: an error then names the later of two dates."""
    name = budget_name(owner)
    day, month = budget_periods(now)
    if limits.month_tokens is not None:
        yield BudgetLimit(f"{name}.month_tokens", month, "tokens", limits.month_tokens, hides_amounts)
    if limits.month_usd is not None:
        yield BudgetLimit(f"{name}.month_usd", month, "USD", round(limits.month_usd * NANOUSD_PER_USD), hides_amounts)
    if limits.day_tokens is not None:
        yield BudgetLimit(f"{name}.day_tokens", day, "tokens", limits.day_tokens, hides_amounts)
    if limits.day_usd is not None:
        yield BudgetLimit(f"{name}.day_usd", day, "USD", round(limits.day_usd * NANOUSD_PER_USD), hides_amounts)


def _max_cost_nanousd(reservation: Reservation) -> int:
    """Return the most that a request can cost; BudgetError if the price of its model is unknown."""
    if reservation.estimate.max_nanousd is None:
        model = reservation.request.model
        raise BudgetError(
            f"a budget in USD is set, but the price of {model!r} is unknown: set it in semsearch.toml"
            f' under [prices."{model}"], or use budgets in tokens only'
        )
    return reservation.estimate.max_nanousd


def _period_end(period: str) -> datetime:
    """Return the end of a day or month, which is the start of the next one."""
    if len(period) == len("2026-11-23"):
        return datetime.fromisoformat(period).replace(tzinfo=UTC) + timedelta(days=1)
    return (datetime.fromisoformat(f"{period}-28").replace(tzinfo=UTC) + timedelta(days=4)).replace(day=1)
