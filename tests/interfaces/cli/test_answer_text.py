"""Excerpts and passages on a terminal and in a pipe."""

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.answers import Answer, AnswerSentence, Citation, ClosestPassage, TextSpan
from semsearch.core.types.usage import Usage
from semsearch.interfaces.cli.answer_text import (
    MAX_PASSAGE_LINES,
    compute_text_width,
    format_excerpt,
    format_passages,
)


def make_passage(before: str, best: str, after: str) -> ClosestPassage:
    """Return a passage of three parts."""
    start, text = 10 + len(before), before + best + after
    return ClosestPassage("a.md", "A", "A › B", 2, 10, 10 + len(text), text, TextSpan(start, start + len(best)))


def format_lines(passage: ClosestPassage, *, is_colored: bool = False) -> list[str]:
    """Return the lines of a passage, without heading and place."""
    heading, place, *lines = format_passages([passage], "Closest", is_colored=is_colored).splitlines()
    assert click.unstyle(heading) == "Closest"
    assert place == f"a.md › A › B, page 2, characters 10–{passage.end}"
    return lines


def test_best_part_is_marked_in_a_pipe_and_green_on_a_terminal() -> None:
    """A short passage is shown completely."""
    passage = make_passage("The lamp is lit. ", "It is red.", " Sheep graze.")
    assert format_lines(passage) == ["    The lamp is lit. »It is red.« Sheep graze."]
    green = click.style("It is red.", fg="green")
    assert format_lines(passage, is_colored=True) == [f"    The lamp is lit. {green} Sheep graze."]


def test_items_and_rows_are_lines_of_their_own() -> None:
    """A line that begins in lower case continues the one before."""
    passage = make_passage("Do this\nat dusk:\n\n", "- Light it.", "\n- Write the log.\nName | height")
    assert format_lines(passage) == [
        "    Do this at dusk:",
        "    »- Light it.«",
        "    - Write the log.",
        "    Name | height",
    ]


def test_long_passage_is_cut_around_its_best_part() -> None:
    """The best part is in the lines that are shown, and signs of a cut are before and behind them."""
    passage = make_passage("Sheep graze here. " * 60, "The lamp is red.", " It rains." * 60)
    lines = format_lines(passage)
    assert len(lines) == MAX_PASSAGE_LINES
    assert "»The lamp is red.«" in " ".join(line.strip() for line in lines)
    assert lines[0].startswith("    … ")
    assert lines[-1].endswith(" …")


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=120)


@given(WORDS, WORDS, WORDS)
def test_lines_are_few_and_fit_the_width(before: str, best: str, after: str) -> None:
    """This holds for any text, with and without colour."""
    passage = make_passage(before, best, after)
    for is_colored in (False, True):
        text = format_passages([passage], "Closest", is_colored=is_colored)
        lines = re.split("\n", click.unstyle(text))[2:]
        assert len(lines) <= MAX_PASSAGE_LINES
        assert all(len(line) <= compute_text_width() + 4 for line in lines)


def test_nothing_is_printed_without_passages() -> None:
    """There is no heading alone."""
    assert format_passages([], "Closest", is_colored=False) == ""


@pytest.mark.parametrize("context", ["", "name | weeks"])
def test_excerpt_has_the_header_of_its_table_and_all_its_places(context: str) -> None:
    """The excerpt itself keeps its line breaks and its brackets."""
    quote = "def f(x):\n    return x[1]"
    citations = tuple(Citation(n, n, f"{n}.md", "", "", None, 0, len(quote), quote, "0") for n in (1, 2))
    sentence = AnswerSentence(f"{quote}\n[1][2]", "verbatim", (1, 2), context)
    answer = Answer("ans_1", sentence.text, True, None, (sentence,), citations, (), Usage(), "m", kind="excerpt")
    assert click.unstyle(format_excerpt(answer)).splitlines() == [
        "Best excerpt",
        *filter(None, [context]),
        *quote.splitlines(),
        "",
        "[1] 1.md, characters 0–25",
        "[2] 2.md, characters 0–25",
    ]
