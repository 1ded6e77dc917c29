"""What a request costs: which price counts, and that it comes to whole billionths."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.usage import NANOUSD_PER_USD, Price
from semsearch.usage.pricing import PriceTable, compute_cost

OPENAI = "https://api.openai.com/v1"
ELSEWHERE = "https://models.test/v1"


def to_timestamp(day: str) -> float:
    """The first second of a day in UTC."""
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
def test_known_prices(model: str, expected: tuple[float, float, float | None]) -> None:
    """The table holds input, output and cached input, in dollars for a million tokens."""
    price = PriceTable().find(OPENAI, model, NOW)
    assert price is not None
    assert (price.input, price.output, price.cached) == expected


def test_the_known_prices_are_a_sound_table() -> None:
    """Every row is found by its name, costs something, and cached input is never dearer than other input."""
    for row in PriceTable()._built_in:
        assert PriceTable().find(OPENAI, row.model, NOW) == row
        assert row.input > 0
        assert row.cached is None or 0 < row.cached <= row.input
        assert (row.output == 0) == row.model.startswith("text-embedding-")
        assert row.since == datetime.fromisoformat(row.since).date().isoformat()


@pytest.mark.parametrize("model", ["unheard-of", "gpt-4o-mini-tts", "GPT-4O-MINI", "gpt", ""])
def test_an_unknown_model_has_no_price(model: str) -> None:
    """A name that is only like a known one is not guessed at."""
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
def test_a_dated_name_has_the_price_of_its_model(dated: str, is_known: bool) -> None:
    """One date at the very end of the name is left out; nothing else is."""
    price = PriceTable().find(OPENAI, dated, NOW)
    assert (price is not None) == is_known
    assert price is None or price.model == "gpt-4o-mini"


def test_a_dated_name_may_have_a_price_of_its_own() -> None:
    """It goes before that of its model, whoever wrote it down."""
    own = Price("gpt-4o-mini-2024-07-18", "2026-01-01", 7.0)
    assert PriceTable([own]).find(OPENAI, own.model, NOW) == own
    general = Price("gpt-4o-mini", "2026-01-01", 8.0)
    assert PriceTable([general, own]).find(OPENAI, own.model, NOW) == own
    assert PriceTable([general]).find(OPENAI, own.model, NOW) == general


def test_own_prices_go_first_and_hold_for_any_server() -> None:
    """Also where the known one is newer."""
    own = Price("gpt-6-luna", "2020-01-01", 9.0)
    for endpoint in (OPENAI, ELSEWHERE, "http://127.0.0.1:8000/v1"):
        assert PriceTable([own]).find(endpoint, "gpt-6-luna", NOW) == own


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
def test_known_prices_are_those_of_one_host(endpoint: str) -> None:
    """Another server may charge something else for a model of the same name."""
    assert PriceTable().find(endpoint, "gpt-4o-mini", NOW) is None


@pytest.mark.parametrize("endpoint", [OPENAI, "https://API.OpenAI.com:443/v1/"])
def test_the_host_is_known_however_it_is_written(endpoint: str) -> None:
    """Capitals, a port and the path make no difference."""
    assert PriceTable().find(endpoint, "gpt-4o-mini", NOW) is not None


def test_a_price_holds_from_its_day_on() -> None:
    """The newest one that has begun counts, in UTC and whatever the order; before the first there is none."""
    first, second = Price("m", "2026-10-01", 1.0), Price("m", "2026-11-01", 2.0)
    for prices in (PriceTable([first, second]), PriceTable([second, first])):
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-10-01") - 1) is None
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-10-01")) == first
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-11-01") - 0.001) == first
        assert prices.find(ELSEWHERE, "m", to_timestamp("2026-11-01")) == second
        assert prices.find(ELSEWHERE, "m", to_timestamp("2030-01-01")) == second


def test_an_own_price_that_has_not_begun_leaves_the_known_one() -> None:
    """What will cost more tomorrow costs the same today."""
    prices = PriceTable([Price("gpt-4o-mini", "2026-12-01", 9.0)])
    today, then = (
        prices.find(OPENAI, "gpt-4o-mini", NOW),
        prices.find(OPENAI, "gpt-4o-mini", to_timestamp("2026-12-01")),
    )
    assert today is not None
    assert then is not None
    assert (today.input, then.input) == (0.15, 9.0)


def test_cost_by_hand() -> None:
    """A million tokens cost the price; cached input has its own; the Batch API takes half."""
    price = Price("m", "2026-01-01", 2.0, 10.0, 0.5)
    million = 1_000_000
    assert compute_cost(price, million) == 2 * NANOUSD_PER_USD
    assert compute_cost(price, million, million) == 12 * NANOUSD_PER_USD
    assert compute_cost(price, million, million, million // 2) == 11_250_000_000
    assert compute_cost(price, million, million, is_batch=True) == 6 * NANOUSD_PER_USD
    assert compute_cost(price, 1, 1) == 12_000
    assert compute_cost(Price("e", "2026-01-01", 0.02), 3) == 60


def test_an_unknown_price_is_no_cost_at_all() -> None:
    """It is unknown, not nothing, even for no tokens."""
    assert compute_cost(None, 5, 5) is None
    assert compute_cost(None, 0) is None


def test_cached_input_without_a_price_costs_like_other_input() -> None:
    """And more cached tokens than there is input are not counted twice."""
    assert compute_cost(Price("m", "2026-01-01", 2.0), 100, 0, 40) == 200_000
    assert compute_cost(Price("m", "2026-01-01", 2.0, 0.0, 0.5), 100, 0, 900) == 50_000


DOLLARS = st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000)
TOKENS = st.integers(0, 10**7)


@given(dollars=st.tuples(DOLLARS, DOLLARS, DOLLARS), tokens=st.tuples(TOKENS, TOKENS, TOKENS), batch=st.booleans())
def test_cost_is_exact_to_the_billionth(
    dollars: tuple[float, float, float], tokens: tuple[int, int, int], batch: bool
) -> None:
    """As whole-number arithmetic has it, for every price with three decimals."""
    given_input, cached = max(tokens[0], tokens[2]), min(tokens[0], tokens[2])
    nano_a_token = [round(each * 1000) for each in dollars]
    exact = (given_input - cached) * nano_a_token[0] + cached * nano_a_token[2] + tokens[1] * nano_a_token[1]
    found = compute_cost(Price("m", "2026-01-01", *dollars), given_input, tokens[1], cached, is_batch=batch)
    assert found is not None
    assert found * 2 - exact in (-1, 0, 1) if batch else found == exact
