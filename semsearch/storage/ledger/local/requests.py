"""Model requests as rows: a reservation before the request is sent, its settlement afterwards.

Runs inside a transaction of the caller. The totals of each owner and period are kept beside the rows, so that a check
of a budget does not sum rows. Holds no budget policy.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial

from ....core.types.usage import (
    ALL_OWNERS,
    KEY_OWNER_PREFIX,
    NANOUSD_PER_USD,
    BudgetLimits,
    RateLimits,
    Reservation,
    SettledUsage,
    UsageGroupBy,
    UsageRow,
    key_owner,
)
from ....usage.budgets import PeriodTotals, budget_periods, count_reserved_tokens, fits_budgets, month_of

_GROUP_EXPRESSIONS: Mapping[UsageGroupBy, str] = {
    "day": "day",
    "key": "coalesce(key, owner)",
    "model": "model",
    "collection": "coalesce(collection, '')",
    "purpose": "purpose",
    "day,model": "day",
}
_BY_COST = "total(cost_nano) DESC, sum(input_tokens + output_tokens) DESC"


def reserve(db: sqlite3.Connection, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
    """Insert a reservation and return its id; None if it fits only without the other reservations.

    BudgetError if it does not fit at all.
    """
    expire_reservations(db, reservation.created_at)
    if not fits_budgets(reservation, limits, partial(_load_totals, db)):
        return None
    return _insert_reservation(db, reservation)


def settle(db: sqlite3.Connection, reservation_id: int, settled: SettledUsage) -> None:
    """Replace a reservation, or the estimate of an expired one, by the usage. A settled request is left as it is."""
    row = db.execute("SELECT state, endpoint, model FROM call WHERE id = ?", (reservation_id,)).fetchone()
    if row is None or row[0] == "settled":
        return
    _, endpoint, model = row
    _write_settlement(db, reservation_id, "settled", settled)
    _update_token_ratios(db, model, settled.tokenizer_sample)
    if settled.rate_limits not in (None, RateLimits()):
        rate_limits = json.dumps(asdict(settled.rate_limits))
        db.execute("INSERT OR REPLACE INTO headroom VALUES (?, ?, ?)", (endpoint, model, rate_limits))


def expire_reservations(db: sqlite3.Connection, now: float) -> None:
    """Settle expired reservations with their expected usage, marked as estimated."""
    rows = db.execute(
        "SELECT id, input_tokens, cost_nano FROM call WHERE state = 'held' AND expires <= ?", (now,)
    ).fetchall()
    for reservation_id, input_tokens, cost_nanousd in rows:
        settled = SettledUsage("expired", input_tokens, 0, 0, cost_nanousd, True)
        _write_settlement(db, reservation_id, "expired", settled)


def load_usage_rows(
    db: sqlite3.Connection,
    by: UsageGroupBy,
    owner: str | None,
    since: str | None,
    now: float,
    collections: Iterable[str] | None = None,
) -> list[UsageRow]:
    """Return the usage by group, of these collections if they are given.

    An expired reservation counts, also if no write has settled it yet.
    """
    model_expression = "model" if by == "day,model" else "NULL"
    names = None if collections is None else json.dumps(list(collections))
    order_by = f"name, {_BY_COST}, row_model" if by in ("day", "day,model") else f"{_BY_COST}, name"
    rows = db.execute(
        f"SELECT {_GROUP_EXPRESSIONS[by]} AS name, count(*), sum(attempt > 0), sum(input_tokens), sum(output_tokens),"
        f" sum(cached_tokens), sum(cost_nano), sum(cost_nano IS NULL), sum(estimated), {model_expression} AS row_model"
        " FROM call"
        " WHERE (state != 'held' OR expires <= ?3) AND (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR day >= ?2)"
        " AND (?4 IS NULL OR collection IN (SELECT value FROM json_each(?4)))"
        f" GROUP BY name, row_model ORDER BY {order_by}",
        (owner, since, now, names),
    )
    return [
        UsageRow(
            name,
            count,
            retries,
            inputs,
            outputs,
            cached,
            None if unpriced else nano / NANOUSD_PER_USD,
            estimated,
            model,
        )
        for name, count, retries, inputs, outputs, cached, nano, unpriced, estimated, model in rows
    ]


def load_spent_amounts(db: sqlite3.Connection, owner: str, now: float) -> dict[str, tuple[int, float]]:
    """Return tokens and dollars spent in the current day and month, expired reservations included."""
    spend = {}
    for period in budget_periods(now):
        totals = _load_totals(db, owner, period)
        expired_tokens, expired_nanousd = db.execute(
            "SELECT coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_nano), 0) FROM call"
            " WHERE state = 'held' AND expires <= ?1 AND ?2 IN (day, substr(day, 1, 7))"
            " AND ?3 IN (owner, '', ?4 || key)",
            (now, period, owner, KEY_OWNER_PREFIX),
        ).fetchone()
        nanousd = totals.cost_nanousd + expired_nanousd
        spend[period] = (totals.tokens + expired_tokens, nanousd / NANOUSD_PER_USD)
    return spend


def load_throughput(db: sqlite3.Connection, model: str) -> float | None:
    """Return the input tokens per second of one embedding request, over all that succeeded; None if there are none."""
    tokens, seconds = db.execute(
        "SELECT total(input_tokens), total(seconds) FROM call"
        " WHERE model = ? AND kind = 'embedding' AND outcome = 'ok' AND NOT batch",
        (model,),
    ).fetchone()
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def load_rate_limits(db: sqlite3.Connection) -> dict[tuple[str, str], RateLimits]:
    """Return the rate limits that each (endpoint, model) reported last."""
    rows = db.execute("SELECT endpoint, model, said FROM headroom ORDER BY endpoint, model")
    return {(endpoint, model): RateLimits(**json.loads(record)) for endpoint, model, record in rows}


def load_token_ratios(db: sqlite3.Connection) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the characters and tokens counted, by model and script."""
    ratios: dict[str, dict[str, tuple[float, float]]] = {}
    for model, script, characters, tokens in db.execute("SELECT model, script, characters, tokens FROM ratio"):
        ratios.setdefault(model, {})[script] = (characters, tokens)
    return ratios


