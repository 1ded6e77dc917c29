"""Requests to model servers as rows: held before they are sent, booked when they have ended. Inside a transaction.

What the rows add up to is kept beside them, by owner and period, so that a budget is looked at in no time.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ....core.errors import OverBudget
from ....core.types.usage import Grouping, Headroom, Held, Limits, Spent, UsageRow

EVERYONE = ""
_NANO = 1_000_000_000
_GROUPS: Mapping[Grouping, str] = {
    "day": "day",
    "key": "coalesce(key, owner)",
    "model": "model",
    "collection": "coalesce(collection, '')",
    "purpose": "purpose",
}


@dataclass(frozen=True, slots=True)
class _Bound:
    """One limit that is set, in the period that now is."""

    name: str
    period: str
    unit: Literal["tokens", "USD"]
    most: int

    def fits(self, spent: tuple[int, int, int, int], need: int, now: float) -> bool:
        """Whether there is room beside what others hold; OverBudget where even without them there is none."""
        tokens, nano, held_tokens, held_nano = spent
        used, held = (tokens, held_tokens) if self.unit == "tokens" else (nano, held_nano)
        if used + need > self.most:
            seconds = None if need > self.most else _next(self.period).timestamp() - now
            why = f"{self.name} is {self._said(self.most)} {self.unit}{self._why(used, need)}"
            raise OverBudget(why, seconds=seconds)
        return used + held + need <= self.most

    def _why(self, used: int, need: int) -> str:
        if need > self.most:
            return f", and this alone could take up to {self._said(need)}: ask for less, or raise it"
        return (
            f": {self._said(used)} are spent in {self.period}, and this could take up to {self._said(need)} more;"
            f" there is room again on {_next(self.period).date()} (UTC)"
        )

    def _said(self, amount: int) -> str:
        """1234567 tokens are 1,234,567; 1500000 billionths of a dollar are 0.0015."""
        if self.unit == "tokens":
            return f"{amount:,}"
        return f"{amount / _NANO:,.9f}".rstrip("0").rstrip(".")


def reserve(db: sqlite3.Connection, held: Held, limits: Mapping[str, Limits]) -> int | None:
    """Hold what a request may cost; None if it would fit but for what others hold."""
    expire(db, held.now)
    day, _ = periods(held.now)
    tokens = held.quote.tokens.at_most + held.order.max_output
    fits = True
    for owner, limit in limits.items():
        for bound in _bounds(owner, limit, held.now):
            need = tokens if bound.unit == "tokens" else _known(held)
            fits &= bound.fits(_spent(db, owner, bound.period), need, held.now)
    return _insert(db, held, day, tokens) if fits else None


def settle(db: sqlite3.Connection, reservation: int, spent: Spent) -> None:
    """Book what a request has cost; what was booked before is left as it is, but for an estimate after its expiry."""
    row = db.execute("SELECT state, endpoint, model FROM call WHERE id = ?", (reservation,)).fetchone()
    if row is None or row[0] == "settled":
        return
    _book(db, reservation, "settled", spent)
    _learn(db, row[2], spent.lesson)
    if spent.headroom not in (None, Headroom()):
        said = json.dumps(asdict(spent.headroom))
        db.execute("INSERT OR REPLACE INTO headroom VALUES (?, ?, ?)", (row[1], row[2], said))


def expire(db: sqlite3.Connection, now: float) -> None:
    """Book what is likely for requests of which nobody will hear again, and give the rest back."""
    rows = db.execute(
        "SELECT id, input_tokens, cost_nano FROM call WHERE state = 'held' AND expires <= ?", (now,)
    ).fetchall()
    for call_id, likely, nano in rows:
        _book(db, call_id, "expired", Spent("expired", likely, 0, 0, nano, True))


def usage(db: sqlite3.Connection, by: Grouping, owner: str | None, since: str | None, now: float) -> list[UsageRow]:
    """What was spent, group by group; what is held counts from its expiry on, though nobody has booked it yet."""
    order = "name" if by == "day" else "total(cost_nano) DESC, sum(input_tokens + output_tokens) DESC, name"
    rows = db.execute(
        f"SELECT {_GROUPS[by]} AS name, count(*), sum(attempt > 0), sum(input_tokens), sum(output_tokens),"
        " sum(cached_tokens), sum(cost_nano), sum(cost_nano IS NULL), sum(estimated) FROM call"
        " WHERE (state != 'held' OR expires <= ?3) AND (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR day >= ?2)"
        f" GROUP BY 1 ORDER BY {order}",
        (owner, since, now),
    )
    return [
        UsageRow(name, count, retries, inputs, outputs, cached, None if unknown else nano / _NANO, estimated)
        for name, count, retries, inputs, outputs, cached, nano, unknown, estimated in rows
    ]


def spent(db: sqlite3.Connection, owner: str, now: float) -> dict[str, tuple[int, float]]:
    """Tokens and dollars that were spent in this day and this month, what is held left out until it expires."""
    found = {}
    for period in periods(now):
        tokens, nano, _, _ = _spent(db, owner, period)
        late_tokens, late_nano = db.execute(
            "SELECT coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_nano), 0) FROM call"
            " WHERE state = 'held' AND expires <= ?1 AND ?2 IN (day, substr(day, 1, 7)) AND ?3 IN (owner, '')",
            (now, period, owner),
        ).fetchone()
        found[period] = (tokens + late_tokens, (nano + late_nano) / _NANO)
    return found


def pace(db: sqlite3.Connection, model: str) -> float | None:
    """Input tokens in a second of one embedding request, over all that went well."""
    tokens, seconds = db.execute(
        "SELECT total(input_tokens), total(seconds) FROM call"
        " WHERE model = ? AND kind = 'embedding' AND outcome = 'ok' AND NOT batch",
        (model,),
    ).fetchone()
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def headroom(db: sqlite3.Connection) -> dict[tuple[str, str], Headroom]:
    """What servers last said of their limits."""
    rows = db.execute("SELECT endpoint, model, said FROM headroom ORDER BY endpoint, model")
    return {(endpoint, model): Headroom(**json.loads(said)) for endpoint, model, said in rows}


def lessons(db: sqlite3.Connection) -> dict[str, dict[str, tuple[float, float]]]:
    """Characters and tokens by model and script."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for model, script, characters, tokens in db.execute("SELECT model, script, characters, tokens FROM ratio"):
        found.setdefault(model, {})[script] = (characters, tokens)
    return found


