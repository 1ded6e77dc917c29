"""Word documents as blocks; made by python-docx, or by hand where it cannot."""

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


def made(fill: Callable[[docx.document.Document], object]) -> ParsedContent:
    """What is read from a document that was filled so."""
    document = docx.Document()
    document.core_properties.title = ""
    fill(document)
    buffer = BytesIO()
    document.save(buffer)
    return read(buffer.getvalue(), DOCX)


def body(xml: str) -> ParsedContent:
    """What is read from a document with this body."""

    def fill(document: docx.document.Document) -> None:
        for element in parse_xml(f"<w:body {W} {M}>{xml}</w:body>"):
            document.element.body.insert_element_before(element, "w:sectPr")

    return made(fill)


def shape(content: ParsedContent) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(block.kind, block.text) for block in content.blocks]


def paragraph(text: str) -> str:
    """A paragraph in Word's XML."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_headings_paragraphs_lists_and_tables_stand_in_their_order() -> None:
    """What a document holds is read in place."""

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

    content = made(fill)
    assert content.title == "Report"
    assert shape(content) == [
        ("heading", "Report"),
        ("heading", "Part"),
        ("paragraph", "Some text. In two lines."),
        ("list", "- one\n- two\n1. first\n2. second"),
        ("table", "A | B\n1 2 | 3"),
        ("heading", "Sub"),
    ]
    assert content.blocks[-1].locator.headings == ("Report", "Part", "Sub")


def test_the_title_is_the_stated_one() -> None:
    """The properties name the document, unless a program wrote them."""

    def fill(title: str) -> Callable[[docx.document.Document], object]:
        def add(document: docx.document.Document) -> None:
            document.core_properties.title = title
            document.add_heading("Heading", 1)

        return add

    assert made(fill("A  good title")).title == "A good title"
    assert made(fill("Microsoft Word - final2.doc")).title == "Heading"
    assert made(fill("final2.docx")).title == "Heading"


def test_merged_cells_are_repeated() -> None:
    """A cell over two columns or two rows stands in each."""

    def fill(document: docx.document.Document) -> None:
        table = document.add_table(3, 3)
        for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
            cell.text = str(number)
        table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
        table.cell(1, 2).merge(table.cell(2, 2)).text = "tall"

    assert shape(made(fill)) == [("table", "wide | wide | 2\n3 | 4 | tall\n6 | 7 | tall")]


def test_a_table_of_one_column_is_read_as_what_is_in_it() -> None:
    """A frame drawn as a table is no table."""

    def fill(document: docx.document.Document) -> None:
        cell = document.add_table(1, 1).cell(0, 0)
        cell.text = "framed"
        cell.add_paragraph("twice")

    assert shape(made(fill)) == [("paragraph", "framed"), ("paragraph", "twice")]


def test_headers_and_footers_are_read_once() -> None:
    """What every page repeats stands once, at the end, under no heading."""

    def fill(document: docx.document.Document) -> None:
        document.add_heading("Head", 1)
        for section in (document.sections[0], document.add_section()):
            section.header.is_linked_to_previous = False
            section.header.paragraphs[0].text = "Confidential"
        document.sections[0].footer.paragraphs[0].text = "Page"

    content = made(fill)
    assert shape(content) == [("heading", "Head"), ("paragraph", "Confidential"), ("paragraph", "Page")]
    assert content.blocks[-1].locator.headings == ()


def test_comments_stand_after_their_paragraph() -> None:
    """A comment is read where it was made, with its author."""

    def fill(document: docx.document.Document) -> None:
        first = document.add_paragraph("Claim.")
        document.add_paragraph("Next.")
        document.add_comment(first.runs, text="Really?", author="Ada", initials="A")

    texts = [block.text for block in made(fill).blocks]
    assert texts[0] == "Claim."
    assert texts[1].startswith("Comment by Ada, 2")
    assert texts[1].endswith(": Really?")
    assert texts[2] == "Next."


def boxed(text: str) -> str:
    """A text box as Word writes it: for itself, and again for programs before it."""
    box = f"<w:txbxContent>{paragraph(text)}</w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    run = f"<w:r><mc:AlternateContent {mc}><mc:Choice><w:drawing>{box}</w:drawing></mc:Choice>"
    return f"{run}<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"


def test_text_boxes_are_read_once() -> None:
    """A text box is read after the paragraph that holds it, not again from its fallback."""
    xml = f"<w:p><w:r><w:t>around</w:t></w:r>{boxed('inside')}</w:p>"
    assert shape(body(xml)) == [("paragraph", "around"), ("paragraph", "inside")]


def test_text_boxes_in_cells_and_margins_are_read_once() -> None:
    """A text box in a table or a header follows what is around it."""

    def fill(document: docx.document.Document) -> None:
        cells = document.add_table(1, 2).rows[0].cells
        cells[0].text = "a"
        header = document.sections[0].header
        for place, text in ((cells[1], "in a cell"), (header, "on each page")):
            place.paragraphs[0].text = "text"
            place.paragraphs[0]._p.append(parse_xml(boxed(text).replace("<w:r>", f"<w:r {W}>", 1)))

    assert shape(made(fill)) == [("table", "a | text in a cell"), ("paragraph", "text on each page")]


def test_deleted_text_and_field_codes_are_left_out() -> None:
    """What a reader of the document does not see is not read; what was inserted is."""
    xml = (
        "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:tab/><w:t>a</w:t><w:noBreakHyphen/><w:t>b</w:t></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('in a control')}</w:sdtContent></w:sdt>"
    )
    assert shape(body(xml)) == [("paragraph", "new a-b"), ("paragraph", "in a control")]


def test_hidden_text_and_deleted_rows_are_left_out() -> None:
    """Text that is set to be hidden, and rows whose deletion is on record, are not there for a reader."""
    runs = "".join(
        f"<w:r><w:rPr><w:vanish{state}/></w:rPr><w:t>{text}</w:t></w:r>"
        for state, text in (("", "hidden"), (' w:val="0"', "seen"))
    )
    rows = "".join(
        f"<w:tr><w:trPr>{mark}</w:trPr><w:tc>{paragraph(text)}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr>"
        for mark, text in (("", "kept"), ("<w:del/>", "deleted"))
    )
    assert shape(body(f"<w:p>{runs}</w:p><w:tbl>{rows}</w:tbl>")) == [("paragraph", "seen"), ("table", "kept | x")]


def test_symbols_are_read_as_they_look() -> None:
    """Letters of a font for symbols become the letters they show, and nothing if that is not known."""
    symbols = (("Symbol", "F061"), ("Symbol", "F0B3"), ("Wingdings", "F0FC"), ("Arial", "2020"), ("Webdings", "F041"))
    runs = "".join(f'<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r>' for font, code in symbols)
    assert shape(body(f"<w:p>{runs}<w:r><w:sym w:char='no'/><w:t>!</w:t></w:r></w:p>")) == [("paragraph", "α≥✓†!")]


def test_check_boxes_show_their_state() -> None:
    """An old form field reads as a box that is ticked or not."""
    state = '<w:ffData><w:checkBox><w:checked w:val="{}"/></w:checkBox></w:ffData>'
    box = f"<w:p><w:r><w:fldChar>{state}</w:fldChar><w:t>x</w:t></w:r></w:p>"
    assert shape(body(box.format(1) + box.format(0))) == [("paragraph", "☒ x"), ("paragraph", "☐ x")]


def test_equations_read_as_typed() -> None:
    """Fractions, powers, roots and sums stand on one line."""

    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    fraction = f"<m:f><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>"
    power = f"<m:sSup><m:e>{run('x')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    root = f"<m:rad><m:deg/><m:e>{power}</m:e></m:rad>"
    sign = '<m:naryPr><m:chr m:val="∑"/></m:naryPr>'
    total = f"<m:nary>{sign}<m:sub>{run('i')}</m:sub><m:sup/><m:e>{run('i')}</m:e></m:nary>"
    xml = f"<w:p><w:r><w:t>so</w:t></w:r><m:oMath>{run('y=')}{fraction}{root}{total}</m:oMath></w:p>"
    assert shape(body(xml)) == [("paragraph", "so y=(a+b)/2√(x^2)∑_(i) i")]


LEVELS = "".join(
    f'<w:lvl w:ilvl="{level}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
    for level, start, form, text in ((0, 3, "upperRoman", "%1."), (1, 1, "lowerLetter", "%1.%2)"))
)


def item(level: int, text: str, number: int = 77) -> str:
    """An item of a list in Word's XML."""
    place = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{place}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def numbered(xml: str) -> list[str]:
    """The texts of a document in which list 78 is list 77 begun anew."""
    restart = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'

    def fill(document: docx.document.Document) -> None:
        numbering = document.part.numbering_part.element
        numbering.insert(0, parse_xml(f'<w:abstractNum {W} w:abstractNumId="77">{LEVELS}</w:abstractNum>'))
        for number, override in ((77, ""), (78, restart)):
            list_xml = f'<w:num {W} w:numId="{number}"><w:abstractNumId w:val="77"/>{override}</w:num>'
            numbering.append(parse_xml(list_xml))
        for element in parse_xml(f"<w:body {W}>{xml}</w:body>"):
            document.element.body.insert_element_before(element, "w:sectPr")

    return [block.text for block in made(fill).blocks]


