"""PDF files as blocks; written by hand here, so that every line stands where the test says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read
from semsearch.ingest.readers.block_builder import BlockBuilder
from semsearch.ingest.readers.pdf.layout import Line, add_pages

Placed = tuple[float, float, float, str]
"""Left, bottom, size, text."""
TURNED = {0: "1 0 0 1 0 0", 90: "0 1 -1 0 800 0", 180: "-1 0 0 -1 600 800", 270: "0 -1 1 0 0 600"}
"""Degrees by which a page is shown turned, and how its text must run to be seen upright."""


def pdf(*pages: list[Placed], title: str = "", trailer: str = "", turned: int = 0, letters: str = "") -> bytes:
    """A PDF with these lines in Helvetica, upright on a page that is turned; `letters` says what some stand for."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding"
        f" /ToUnicode {4 + 2 * len(pages)} 0 R >>",
    ]
    for number, placed in enumerate(pages):
        drawn = "\n".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, size, text in placed)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 800 800] /Rotate {turned} /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        drawn = f"{TURNED[turned]} cm\n{drawn}"
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    objects.append(f"<< /Length {len(letters)} >>\nstream\n{letters}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    out, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R {trailer} >>"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}\nstartxref\n{len(out)}\n%%EOF".encode()


def prose(*lines: str, top: float = 700, left: float = 50) -> list[Placed]:
    """Lines of a paragraph, one below the other."""
    return [(left, top - 12 * number, 10, text) for number, text in enumerate(lines)]


def content_of(*pages: list[Placed], title: str = "") -> ParsedContent:
    """What is read from these pages."""
    return read(pdf(*pages, title=title), "application/pdf")


def shape(content: ParsedContent) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(block.kind, block.text) for block in content.blocks]


def test_lines_are_joined_to_paragraphs() -> None:
    """Lines of a paragraph become one, words cut at a line's end are whole again, a wider step starts another."""
    first = prose(
        "This paragraph has some long enough lines and an inter-",
        "national word in it, which is cut, and it ends.",
    )
    second = prose(
        "Another paragraph begins here, after a gap that is wider", "than the others on the page, you see.", top=650
    )
    assert shape(content_of(first + second)) == [
        (
            "paragraph",
            "This paragraph has some long enough lines and an international word in it, which is cut, and it ends.",
        ),
        ("paragraph", "Another paragraph begins here, after a gap that is wider than the others on the page, you see."),
    ]


@pytest.mark.parametrize(
    ("above", "below", "whole"),
    [
        ("The COVID-", "19 wave", "The COVID-19 wave"),
        ("He met Jean-", "Pierre", "He met Jean-Pierre"),
        ("state-of-the-", "art work", "state-of-the-art work"),
        ("pages 10-", "20 are", "pages 10-20 are"),
        ("inter-", "national", "international"),
        ("a range 5 -", "6", "a range 5 - 6"),
    ],
)
def test_a_hyphen_that_belongs_to_a_word_stays(above: str, below: str, whole: str) -> None:
    """Only a hyphen that cuts a plain word in two is taken out at the end of a line."""
    assert shape(content_of(prose(above, below))) == [("paragraph", whole)]


def test_a_word_cut_in_a_cell_is_whole_again() -> None:
    """What stands below the end of a row and goes on with its last word belongs to that row."""
    cells: list[Placed] = [
        (50, 700, 10, "Item"),
        (200, 700, 10, "Scope"),
        (50, 686, 10, "Tea"),
        (200, 686, 10, "inter-"),
    ]
    cells += [(200, 672, 10, "national"), (50, 658, 10, "Milk"), (200, 658, 10, "local")]
    assert shape(content_of(cells)) == [("table", "Item | Scope\nTea | international\nMilk | local")]


@pytest.mark.parametrize("turned", TURNED)
def test_a_turned_page_has_its_headings_and_tables(turned: int) -> None:
    """A page in landscape, whose text runs upwards or downwards, is read as if it stood upright."""
    rows = [(50.0 + 150 * column, 500 - 14.0 * row, 10.0, f"cell {row}{column}") for row in (0, 1) for column in (0, 1)]
    text = prose("Some text of the usual size that goes on for a while.", "And one more line of it, which ends here.")
    assert shape(read(pdf([(50, 730, 20, "Report"), *text, *rows], turned=turned), "application/pdf")) == [
        ("heading", "Report"),
        (
            "paragraph",
            "Some text of the usual size that goes on for a while. And one more line of it, which ends here.",
        ),
        ("table", "cell 00 | cell 01\ncell 10 | cell 11"),
    ]


def test_letters_of_mathematics_are_whole() -> None:
    """A letter beyond U+FFFF is read as one."""
    letters = """/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange
        1 beginbfchar <41> <D835DC65> endbfchar endcmap"""
    assert shape(read(pdf(prose("A = 5"), letters=letters), "application/pdf")) == [("paragraph", "𝑥 = 5")]


