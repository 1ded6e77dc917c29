"""The Word reader; documents are made with python-docx, or as XML where it cannot."""

import zipfile
from collections.abc import Callable
from io import BytesIO

import docx
import pytest
from docx.oxml import parse_xml

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def read_document(fill: Callable[[docx.document.Document], object]) -> ParsedContent:
    """Return the content of a document that `fill` has filled."""
    document = docx.Document()
    document.core_properties.title = ""
    fill(document)
    buffer = BytesIO()
    document.save(buffer)
    return read(buffer.getvalue(), DOCX)


def read_body(xml: str) -> ParsedContent:
    """Return the content of a document with this body XML."""

    def fill(document: docx.document.Document) -> None:
        for element in parse_xml(f"<w:body {W} {M}>{xml}</w:body>"):
            document.element.body.insert_element_before(element, "w:sectPr")

    return read_document(fill)


def list_blocks(content: ParsedContent) -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in content.blocks]


def make_paragraph(text: str) -> str:
    """Return a paragraph in Word's XML."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_headings_paragraphs_lists_and_tables_are_read_in_order() -> None:
    """Headings, paragraphs, lists and tables are read in document order."""

    def fill(document: docx.document.Document) -> None:
        document.add_heading("Report", 0)
        document.add_heading("Part", 1)
        document.add_paragraph("Some text.\nIn two lines.")
        for text in ("one", "two"):
            document.add_paragraph(text, style="List Bullet")
        for text in ("first", "second"):
            document.add_paragraph(text, style="List Number")
        table = document.add_table(2, 2)
        for cell, text in zip((cell for row in table.rows for cell in row.cells), ("A", "B", "1\n2", "3"), strict=True):
            cell.text = text
        document.add_heading("Sub", 2)

    content = read_document(fill)
    assert content.title == "Report"
    assert list_blocks(content) == [
        ("heading", "Report"),
        ("heading", "Part"),
        ("paragraph", "Some text. In two lines."),
        ("list", "- one\n- two\n1. first\n2. second"),
        ("table", "A | B\n1 2 | 3"),
        ("heading", "Sub"),
    ]
    assert content.blocks[-1].locator.headings == ("Report", "Part", "Sub")


def test_title_is_that_of_the_properties() -> None:
    """The title of the properties is used, unless a program generated it."""

    def fill(title: str) -> Callable[[docx.document.Document], object]:
        def add(document: docx.document.Document) -> None:
            document.core_properties.title = title
            document.add_heading("Heading", 1)

        return add

    assert read_document(fill("A  good title")).title == "A good title"
    assert read_document(fill("Microsoft Word - final2.doc")).title == "Heading"
    assert read_document(fill("final2.docx")).title == "Heading"


def test_merged_cells_are_repeated() -> None:
    """A merged cell is repeated in each column and row that it spans."""

    def fill(document: docx.document.Document) -> None:
        table = document.add_table(3, 3)
        for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
            cell.text = str(number)
        table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
        table.cell(1, 2).merge(table.cell(2, 2)).text = "tall"

    assert list_blocks(read_document(fill)) == [("table", "wide | wide | 2\n3 | 4 | tall\n6 | 7 | tall")]


def test_table_of_one_column_is_read_as_paragraphs() -> None:
    """A table with a single column is a frame, and its paragraphs are read as such."""

    def fill(document: docx.document.Document) -> None:
        cell = document.add_table(1, 1).cell(0, 0)
        cell.text = "framed"
        cell.add_paragraph("twice")

    assert list_blocks(read_document(fill)) == [("paragraph", "framed"), ("paragraph", "twice")]


def test_headers_and_footers_are_read_once() -> None:
    """Headers and footers are read once, at the end, without headings."""

    def fill(document: docx.document.Document) -> None:
        document.add_heading("Head", 1)
        for section in (document.sections[0], document.add_section()):
            section.header.is_linked_to_previous = False
            section.header.paragraphs[0].text = "Confidential"
        document.sections[0].footer.paragraphs[0].text = "Page"

    content = read_document(fill)
    assert list_blocks(content) == [("heading", "Head"), ("paragraph", "Confidential"), ("paragraph", "Page")]
    assert content.blocks[-1].locator.headings == ()


def test_comments_follow_their_paragraph() -> None:
    """A comment follows its paragraph, with its author."""

    def fill(document: docx.document.Document) -> None:
        first = document.add_paragraph("Claim.")
        document.add_paragraph("Next.")
        document.add_comment(first.runs, text="Really?", author="Ada", initials="A")

    texts = [block.text for block in read_document(fill).blocks]
    assert texts[0] == "Claim."
    assert texts[1].startswith("Comment by Ada, 2")
    assert texts[1].endswith(": Really?")
    assert texts[2] == "Next."


def make_text_box(text: str) -> str:
    """Return a text box as Word writes it: in the current form, and as a fallback for older programs."""
    content = f"<w:txbxContent>{make_paragraph(text)}</w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    run = f"<w:r><mc:AlternateContent {mc}><mc:Choice><w:drawing>{content}</w:drawing></mc:Choice>"
    return f"{run}<mc:Fallback><w:pict>{content}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"


def test_text_boxes_are_read_once() -> None:
    """A text box follows the paragraph that contains it, and its fallback is skipped."""
    xml = f"<w:p><w:r><w:t>around</w:t></w:r>{make_text_box('inside')}</w:p>"
    assert list_blocks(read_body(xml)) == [("paragraph", "around"), ("paragraph", "inside")]


def test_text_boxes_in_cells_and_headers_are_read_once() -> None:
    """A text box in a table cell or a header follows the text around it."""

    def fill(document: docx.document.Document) -> None:
        cells = document.add_table(1, 2).rows[0].cells
        cells[0].text = "a"
        header = document.sections[0].header
        for container, text in ((cells[1], "in a cell"), (header, "on each page")):
            container.paragraphs[0].text = "text"
            container.paragraphs[0]._p.append(parse_xml(make_text_box(text).replace("<w:r>", f"<w:r {W}>", 1)))

    assert list_blocks(read_document(fill)) == [("table", "a | text in a cell"), ("paragraph", "text on each page")]


def test_deleted_text_and_field_codes_are_skipped() -> None:
    """Deleted text and field codes are skipped; inserted text is read."""
    xml = (
        "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:tab/><w:t>a</w:t><w:noBreakHyphen/><w:t>b</w:t></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{make_paragraph('in a control')}</w:sdtContent></w:sdt>"
    )
    assert list_blocks(read_body(xml)) == [("paragraph", "new a-b"), ("paragraph", "in a control")]


def test_hidden_text_and_deleted_rows_are_skipped() -> None:
    """Hidden text and rows with a tracked deletion are skipped."""
    runs = "".join(
        f"<w:r><w:rPr><w:vanish{state}/></w:rPr><w:t>{text}</w:t></w:r>"
        for state, text in (("", "hidden"), (' w:val="0"', "seen"))
    )
    rows = "".join(
        f"<w:tr><w:trPr>{row_property}</w:trPr><w:tc>{make_paragraph(text)}</w:tc><w:tc>{make_paragraph('x')}</w:tc></w:tr>"
        for row_property, text in (("", "kept"), ("<w:del/>", "deleted"))
    )
    assert list_blocks(read_body(f"<w:p>{runs}</w:p><w:tbl>{rows}</w:tbl>")) == [
        ("paragraph", "seen"),
        ("table", "kept | x"),
    ]


def test_symbols_become_unicode_characters() -> None:
    """Characters of symbol fonts become Unicode characters; unknown ones are dropped."""
    font_codes = (
        ("Symbol", "F061"),
        ("Symbol", "F0B3"),
        ("Wingdings", "F0FC"),
        ("Arial", "2020"),
        ("Webdings", "F041"),
    )
    runs = "".join(f'<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r>' for font, code in font_codes)
    assert list_blocks(read_body(f"<w:p>{runs}<w:r><w:sym w:char='no'/><w:t>!</w:t></w:r></w:p>")) == [
        ("paragraph", "α≥✓†!")
    ]


def test_check_boxes_show_their_state() -> None:
    """A legacy check box is read as a checked or unchecked box."""
    state = '<w:ffData><w:checkBox><w:checked w:val="{}"/></w:checkBox></w:ffData>'
    paragraph_xml = f"<w:p><w:r><w:fldChar>{state}</w:fldChar><w:t>x</w:t></w:r></w:p>"
    assert list_blocks(read_body(paragraph_xml.format(1) + paragraph_xml.format(0))) == [
        ("paragraph", "☒ x"),
        ("paragraph", "☐ x"),
    ]


def test_equations_are_read_on_one_line() -> None:
    """Fractions, powers, roots and sums are written on one line."""

    def make_run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    fraction = f"<m:f><m:num>{make_run('a+b')}</m:num><m:den>{make_run('2')}</m:den></m:f>"
    power = f"<m:sSup><m:e>{make_run('x')}</m:e><m:sup>{make_run('2')}</m:sup></m:sSup>"
    root = f"<m:rad><m:deg/><m:e>{power}</m:e></m:rad>"
    sign = '<m:naryPr><m:chr m:val="∑"/></m:naryPr>'
    total = f"<m:nary>{sign}<m:sub>{make_run('i')}</m:sub><m:sup/><m:e>{make_run('i')}</m:e></m:nary>"
    xml = f"<w:p><w:r><w:t>so</w:t></w:r><m:oMath>{make_run('y=')}{fraction}{root}{total}</m:oMath></w:p>"
    assert list_blocks(read_body(xml)) == [("paragraph", "so y=(a+b)/2√(x^2)∑_(i) i")]


LEVELS = "".join(
    f'<w:lvl w:ilvl="{level}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
    for level, start, form, text in ((0, 3, "upperRoman", "%1."), (1, 1, "lowerLetter", "%1.%2)"))
)


def make_item(level: int, text: str, number: int = 77) -> str:
    """Return a list item in Word's XML."""
    properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def read_numbered(xml: str) -> list[str]:
    """Return the texts of a document in which list 78 restarts list 77."""
    restart = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'

    def fill(document: docx.document.Document) -> None:
        numbering = document.part.numbering_part.element
        numbering.insert(0, parse_xml(f'<w:abstractNum {W} w:abstractNumId="77">{LEVELS}</w:abstractNum>'))
        for number, override in ((77, ""), (78, restart)):
            list_xml = f'<w:num {W} w:numId="{number}"><w:abstractNumId w:val="77"/>{override}</w:num>'
            numbering.append(parse_xml(list_xml))
        for element in parse_xml(f"<w:body {W}>{xml}</w:body>"):
            document.element.body.insert_element_before(element, "w:sectPr")

    return [block.text for block in read_document(fill).blocks]


