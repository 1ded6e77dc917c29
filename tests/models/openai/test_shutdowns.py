"""The table of models that OpenAI shuts down: which it holds, and what is said of them."""

from datetime import date

import pytest

from semsearch.models.openai.shutdowns import known_shutdowns

SHUT_DOWN = ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "o1", "o3-mini", "o4-mini", "gpt-4.1-nano"]
DATES = {
    date(2026, 10, 23): SHUT_DOWN,
    date(2026, 12, 11): ["gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"],
    date(2027, 1, 14): ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"],
}


def test_the_table_holds_these_models_and_no_others() -> None:
    """A replacement is given only where the source names one."""
    found = known_shutdowns()
    assert {model: row.day for model, row in found.items()} == {
        model: day for day, models in DATES.items() for model in models
    }
    replaced = {model: row.replacement for model, row in found.items() if row.replacement}
    assert replaced == {"gpt-4o-mini": "gpt-6-luna", "gpt-4.1-mini": "gpt-6-luna"}


SOURCE = "(developers.openai.com/api/docs/deprecations, as of 2026-11-29)"


@pytest.mark.parametrize(
    ("model", "today", "said"),
    [
        ("o1", date(2026, 10, 22), "OpenAI's o1 is shut down on 2026-10-23"),
        ("o1", date(2026, 10, 23), "OpenAI's o1 was shut down on 2026-10-23"),
        ("gpt-4.1-mini", date(2026, 11, 29), "is shut down on 2027-01-14, and its replacement is gpt-6-luna"),
        ("gpt-4.1-mini", date(2027, 2, 1), "was shut down on 2027-01-14, and its replacement is gpt-6-luna"),
    ],
)
def test_a_shutdown_names_its_date_and_source(model: str, today: date, said: str) -> None:
    """In the past or the future, as of the date of the table."""
    described = known_shutdowns()[model].describe(today)
    assert said in described
    assert described.endswith(SOURCE)