def test_every_block_knows_its_page() -> None:
    """Pages are counted from one, an empty one too, and no paragraph runs over."""
    content = content_of(prose("First page without an end"), [], prose("third page."))
    assert [(block.text, block.locator.page) for block in content.blocks] == [
        ("First page without an end", 1),
        ("third page.", 3),
    ]


def test_large_letters_make_headings() -> None:
    """Larger letters head what follows, over the pages; the largest are the first level."""
    long = prose(
        "Some text of the usual size that goes on for a while.",
        "And one more line of it to make it the most common size.",
    )
    content = content_of([(50, 760, 24, "Report"), (50, 730, 16, "Part one"), *long], long)
    assert shape(content)[:2] == [("heading", "Report"), ("heading", "Part one")]
    assert {block.locator.headings for block in content.blocks[2:]} == {("Report", "Part one")}


def test_bullets_are_items_and_short_lines_stay_apart() -> None:
    """A bullet starts an item; a line much shorter than the others ends its paragraph."""
    content = content_of(
        prose("A line of a text that is rather long, so that it fills", "- one", "- two that", "Short", "Other")
    )
    assert shape(content) == [
        ("paragraph", "A line of a text that is rather long, so that it fills"),
        ("list", "- one"),
        ("list", "- two that"),
        ("paragraph", "Short"),
        ("paragraph", "Other"),
    ]


def test_columns_of_numbers_are_tables() -> None:
    """Pieces on one line with wide gaps between them are the cells of a row."""
    rows = [("Item", "Price", "Sum"), ("Tea", "2", "4"), ("Milk", "3", "9")]
    placed = [
        (50.0 + 150 * column, 700 - 14.0 * number, 10.0, text)
        for number, cells in enumerate(rows)
        for column, text in enumerate(cells)
    ]
    assert ("table", "Item | Price | Sum\nTea | 2 | 4\nMilk | 3 | 9") in shape(content_of(placed))


def test_the_title_is_one_that_a_person_wrote() -> None:
    """A sensible title in the properties is taken, a file name is not."""
    assert content_of(prose("text"), title="Annual report 2024").title == "Annual report 2024"
    assert content_of(prose("text"), title="Microsoft Word - x.doc").title is None
    assert content_of(prose("text"), title="scan0001.pdf").title is None
    assert content_of(prose("text")).title is None


def test_a_pdf_without_text_layer_is_refused() -> None:
    """A scan is named as what it is, with the way out."""
    with pytest.raises(UnsupportedMediaError, match=r"none of its 2 pages has a text layer.*text recognition"):
        content_of([], [])


def test_an_encrypted_pdf_is_refused() -> None:
    """A password is named as the reason."""
    key = "00" * 32
    lock = f"/ID [<{'ab' * 16}> <{'ab' * 16}>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >>"
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(pdf(prose("text"), trailer=lock), "application/pdf")


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"not a pdf", pdf(prose("text"))[:200]])
def test_a_damaged_pdf_is_refused(data: bytes) -> None:
    """A file that is cut off, or no PDF, is an error."""
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


def test_a_word_that_is_cut_without_end_takes_no_time() -> None:
    """A row whose last word goes on over all lines of a page is read in a moment."""
    page = [Line("a\tb-", 50, 0, 300, 10), *(Line("word-", 200, -12 * number, 300, 10) for number in range(30_000))]
    outline = BlockBuilder()
    before = time.process_time()
    add_pages(outline, [page])
    assert time.process_time() - before < 3
    assert sum(block.text.count("word") for block in outline.blocks) == 30_000


@pytest.mark.slow
def test_pieces_of_one_line_take_no_time() -> None:
    """A line that was written in 100,000 pieces is read in a moment, and is one."""
    outline = BlockBuilder()
    before = time.process_time()
    add_pages(outline, [[Line("word", 20 * number, 100, 20 * number + 15, 10) for number in range(100_000)]])
    assert time.process_time() - before < 3
    assert [block.text for block in outline.blocks] == [" ".join(["word"] * 100_000)]


@given(st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3).filter(any))
def test_no_letter_of_a_page_is_lost(pages: list[list[Line]]) -> None:
    """Wherever lines stand, all their letters come out, page by page; only hyphens and bullets may go."""
    outline = BlockBuilder()
    add_pages(outline, pages)
    for number, page in enumerate(pages, 1):
        given_letters = sorted("".join(line.text for line in page if line.text))
        found = sorted("".join(block.text for block in outline.blocks if block.locator.page == number))
        assert [x for x in found if x in "ab1."] == [x for x in given_letters if x in "ab1."]
