"""Where sentences end: as a reader of the language sees it, and without a text that takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strange_texts import ANY_TEXT, HOSTILE_PIECES, PUNCTUATION_TEXT, is_linear_time

from semsearch.text import sentences as segmentation
from semsearch.text.sentences import split_sentences


def cut(text: str, *, lines: bool = False) -> list[str]:
    """The sentences themselves."""
    return [text[start:end] for start, end in split_sentences(text, lines)]


@given(st.one_of(ANY_TEXT, PUNCTUATION_TEXT), st.booleans())
def test_sentences_cover_the_text_in_order(text: str, lines: bool) -> None:
    """Spans ascend, never overlap, are trimmed and not empty, and leave out nothing but white space."""
    at = 0
    for start, end in split_sentences(text, lines):
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip() != ""
        at = end
    assert not text[at:].strip()


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
def test_a_stop_inside_a_sentence_does_not_end_it(text: str) -> None:
    """Abbreviations, initials, decimals, ellipses and quoted questions do not cut a sentence."""
    assert cut(text) == [text]


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
def test_a_stop_at_the_end_of_a_sentence_ends_it(text: str, expected: list[str]) -> None:
    """Sentences end where a reader of the language sees them end."""
    assert cut(text) == expected


@given(PUNCTUATION_TEXT | ANY_TEXT, st.booleans())
def test_stops_are_found_by_what_they_begin_with(text: str, lines: bool) -> None:
    """The short ways to the stops find those of the long one, but for ends of lines that end nothing."""
    short, long = segmentation._iter_stops(text, lines), segmentation._STOP.finditer(text)
    assert [(found.span(), found["next"]) for found in short if lines or found.lastgroup != "line"] == [
        (found.span(), found["next"]) for found in long if lines or found.lastgroup != "line"
    ]


def test_only_a_blank_line_always_ends_a_sentence() -> None:
    """The end of a line ends a sentence where asked, a blank line everywhere."""
    text = "one\ntwo\n \nthree\n\nfour"
    assert cut(text) == ["one\ntwo", "three", "four"]
    assert cut(text, lines=True) == ["one", "two", "three", "four"]


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "x"])
@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_time_grows_with_length_only(piece: str, after: str) -> None:
    """No text is slow to cut."""
    assert is_linear_time(lambda text: (split_sentences(text), split_sentences(text, True)), piece, after)