def test_list_numbers_are_those_that_word_prints() -> None:
    """A list of two levels continues its numbers after a paragraph."""
    xml = make_item(0, "x") + make_item(1, "y") + make_item(1, "z") + make_paragraph("between") + make_item(0, "w")
    assert read_numbered(xml) == ["III. x\n  III.a) y\n  III.b) z", "between", "IV. w"]


def test_restarted_list_counts_from_its_start() -> None:
    """A list that restarts another does so at its first item, and continues from there."""
    xml = (
        make_item(0, "x")
        + make_paragraph("between")
        + make_item(0, "y", 78)
        + make_paragraph("between")
        + make_item(0, "z", 78)
    )
    assert read_numbered(xml) == ["III. x", "between", "I. y", "between", "II. z"]


def test_code_styles_become_code_blocks() -> None:
    """Lines in a code style are one block with their white space; the style of a cited source is not a code style."""

    def fill(document: docx.document.Document) -> None:
        document.styles.add_style("Source Code", 1)
        for text in ("if x:", "    y()"):
            document.add_paragraph(text, style="Source Code")
        document.styles.add_style("Data Source", 1)
        document.add_paragraph("From a yearbook.", style="Data Source")

    assert list_blocks(read_document(fill)) == [("code", "if x:\n    y()"), ("paragraph", "From a yearbook.")]


def test_damaged_document_is_refused() -> None:
    """A truncated document, one without its main part or one with a password is an error with the reason."""
    document = docx.Document()
    document.add_paragraph("text " * 1000)
    buffer = BytesIO()
    document.save(buffer)
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        read(buffer.getvalue()[: len(buffer.getvalue()) // 2], DOCX)
    with pytest.raises(UnsupportedMediaError, match="password"):
        read(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1000), DOCX)
    empty = BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        read(empty.getvalue(), DOCX)
