"""Helpers for tests of usage: reservations, settlements, a fixed clock, and a reference ledger in plain Python."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from semsearch.core.types.usage import (
    BudgetLimits,
    CostEstimate,
    ModelRequest,
    Purpose,
    RateLimits,
    RequestContext,
    Reservation,
    SettledUsage,
    TokenEstimate,
)

ENDPOINT = "https://models.test/v1"
MONDAY = 1_795_392_000.0
"""2026-11-23 00:00 UTC, in seconds since 1970."""
DAY = 86_400.0
REQUEST_TOKENS, MAX_REQUEST_TOKENS, REQUEST_NANOUSD = 7, 20, 300
"""Settled tokens, reserved tokens and settled cost of one request of support/spender.py."""


@dataclass(slots=True)
class Clock:
    """A clock that stands still, in seconds since 1970."""

    now: float = MONDAY

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def make_reservation(
    clock: Callable[[], float],
    owner: str = "ann",
    *,
    expected: int = 10,
    upper_bound: int = 20,
    max_output_tokens: int = 0,
    nanousd: tuple[int, int] | None = (100, 200),
    lifetime_seconds: float = 60.0,
    model: str = "m",
    purpose: Purpose = "query",
    key: str | None = None,
    collection: str | None = None,
    attempt: int = 0,
) -> Reservation:
    """Make a reservation; `nanousd` is the expected and the maximum cost."""
    expected_nanousd, max_nanousd = (None, None) if nanousd is None else nanousd
    context = RequestContext(purpose, owner, key, collection)
    request = ModelRequest("chat", ENDPOINT, model, ["text"], max_output_tokens=max_output_tokens, attempt=attempt)
    estimate = CostEstimate(TokenEstimate(expected, upper_bound), expected_nanousd, max_nanousd)
    now = clock()
    return Reservation(context, request, estimate, now, now + lifetime_seconds)


def make_settled_usage(
    input_tokens: int,
    output_tokens: int = 0,
    cost_nanousd: int | None = 0,
    *,
    cached_tokens: int = 0,
    rate_limits: RateLimits | None = None,
    tokenizer_sample: Mapping[str, tuple[float, float]] | None = None,
) -> SettledUsage:
    """Make the settlement of a successful request."""
    return SettledUsage(
        "ok", input_tokens, output_tokens, cached_tokens, cost_nanousd, False, 0.5, rate_limits, tokenizer_sample or {}
    )


def to_utc_date(now: float) -> str:
    """Return the UTC date."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


@dataclass(slots=True)
class LedgerEntry:
    """One request of the reference ledger."""

    owner: str
    day: str
    expires: float
    reserved: tuple[int, int]
    """Maximum tokens and cost in billionths of a dollar."""
    usage: tuple[int, int]
    """Tokens and cost: expected ones until it is settled."""
    state: str = "reserved"


@dataclass(slots=True)
class ReferenceLedger:
    """The oracle: every query sums all entries."""

    entries: dict[int, LedgerEntry] = field(default_factory=dict)

    def expire(self, now: float) -> None:
        """Mark reservations that were not settled in time."""
        for entry in self.entries.values():
            if entry.state == "reserved" and entry.expires <= now:
                entry.state = "expired"

    def settle(self, reservation_id: int, tokens: int, cost_nanousd: int) -> None:
        """Replace a reservation or estimate by the usage, once."""
        entry = self.entries[reservation_id]
        if entry.state != "settled":
            entry.state, entry.usage = "settled", (tokens, cost_nanousd)

    def spend(self, owner: str, period: str, column: int) -> int:
        """Return the tokens (0) or cost (1) spent in a period."""
        return sum(entry.usage[column] for entry in self._select_entries(owner, period) if entry.state != "reserved")

    def reserved(self, owner: str, period: str, column: int) -> int:
        """Return the tokens (0) or cost (1) reserved in a period."""
        return sum(entry.reserved[column] for entry in self._select_entries(owner, period) if entry.state == "reserved")

    def verdict(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> str:
        """Return whether a reservation fits, must wait, or is over a limit."""
        required = (
            reservation.estimate.tokens.upper_bound + reservation.request.max_output_tokens,
            reservation.estimate.max_nanousd or 0,
        )
        verdict, day = "fits", to_utc_date(reservation.created_at)
        for owner, limit in limits.items():
            for period, column, limit_amount in (
                (day, 0, limit.day_tokens),
                (day, 1, _to_nanousd(limit.day_usd)),
                (day[:7], 0, limit.month_tokens),
                (day[:7], 1, _to_nanousd(limit.month_usd)),
            ):
                if limit_amount is None:
                    continue
                used = self.spend(owner, period, column) + required[column]
                if used > limit_amount:
                    return "over"
                if used + self.reserved(owner, period, column) > limit_amount:
                    verdict = "wait"
        return verdict

    def _select_entries(self, owner: str, period: str) -> list[LedgerEntry]:
        return [entry for entry in self.entries.values() if owner in ("", entry.owner) and entry.day.startswith(period)]


def _to_nanousd(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1e9)


def read_totals(path: Path) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """Return the stored totals by owner and period: tokens, cost, reserved tokens, reserved cost."""
    with closing(sqlite3.connect(path)) as db:
        return {(owner, period): tuple(sums) for owner, period, *sums in db.execute("SELECT * FROM spent")}


def sum_rows(path: Path) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """Return the same totals, summed over the rows."""
    totals: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "SELECT owner, day, state, input_tokens + output_tokens, coalesce(cost_nano, 0), held_tokens, held_nano"
            " FROM call"
        ).fetchall()
    for owner, day, state, tokens, cost, reserved_tokens, reserved_cost in rows:
        change = (0, 0, reserved_tokens, reserved_cost) if state == "held" else (tokens, cost, 0, 0)
        for key in ((owner, day), (owner, day[:7]), ("", day), ("", day[:7])):
            a, b, c, d = totals.get(key, (0, 0, 0, 0))
            totals[key] = (a + change[0], b + change[1], c + change[2], d + change[3])
    return totals
