"""Where the text of a PDF is on its pages: the map of characters, rectangles, and images that agree with them."""

import unicodedata
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import pypdfium2.raw as pdfium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pdf_files import TEXT_MATRICES, PlacedText, decode_grey_png, make_pdf, place_lines

from semsearch.core.errors import NotFoundError
from semsearch.core.types.documents import BLOCK_SEPARATOR, Block, Locator, ParsedContent
from semsearch.core.types.pages import PageRectangles, PageRun, Rectangle
from semsearch.ingest.page_map import InvalidPageMapError, encode_page_map, select_runs
from semsearch.ingest.readers import read
from semsearch.ingest.readers.pdf.alignment import map_pages
from semsearch.ingest.readers.pdf.files import load_codes, open_document
from semsearch.ingest.readers.pdf.pages import MAX_HEIGHT_PIXELS, find_rectangles, render_page

HELVETICA_WIDTHS = {"H": 0.722, "I": 0.278, "O": 0.778, "m": 0.833, "x": 0.5, " ": 0.278}
"""Advance widths of letters, in font sizes."""
UNUSUAL_CHARACTERS = """/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange
    5 beginbfchar <41> <D835DC65> <42> <FB01> <43> <0065> <44> <0301> <45> <2022> endbfchar endcmap"""
"""A is an x above U+FFFF, B the ligature fi, C and D are e and its acute accent, E is a bullet."""


def join_text(content: ParsedContent) -> str:
    """Return the text that a document of this content has."""
    return BLOCK_SEPARATOR.join(block.text for block in content.blocks)


def load_page_text(data: bytes, run: PageRun) -> str:
    """Return the characters of a page that a run names, as PDFium reads them."""
    document = open_document(data)
    page = document[run.page - 1]
    text_page = page.get_textpage()
    codes = load_codes(text_page.raw, run.index_count, run.index_start)
    for opened in (text_page, page, document):
        opened.close()
    encoded = b"".join(code.to_bytes(2, "little") for code in codes)
    return encoded.decode("utf-16-le", "surrogatepass")


