"""Splitting text into sentences: boundaries in several languages, and linear time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strange_texts import ANY_TEXT, HOSTILE_PIECES, PUNCTUATION_TEXT, is_linear_time

from semsearch.text.sentences import _STOP, _iter_stops, split_sentences


def split(text: str, *, break_at_newlines: bool = False) -> list[str]:
    """Return the texts of the sentences."""
    return [text[start:end] for start, end in split_sentences(text, break_at_newlines)]


@given(st.one_of(ANY_TEXT, PUNCTUATION_TEXT), st.booleans())
def test_sentences_cover_the_text_in_order(text: str, break_at_newlines: bool) -> None:
    """Spans ascend, do not overlap, are trimmed and not empty, and leave out only white space."""
    previous_end = 0
    for start, end in split_sentences(text, break_at_newlines):
        assert not text[previous_end:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        previous_end = end
    assert not text[previous_end:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mr. J. R. Jones of the U.S. Army at Acme Inc. Headquarters in Jan. 2020.",
        "See Fig. 3, No. 5 and pp. 7, e.g. the table, i.e. this one, cf. Jones et al. 1999.",
        "It rose by 3.14 percent to 1.000.000 on example.com.",
        '"Really?" he asked.',
        "It works ... somehow.",
        "1. First of all",
    ],
)
def test_stop_inside_a_sentence_does_not_end_it(text: str) -> None:
    """Abbreviations, initials, decimals, ellipses and quoted questions do not end a sentence."""
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left the U.S. The rest stayed.", ["He left the U.S.", "The rest stayed."]),
        ("Ask at 5 p.m. Then go. No. Why not?", ["Ask at 5 p.m.", "Then go.", "No.", "Why not?"]),
        ('He said "yes." (She did not.) So?', ['He said "yes."', "(She did not.)", "So?"]),
        ("It began in 1999.[12] It ended…  Now", ["It began in 1999.[12]", "It ended…", "Now"]),
        ("the first . the second . and", ["the first .", "the second .", "and"]),
        ("all in small letters. yes they are.", ["all in small letters.", "yes they are."]),
        ("これは本です。「はい。」違う！次", ["これは本です。", "「はい。」", "違う！", "次"]),
        ("यह एक है। दूसरा वाक्य॥ अंत", ["यह एक है।", "दूसरा वाक्य॥", "अंत"]),
        ("هل هذا كتاب؟ نعم. لا", ["هل هذا كتاب؟", "نعم.", "لا"]),
    ],
)
def test_stop_at_the_end_of_a_sentence_ends_it(text: str, expected: list[str]) -> None:
    """Sentence ends are recognised in several scripts."""
    assert split(text) == expected


@given(PUNCTUATION_TEXT | ANY_TEXT, st.booleans())
def test_fast_search_for_stops_finds_all_stops(text: str, break_at_newlines: bool) -> None:
    """The fast path yields the same matches as the full pattern, except for line ends that do not end a sentence."""
    actual, expected = (
        [(stop.span(), stop["next"]) for stop in stops if break_at_newlines or stop.lastgroup != "line"]
        for stops in (_iter_stops(text, break_at_newlines), _STOP.finditer(text))
    )
    assert actual == expected


def test_blank_line_always_ends_a_sentence() -> None:
    """The end of a line ends a sentence only with `break_at_newlines`."""
    text = "one\ntwo\n \nthree\n\nfour"
    assert split(text) == ["one\ntwo", "three", "four"]
    assert split(text, break_at_newlines=True) == ["one", "two", "three", "four"]


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "x"])
@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_splitting_time_is_linear(piece: str, after: str) -> None:
    """No hostile text takes longer than linear time."""
    assert is_linear_time(lambda text: (split_sentences(text), split_sentences(text, True)), piece, after)
