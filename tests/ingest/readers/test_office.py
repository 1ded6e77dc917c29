"""The readers of presentations, workbooks and OpenDocument files."""

import zipfile
from datetime import date, datetime
from io import BytesIO

import openpyxl
import pptx
import pytest
from openpyxl.comments import Comment
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read

PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODF = "application/vnd.oasis.opendocument"


def list_blocks(content: ParsedContent) -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in content.blocks]


def make_presentation() -> bytes:
    """Return a presentation of two slides with a list, a table, a group, a chart and notes."""
    deck = pptx.Presentation()
    deck.core_properties.title = "PowerPoint Presentation"
    first_slide = deck.slides.add_slide(deck.slide_layouts[1])
    body = first_slide.placeholders[1].text_frame
    body.text = "one"
    second_paragraph = body.add_paragraph()
    second_paragraph.text, second_paragraph.level = "two", 1
    first_slide.shapes.title.text = "Top\vline"
    table = first_slide.shapes.add_table(2, 2, 0, 0, 9, 9).table
    for row, column, text in ((0, 0, "wide"), (1, 0, "1"), (1, 1, "2")):
        table.cell(row, column).text = text
    table.cell(0, 0).merge(table.cell(0, 1))
    first_slide.notes_slide.notes_text_frame.text = "Say\nthis."
    second_slide = deck.slides.add_slide(deck.slide_layouts[6])
    second_slide.shapes.add_group_shape().shapes.add_textbox(0, 0, 9, 9).text_frame.text = "in a group"
    data = CategoryChartData()  # type: ignore[no-untyped-call]  # python-pptx has types in part
    data.categories = ["2023", "2024"]
    data.add_series("Ducks", (3, 5))  # type: ignore[no-untyped-call]
    second_slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, 9, 9, data)
    buffer = BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def test_slides_are_pages_with_their_titles_as_headings() -> None:
    """A slide's title is its heading; lists, tables, groups, charts and notes are read with the slide number."""
    content = read(make_presentation(), PPTX)
    assert content.title == "Top line"
    assert list_blocks(content) == [
        ("heading", "Top line"),
        ("list", "- one\n  - two"),
        ("table", "wide | wide\n1 | 2"),
        ("paragraph", "Notes: Say this."),
        ("paragraph", "in a group"),
        ("table", "| Ducks\n2023 | 3\n2024 | 5"),
    ]
    assert [block.locator.page for block in content.blocks] == [1, 1, 1, 1, 2, 2]
    assert content.blocks[-1].locator.headings == ()


def make_workbook(**sheets: list[list[object]]) -> bytes:
    """Return a workbook with these rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def replace_in_sheet(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return the workbook with a replacement in the XML of its first sheet."""
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            target.writestr(name, part.replace(old, new) if "sheet1" in name else part)
    return buffer.getvalue()


def test_sheet_is_read_as_tables() -> None:
    """Values are formatted as in their cells; a sheet name is a heading; tables have sheet and row numbers."""
    rows: list[list[object]] = [
        ["Day", "Amount", "Paid"],
        [date(2024, 1, 2), 3.0, True],
        [datetime(2024, 1, 2, 3, 4), 0.25, "a\nb"],
    ]
    content = read(make_workbook(Costs=rows, Sheet1=[["x", 1], ["y", 2]]), XLSX)
    assert list_blocks(content) == [
        ("heading", "Costs"),
        ("table", "Day | Amount | Paid\n2024-01-02 | 3 | TRUE\n2024-01-02 03:04:00 | 0.25 | a b"),
        ("table", "x | 1\ny | 2"),
    ]
    assert (content.blocks[1].locator.sheet, content.blocks[1].locator.lines) == ("Costs", (1, 3))
    assert (content.blocks[2].locator.sheet, content.blocks[2].locator.headings) == ("Sheet1", ())


