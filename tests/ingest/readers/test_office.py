"""Presentations, workbooks and OpenDocument files as blocks."""

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


def shape(content: ParsedContent) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(block.kind, block.text) for block in content.blocks]


def presentation() -> bytes:
    """Two slides with a list, a table, a group, a chart and notes."""
    deck = pptx.Presentation()
    deck.core_properties.title = "PowerPoint Presentation"
    first = deck.slides.add_slide(deck.slide_layouts[1])
    body = first.placeholders[1].text_frame
    body.text = "one"
    below = body.add_paragraph()
    below.text, below.level = "two", 1
    first.shapes.title.text = "Top\vline"
    table = first.shapes.add_table(2, 2, 0, 0, 9, 9).table
    for row, column, text in ((0, 0, "wide"), (1, 0, "1"), (1, 1, "2")):
        table.cell(row, column).text = text
    table.cell(0, 0).merge(table.cell(0, 1))
    first.notes_slide.notes_text_frame.text = "Say\nthis."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    second.shapes.add_group_shape().shapes.add_textbox(0, 0, 9, 9).text_frame.text = "in a group"
    data = CategoryChartData()  # type: ignore[no-untyped-call]  # python-pptx has types in part
    data.categories = ["2023", "2024"]
    data.add_series("Ducks", (3, 5))  # type: ignore[no-untyped-call]
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, 9, 9, data)
    buffer = BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def test_slides_are_pages_under_their_titles() -> None:
    """A slide's title heads it; lists, tables, groups, charts and notes are read, all with the slide's number."""
    content = read(presentation(), PPTX)
    assert content.title == "Top line"
    assert shape(content) == [
        ("heading", "Top line"),
        ("list", "- one\n  - two"),
        ("table", "wide | wide\n1 | 2"),
        ("paragraph", "Notes: Say this."),
        ("paragraph", "in a group"),
        ("table", "| Ducks\n2023 | 3\n2024 | 5"),
    ]
    assert [block.locator.page for block in content.blocks] == [1, 1, 1, 1, 2, 2]
    assert content.blocks[-1].locator.headings == ()


def workbook(**sheets: list[list[object]]) -> bytes:
    """A workbook of these rows."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def with_sheet(data: bytes, old: bytes, new: bytes) -> bytes:
    """A workbook with a change in the XML of its first sheet."""
    changed = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            part = before.read(name)
            after.writestr(name, part.replace(old, new) if "sheet1" in name else part)
    return changed.getvalue()


def test_a_sheet_is_its_tables() -> None:
    """Values stand as their cells show them; a sheet with a name heads its tables, which know their rows."""
    rows: list[list[object]] = [
        ["Day", "Amount", "Paid"],
        [date(2024, 1, 2), 3.0, True],
        [datetime(2024, 1, 2, 3, 4), 0.25, "a\nb"],
    ]
    content = read(workbook(Costs=rows, Sheet1=[["x", 1], ["y", 2]]), XLSX)
    assert shape(content) == [
        ("heading", "Costs"),
        ("table", "Day | Amount | Paid\n2024-01-02 | 3 | TRUE\n2024-01-02 03:04:00 | 0.25 | a b"),
        ("table", "x | 1\ny | 2"),
    ]
    assert (content.blocks[1].locator.sheet, content.blocks[1].locator.lines) == ("Costs", (1, 3))
    assert (content.blocks[2].locator.sheet, content.blocks[2].locator.headings) == ("Sheet1", ())


def test_empty_rows_part_tables() -> None:
    """A title stands alone, a table with a header of its own is another one, a row of numbers goes on."""
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
    content = read(workbook(Sheet=rows), XLSX)
    assert [(block.kind, block.text, block.locator.lines) for block in content.blocks] == [
        ("paragraph", "Title", (1, 1)),
        ("table", "Name | Age\nAda | 36\nBob | 5", (3, 6)),
        ("table", "City | Land\nRom | Italy", (8, 9)),
    ]


def test_a_cell_has_its_comment() -> None:
    """What was noted about a cell is read with it, at the end of the row if the row has no such cell."""
    book = openpyxl.Workbook()
    for row in (["Name", "Sum"], ["Ada", 3]):
        book.active.append(row)
    book.active["B2"].comment = Comment("Checked\nby Bob", "Bob")
    threaded = "[Threaded comment]\n\nYour version of Excel allows you to read it.\n\nComment:\n    Why?"
    book.active["D1"].comment = Comment(threaded, "Ada")
    buffer = BytesIO()
    book.save(buffer)
    table = "Name | Sum |  | [Comment: Why?]\nAda | 3 [Comment: Checked by Bob]"
    assert shape(read(buffer.getvalue(), XLSX)) == [("table", table)]


def test_numbers_are_shown_as_people_see_them() -> None:
    """The error of binary fractions is not shown."""
    data = with_sheet(workbook(Sheet=[["Sum", "x"], [123456789, 1e20]]), b"123456789", b"0.30000000000000004")
    assert shape(read(data, XLSX)) == [("table", "Sum | x\n0.3 | 1e+20")]


def test_a_formula_that_was_never_computed_is_shown_itself() -> None:
    """A workbook that no spreadsheet program has saved has formulas, but not their values."""
    content = read(workbook(Sheet=[["Sum", "x"], ["=1+ 1", 2]]), XLSX)
    assert shape(content) == [("table", "Sum | x\n=1+ 1 | 2")]


def test_damaged_office_files_are_refused() -> None:
    """A file cut short, or with a part replaced by rubbish, is an error."""
    for data, media_type in ((workbook(A=[["x" * 99, 1]] * 99), XLSX), (presentation(), PPTX)):
        with pytest.raises(UnsupportedMediaError, match="damaged"):
            read(data[: len(data) // 2], media_type)
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        read(with_sheet(workbook(A=[["x", 1]]), b"<worksheet", b"<rubbish"), XLSX)


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


def odf(body: str, styles: str = "", **members: str) -> bytes:
    """An OpenDocument file with this body."""
    content = (
        f"<office:document-content{NAMESPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document-content>"
    )
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {"content.xml": content, **members}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_an_open_document_text_is_read_in_order() -> None:
    """Headings, white space, lists with numbers, tables with spans, notes and comments."""
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
    content = read(odf(body, styles), f"{ODF}.text")
    assert content.title == "Top"
    assert shape(content) == [
        ("heading", "Top"),
        ("paragraph", "a bc d"),
        ("paragraph", "Footnote: noted"),
        ("list", "1. one\n  - in\n2. two"),
        ("table", "w | w\n1 | 2"),
    ]


def noted(text: str) -> str:
    """A footnote in OpenDocument's XML."""
    return f"<text:note><text:note-body><text:p>{text}</text:p></text:note-body></text:note>"


