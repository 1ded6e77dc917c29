"""Short ways to write down what is held and spent, a clock that stands still, and a bill added up in plain Python."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from semsearch.core.types.usage import Errand, Headroom, Held, Limits, Order, Purpose, Quote, Spent, TokenRange

ENDPOINT = "https://models.test/v1"
MONDAY = 1_795_392_000.0
"""2026-11-23 00:00 UTC, in seconds since 1970."""
DAY = 86_400.0
TOKENS, AT_MOST, NANO = 7, 20, 300
"""What one request of the process in ledger/spender.py costs, and how many tokens it holds."""


@dataclass(slots=True)
class Clock:
    """Seconds since 1970, as a test wants them."""

    now: float = MONDAY

    def __call__(self) -> float:
        """What time it is."""
        return self.now


def held(
    at: Clock,
    owner: str = "ann",
    *,
    likely: int = 10,
    at_most: int = 20,
    output: int = 0,
    nano: tuple[int, int] | None = (100, 200),
    seconds: float = 60.0,
    model: str = "m",
    purpose: Purpose = "query",
    key: str | None = None,
    collection: str | None = None,
    attempt: int = 0,
) -> Held:
    """A request that is about to be sent; `nano` is what it costs likely, and at most."""
    likely_nano, at_most_nano = (None, None) if nano is None else nano
    errand = Errand(purpose, owner, key, collection)
    order = Order("chat", ENDPOINT, model, ["text"], max_output=output, attempt=attempt)
    quote = Quote(TokenRange(likely, at_most), likely_nano, at_most_nano)
    return Held(errand, order, quote, at.now, at.now + seconds)


def spent(
    inputs: int,
    outputs: int = 0,
    nano: int | None = 0,
    *,
    cached: int = 0,
    headroom: Headroom | None = None,
    lesson: Mapping[str, tuple[float, float]] | None = None,
) -> Spent:
    """What a request turned out to have cost, exactly."""
    return Spent("ok", inputs, outputs, cached, nano, False, 0.5, headroom, lesson or {})


def day_of(now: float) -> str:
    """The UTC date."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


@dataclass(slots=True)
class Entry:
    """One request as the plain bill sees it."""

    owner: str
    day: str
    expires: float
    held: tuple[int, int]
    """Tokens and billionths at most."""
    booked: tuple[int, int]
    """Tokens and billionths: likely ones until it is settled."""
    state: str = "held"


@dataclass(slots=True)
class PlainBill:
    """The oracle: every question goes over every entry."""

    entries: dict[int, Entry] = field(default_factory=dict)

    def expire(self, now: float) -> None:
        """What nobody settled in time counts as estimated."""
        for entry in self.entries.values():
            if entry.state == "held" and entry.expires <= now:
                entry.state = "expired"

    def settle(self, reservation: int, tokens: int, nano: int) -> None:
        """The truth replaces what was held or estimated, once."""
        entry = self.entries[reservation]
        if entry.state != "settled":
            entry.state, entry.booked = "settled", (tokens, nano)

    def spent(self, owner: str, period: str, which: int) -> int:
        """Tokens (0) or billionths (1) that were spent."""
        return sum(entry.booked[which] for entry in self._of(owner, period) if entry.state != "held")

    def held(self, owner: str, period: str, which: int) -> int:
        """Tokens (0) or billionths (1) that are held."""
        return sum(entry.held[which] for entry in self._of(owner, period) if entry.state == "held")

    def verdict(self, wanted: Held, limits: Mapping[str, Limits]) -> str:
        """Whether it fits, must wait, or never fits today."""
        need = (wanted.quote.tokens.at_most + wanted.order.max_output, wanted.quote.at_most_nano or 0)
        verdict, day = "fits", day_of(wanted.now)
        for owner, limit in limits.items():
            for period, which, most in (
                (day, 0, limit.day_tokens),
                (day, 1, _nano(limit.day_usd)),
                (day[:7], 0, limit.month_tokens),
                (day[:7], 1, _nano(limit.month_usd)),
            ):
                if most is None:
                    continue
                used = self.spent(owner, period, which) + need[which]
                if used > most:
                    return "over"
                if used + self.held(owner, period, which) > most:
                    verdict = "wait"
        return verdict

    def _of(self, owner: str, period: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if owner in ("", entry.owner) and entry.day.startswith(period)]


def _nano(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1e9)


def rollups(path: Path) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """What stands beside the rows: tokens, billionths, and both as held, by owner and period."""
    with closing(sqlite3.connect(path)) as db:
        return {(owner, period): tuple(sums) for owner, period, *sums in db.execute("SELECT * FROM spent")}


def added_up(path: Path) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """The same, summed anew over the rows."""
    totals: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "SELECT owner, day, state, input_tokens + output_tokens, coalesce(cost_nano, 0), held_tokens, held_nano"
            " FROM call"
        ).fetchall()
    for owner, day, state, tokens, nano, held_tokens, held_nano in rows:
        change = (0, 0, held_tokens, held_nano) if state == "held" else (tokens, nano, 0, 0)
        for place in ((owner, day), (owner, day[:7]), ("", day), ("", day[:7])):
            a, b, c, d = totals.get(place, (0, 0, 0, 0))
            totals[place] = (a + change[0], b + change[1], c + change[2], d + change[3])
    return totals
