"""What was spent, as a table with a chart, for people. Counts nothing; programs take --json."""

import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ...core.errors import Invalid
from ...core.types.usage import Bill, Said, Standing, UsageRow
from .output import WIDEST

if TYPE_CHECKING:
    from rich.console import RenderableType

_CHART = 16
_NARROWEST = 10
_NUMBERS: Mapping[str, Callable[[UsageRow], int]] = {
    "requests": lambda row: row.requests,
    "retries": lambda row: row.retries,
    "in": lambda row: row.input_tokens,
    "cached": lambda row: row.cached_tokens,
    "out": lambda row: row.output_tokens,
    "guessed": lambda row: row.estimated_requests,
}
_ALWAYS = ("requests", "in", "out")


def day(text: str | None) -> str | None:
    """An ISO date as it was given; Invalid if it is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise Invalid(f"--since: {text[:40]!r} is not a date such as 2026-11-01") from exc


def bill(found: Bill, since: str | None = None) -> str:
    """A row for each group, then the budgets, then what servers would let through."""
    if not found.rows and not found.budget:
        return f"nothing was asked of a model server {f'since {since}' if since else 'yet'}"
    parts = [_usage(found)] if found.rows else []
    parts += [_budget(found.budget)] if found.budget else []
    parts += [_headroom(found.headroom)] if found.headroom else []
    return "\n\n".join(map(_printed, parts))


def _usage(found: Bill) -> "RenderableType":
    """What is always of interest, and the rest where there is any."""
    columns = {name: [getter(row) for row in found.rows] for name, getter in _NUMBERS.items()}
    shown = {name: column for name, column in columns.items() if name in _ALWAYS or any(column)}
    costs = [row.cost_usd for row in found.rows]
    known = [cost for cost in costs if cost is not None]
    rows: list[Sequence[RenderableType]] = [
        (row.name or "-", *(f"{column[at]:,}" for column in shown.values()), _dollars(row.cost_usd), _bar(share))
        for at, (row, share) in enumerate(zip(found.rows, _shares(found.rows), strict=True))
    ]
    total = _dollars(sum(known) if len(known) == len(costs) else None)
    rows.append(("all", *(f"{sum(column):,}" for column in shown.values()), total, ""))
    return _table((found.by, *shown, "cost", ""), rows, numbers=len(shown) + 1)


def _shares(rows: Sequence[UsageRow]) -> list[float]:
    """How long each bar is: by cost where every cost is known, else by tokens."""
    costs = [row.cost_usd for row in rows if row.cost_usd is not None]
    sizes = [float(row.input_tokens + row.output_tokens) for row in rows]
    if len(costs) == len(rows) and any(costs):
        sizes = costs
    most = max(sizes) or 1.0
    return [size / most for size in sizes]


def _budget(standings: Sequence[Standing]) -> "RenderableType":
    rows = []
    for each in standings:
        shown = _dollars if each.name.endswith("_usd") else "{:,.0f}".format
        rows.append((each.name, each.period, shown(each.spent), shown(each.limit), _bar(_share(each))))
    return _table(("budget", "period", "spent", "limit", ""), rows, numbers=2, texts=2)


def _share(standing: Standing) -> float:
    return min(1.0, standing.spent / standing.limit) if standing.limit else 1.0


def _headroom(said: Sequence[Said]) -> "RenderableType":
    rows = [
        (
            f"{each.model} at {each.endpoint}",
            _left(each.headroom.remaining_requests, each.headroom.reset_requests),
            _left(each.headroom.remaining_tokens, each.headroom.reset_tokens),
        )
        for each in said
    ]
    return _table(("the server last said", "requests left", "tokens left"), rows, numbers=2)


def _left(remaining: int | None, reset: str | None) -> str:
    if remaining is None:
        return "unknown"
    return f"{remaining:,}" + (f", all again in {reset}" if reset else "")


def _dollars(cost: float | None) -> str:
    """Exact to the billionth that costs are counted in, with at least two digits after the point."""
    if cost is None:
        return "unknown"
    whole, _, digits = f"{cost:,.9f}".partition(".")
    return f"${whole}.{digits.rstrip('0'):0<2}"


def _bar(share: float) -> "RenderableType":
    from rich.bar import Bar

    return Bar(1.0, 0.0, share, width=_CHART)


def _table(
    head: Sequence[str], rows: Sequence[Sequence["RenderableType"]], *, numbers: int, texts: int = 1
) -> "RenderableType":
    """A table of `texts` columns to the left and `numbers` to the right; the rest is charts."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, name in enumerate(head):
        if column < texts:
            table.add_column(name, overflow="fold", min_width=_NARROWEST)
        else:
            table.add_column(name, justify="right" if column < texts + numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _printed(part: "RenderableType") -> str:
    from rich.console import Console

    width = min(WIDEST, shutil.get_terminal_size().columns)
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
