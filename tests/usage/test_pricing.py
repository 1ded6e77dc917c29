"""Tests of prices and costs: which price applies, and that costs are exact to a billionth of a dollar."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.usage import NANOUSD_PER_USD, Price
from semsearch.usage.pricing import PriceTable, compute_cost

OPENAI = "https://api.openai.com/v1"
ELSEWHERE = "https://models.test/v1"


def to_timestamp(day: str) -> float:
    """Return the first second of a day in UTC."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


NOW = to_timestamp("2026-11-23")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("text-embedding-3-small", (0.02, 0.0, None)),
        ("gpt-4o-mini", (0.15, 0.6, 0.075)),
        ("gpt-6-luna", (0.1, 0.5, 0.01)),
    ],
)
def test_built_in_prices(model: str, expected: tuple[float, float, float | None]) -> None:
    """Input, output and cached input, in dollars per million tokens."""
    price = PriceTable().find(OPENAI, model, NOW)
    assert price is not None
    assert (price.input, price.output, price.cached) == expected


def test_built_in_prices_are_consistent() -> None:
    """Every row is found by its name, has a price, and cached input never costs more than other input."""
    for row in PriceTable()._built_in:
        assert PriceTable().find(OPENAI, row.model, NOW) == row
        assert row.input > 0
        assert row.cached is None or 0 < row.cached <= row.input
        assert (row.output == 0) == row.model.startswith("text-embedding-")
        assert row.since == datetime.fromisoformat(row.since).date().isoformat()


@pytest.mark.parametrize("model", ["unheard-of", "gpt-4o-mini-tts", "GPT-4O-MINI", "gpt", ""])
def test_unknown_model_has_no_price(model: str) -> None:
    """A similar name does not match."""
    assert PriceTable().find(OPENAI, model, NOW) is None


@pytest.mark.parametrize(
    ("dated", "is_known"),
    [
        ("gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini-2024-07-18-x", False),
        ("gpt-4o-mini-20240718", False),
        ("gpt-4o-mini-2024-07-18\n", False),
    ],
)
def test_dated_name_has_the_price_of_its_model(dated: str, is_known: bool) -> None:
    """Only one date at the very end of the name is ignored."""
    price = PriceTable().find(OPENAI, dated, NOW)
    assert (price is not None) == is_known
    assert price is None or price.model == "gpt-4o-mini"


def test_dated_name_can_have_its_own_price() -> None:
    """It takes precedence over that of its model, built in or not."""
    dated = Price("gpt-4o-mini-2024-07-18", "2026-01-01", 7.0)
    assert PriceTable([dated]).find(OPENAI, dated.model, NOW) == dated
    general = Price("gpt-4o-mini", "2026-01-01", 8.0)
    assert PriceTable([general, dated]).find(OPENAI, dated.model, NOW) == dated
    assert PriceTable([general]).find(OPENAI, dated.model, NOW) == general


def test_overrides_take_precedence_on_every_server() -> None:
    """Also if the built-in price is newer."""
    override = Price("gpt-6-luna", "2020-01-01", 9.0)
    for endpoint in (OPENAI, ELSEWHERE, "http://127.0.0.1:8000/v1"):
        assert PriceTable([override]).find(endpoint, "gpt-6-luna", NOW) == override


@pytest.mark.parametrize(
    "endpoint",
    [
        ELSEWHERE,
        "https://eu.api.openai.com/v1",
        "https://api.openai.com.evil.test/v1",
        "https://evil.test/api.openai.com/v1",
        "https://api.openai.com@evil.test/v1",
        "http://127.0.0.1:8000/v1",
    ],
)
def test_built_in_prices_hold_for_one_host(endpoint: str) -> None:
    """Other servers may have other prices for a model of the same name."""
    assert PriceTable().find(endpoint, "gpt-4o-mini", NOW) is None


@pytest.mark.parametrize("endpoint", [OPENAI, "https://API.OpenAI.com:443/v1/"])
def test_host_matches_in_every_spelling(endpoint: str) -> None:
    """Case, port and path are ignored."""
    assert PriceTable().find(endpoint, "gpt-4o-mini", NOW) is not None


def test_price_is_valid_from_its_day_on() -> None:
    """The newest price that is valid in UTC applies, in any order of the table; before the first there is none."""
    first, second = Price("m", "2026-10-01", 1.0), Price("m", "2026-11-01", 2.0)
    for prices in (PriceTable([first, second]), PriceTable([second, first])):
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-10-01") - 1) is None
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-10-01")) == first
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-11-01") - 0.001) == first
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-11-01")) == second
        assert prices.find(ELSEWHERE, "m", to_timestamp("2030-01-01")) == second


def test_override_that_is_not_valid_yet_is_ignored() -> None:
    """Until its day the built-in price applies."""
    prices = PriceTable([Price("gpt-4o-mini", "2026-12-01", 9.0)])
    today, later = (
        prices.find(OPENAI, "gpt-4o-mini", NOW),
        prices.find(OPENAI, "gpt-4o-mini", to_timestamp("2026-12-01")),
    )
    assert today is not None
    assert later is not None
    assert (today.input, later.input) == (0.15, 9.0)


def test_cost_of_known_amounts() -> None:
    """A million tokens cost the price; cached input has its own price; the Batch API costs half."""
    price = Price("m", "2026-01-01", 2.0, 10.0, 0.5)
    million = 1_000_000
    assert compute_cost(price, million) == 2 * NANOUSD_PER_USD
    assert compute_cost(price, million, million) == 12 * NANOUSD_PER_USD
    assert compute_cost(price, million, million, million // 2) == 11_250_000_000
    assert compute_cost(price, million, million, is_batch=True) == 6 * NANOUSD_PER_USD
    assert compute_cost(price, 1, 1) == 12_000
    assert compute_cost(Price("e", "2026-01-01", 0.02), 3) == 60


def test_cost_is_unknown_without_a_price() -> None:
    """It is None, not 0, even for no tokens."""
    assert compute_cost(None, 5, 5) is None
    assert compute_cost(None, 0) is None


def test_cached_input_without_its_own_price_costs_as_other_input() -> None:
    """Cached tokens beyond the input tokens are ignored."""
    assert compute_cost(Price("m", "2026-01-01", 2.0), 100, 0, 40) == 200_000
    assert compute_cost(Price("m", "2026-01-01", 2.0, 0.0, 0.5), 100, 0, 900) == 50_000


DOLLARS = st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000)
TOKENS = st.integers(0, 10**7)


@given(dollars=st.tuples(DOLLARS, DOLLARS, DOLLARS), tokens=st.tuples(TOKENS, TOKENS, TOKENS), batch=st.booleans())
def test_cost_is_exact_to_the_billionth(
    dollars: tuple[float, float, float], tokens: tuple[int, int, int], batch: bool
) -> None:
    """It equals integer arithmetic for every price with three decimals."""
    inputs, cached = max(tokens[0], tokens[2]), min(tokens[0], tokens[2])
    prices = [round(price * 1000) for price in dollars]  # billionths of a dollar per token
    exact = (inputs - cached) * prices[0] + cached * prices[2] + tokens[1] * prices[1]
    cost = compute_cost(Price("m", "2026-01-01", *dollars), inputs, tokens[1], cached, is_batch=batch)
    assert cost is not None
    assert cost * 2 - exact in (-1, 0, 1) if batch else cost == exact
