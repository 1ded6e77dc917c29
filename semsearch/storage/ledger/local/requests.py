"""Requests to model servers as rows: held before they are sent, booked when they have ended. Inside a transaction.

What the rows add up to is kept beside them, by owner and period, so that a budget is looked at in no time.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ....core.errors import BudgetError
from ....core.types.usage import BudgetLimits, RateLimits, Reservation, SettledUsage, UsageGroupBy, UsageRow

ALL_OWNERS = ""
_NANOUSD_PER_USD = 1_000_000_000
_GROUP_EXPRESSIONS: Mapping[UsageGroupBy, str] = {
    "day": "day",
    "key": "coalesce(key, owner)",
    "model": "model",
    "collection": "coalesce(collection, '')",
    "purpose": "purpose",
}


@dataclass(frozen=True, slots=True)
class _BudgetLimit:
    """One limit that is set, in the period that now is."""

    name: str
    period: str
    unit: Literal["tokens", "USD"]
    amount: int

    def fits(self, spend: tuple[int, int, int, int], required: int, now: float) -> bool:
        """Whether there is room beside what others hold; OverBudget where even without them there is none."""
        tokens, nano, held_tokens, held_nano = spend
        used, held = (tokens, held_tokens) if self.unit == "tokens" else (nano, held_nano)
        if used + required > self.amount:
            seconds = None if required > self.amount else _period_end(self.period).timestamp() - now
            why = f"{self.name} is {self._format_amount(self.amount)} {self.unit}{self._explain(used, required)}"
            raise BudgetError(why, retry_after_seconds=seconds)
        return used + held + required <= self.amount

    def _explain(self, used: int, required: int) -> str:
        if required > self.amount:
            return f", and this alone could take up to {self._format_amount(required)}: ask for less, or raise it"
        return (
            f": {self._format_amount(used)} are spent in {self.period}, and this could take up to {self._format_amount(required)} more;"
            f" there is room again on {_period_end(self.period).date()} (UTC)"
        )

    def _format_amount(self, amount: int) -> str:
        """1234567 tokens are 1,234,567; 1500000 billionths of a dollar are 0.0015."""
        if self.unit == "tokens":
            return f"{amount:,}"
        return f"{amount / _NANOUSD_PER_USD:,.9f}".rstrip("0").rstrip(".")


def reserve(db: sqlite3.Connection, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
    """Hold what a request may cost; None if it would fit but for what others hold."""
    expire_reservations(db, reservation.created_at)
    day, _ = budget_periods(reservation.created_at)
    tokens = reservation.estimate.tokens.upper_bound + reservation.request.max_output_tokens
    fits = True
    for owner, limit in limits.items():
        for bound in _budget_limits(owner, limit, reservation.created_at):
            need = tokens if bound.unit == "tokens" else _max_cost_nanousd(reservation)
            fits &= bound.fits(_load_totals(db, owner, bound.period), need, reservation.created_at)
    return _insert_reservation(db, reservation, day, tokens) if fits else None


def settle(db: sqlite3.Connection, reservation_id: int, settled: SettledUsage) -> None:
    """Book what a request has cost; what was booked before is left as it is, but for an estimate after its expiry."""
    row = db.execute("SELECT state, endpoint, model FROM call WHERE id = ?", (reservation_id,)).fetchone()
    if row is None or row[0] == "settled":
        return
    _write_settlement(db, reservation_id, "settled", settled)
    _update_token_ratios(db, row[2], settled.tokenizer_sample)
    if settled.rate_limits not in (None, RateLimits()):
        rate_limits = json.dumps(asdict(settled.rate_limits))
        db.execute("INSERT OR REPLACE INTO headroom VALUES (?, ?, ?)", (row[1], row[2], rate_limits))


def expire_reservations(db: sqlite3.Connection, now: float) -> None:
    """Book what is likely for requests of which nobody will hear again, and give the rest back."""
    rows = db.execute(
        "SELECT id, input_tokens, cost_nano FROM call WHERE state = 'held' AND expires <= ?", (now,)
    ).fetchall()
    for call_id, likely, nano in rows:
        _write_settlement(db, call_id, "expired", SettledUsage("expired", likely, 0, 0, nano, True))


def load_usage_rows(
    db: sqlite3.Connection, by: UsageGroupBy, owner: str | None, since: str | None, now: float
) -> list[UsageRow]:
    """What was spent, group by group; what is held counts from its expiry on, though nobody has booked it yet."""
    order_by = "name" if by == "day" else "total(cost_nano) DESC, sum(input_tokens + output_tokens) DESC, name"
    rows = db.execute(
        f"SELECT {_GROUP_EXPRESSIONS[by]} AS name, count(*), sum(attempt > 0), sum(input_tokens), sum(output_tokens),"
        " sum(cached_tokens), sum(cost_nano), sum(cost_nano IS NULL), sum(estimated) FROM call"
        " WHERE (state != 'held' OR expires <= ?3) AND (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR day >= ?2)"
        f" GROUP BY 1 ORDER BY {order_by}",
        (owner, since, now),
    )
    return [
        UsageRow(name, count, retries, inputs, outputs, cached, None if unknown else nano / _NANOUSD_PER_USD, estimated)
        for name, count, retries, inputs, outputs, cached, nano, unknown, estimated in rows
    ]


def load_spend(db: sqlite3.Connection, owner: str, now: float) -> dict[str, tuple[int, float]]:
    """Tokens and dollars that were spent in this day and this month, what is held left out until it expires."""
    spend = {}
    for period in budget_periods(now):
        tokens, nano, _, _ = _load_totals(db, owner, period)
        late_tokens, late_nano = db.execute(
            "SELECT coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_nano), 0) FROM call"
            " WHERE state = 'held' AND expires <= ?1 AND ?2 IN (day, substr(day, 1, 7)) AND ?3 IN (owner, '')",
            (now, period, owner),
        ).fetchone()
        spend[period] = (tokens + late_tokens, (nano + late_nano) / _NANOUSD_PER_USD)
    return spend


def load_throughput(db: sqlite3.Connection, model: str) -> float | None:
    """Input tokens in a second of one embedding request, over all that went well."""
    tokens, seconds = db.execute(
        "SELECT total(input_tokens), total(seconds) FROM call"
        " WHERE model = ? AND kind = 'embedding' AND outcome = 'ok' AND NOT batch",
        (model,),
    ).fetchone()
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def load_rate_limits(db: sqlite3.Connection) -> dict[tuple[str, str], RateLimits]:
    """What servers last said of their limits."""
    rows = db.execute("SELECT endpoint, model, said FROM headroom ORDER BY endpoint, model")
    return {(endpoint, model): RateLimits(**json.loads(said)) for endpoint, model, said in rows}


def load_token_ratios(db: sqlite3.Connection) -> dict[str, dict[str, tuple[float, float]]]:
    """Characters and tokens by model and script."""
    ratios: dict[str, dict[str, tuple[float, float]]] = {}
    for model, script, characters, tokens in db.execute("SELECT model, script, characters, tokens FROM ratio"):
        ratios.setdefault(model, {})[script] = (characters, tokens)
    return ratios


def budget_periods(now: float) -> tuple[str, str]:
    """The day and the month of a moment, in UTC."""
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return day, day[:7]


def _load_totals(db: sqlite3.Connection, owner: str, period: str) -> tuple[int, int, int, int]:
    row = db.execute(
        "SELECT tokens, nano, held_tokens, held_nano FROM spent WHERE owner = ? AND period = ?", (owner, period)
    ).fetchone()
    return row or (0, 0, 0, 0)


def _budget_limits(owner: str, limits: BudgetLimits, now: float) -> Iterator[_BudgetLimit]:
    """Months first: whoever is told to come back tomorrow shall not hear of the month then."""
    name = "budget.per_owner" if owner else "budget"
    day, month = budget_periods(now)
    if limits.month_tokens is not None:
        yield _BudgetLimit(f"{name}.month_tokens", month, "tokens", limits.month_tokens)
    if limits.month_usd is not None:
        yield _BudgetLimit(f"{name}.month_usd", month, "USD", round(limits.month_usd * _NANOUSD_PER_USD))
    if limits.day_tokens is not None:
        yield _BudgetLimit(f"{name}.day_tokens", day, "tokens", limits.day_tokens)
    if limits.day_usd is not None:
        yield _BudgetLimit(f"{name}.day_usd", day, "USD", round(limits.day_usd * _NANOUSD_PER_USD))


def _max_cost_nanousd(reservation: Reservation) -> int:
    """The most that a request can cost; OverBudget where no price says so, as no budget could hold."""
    if reservation.estimate.max_nanousd is None:
        model = reservation.request.model
        raise BudgetError(
            f"a budget in USD is set, and what {model!r} costs is not known: write it down in semsearch.toml"
            f' under [prices."{model}"], or set budgets in tokens only'
        )
    return reservation.estimate.max_nanousd


def _period_end(period: str) -> datetime:
    """The end of a day or a month, at which the next one begins."""
    if len(period) == 10:
        return datetime.fromisoformat(period).replace(tzinfo=UTC) + timedelta(days=1)
    return (datetime.fromisoformat(f"{period}-28").replace(tzinfo=UTC) + timedelta(days=4)).replace(day=1)


def _insert_reservation(db: sqlite3.Connection, reservation: Reservation, day: str, tokens: int) -> int:
    context, request, nano = reservation.context, reservation.request, reservation.estimate.max_nanousd or 0
    row = {
        "owner": context.owner,
        "key": context.key,
        "purpose": context.purpose,
        "collection": context.collection,
        "session": context.session,
        "kind": request.kind,
        "endpoint": request.endpoint,
        "model": request.model,
        "attempt": request.attempt,
        "batch": request.is_batch,
        "started": reservation.created_at,
        "expires": reservation.expires_at,
        "day": day,
        "state": "held",
        "input_tokens": reservation.estimate.tokens.expected,
        "output_tokens": 0,
        "cached_tokens": 0,
        "estimated": 1,
        "cost_nano": reservation.estimate.expected_nanousd,
        "seconds": 0.0,
        "held_tokens": tokens,
        "held_nano": nano,
    }
    marks = ", ".join(f":{name}" for name in row)
    cursor = db.execute(f"INSERT INTO call ({', '.join(row)}) VALUES ({marks})", row)
    _add_to_totals(db, context.owner, day, (0, 0, tokens, nano))
    return int(cursor.lastrowid or 0)


def _write_settlement(db: sqlite3.Connection, reservation_id: int, state: str, settled: SettledUsage) -> None:
    """Put what was spent in the place of what was held, or of an estimate."""
    owner, day, before, inputs, outputs, nano, held_tokens, held_nano = db.execute(
        "SELECT owner, day, state, input_tokens, output_tokens, cost_nano, held_tokens, held_nano"
        " FROM call WHERE id = ?",
        (reservation_id,),
    ).fetchone()
    tokens = settled.input_tokens + settled.output_tokens
    if before == "held":
        change = (tokens, settled.cost_nanousd or 0, -held_tokens, -held_nano)
    else:
        change = (tokens - inputs - outputs, (settled.cost_nanousd or 0) - (nano or 0), 0, 0)
    _add_to_totals(db, owner, day, change)
    db.execute(
        "UPDATE call SET state = ?, outcome = ?, input_tokens = ?, output_tokens = ?, cached_tokens = ?, estimated = ?,"
        " cost_nano = ?, seconds = ? WHERE id = ?",
        (
            state,
            settled.status,
            settled.input_tokens,
            settled.output_tokens,
            settled.cached_tokens,
            settled.estimated,
            settled.cost_nanousd,
            settled.seconds,
            reservation_id,
        ),
    )


def _add_to_totals(db: sqlite3.Connection, owner: str, day: str, change: tuple[int, int, int, int]) -> None:
    db.executemany(
        "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, period) DO UPDATE SET"
        " tokens = tokens + excluded.tokens, nano = nano + excluded.nano,"
        " held_tokens = held_tokens + excluded.held_tokens, held_nano = held_nano + excluded.held_nano",
        [(*place, *change) for place in _owner_periods(owner, day)],
    )


def _owner_periods(owner: str, day: str) -> Iterator[tuple[str, str]]:
    for whose in (ALL_OWNERS, owner):
        yield whose, day
        yield whose, day[:7]


def _update_token_ratios(db: sqlite3.Connection, model: str, sample: Mapping[str, tuple[float, float]]) -> None:
    db.executemany(
        "INSERT INTO ratio VALUES (?, ?, ?, ?) ON CONFLICT (model, script)"
        " DO UPDATE SET characters = characters + excluded.characters, tokens = tokens + excluded.tokens",
        [(model, script, characters, tokens) for script, (characters, tokens) in sample.items()],
    )
