"""A PDF file whose words are at known places, and these places as a reader of the page sees them."""

from dataclasses import dataclass

from support.pdf_files import PlacedText, make_pdf

PAGE_SIZE = 800
"""Width and height of a page, in points."""
FONT_SIZE = 10
WORD_GAP = 3.5
LEFT, TOP, LINE_HEIGHT = 60, 640, 14
CITED = "The winch brake holds nine tonnes on the slipway and is tested every April by two people."
"""The sentence that the tests cite; it is set in two lines on the second page."""
_FIRST_PAGE = "This manual describes the winch of the slipway. Keep it beside the controls."
_SECOND_PAGE = ("Read the log before each launch.", CITED, "The cable is replaced after ten years.")
_LINE_WIDTH = 300
_DIGIT = 556
_WIDTHS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500,
         722, 500, 500, 500),
        strict=True,
    )
) | {"T": 611, "K": 667, "R": 722, "A": 667, ".": 278, ",": 278}  # fmt: skip
"""Advance widths of Helvetica in thousandths of the font size."""


@dataclass(frozen=True, slots=True)
class WordBox:
    """A word and its box in points, from the left upper corner of the page; `top` is that of capital letters."""

    text: str
    left: float
    top: float
    right: float
    baseline: float


def measure(word: str) -> float:
    """Return the width of a word in points."""
    return sum(_WIDTHS.get(character, _DIGIT) for character in word) * FONT_SIZE / 1000


def _place(text: str, top: float) -> list[tuple[float, float, str]]:
    """Return the words of lines with the left end and the baseline of each, in PDF coordinates."""
    placed, left = [], float(LEFT)
    for word in text.split():
        if left + measure(word) > LEFT + _LINE_WIDTH:
            left, top = float(LEFT), top - LINE_HEIGHT
        placed.append((left, top, word))
        left += measure(word) + WORD_GAP
    return placed


def _place_second_page() -> list[tuple[float, float, str]]:
    placed, top = [], float(TOP)
    for sentence in _SECOND_PAGE:
        words = _place(sentence, top)
        placed += words
        top = words[-1][1] - LINE_HEIGHT
    return placed


def make_sample_pdf() -> bytes:
    """Return the file: two pages, each word placed by itself."""
    pages = [_place(_FIRST_PAGE, TOP), _place_second_page()]
    return make_pdf(
        *([_to_line(item) for item in page] for page in pages), title="Winch manual", crop_box=(0, 0, 800, 800)
    )


def _to_line(placed: tuple[float, float, str]) -> PlacedText:
    left, bottom, word = placed
    return (left, bottom, FONT_SIZE, word)


def find_cited_words() -> list[WordBox]:
    """Return the boxes of the words of CITED on the second page."""
    words = _place_second_page()
    texts = [word for _, _, word in words]
    first = next(index for index in range(len(texts)) if texts[index : index + len(CITED.split())] == CITED.split())
    return [
        WordBox(word, left, PAGE_SIZE - bottom - FONT_SIZE * 0.72, left + measure(word), PAGE_SIZE - bottom)
        for left, bottom, word in words[first : first + len(CITED.split())]
    ]