def test_empty_rows_separate_tables() -> None:
    """A single cell is a paragraph, a header starts a table, and a row with numbers continues the table."""
    rows: list[list[object]] = [
        ["Title"],
        [],
        [None, "Name", "Age"],
        [None, "Ada", 36],
        [],
        [None, "Bob", 5],
        [],
        ["City", "Land"],
        ["Rom", "Italy"],
    ]
    content = read(make_workbook(Sheet=rows), XLSX)
    assert [(block.kind, block.text, block.locator.lines) for block in content.blocks] == [
        ("paragraph", "Title", (1, 1)),
        ("table", "Name | Age\nAda | 36\nBob | 5", (3, 6)),
        ("table", "City | Land\nRom | Italy", (8, 9)),
    ]


def test_comment_follows_the_text_of_its_cell() -> None:
    """A comment follows the text of its cell, or ends the row if the row has no such cell."""
    book = openpyxl.Workbook()
    for row in (["Name", "Sum"], ["Ada", 3]):
        book.active.append(row)
    book.active["B2"].comment = Comment("Checked\nby Bob", "Bob")
    threaded = "[Threaded comment]\n\nYour version of Excel allows you to read it.\n\nComment:\n    Why?"
    book.active["D1"].comment = Comment(threaded, "Ada")
    buffer = BytesIO()
    book.save(buffer)
    table = "Name | Sum |  | [Comment: Why?]\nAda | 3 [Comment: Checked by Bob]"
    assert list_blocks(read(buffer.getvalue(), XLSX)) == [("table", table)]


def test_numbers_have_no_rounding_errors() -> None:
    """Rounding errors of binary fractions are not shown."""
    data = replace_in_sheet(
        make_workbook(Sheet=[["Sum", "x"], [123456789, 1e20]]), b"123456789", b"0.30000000000000004"
    )
    assert list_blocks(read(data, XLSX)) == [("table", "Sum | x\n0.3 | 1e+20")]


def test_formula_without_value_is_read() -> None:
    """In a workbook that no spreadsheet program has saved, formulas without values are read as text."""
    content = read(make_workbook(Sheet=[["Sum", "x"], ["=1+ 1", 2]]), XLSX)
    assert list_blocks(content) == [("table", "Sum | x\n=1+ 1 | 2")]


