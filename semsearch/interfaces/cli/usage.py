"""The report of `semsearch usage`: tables with bars, fitted to the terminal. Programs use --json."""

import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ...core.errors import InvalidError
from ...core.types.usage import BudgetStatus, ModelRateLimits, UsageReport, UsageRow
from .answer_text import MAX_WIDTH

if TYPE_CHECKING:
    from rich.console import RenderableType

_BAR_WIDTH = 16
_MIN_COLUMN_WIDTH = 10
_COLUMNS: Mapping[str, Callable[[UsageRow], int]] = {
    "requests": lambda row: row.requests,
    "retries": lambda row: row.retries,
    "in": lambda row: row.input_tokens,
    "cached": lambda row: row.cached_tokens,
    "out": lambda row: row.output_tokens,
    "guessed": lambda row: row.estimated_requests,
}
_REQUIRED_COLUMNS = ("requests", "in", "out")


def validate_date(text: str | None) -> str | None:
    """Return an ISO date in normal form; InvalidError if the text is not one."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise InvalidError(f"--since: {text[:40]!r} is not a date such as 2026-11-01") from exc


def format_usage_report(report: UsageReport, since: str | None = None) -> str:
    """Return tables of the usage by group, of the budgets and of the rate limits that servers reported."""
    if not report.rows and not report.budget:
        return f"no requests to model servers {f'since {since}' if since else 'yet'}"
    parts = [_render_usage(report)] if report.rows else []
    parts += [_render_budget(report.budget)] if report.budget else []
    parts += [_render_rate_limits(report.rate_limits)] if report.rate_limits else []
    return "\n\n".join(map(_render_to_text, parts))


def _render_usage(report: UsageReport) -> "RenderableType":
    """Return the table of usage: the required columns, and the others if any of their values is not 0."""
    columns = {name: [get_value(row) for row in report.rows] for name, get_value in _COLUMNS.items()}
    columns = {name: values for name, values in columns.items() if name in _REQUIRED_COLUMNS or any(values)}
    known_costs = [row.cost_usd for row in report.rows if row.cost_usd is not None]
    rows: list[Sequence[RenderableType]] = [
        (
            " ".join(filter(None, [row.name or "-", row.model])),
            *(f"{values[index]:,}" for values in columns.values()),
            _format_usd(row.cost_usd),
            _render_bar(share),
        )
        for index, (row, share) in enumerate(zip(report.rows, _compute_bar_shares(report.rows), strict=True))
    ]
    total_cost = _format_usd(sum(known_costs) if len(known_costs) == len(report.rows) else None)
    rows.append(("all", *(f"{sum(values):,}" for values in columns.values()), total_cost, ""))
    return _render_table((report.by, *columns, "cost", ""), rows, number_columns=len(columns) + 1)


def _compute_bar_shares(rows: Sequence[UsageRow]) -> list[float]:
    """Return the length of each bar, from 0 to 1: by cost if every cost is known, else by tokens."""
    costs = [row.cost_usd for row in rows if row.cost_usd is not None]
    sizes = [float(row.input_tokens + row.output_tokens) for row in rows]
    if len(costs) == len(rows) and any(costs):
        sizes = costs
    max_size = max(sizes) or 1.0
    return [size / max_size for size in sizes]


def _render_budget(statuses: Sequence[BudgetStatus]) -> "RenderableType":
    rows = []
    for status in statuses:
        format_amount = _format_usd if status.name.endswith("_usd") else "{:,.0f}".format
        amounts = format_amount(status.spent), format_amount(status.limit)
        rows.append((status.name, status.period, *amounts, _render_bar(_compute_budget_share(status))))
    return _render_table(("budget", "period", "spent", "limit", ""), rows, number_columns=2, text_columns=2)


def _compute_budget_share(status: BudgetStatus) -> float:
    return min(1.0, status.spent / status.limit) if status.limit else 1.0


def _render_rate_limits(rate_limits: Sequence[ModelRateLimits]) -> "RenderableType":
    rows = [
        (
            f"{each.model} at {each.endpoint}",
            _format_remaining(each.rate_limits.remaining_requests, each.rate_limits.reset_requests),
            _format_remaining(each.rate_limits.remaining_tokens, each.rate_limits.reset_tokens),
        )
        for each in rate_limits
    ]
    return _render_table(("last reported rate limit", "requests left", "tokens left"), rows, number_columns=2)


def _format_remaining(remaining: int | None, reset: str | None) -> str:
    if remaining is None:
        return "unknown"
    return f"{remaining:,}" + (f", reset in {reset}" if reset else "")


def _format_usd(cost: float | None) -> str:
    """Return a cost exact to the nano-dollar, its unit in the ledger, with at least two decimal places."""
    if cost is None:
        return "unknown"
    dollars, _, decimals = f"{cost:,.9f}".partition(".")
    return f"${dollars}.{decimals.rstrip('0'):0<2}"


def _render_bar(share: float) -> "RenderableType":
    from rich.bar import Bar

    return Bar(1.0, 0.0, share, width=_BAR_WIDTH)


def _render_table(
    header: Sequence[str], rows: Sequence[Sequence["RenderableType"]], *, number_columns: int, text_columns: int = 1
) -> "RenderableType":
    """Return a table: first the text columns, left-aligned; then the number columns, right-aligned; then bars."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, name in enumerate(header):
        if column < text_columns:
            table.add_column(name, overflow="fold", min_width=_MIN_COLUMN_WIDTH)
        else:
            table.add_column(name, justify="right" if column < text_columns + number_columns else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _render_to_text(renderable: "RenderableType") -> str:
    from rich.console import Console

    width = min(MAX_WIDTH, shutil.get_terminal_size().columns)
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
