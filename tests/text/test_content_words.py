"""Content words of English texts; other languages keep all their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.content_words import extract_content_words, extract_question_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How do I use the Lamp? Light the lamp.", ["lamp", "light"]),
        ("The keeper's log_book has 26 pages", ["keeper's", "log", "book", "26", "pages"]),
        ("Когда построен замок?", ["когда", "построен", "замок"]),
        ("What is it?", []),
    ],
)
def test_words_are_distinct_and_in_order(text: str, words: list[str]) -> None:
    """They are in lower case, without function words."""
    assert extract_content_words(text) == words


def test_question_without_content_words_keeps_all_words() -> None:
    """Otherwise nothing could be compared."""
    assert extract_question_words("What is it?") == ["what", "is", "it"]
    assert extract_question_words("What is the lamp?") == ["lamp"]


@given(st.text(max_size=200))
def test_words_are_those_of_the_text(text: str) -> None:
    """Each occurs once."""
    words = extract_question_words(text)
    assert len(set(words)) == len(words)
    assert all(word in text.lower() for word in words)