def normalise(text: str) -> str:
    """Return the letters of a text without white space; bullets and hyphens are alike, separators of cells left out."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join("-" if char in "•\x02\ufffe" else char for char in decomposed if not char.isspace() and char != "|")


def find_span(data: bytes, content: ParsedContent, start: int, end: int) -> list[PageRectangles]:
    """Return the rectangles of a span of the text."""
    text = join_text(content)
    runs = select_runs(content.page_map, start, end)
    requests = [
        (
            page,
            [
                (run.index_start, run.index_count, text[run.text_start : run.text_start + run.text_count])
                for run in page_runs
            ],
        )
        for page, page_runs in groupby(runs, attrgetter("page"))
    ]
    return find_rectangles(data, requests)


def find_words(data: bytes, words: str) -> list[PageRectangles]:
    """Return the rectangles of words that occur once in the text of a PDF."""
    content = read(data, "application/pdf")
    text = join_text(content)
    assert text.count(words) == 1
    return find_span(data, content, text.index(words), text.index(words) + len(words))


def measure(text: str, size: float) -> float:
    """Return the width of a text in Helvetica."""
    return sum(HELVETICA_WIDTHS[letter] for letter in text) * size


WORDS = st.sampled_from(
    ["one", "inter-", "national", "A", "Bnd", "caCDe", "x|y", "co-op", "E", "-", "12", "CD", "end."]
)
ENDS = st.sampled_from(["", "", " inter-", " COVID-", " Jean-"])
PDF_LINES = st.lists(
    st.tuples(st.lists(WORDS, min_size=1, max_size=5).map(" ".join), ENDS).map("".join), min_size=1, max_size=6
)
PDF_CELLS = st.lists(st.lists(WORDS, min_size=2, max_size=3), max_size=3)


def place_page(lines: list[str], rows: list[list[str]]) -> list[PlacedText]:
    """Return a page with a paragraph and a table."""
    cells = [
        (50.0 + 150 * column, 400 - 14.0 * number, 10.0, cell)
        for number, row in enumerate(rows)
        for column, cell in enumerate(row)
    ]
    return place_lines(*lines) + cells


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.builds(place_page, PDF_LINES, PDF_CELLS), min_size=1, max_size=3), st.data())
def test_characters_under_the_map_are_the_text(pages: list[list[PlacedText]], data: st.DataObject) -> None:
    """For any span: ligatures, composed characters, joined hyphens, bullets and tables included."""
    file = make_pdf(*pages, to_unicode=UNUSUAL_CHARACTERS)
    content = read(file, "application/pdf")
    text = join_text(content)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    runs = select_runs(content.page_map, start, end)
    for run in runs:
        part = text[run.text_start : run.text_start + run.text_count]
        assert normalise(load_page_text(file, run)) == normalise(part)
    mapped = {offset for run in runs for offset in range(run.text_start, run.text_start + run.text_count)}
    missing = "".join(text[offset] for offset in range(start, end) if offset not in mapped)
    assert not normalise(missing).strip("-")


def test_units_that_are_not_one_character_are_mapped_whole() -> None:
    """A ligature, a pair of surrogates and a composed character; hyphens at line ends and white space are left out."""
    page_text = "\ufb01n \U0001d465e\u0301 inter-\r\nnational \u2022 a  b"
    encoded = page_text.encode("utf-16-le")
    codes = [int.from_bytes(encoded[position : position + 2], "little") for position in range(0, len(encoded), 2)]
    text = "fin \U0001d465\xe9 international - a | b"
    page_map = map_pages([Block(text, locator=Locator(page=2))], [[], codes])
    pairs = [
        (text[run.text_start : run.text_start + run.text_count], run.index_start, run.index_count)
        for run in select_runs(page_map, 0, len(text))
    ]
    assert pairs == [
        ("fi", 0, 1),
        ("n", 1, 1),
        ("\U0001d465", 3, 2),
        ("\xe9", 5, 2),
        ("inter", 8, 5),
        ("national - a", 16, 12),
        ("b", 30, 1),
    ]
    assert [run.index_start for run in select_runs(page_map, 1, 2)] == [0]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 300)] * 4, st.booleans()), max_size=40), st.integers(0, 900), st.data())
def test_encoded_map_returns_the_same_runs(steps: list[tuple[int, ...]], start: int, data: st.DataObject) -> None:
    """Runs that are encoded are selected again, clipped to the span unless they are one unit."""
    runs, page, text, index = list[PageRun](), 1, 0, 0
    for text_gap, index_gap, count, other_count, is_new_page in steps:
        page, index = (page + 1, 0) if is_new_page else (page, index)
        text, index = text + text_gap, index + index_gap
        index_count = count + 1 if count % 2 else other_count + 1
        runs.append(PageRun(page, text, count + 1, index, index_count))
        text, index = text + count + 1, index + index_count
    encoded = encode_page_map(runs)
    assert select_runs(encoded, 0, text + 1) == runs if runs else encoded == b""
    end = data.draw(st.integers(start, start + 500))
    expected = {
        offset
        for run in runs
        for offset in range(run.text_start, run.text_start + run.text_count)
        if start <= offset < end
    }
    selected = select_runs(encoded, start, end) if encoded else []
    offsets = {o for run in selected for o in range(run.text_start, run.text_start + run.text_count)}
    assert {offset for offset in offsets if start <= offset < end} == expected
    for run in selected:
        is_unit = run.text_count != run.index_count
        assert run in runs if is_unit else (start <= run.text_start and run.text_start + run.text_count <= end)


@pytest.mark.parametrize("encoded", [b"no map", b"x\x9c", encode_page_map([PageRun(1, 0, 5, 0, 5)])[:-5]])
def test_damaged_map_is_an_error(encoded: bytes) -> None:
    """A reader process that read a hostile file may send anything."""
    with pytest.raises(InvalidPageMapError):
        select_runs(encoded, 0, 10)


def test_map_of_a_page_takes_few_bytes() -> None:
    """A page of forty lines takes less than 150 bytes."""
    page = place_lines(*[f"Line {number} of a page that has forty lines of text" for number in range(40)])
    content = read(make_pdf(*[page] * 20), "application/pdf")
    assert 0 < len(content.page_map) < 20 * 150


@pytest.mark.parametrize("rotation", TEXT_MATRICES)
@pytest.mark.parametrize("crop_box", [(0, 0, 800, 800), (20, 30, 760, 790)])
def test_rectangles_lie_over_the_words(rotation: int, crop_box: tuple[int, int, int, int]) -> None:
    """On pages of any rotation, with a crop box or without one, at the known positions of the words."""
    size = 20.0
    file = make_pdf([(100, 500, size, "HH mmm xOx"), (100, 470, size, "mm HIH")], rotation=rotation, crop_box=crop_box)
    [page] = find_words(file, "mmm xOx mm")
    left, bottom, right, top = crop_box
    assert (page.width, page.height) == (
        (right - left, top - bottom) if rotation % 180 == 0 else (top - bottom, right - left)
    )
    assert len(page.rectangles) == 2
    first, second = page.rectangles
    assert first[2] - first[0] == pytest.approx(measure("mmm xOx", size), abs=0.15 * size)
    assert second[2] - second[0] == pytest.approx(measure("mm", size), abs=0.15 * size)
    assert first[0] - second[0] == pytest.approx(measure("HH ", size), abs=0.1 * size)
    assert second[3] - first[3] == pytest.approx(30, abs=1)
    check_ink(file, page)


def check_ink(file: bytes, page: PageRectangles) -> None:
    """Check that each rectangle is as large as the dark pixels in it, in the image of the page."""
    width = 1_000
    rows = decode_grey_png(render_page(file, page.page, width))
    assert len(rows) == round(page.height * width / page.width)
    scale = width / page.width
    for rectangle in page.rectangles:
        ink = find_ink(rows, rectangle, scale)
        assert ink is not None
        assert ink == pytest.approx([value * scale for value in rectangle], abs=2)


def find_ink(rows: Sequence[bytes], rectangle: Rectangle, scale: float) -> Rectangle | None:
    """Return the bounds of the dark pixels in and around a rectangle, in pixels."""
    margin = 3
    x0, y0, x1, y1 = (round(value * scale) for value in rectangle)
    dark = [
        (column, row)
        for row in range(max(0, y0 - margin), min(len(rows), y1 + margin))
        for column in range(max(0, x0 - margin), x1 + margin)
        if rows[row][column] < 128
    ]
    if not dark:
        return None
    columns, lines = [column for column, _ in dark], [row for _, row in dark]
    return min(columns), min(lines), max(columns) + 1, max(lines) + 1


def test_rectangle_of_an_upright_page_is_where_the_word_was_placed() -> None:
    """The origin is the top left corner of the crop box."""
    file = make_pdf([(100, 500, 20, "HHH"), (300, 500, 20, "OOO")], crop_box=(20, 30, 760, 790))
    [page] = find_words(file, "OOO")
    [(left, top, right, bottom)] = page.rectangles
    assert (left, right) == pytest.approx((300 - 20, 300 - 20 + measure("OOO", 20)), abs=2)
    assert bottom == pytest.approx(790 - 500, abs=1)
    assert top == pytest.approx(790 - 500 - 0.72 * 20, abs=1)


def test_boxes_agree_with_the_text_search_of_pdfium() -> None:
    """The rectangle of a word is the box that PDFium's own search gives."""
    file = make_pdf(
        place_lines("The lamp burns one litre of oil each night,", "and the keeper fills it in the morning.")
    )
    for word in ("litre", "keeper", "morning."):
        [page] = find_words(file, word)
        assert page.rectangles == [pytest.approx(search_with_pdfium(file, word), abs=0.1)]