def test_damaged_office_files_are_refused() -> None:
    """A truncated file, or one with a damaged part, is an error."""
    for data, media_type in ((make_workbook(A=[["x" * 99, 1]] * 99), XLSX), (make_presentation(), PPTX)):
        with pytest.raises(UnsupportedMediaError, match="damaged"):
            read(data[: len(data) // 2], media_type)
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        read(replace_in_sheet(make_workbook(A=[["x", 1]]), b"<worksheet", b"<rubbish"), XLSX)


NAMESPACES = "".join(
    f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0"'
    for name, uri in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("style", "style"),
        ("presentation", "presentation"),
    )
)


def make_odf(body: str, styles: str = "", **members: str) -> bytes:
    """Return an OpenDocument file with this body."""
    content = (
        f"<office:document-content{NAMESPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document-content>"
    )
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {"content.xml": content, **members}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_open_document_text_is_read_in_order() -> None:
    """Headings, white space, numbered lists, tables with spans and notes are read in order."""
    level = '<text:list-level-style-number text:level="1" style:num-format="1"/>'
    styles = f'<text:list-style style:name="N">{level}</text:list-style>'
    body = """<office:text><text:h text:outline-level="1">Top</text:h>
      <text:p>a<text:s text:c="3"/>b<text:span>c<text:tab/>d</text:span><text:note>
      <text:note-citation>1</text:note-citation><text:note-body><text:p>noted</text:p></text:note-body></text:note></text:p>
      <text:list text:style-name="N"><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>in</text:p>
      </text:list-item></text:list></text:list-item><text:list-item><text:p>two</text:p></text:list-item></text:list>
      <table:table><table:table-row>
      <table:table-cell table:number-columns-spanned="2"><text:p>w</text:p></table:table-cell>
      <table:covered-table-cell/></table:table-row><table:table-row><table:table-cell><text:p>1</text:p></table:table-cell>
      <table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table></office:text>"""
    content = read(make_odf(body, styles), f"{ODF}.text")
    assert content.title == "Top"
    assert list_blocks(content) == [
        ("heading", "Top"),
        ("paragraph", "a bc d"),
        ("paragraph", "Footnote: noted"),
        ("list", "1. one\n  - in\n2. two"),
        ("table", "w | w\n1 | 2"),
    ]


def make_footnote(text: str) -> str:
    """Return a footnote in OpenDocument XML."""
    return f"<text:note><text:note-body><text:p>{text}</text:p></text:note-body></text:note>"


def test_attached_elements_of_an_open_document_are_read_once() -> None:
    """Notes, text boxes, shapes and tables follow the heading, item or box that contains them."""
    row = "<table:table-row><table:table-cell><text:p>c</text:p></table:table-cell></table:table-row>"

    def box(text: str) -> str:
        return f"<draw:frame><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"

    body = f"""<office:text><text:h text:outline-level="1">Head{make_footnote("n1")}</text:h><text:list><text:list-item>
      <text:p>item{make_footnote("n2")}</text:p><table:table>{row}</table:table></text:list-item><text:list-item><text:p>next</text:p>
      </text:list-item></text:list><text:p>out{box(f"box{make_footnote('n3')}{box('inner')}")}</text:p>
      <text:p>y<draw:custom-shape><text:p>shape</text:p></draw:custom-shape>z</text:p></office:text>"""
    assert list_blocks(read(make_odf(body), f"{ODF}.text")) == [
        ("heading", "Head"),
        ("paragraph", "Footnote: n1"),
        ("list", "- item"),
        ("paragraph", "Footnote: n2"),
        ("table", "c"),
        ("list", "- next"),
        ("paragraph", "out"),
        ("paragraph", "box"),
        ("paragraph", "Footnote: n3"),
        ("paragraph", "inner"),
        ("paragraph", "yz"),
        ("paragraph", "shape"),
    ]


def test_list_numbers_of_an_open_document_continue() -> None:
    """A list that continues another one, or an item with a start value, has the number that is shown."""
    style = (
        '<text:list-style style:name="N"><text:list-level-style-number text:level="1" style:num-format="1"/>'
        "</text:list-style>"
    )
    list_start, continues, restarts = (
        '<text:list text:style-name="N"',
        ' text:continue-numbering="true"',
        ' text:start-value="7"',
    )
    item = "<text:list-item{}><text:p>x</text:p></text:list-item>"
    body = (
        f"<office:text>{list_start}>{item.format('')}{item.format('')}</text:list><text:p>y</text:p>"
        f"{list_start}{continues}>{item.format('')}{item.format(restarts)}{item.format('')}</text:list>"
        f"{list_start}>{item.format('')}</text:list></office:text>"
    )
    texts = [text for kind, text in list_blocks(read(make_odf(body, style), f"{ODF}.text")) if kind == "list"]
    assert texts == ["1. x\n2. x", "3. x\n7. x\n8. x", "1. x"]


def test_open_document_item_continues_after_a_nested_list() -> None:
    """Text after a nested list belongs to the outer item and follows the nested items."""
    nested = "<text:list><text:list-item><text:p>b</text:p></text:list-item></text:list>"
    item = f"<text:list-item><text:p>a</text:p>{nested}<text:p>more of a</text:p></text:list-item>"
    body = f"<office:text><text:list>{item}</text:list></office:text>"
    assert list_blocks(read(make_odf(body), f"{ODF}.text")) == [("list", "- a\n  - b\n  more of a")]


def test_text_boxes_on_sheets_are_read() -> None:
    """Text boxes on a sheet follow its rows; their fallbacks are skipped."""
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/"
    box = "<d:sp><d:txBody><a:p><a:r><a:t>Not </a:t></a:r><a:r><a:t>final.</a:t></a:r></a:p></d:txBody></d:sp>"
    namespace = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    buffer = BytesIO(make_workbook(Sheet1=[["a", "b"]]))
    with zipfile.ZipFile(buffer, "a") as archive:
        relation = f'<Relationship Id="r1" Type="{namespace}/drawing" Target="../drawings/drawing1.xml"/>'
        archive.writestr("xl/worksheets/_rels/sheet1.xml.rels", f"<Relationships>{relation}</Relationships>")
        archive.writestr(
            "xl/drawings/drawing1.xml",
            f'<d:wsDr xmlns:d="{drawing}spreadsheetDrawing" xmlns:a="{drawing}main">'
            f"{box}<Fallback>{box}</Fallback></d:wsDr>",
        )
    assert list_blocks(read(buffer.getvalue(), XLSX)) == [("table", "a | b"), ("paragraph", "Not final.")]
    frame = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    cell = f"<table:table-cell>{frame.format('In a cell.')}<text:p>a</text:p></table:table-cell>"
    shapes = f"<table:shapes>{frame.format('Floating.')}</table:shapes>"
    table = f'<table:table table:name="Sheet1">{shapes}<table:table-row>{cell}</table:table-row></table:table>'
    content = read(make_odf(f"<office:spreadsheet>{table}</office:spreadsheet>"), f"{ODF}.spreadsheet")
    assert list_blocks(content) == [("paragraph", text) for text in ("a", "Floating.", "In a cell.")]
    assert {block.locator.sheet for block in content.blocks} == {"Sheet1"}


def test_open_document_comment_follows_the_text_of_its_cell() -> None:
    """A comment follows the text of its cell."""
    note = "<office:annotation><text:p>really</text:p><text:p>so?</text:p></office:annotation>"
    row = f"<table:table-cell>{note}<text:p>a</text:p></table:table-cell><table:table-cell>{note}</table:table-cell>"
    table = f'<table:table table:name="Sheet1"><table:table-row>{row}</table:table-row></table:table>'
    content = read(make_odf(f"<office:spreadsheet>{table}</office:spreadsheet>"), f"{ODF}.spreadsheet")
    assert list_blocks(content) == [("table", "a [Comment: really so?] | [Comment: really so?]")]


def test_repeated_empty_cells_of_an_open_document_sheet_are_dropped() -> None:
    """Empty cells and rows that are repeated to the end of the sheet are dropped."""
    body = """<office:spreadsheet><table:table table:name="Data"><table:table-row><table:table-cell><text:p>a</text:p>
      </table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>b</text:p></table:table-cell>
      <table:table-cell table:number-columns-repeated="16381"/></table:table-row>
      <table:table-row table:number-rows-repeated="1048575"><table:table-cell table:number-columns-repeated="16384"/>
      </table:table-row></table:table></office:spreadsheet>"""
    content = read(make_odf(body), f"{ODF}.spreadsheet")
    assert list_blocks(content) == [("heading", "Data"), ("table", "a | b | b")]
    assert content.blocks[1].locator.lines == (1, 1)


def test_open_document_presentation_has_pages() -> None:
    """Slides are pages with their titles as headings and their notes."""
    body = """<office:presentation><draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>One</text:p>
      </draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>text</text:p></draw:text-box></draw:frame>
      <presentation:notes><draw:frame><draw:text-box><text:p>say</text:p></draw:text-box></draw:frame></presentation:notes>
      </draw:page><draw:page><draw:frame><draw:text-box><text:p>more</text:p></draw:text-box></draw:frame></draw:page>
      </office:presentation>"""
    content = read(make_odf(body), f"{ODF}.presentation")
    assert [(block.text, block.locator.page, block.locator.headings) for block in content.blocks] == [
        ("One", 1, ("One",)),
        ("text", 1, ("One",)),
        ("Notes: say", 1, ("One",)),
        ("more", 2, ()),
    ]


def test_encrypted_open_document_is_refused() -> None:
    """The error names the encryption."""
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(make_odf("", **{"META-INF/manifest.xml": "<m><encryption-data/></m>"}), f"{ODF}.text")
