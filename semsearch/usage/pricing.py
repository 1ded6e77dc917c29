"""What a request costs. Dated data, in `prices.toml`; an unknown price is unknown, never nothing."""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from urllib.parse import urlsplit

from ..core.types.usage import Price

NANO = 1_000_000_000
"""Costs are whole billionths of a dollar, so that they add up exactly."""

_NANO_PER_DOLLAR_A_MILLION = 1_000
_BATCH_SHARE = 0.5
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")
_KNOWN_HOST = "api.openai.com"
"""Servers in its other regions, and of other vendors, may charge something else."""


class Prices:
    """The prices that are known, and `own` ones, which go before them and hold for any server."""

    def __init__(self, own: Sequence[Price] = ()) -> None:
        self._own = own

    def find(self, endpoint: str, model: str, now: float) -> Price | None:
        """The price of a model at a moment in seconds since 1970; that of gpt-x-2026-01-31 is that of gpt-x."""
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        known = self._known if urlsplit(endpoint).hostname == _KNOWN_HOST else []
        for name in dict.fromkeys((model, _DATED.sub("", model))):
            for prices in (self._own, known):
                valid = [price for price in prices if price.model == name and price.since <= day]
                if valid:
                    return max(valid, key=lambda price: price.since)
        return None

    @cached_property
    def _known(self) -> list[Price]:
        table = tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
        return [
            Price(row["model"], row["since"].isoformat(), row["input"], row.get("output", 0.0), row.get("cached"))
            for row in table["price"]
        ]


def cost(price: Price | None, tokens: int, output: int = 0, cached: int = 0, *, batch: bool = False) -> int | None:
    """Billionths of a dollar for `tokens` of input, `cached` ones among them, and `output`; None if nobody knows."""
    if price is None:
        return None
    cached = min(cached, tokens)
    cached_price = price.input if price.cached is None else price.cached
    dollars = (tokens - cached) * price.input + cached * cached_price + output * price.output
    return round(dollars * (_BATCH_SHARE if batch else 1) * _NANO_PER_DOLLAR_A_MILLION)