def search_with_pdfium(file: bytes, word: str) -> Rectangle:
    """Return the box of the first occurrence of a word on the first page, 800 points high, from the top left corner."""
    document = open_document(file)
    page = document[0]
    text_page = page.get_textpage()
    index, count = text_page.search(word).get_next()
    assert pdfium.FPDFText_CountRects(text_page.raw, index, count) == 1
    left, bottom, right, top = text_page.get_rect(0)
    for opened in (text_page, page, document):
        opened.close()
    return left, 800 - top, right, 800 - bottom


def test_cells_of_a_row_have_a_rectangle_each() -> None:
    """Nothing is marked in the gap between two cells."""
    file = make_pdf([(50, 700, 10, "Tea"), (250, 700, 10, "four"), (50, 680, 10, "Milk"), (250, 680, 10, "nine")])
    [page] = find_words(file, "Milk | nine")
    assert [round(rectangle[0]) for rectangle in page.rectangles] == pytest.approx([50, 250], abs=2)


def test_characters_of_another_text_have_no_rectangle() -> None:
    """A run whose characters are not those of its text is left out, as after an update of PDFium."""
    file = make_pdf(place_lines("A lamp in the fog."))
    assert find_rectangles(file, [(1, [(2, 4, "lamp")])])[0].rectangles
    for run in ((3, 4, "lamp"), (2, 4, "bell"), (10_000, 4, "lamp"), (-5, 4, "lamp")):
        assert find_rectangles(file, [(1, [run])])[0].rectangles == []


def test_page_beyond_the_last_one_is_not_found() -> None:
    """The error names how many pages there are."""
    with pytest.raises(NotFoundError, match="it has 1 page, and no page 2"):
        render_page(make_pdf(place_lines("text")), 2, 500)


def test_long_page_is_rendered_narrower() -> None:
    """An image has at most a fixed height."""
    file = make_pdf(place_lines("text", top=70), crop_box=(0, 0, 10, 790))
    assert len(decode_grey_png(render_page(file, 1, 2_000))) == MAX_HEIGHT_PIXELS
