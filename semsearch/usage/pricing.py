"""Prices of models and the cost of a request. The prices in `prices.toml` have dates; an unknown price is never 0."""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from urllib.parse import urlsplit

from ..core.types.usage import Price

_NANOUSD_PER_MICROUSD = 1_000
_BATCH_PRICE_FACTOR = 0.5
_DATE_SUFFIX = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")
_OPENAI_HOST = "api.openai.com"
"""The built-in prices hold for this host only: its other regions and other vendors may have other prices."""


class PriceTable:
    """The built-in prices, and `overrides`, which take precedence and hold for any server."""

    def __init__(self, overrides: Sequence[Price] = ()) -> None:
        self._overrides = overrides

    def find(self, endpoint: str, model: str, now: float) -> Price | None:
        """Return the price of a model at a time in seconds since 1970; None if it is unknown.

        A dated name has the price of its model: gpt-x-2026-01-31 that of gpt-x.
        """
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        built_in = self._built_in if urlsplit(endpoint).hostname == _OPENAI_HOST else []
        for name in dict.fromkeys((model, _DATE_SUFFIX.sub("", model))):
            for prices in (self._overrides, built_in):
                valid = [price for price in prices if price.model == name and price.since <= day]
                if valid:
                    return max(valid, key=lambda price: price.since)
        return None

    def list_models(self, endpoint: str) -> list[str]:
        """Return the models of a server that have a price, in the order of the table."""
        built_in = self._built_in if urlsplit(endpoint).hostname == _OPENAI_HOST else []
        return list(dict.fromkeys(price.model for price in (*self._overrides, *built_in)))

    @cached_property
    def _built_in(self) -> list[Price]:
        table = tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
        return [
            Price(row["model"], row["since"].isoformat(), row["input"], row.get("output", 0.0), row.get("cached"))
            for row in table["price"]
        ]


def compute_cost(
    price: Price | None, input_tokens: int, output_tokens: int = 0, cached_tokens: int = 0, *, is_batch: bool = False
) -> int | None:
    """Return the cost in billionths of a dollar; None if the price is unknown. The input includes the cached tokens."""
    if price is None:
        return None
    cached_tokens = min(cached_tokens, input_tokens)
    cached_price = price.input if price.cached is None else price.cached
    dollars = (input_tokens - cached_tokens) * price.input + cached_tokens * cached_price + output_tokens * price.output
    return round(dollars * (_BATCH_PRICE_FACTOR if is_batch else 1) * _NANOUSD_PER_MICROUSD)
