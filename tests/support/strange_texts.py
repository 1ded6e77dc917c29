"""Unusual and hostile texts, for functions that scan text character by character."""

import time
from collections.abc import Callable

from hypothesis import strategies as st

ANY_TEXT = st.text(max_size=300)
PUNCTUATION_TEXT = st.lists(
    st.sampled_from(
        [".", "!", "?", "…", "。", "।", '"', ")", "[1]", " ", "\n", "\n\n", "a", "B", "Dr", "e.g", "3", "本"]
    ),
    max_size=60,
).map("".join)

HOSTILE_PIECES = [
    "x",
    "漢",
    ".",
    " .",
    "Dr. ",
    '."',
    "\n",
    "\n ",
    ". (",
    ".[1]",
    "I. ",
    "e\u0301",
    "\u0300",
    "ß",
    "...x",
    " ",
]


def is_linear_time(function: Callable[[str], object], piece: str, suffix: str) -> bool:
    """Return whether a text of ten times the length takes at most 40 times as long; quadratic time takes 100 times."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece)) + suffix
        started = time.process_time()
        function(text)
        return time.process_time() - started

    seconds(1_000)
    return seconds(200_000) < 40 * max(seconds(20_000), 0.005)
