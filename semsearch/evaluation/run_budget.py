"""The budget of one evaluation: a limit that the ledger checks before each request to a model server."""

import math
import secrets
from collections.abc import Iterable

from ..core.errors import InvalidError
from ..core.types.access import Caller
from ..core.types.usage import KEY_OWNER_PREFIX, LOCAL_OWNER, BudgetLimits, UsageRow
from ..usage.budgets import budget_name


def make_budget_caller(budget: float | None) -> Caller:
    """Return the local user with the limit of one run in US dollars; its usage is shown under a key of its own.

    The limit is one of a month, as the ledger has no other: a run over the end of a month has it twice.
    """
    if budget is None:
        return Caller(LOCAL_OWNER, key=_make_run_key())
    if not (math.isfinite(budget) and budget > 0):
        raise InvalidError(f"--budget is a number of US dollars above 0, not {budget:g}")
    return Caller(LOCAL_OWNER, key=_make_run_key(), budget=BudgetLimits(month_usd=budget))


def find_cost(rows: Iterable[UsageRow], caller: Caller) -> float | None:
    """Return what all requests of a run cost, in US dollars; None if a price is unknown.

    `rows` is the usage by key.
    """
    return next((row.cost_usd for row in rows if row.name == caller.key), 0.0)


def explain_refusal(refused: str, budget: float | None) -> str:
    """Return why a run ended early, and the remedy."""
    if budget is not None and refused.startswith(budget_name(KEY_OWNER_PREFIX)):
        return f"stopped before a request that could have exceeded --budget ${budget:g}; raise it to measure the rest"
    return f"stopped before the next request: {refused}"


def _make_run_key() -> str:
    return f"eval_{secrets.token_hex(4)}"