def periods(now: float) -> tuple[str, str]:
    """The day and the month of a moment, in UTC."""
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return day, day[:7]


def _spent(db: sqlite3.Connection, owner: str, period: str) -> tuple[int, int, int, int]:
    row = db.execute(
        "SELECT tokens, nano, held_tokens, held_nano FROM spent WHERE owner = ? AND period = ?", (owner, period)
    ).fetchone()
    return row or (0, 0, 0, 0)


def _bounds(owner: str, limits: Limits, now: float) -> Iterator[_Bound]:
    """Months first: whoever is told to come back tomorrow shall not hear of the month then."""
    name = "budget.per_key" if owner else "budget"
    day, month = periods(now)
    if limits.month_tokens is not None:
        yield _Bound(f"{name}.month_tokens", month, "tokens", limits.month_tokens)
    if limits.month_usd is not None:
        yield _Bound(f"{name}.month_usd", month, "USD", round(limits.month_usd * _NANO))
    if limits.day_tokens is not None:
        yield _Bound(f"{name}.day_tokens", day, "tokens", limits.day_tokens)
    if limits.day_usd is not None:
        yield _Bound(f"{name}.day_usd", day, "USD", round(limits.day_usd * _NANO))


def _known(held: Held) -> int:
    """The most that a request can cost; OverBudget where no price says so, as no budget could hold."""
    if held.quote.at_most_nano is None:
        model = held.order.model
        raise OverBudget(
            f"a budget in USD is set, and what {model!r} costs is not known: write it down in semsearch.toml"
            f' under [prices."{model}"], or set budgets in tokens only'
        )
    return held.quote.at_most_nano