def _load_totals(db: sqlite3.Connection, owner: str, period: str) -> PeriodTotals:
    row = db.execute(
        "SELECT tokens, nano, held_tokens, held_nano FROM spent WHERE owner = ? AND period = ?", (owner, period)
    ).fetchone()
    return PeriodTotals(*row) if row else PeriodTotals()


def _insert_reservation(db: sqlite3.Connection, reservation: Reservation) -> int:
    context, request, estimate = reservation.context, reservation.request, reservation.estimate
    day, _ = budget_periods(reservation.created_at)
    reserved_tokens, reserved_nanousd = count_reserved_tokens(reservation), estimate.max_nanousd or 0
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
        "input_tokens": estimate.tokens.expected,
        "output_tokens": 0,
        "cached_tokens": 0,
        "estimated": 1,
        "cost_nano": estimate.expected_nanousd,
        "seconds": 0.0,
        "held_tokens": reserved_tokens,
        "held_nano": reserved_nanousd,
    }
    placeholders = ", ".join(f":{column}" for column in row)
    cursor = db.execute(f"INSERT INTO call ({', '.join(row)}) VALUES ({placeholders})", row)
    reserved = PeriodTotals(0, 0, reserved_tokens, reserved_nanousd)
    _add_to_totals(db, context.owner, context.key, day, reserved)
    return int(cursor.lastrowid or 0)


def _write_settlement(db: sqlite3.Connection, reservation_id: int, state: str, settled: SettledUsage) -> None:
    """Replace the reserved or estimated usage of a row, and adjust the totals by the difference."""
    owner, key, day, old_state, old_inputs, old_outputs, old_nanousd, reserved_tokens, reserved_nanousd = db.execute(
        "SELECT owner, key, day, state, input_tokens, output_tokens, cost_nano, held_tokens, held_nano"
        " FROM call WHERE id = ?",
        (reservation_id,),
    ).fetchone()
    tokens, nanousd = settled.input_tokens + settled.output_tokens, settled.cost_nanousd or 0
    if old_state == "held":
        change = PeriodTotals(tokens, nanousd, -reserved_tokens, -reserved_nanousd)
    else:
        change = PeriodTotals(tokens - old_inputs - old_outputs, nanousd - (old_nanousd or 0))
    _add_to_totals(db, owner, key, day, change)
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


def _add_to_totals(db: sqlite3.Connection, owner: str, key: str | None, day: str, change: PeriodTotals) -> None:
    db.executemany(
        "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, period) DO UPDATE SET"
        " tokens = tokens + excluded.tokens, nano = nano + excluded.nano,"
        " held_tokens = held_tokens + excluded.held_tokens, held_nano = held_nano + excluded.held_nano",
        [(*owner_period, *change) for owner_period in _owner_periods(owner, key, day)],
    )


def _owner_periods(owner: str, key: str | None, day: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of all totals in which a request of this owner, access key and day counts."""
    for counted_owner in (ALL_OWNERS, owner, *([] if key is None else [key_owner(key)])):
        yield counted_owner, day
        yield counted_owner, month_of(day)


def _update_token_ratios(db: sqlite3.Connection, model: str, sample: Mapping[str, tuple[float, float]]) -> None:
    db.executemany(
        "INSERT INTO ratio VALUES (?, ?, ?, ?) ON CONFLICT (model, script)"
        " DO UPDATE SET characters = characters + excluded.characters, tokens = tokens + excluded.tokens",
        [(model, script, characters, tokens) for script, (characters, tokens) in sample.items()],
    )
