"""The PDF reader; the files are generated here, so that each test sets the position of every line."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pdf_files import TEXT_MATRICES, PlacedText, make_pdf, place_lines

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read
from semsearch.ingest.readers.block_builder import BlockBuilder
from semsearch.ingest.readers.pdf.layout import Line, add_pages


def read_pages(*pages: list[PlacedText], title: str = "") -> ParsedContent:
    """Return the content of a PDF with these pages."""
    return read(make_pdf(*pages, title=title), "application/pdf")


def list_blocks(content: ParsedContent) -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in content.blocks]


def test_lines_are_joined_to_paragraphs() -> None:
    """Lines are joined to paragraphs, hyphenated words are joined, and a wider gap starts a paragraph."""
    first = place_lines(
        "This paragraph has some long enough lines and an inter-",
        "national word in it, which is cut, and it ends.",
    )
    second = place_lines(
        "Another paragraph begins here, after a gap that is wider", "than the others on the page, you see.", top=650
    )
    assert list_blocks(read_pages(first + second)) == [
        (
            "paragraph",
            "This paragraph has some long enough lines and an international word in it, which is cut, and it ends.",
        ),
        ("paragraph", "Another paragraph begins here, after a gap that is wider than the others on the page, you see."),
    ]


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ("The COVID-", "19 wave", "The COVID-19 wave"),
        ("He met Jean-", "Pierre", "He met Jean-Pierre"),
        ("state-of-the-", "art work", "state-of-the-art work"),
        ("pages 10-", "20 are", "pages 10-20 are"),
        ("inter-", "national", "international"),
        ("a range 5 -", "6", "a range 5 - 6"),
    ],
)
def test_hyphen_of_a_compound_word_is_kept(above: str, below: str, expected: str) -> None:
    """Only the hyphen of a hyphenated word is removed at the end of a line."""
    assert list_blocks(read_pages(place_lines(above, below))) == [("paragraph", expected)]


def test_hyphenated_word_in_a_cell_is_joined() -> None:
    """A line that continues the hyphenated last word of a row belongs to that row."""
    cells: list[PlacedText] = [
        (50, 700, 10, "Item"),
        (200, 700, 10, "Scope"),
        (50, 686, 10, "Tea"),
        (200, 686, 10, "inter-"),
    ]
    cells += [(200, 672, 10, "national"), (50, 658, 10, "Milk"), (200, 658, 10, "local")]
    assert list_blocks(read_pages(cells)) == [("table", "Item | Scope\nTea | international\nMilk | local")]


@pytest.mark.parametrize("rotation", TEXT_MATRICES)
def test_rotated_page_is_read_like_an_upright_page(rotation: int) -> None:
    """A rotated page is read like an upright page."""
    rows = [(50.0 + 150 * column, 500 - 14.0 * row, 10.0, f"cell {row}{column}") for row in (0, 1) for column in (0, 1)]
    text = place_lines(
        "Some text of the usual size that goes on for a while.", "And one more line of it, which ends here."
    )
    assert list_blocks(
        read(make_pdf([(50, 730, 20, "Report"), *text, *rows], rotation=rotation), "application/pdf")
    ) == [
        ("heading", "Report"),
        (
            "paragraph",
            "Some text of the usual size that goes on for a while. And one more line of it, which ends here.",
        ),
        ("table", "cell 00 | cell 01\ncell 10 | cell 11"),
    ]


def test_characters_above_the_bmp_are_read() -> None:
    """A character above U+FFFF is read as one character."""
    to_unicode_map = """/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange
        1 beginbfchar <41> <D835DC65> endbfchar endcmap"""
    assert list_blocks(read(make_pdf(place_lines("A = 5"), to_unicode=to_unicode_map), "application/pdf")) == [
        ("paragraph", "𝑥 = 5")
    ]


def test_every_block_knows_its_page() -> None:
    """Pages are numbered from one, empty pages count, and no paragraph continues on the next page."""
    content = read_pages(place_lines("First page without an end"), [], place_lines("third page."))
    assert [(block.text, block.locator.page) for block in content.blocks] == [
        ("First page without an end", 1),
        ("third page.", 3),
    ]


def test_large_text_is_a_heading() -> None:
    """Larger text is a heading, also of later pages; the largest is of level 1."""
    body_text = place_lines(
        "Some text of the usual size that goes on for a while.",
        "And one more line of it to make it the most common size.",
    )
    content = read_pages([(50, 760, 24, "Report"), (50, 730, 16, "Part one"), *body_text], body_text)
    assert list_blocks(content)[:2] == [("heading", "Report"), ("heading", "Part one")]
    assert {block.locator.headings for block in content.blocks[2:]} == {("Report", "Part one")}


def test_bullets_are_items_and_short_lines_end_paragraphs() -> None:
    """A bullet starts an item; a short line ends its paragraph."""
    content = read_pages(
        place_lines("A line of a text that is rather long, so that it fills", "- one", "- two that", "Short", "Other")
    )
    assert list_blocks(content) == [
        ("paragraph", "A line of a text that is rather long, so that it fills"),
        ("list", "- one"),
        ("list", "- two that"),
        ("paragraph", "Short"),
        ("paragraph", "Other"),
    ]


def test_columns_of_numbers_are_tables() -> None:
    """Pieces on one line with wide gaps are the cells of a row."""
    rows = [("Item", "Price", "Sum"), ("Tea", "2", "4"), ("Milk", "3", "9")]
    placed_texts = [
        (50.0 + 150 * column, 700 - 14.0 * number, 10.0, text)
        for number, cells in enumerate(rows)
        for column, text in enumerate(cells)
    ]
    assert ("table", "Item | Price | Sum\nTea | 2 | 4\nMilk | 3 | 9") in list_blocks(read_pages(placed_texts))


def test_generated_title_is_ignored() -> None:
    """The title of the properties is used, unless it is a file name or generated."""
    assert read_pages(place_lines("text"), title="Annual report 2024").title == "Annual report 2024"
    assert read_pages(place_lines("text"), title="Microsoft Word - x.doc").title is None
    assert read_pages(place_lines("text"), title="scan0001.pdf").title is None
    assert read_pages(place_lines("text")).title is None


def test_pdf_without_text_layer_is_refused() -> None:
    """The error of a scan names the cause and the remedy."""
    with pytest.raises(UnsupportedMediaError, match=r"none of its 2 pages has a text layer.*text recognition"):
        read_pages([], [])


def test_encrypted_pdf_is_refused() -> None:
    """The error names the encryption."""
    key = "00" * 32
    lock = f"/ID [<{'ab' * 16}> <{'ab' * 16}>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>"
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(make_pdf(place_lines("text"), trailer=lock), "application/pdf")


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"not a pdf", make_pdf(place_lines("text"))[:200]])
def test_damaged_pdf_is_refused(data: bytes) -> None:
    """A truncated file, or one that is not a PDF, is an error."""
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        read(data, "application/pdf")


LINES = st.builds(
    Line,
    st.text("ab -.\t•1", min_size=1).filter(lambda text: text.strip() != ""),
    st.floats(0, 500),
    st.floats(0, 800),
    st.floats(0, 600),
    st.floats(1, 40),
)


def test_long_hyphenated_word_takes_linear_time() -> None:
    """A row whose last word continues over 30,000 lines is read in linear time."""
    page = [Line("a\tb-", 50, 0, 300, 10), *(Line("word-", 200, -12 * number, 300, 10) for number in range(30_000))]
    builder = BlockBuilder()
    started = time.process_time()
    add_pages(builder, [page])
    assert time.process_time() - started < 3
    assert sum(block.text.count("word") for block in builder.blocks) == 30_000


@pytest.mark.slow
def test_many_pieces_of_one_line_take_linear_time() -> None:
    """A line of 100,000 pieces is read in linear time as one line."""
    builder = BlockBuilder()
    started = time.process_time()
    add_pages(builder, [[Line("word", 20 * number, 100, 20 * number + 15, 10) for number in range(100_000)]])
    assert time.process_time() - started < 3
    assert [block.text for block in builder.blocks] == [" ".join(["word"] * 100_000)]


@given(st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3).filter(any))
def test_no_letter_of_a_page_is_lost(pages: list[list[Line]]) -> None:
    """All letters of all lines are read, page by page; only hyphens and bullets may be dropped."""
    builder = BlockBuilder()
    add_pages(builder, pages)
    for number, page in enumerate(pages, 1):
        expected_letters = sorted("".join(line.text for line in page if line.text))
        read_letters = sorted("".join(block.text for block in builder.blocks if block.locator.page == number))
        assert [letter for letter in read_letters if letter in "ab1."] == [
            letter for letter in expected_letters if letter in "ab1."
        ]
