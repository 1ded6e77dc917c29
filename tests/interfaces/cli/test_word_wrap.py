"""Wrapping: no word of a line that fits is split, and nothing but spaces changes."""

from itertools import pairwise

import click
from hypothesis import given
from hypothesis import strategies as st

from semsearch.interfaces.cli.word_wrap import WordWrapper

WIDTH = 20
TEXTS = st.text(st.sampled_from("abé   \n"), max_size=120)


def wrap(*parts: str) -> str:
    """Return the wrapped text of several parts."""
    wrapper = WordWrapper(WIDTH)
    return "".join(map(wrapper.feed, parts)) + wrapper.finish()


def test_long_line_breaks_at_spaces() -> None:
    """A continued line keeps the indentation."""
    assert wrap("  The lamp room is open at dusk.") == "  The lamp room is\n  open at dusk."


def test_styled_text_has_the_width_of_its_letters() -> None:
    """Style and hyperlink sequences take no room."""
    link = "\x1b]8;;http://127.0.0.1/view/a\x1b\\lamps\x1b]8;;\x1b\\"
    line = f"{click.style('The', bold=True)} lamp room {link}"
    assert wrap(line) == line


def test_word_wider_than_a_line_stays_whole() -> None:
    """A path can be copied."""
    assert wrap("see handbook/operations/kelp-bank.pdf") == "see\nhandbook/operations/kelp-bank.pdf"


@given(TEXTS, st.lists(st.integers(0, 120), max_size=6))
def test_parts_give_the_same_lines_as_the_whole(text: str, cuts: list[int]) -> None:
    """Only spaces become line breaks, no line is too wide, and the size of the parts does not matter."""
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    wrapped = wrap(*(text[start:end] for start, end in pairwise(bounds)))
    assert wrapped == wrap(text)
    assert wrapped.split() == text.split()
    assert all(len(line.rstrip()) <= WIDTH or len(line.split()) == 1 for line in wrapped.split("\n"))
