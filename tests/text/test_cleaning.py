"""Cleaning of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.cleaning import clean


@given(st.text())
def test_cleaning_is_idempotent(text: str) -> None:
    """Cleaning a clean text changes nothing."""
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters()))
def test_clean_text_can_be_stored_anywhere(text: str) -> None:
    """Clean text can be encoded as UTF-8 and has only one kind of line end and no NUL."""
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned
    assert not set(cleaned) & set("\r\x00\x0b\x0c\u2028\u2029\x1b")


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("\ufeffok", "ok"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("Silben\xadtrennung", "Silbentrennung"),
        ("pay\u202eload", "payload"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("\x1b[31mred", "[31mred"),
        ("tab\tstays", "tab\tstays"),
        ("नमस्ते क्‍ष", "नमस्ते क्‍ष"),
    ],
)
def test_invisible_characters_are_removed(raw: str, cleaned: str) -> None:
    """Line ends are unified; characters with a meaning stay, such as joiners in Devanagari."""
    assert clean(raw) == cleaned