def test_what_is_attached_in_an_open_document_is_read_once() -> None:
    """Notes, boxes, shapes and tables in headings, items and other boxes follow what holds them."""
    row = "<table:table-row><table:table-cell><text:p>c</text:p></table:table-cell></table:table-row>"

    def box(text: str) -> str:
        return f"<draw:frame><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"

    body = f"""<office:text><text:h text:outline-level="1">Head{noted("n1")}</text:h><text:list><text:list-item>
      <text:p>item{noted("n2")}</text:p><table:table>{row}</table:table></text:list-item><text:list-item><text:p>next</text:p>
      </text:list-item></text:list><text:p>out{box(f"box{noted('n3')}{box('inner')}")}</text:p>
      <text:p>y<draw:custom-shape><text:p>shape</text:p></draw:custom-shape>z</text:p></office:text>"""
    assert shape(read(odf(body), f"{ODF}.text")) == [
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


def test_numbers_of_an_open_document_go_on() -> None:
    """A list that continues one, or an item that says where to start, has the number that people see."""
    style = (
        '<text:list-style style:name="N"><text:list-level-style-number text:level="1" style:num-format="1"/>'
        "</text:list-style>"
    )
    first, more, anew = '<text:list text:style-name="N"', ' text:continue-numbering="true"', ' text:start-value="7"'
    item = "<text:list-item{}><text:p>x</text:p></text:list-item>"
    body = (
        f"<office:text>{first}>{item.format('')}{item.format('')}</text:list><text:p>y</text:p>"
        f"{first}{more}>{item.format('')}{item.format(anew)}{item.format('')}</text:list>"
        f"{first}>{item.format('')}</text:list></office:text>"
    )
    texts = [text for kind, text in shape(read(odf(body, style), f"{ODF}.text")) if kind == "list"]
    assert texts == ["1. x\n2. x", "3. x\n7. x\n8. x", "1. x"]


def test_an_item_of_an_open_document_goes_on_behind_the_list_inside_it() -> None:
    """What stands there is neither the nested item's nor before it."""
    nested = "<text:list><text:list-item><text:p>b</text:p></text:list-item></text:list>"
    item = f"<text:list-item><text:p>a</text:p>{nested}<text:p>more of a</text:p></text:list-item>"
    body = f"<office:text><text:list>{item}</text:list></office:text>"
    assert shape(read(odf(body), f"{ODF}.text")) == [("list", "- a\n  - b\n  more of a")]


def test_text_boxes_on_sheets_are_read() -> None:
    """What floats on a sheet follows its rows; what Excel shows in its place elsewhere does not."""
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/"
    box = "<d:sp><d:txBody><a:p><a:r><a:t>Not </a:t></a:r><a:r><a:t>final.</a:t></a:r></a:p></d:txBody></d:sp>"
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    whole = BytesIO(workbook(Sheet1=[["a", "b"]]))
    with zipfile.ZipFile(whole, "a") as archive:
        relation = f'<Relationship Id="r1" Type="{kinds}/drawing" Target="../drawings/drawing1.xml"/>'
        archive.writestr("xl/worksheets/_rels/sheet1.xml.rels", f"<Relationships>{relation}</Relationships>")
        archive.writestr(
            "xl/drawings/drawing1.xml",
            f'<d:wsDr xmlns:d="{drawing}spreadsheetDrawing" xmlns:a="{drawing}main">'
            f"{box}<Fallback>{box}</Fallback></d:wsDr>",
        )
    assert shape(read(whole.getvalue(), XLSX)) == [("table", "a | b"), ("paragraph", "Not final.")]
    frame = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    cell = f"<table:table-cell>{frame.format('In a cell.')}<text:p>a</text:p></table:table-cell>"
    shapes = f"<table:shapes>{frame.format('Floating.')}</table:shapes>"
    table = f'<table:table table:name="Sheet1">{shapes}<table:table-row>{cell}</table:table-row></table:table>'
    content = read(odf(f"<office:spreadsheet>{table}</office:spreadsheet>"), f"{ODF}.spreadsheet")
    assert shape(content) == [("paragraph", text) for text in ("a", "Floating.", "In a cell.")]
    assert {block.locator.sheet for block in content.blocks} == {"Sheet1"}


def test_comments_in_an_open_document_sheet_stand_in_their_cell() -> None:
    """What was noted about a cell is read with it."""
    note = "<office:annotation><text:p>really</text:p><text:p>so?</text:p></office:annotation>"
    row = f"<table:table-cell>{note}<text:p>a</text:p></table:table-cell><table:table-cell>{note}</table:table-cell>"
    table = f'<table:table table:name="Sheet1"><table:table-row>{row}</table:table-row></table:table>'
    content = read(odf(f"<office:spreadsheet>{table}</office:spreadsheet>"), f"{ODF}.spreadsheet")
    assert shape(content) == [("table", "a [Comment: really so?] | [Comment: really so?]")]


def test_an_open_document_sheet_does_not_fill_up() -> None:
    """Cells and rows repeated to the end of the sheet are not written out."""
    body = """<office:spreadsheet><table:table table:name="Data"><table:table-row><table:table-cell><text:p>a</text:p>
      </table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>b</text:p></table:table-cell>
      <table:table-cell table:number-columns-repeated="16381"/></table:table-row>
      <table:table-row table:number-rows-repeated="1048575"><table:table-cell table:number-columns-repeated="16384"/>
      </table:table-row></table:table></office:spreadsheet>"""
    content = read(odf(body), f"{ODF}.spreadsheet")
    assert shape(content) == [("heading", "Data"), ("table", "a | b | b")]
    assert content.blocks[1].locator.lines == (1, 1)


def test_an_open_document_presentation_has_pages() -> None:
    """Slides are pages; their titles head them, and their notes belong to them."""
    body = """<office:presentation><draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>One</text:p>
      </draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>text</text:p></draw:text-box></draw:frame>
      <presentation:notes><draw:frame><draw:text-box><text:p>say</text:p></draw:text-box></draw:frame></presentation:notes>
      </draw:page><draw:page><draw:frame><draw:text-box><text:p>more</text:p></draw:text-box></draw:frame></draw:page>
      </office:presentation>"""
    content = read(odf(body), f"{ODF}.presentation")
    assert [(block.text, block.locator.page, block.locator.headings) for block in content.blocks] == [
        ("One", 1, ("One",)),
        ("text", 1, ("One",)),
        ("Notes: say", 1, ("One",)),
        ("more", 2, ()),
    ]


def test_an_encrypted_open_document_is_refused() -> None:
    """A password is named as the reason."""
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(odf("", **{"META-INF/manifest.xml": "<m><encryption-data/></m>"}), f"{ODF}.text")