def test_numbers_are_counted_as_printed() -> None:
    """A list on two levels with letters continues after a paragraph."""
    xml = item(0, "x") + item(1, "y") + item(1, "z") + paragraph("between") + item(0, "w")
    assert numbered(xml) == ["III. x\n  III.a) y\n  III.b) z", "between", "IV. w"]


def test_a_list_that_is_begun_anew_counts_anew() -> None:
    """A list that restarts another does so with its first item, and goes on from there."""
    xml = item(0, "x") + paragraph("between") + item(0, "y", 78) + paragraph("between") + item(0, "z", 78)
    assert numbered(xml) == ["III. x", "between", "I. y", "between", "II. z"]


def test_code_styles_make_code() -> None:
    """Lines in a style for code are one block with their white space; a source that is cited is no code."""

    def fill(document: docx.document.Document) -> None:
        document.styles.add_style("Source Code", 1)
        for text in ("if x:", "    y()"):
            document.add_paragraph(text, style="Source Code")
        document.styles.add_style("Data Source", 1)
        document.add_paragraph("From a yearbook.", style="Data Source")

    assert shape(made(fill)) == [("code", "if x:\n    y()"), ("paragraph", "From a yearbook.")]


def test_a_damaged_document_is_refused() -> None:
    """A document cut in half, without its main part, or under a password is an error with its reason."""
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