def _next(period: str) -> datetime:
    """The end of a day or a month, at which the next one begins."""
    if len(period) == 10:
        return datetime.fromisoformat(period).replace(tzinfo=UTC) + timedelta(days=1)
    return (datetime.fromisoformat(f"{period}-28").replace(tzinfo=UTC) + timedelta(days=4)).replace(day=1)


def _insert(db: sqlite3.Connection, held: Held, day: str, tokens: int) -> int:
    errand, order, nano = held.errand, held.order, held.quote.at_most_nano or 0
    row = {
        "owner": errand.owner,
        "key": errand.key,
        "purpose": errand.purpose,
        "collection": errand.collection,
        "session": errand.session,
        "kind": order.kind,
        "endpoint": order.endpoint,
        "model": order.model,
        "attempt": order.attempt,
        "batch": order.batch,
        "started": held.now,
        "expires": held.expires,
        "day": day,
        "state": "held",
        "input_tokens": held.quote.tokens.likely,
        "output_tokens": 0,
        "cached_tokens": 0,
        "estimated": 1,
        "cost_nano": held.quote.likely_nano,
        "seconds": 0.0,
        "held_tokens": tokens,
        "held_nano": nano,
    }
    marks = ", ".join(f":{name}" for name in row)
    cursor = db.execute(f"INSERT INTO call ({', '.join(row)}) VALUES ({marks})", row)
    _add(db, errand.owner, day, (0, 0, tokens, nano))
    return int(cursor.lastrowid or 0)


def _book(db: sqlite3.Connection, call_id: int, state: str, spent: Spent) -> None:
    """Put what was spent in the place of what was held, or of an estimate."""
    owner, day, before, inputs, outputs, nano, held_tokens, held_nano = db.execute(
        "SELECT owner, day, state, input_tokens, output_tokens, cost_nano, held_tokens, held_nano"
        " FROM call WHERE id = ?",
        (call_id,),
    ).fetchone()
    tokens = spent.input_tokens + spent.output_tokens
    if before == "held":
        change = (tokens, spent.cost_nano or 0, -held_tokens, -held_nano)
    else:
        change = (tokens - inputs - outputs, (spent.cost_nano or 0) - (nano or 0), 0, 0)
    _add(db, owner, day, change)
    db.execute(
        "UPDATE call SET state = ?, outcome = ?, input_tokens = ?, output_tokens = ?, cached_tokens = ?, estimated = ?,"
        " cost_nano = ?, seconds = ? WHERE id = ?",
        (
            state,
            spent.outcome,
            spent.input_tokens,
            spent.output_tokens,
            spent.cached_tokens,
            spent.estimated,
            spent.cost_nano,
            spent.seconds,
            call_id,
        ),
    )


def _add(db: sqlite3.Connection, owner: str, day: str, change: tuple[int, int, int, int]) -> None:
    db.executemany(
        "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, period) DO UPDATE SET"
        " tokens = tokens + excluded.tokens, nano = nano + excluded.nano,"
        " held_tokens = held_tokens + excluded.held_tokens, held_nano = held_nano + excluded.held_nano",
        [(*place, *change) for place in _places(owner, day)],
    )


def _places(owner: str, day: str) -> Iterator[tuple[str, str]]:
    for whose in (EVERYONE, owner):
        yield whose, day
        yield whose, day[:7]


def _learn(db: sqlite3.Connection, model: str, lesson: Mapping[str, tuple[float, float]]) -> None:
    db.executemany(
        "INSERT INTO ratio VALUES (?, ?, ?, ?) ON CONFLICT (model, script)"
        " DO UPDATE SET characters = characters + excluded.characters, tokens = tokens + excluded.tokens",
        [(model, script, characters, tokens) for script, (characters, tokens) in lesson.items()],
    )
