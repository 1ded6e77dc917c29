"""Extraction and normalisation of numbers and names."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.entities import extract_names, extract_numbers


@given(st.integers(0, 10**12))
def test_numbers_have_one_form(number: int) -> None:
    """Thousands separators, leading zeros and digits of another script do not change the value."""
    arabic = str(number).translate({ord("0") + digit: ord("٠") + digit for digit in range(10)})
    for written in (f"{number:,}", f"{number:_}".replace("_", " "), f"{number:015}", arabic):
        assert list(extract_numbers(f"It is {written}.")) == [str(number)]


def test_names_are_recognised_by_capitals_and_digits() -> None:
    """A capital at the start of a sentence, an item or a quotation does not count."""
    assert list(extract_names("The keeper. Ana and Berta: “Carl met NATO” · x509, 26-week, 5kg, e2e")) == [
        "Berta",
        "NATO",
        "x509",
        "e2e",
    ]
