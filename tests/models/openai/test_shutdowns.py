"""The table of OpenAI model shutdowns: its contents and its messages."""

from datetime import date

import pytest

from semsearch.models.openai.shutdowns import load_shutdowns

SHUT_DOWN = ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "o1", "o3-mini", "o4-mini", "gpt-4.1-nano"]
DATES = {
    date(2026, 10, 23): SHUT_DOWN,
    date(2026, 12, 11): ["gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"],
    date(2027, 1, 14): ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"],
}


def test_table_contains_exactly_these_models() -> None:
    """A row has a replacement only if the source names one."""
    shutdowns = load_shutdowns()
    assert {model: row.day for model, row in shutdowns.items()} == {
        model: day for day, models in DATES.items() for model in models
    }
    replacements = {model: row.replacement for model, row in shutdowns.items() if row.replacement}
    assert replacements == {"gpt-4o-mini": "gpt-6-luna", "gpt-4.1-mini": "gpt-6-luna"}


SOURCE = "(developers.openai.com/api/docs/deprecations, as of 2026-11-29)"


@pytest.mark.parametrize(
    ("model", "today", "message"),
    [
        ("o1", date(2026, 10, 22), "OpenAI's o1 is shut down on 2026-10-23"),
        ("o1", date(2026, 10, 23), "OpenAI's o1 was shut down on 2026-10-23"),
        ("gpt-4.1-mini", date(2026, 11, 29), "is shut down on 2027-01-14, and its replacement is gpt-6-luna"),
        ("gpt-4.1-mini", date(2027, 2, 1), "was shut down on 2027-01-14, and its replacement is gpt-6-luna"),
    ],
)
def test_message_names_the_date_and_source_of_a_shutdown(model: str, today: date, message: str) -> None:
    """The tense depends on today's date."""
    described = load_shutdowns()[model].describe(today)
    assert message in described
    assert described.endswith(SOURCE)
