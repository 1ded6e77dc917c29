"""Files made to harm whoever reads them: each is a named error, or a text, within a moment."""

import json
import re
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO

import openpyxl
import pytest

from semsearch.core.errors import SemsearchError, TooLargeError, UnsupportedMediaError
from semsearch.ingest.readers import READERS, read
from semsearch.ingest.readers import block_builder as outline
from semsearch.ingest.readers.worker_pool import ReaderPool

pytestmark = pytest.mark.slow

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ZIPPED = [name for name in READERS if name.startswith("application/vnd") or "epub" in name]
MEGABYTES = 20_000_000
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="d.xml"/>'
    "</Relationships>"
)


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    """A zip file of these members."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("media_type", ZIPPED)
def test_a_zip_bomb_is_too_large(media_type: str) -> None:
    """What unpacks to a thousand times its size is refused before anything is unpacked, with both sizes."""
    with pytest.raises(TooLargeError, match="unpacks to 30,000,000 bytes"):
        read(zipped({"word/document.xml": bytes(30_000_000)}), media_type)


def test_a_zip_bomb_that_lies_about_its_size_is_refused() -> None:
    """A member that is larger than it says is cut off there, and then it is damaged."""
    bomb = zipped({"_rels/.rels": RELATIONS, "d.xml": b" " * 50_000_000})
    lying = bomb.replace((50_000_000).to_bytes(4, "little"), (5_000).to_bytes(4, "little"))
    assert lying != bomb
    with pytest.raises(UnsupportedMediaError, match=r"damaged|well-formed"):
        read(lying, DOCX)


def test_an_archive_of_countless_entries_is_too_large() -> None:
    """The number of members is bounded."""
    with pytest.raises(TooLargeError, match="20,001 entries"):
        read(zipped({str(number): "" for number in range(20_001)}), DOCX)


@pytest.mark.parametrize("media_type", ZIPPED)
def test_a_password_is_named(media_type: str) -> None:
    """An archive whose members are encrypted is refused as such."""
    data = bytearray(zipped({"content.xml": "<x/>"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(bytes(data), media_type)


STEALS = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_in_office_files_are_refused(encoding: str) -> None:
    """An office file that declares entities is neither expanded nor fetched."""
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(zipped({"_rels/.rels": RELATIONS, "d.xml": STEALS.encode(encoding)}), DOCX)
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(zipped({"content.xml": STEALS.encode(encoding)}), "application/vnd.oasis.opendocument.text")
    workbook = zipped({"_rels/.rels": RELATIONS, "xl/workbook.xml": STEALS.encode(encoding)})
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(workbook, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_an_office_file_nested_without_end_is_refused() -> None:
    """The parser's bound on depth keeps our own recursion short."""
    deep = "<w>" * 1_000 + "</w>" * 1_000
    with pytest.raises(UnsupportedMediaError, match="not well-formed"):
        read(zipped({"_rels/.rels": RELATIONS, "d.xml": deep}), DOCX)
    shallow = "<w>" * 200 + "<p><t>text</t></p>" + "</w>" * 200
    assert read(zipped({"_rels/.rels": RELATIONS, "d.xml": shallow}), DOCX).blocks[0].text == "text"


def test_lists_and_their_styles_take_no_time() -> None:
    """An OpenDocument text with a style for each of its lists takes a moment."""
    level = "".join(f'<list-level-style-number level="{number}" num-format="1"/>' for number in range(1, 11))
    styles = "".join(f'<list-style name="{number}">{level}</list-style>' for number in range(2_000))
    lists = "".join(f'<list style-name="{number}"><i><p>x</p></i></list>' for number in range(2_000))
    content = f"<d><automatic-styles>{styles}</automatic-styles><body><text>{lists}</text></body></d>"
    before = time.process_time()
    blocks = read(zipped({"content.xml": content}), "application/vnd.oasis.opendocument.text").blocks
    assert [block.text for block in blocks] == ["1. x"] * 2_000
    assert time.process_time() - before < 3


def test_charts_take_no_time() -> None:
    """A text that names thousands of charts does not read its relations anew for each, and shows each once."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    named = "".join(f'<Relationship Id="c{number}" Type="{kind}/chart" Target="c.xml"/>' for number in range(1_000))
    charts = "".join(f'<chart r:id="c{number}"/>' for number in range(1_000)) + '<chart r:id="c0"/>' * 1_000
    members = {
        "_rels/.rels": RELATIONS,
        "_rels/d.xml.rels": f"<Relationships>{named}</Relationships>",
        "d.xml": f'<d xmlns:r="{kind}"><p>{charts}</p></d>',
        "c.xml": "<c><title><t>Yield</t></title></c>",
    }
    before = time.process_time()
    assert [block.text for block in read(zipped(members), DOCX).blocks] == ["Yield"]
    assert time.process_time() - before < 3


def test_relations_lead_nowhere_outside() -> None:
    """A relation to a file of the machine is a missing part."""
    away = RELATIONS.replace("d.xml", "../../../../etc/passwd")
    with pytest.raises(UnsupportedMediaError, match="missing"):
        read(zipped({"_rels/.rels": away}), DOCX)


def test_a_text_named_a_million_times_is_too_large() -> None:
    """A workbook whose cells all refer to one long text stops at the bound on text."""
    cells = "".join(f'<row r="{row}"><c t="s" r="A{row}"><v>0</v></c></row>' for row in range(1, 2_001))
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheets = RELATIONS.replace('officeDocument" Target="d.xml', 'worksheet" Target="s.xml').replace('"r"', '"s"')
    data = zipped(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
            f'<Override PartName="/xl/s.xml" ContentType="{types}.worksheet+xml"/>'
            f'<Override PartName="/xl/t.xml" ContentType="{types}.sharedStrings+xml"/></Types>',
            "_rels/.rels": RELATIONS.replace("d.xml", "xl/workbook.xml"),
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kind}">'
            '<sheets><sheet name="S" sheetId="1" r:id="s"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": sheets,
            "xl/s.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
            "xl/t.xml": f'<sst xmlns="{main}"><si><t>{"word " * 10_000}</t></si></sst>',
        }
    )  # fmt: skip
    with pytest.raises(TooLargeError, match="more text than"):
        read(data, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_a_row_of_an_absurd_number_is_refused() -> None:
    """A workbook whose second row claims to be the hundred billionth is damaged, within seconds."""
    buffer = BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    members[name] = re.sub(b'r="1"', b'r="99999999999"', members[name])
    with pytest.raises(UnsupportedMediaError, match="claims more than 1,048,576 rows"):
        read(zipped(members), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_paragraphs_without_number_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of blocks is bounded, as each of them costs memory in the process that asked."""
    monkeypatch.setattr(outline, "MAX_BLOCKS", 1_000)
    assert len(read(b"a\n\n" * 1_000, "text/plain").blocks) == 1_000
    with pytest.raises(TooLargeError, match="1,000 paragraphs"):
        read(b"a\n\n" * 1_001, "text/plain")


LONG_LINES = {
    "text/plain": b"x" * MEGABYTES,
    "text/x-python": b"x = 1; " * (MEGABYTES // 7),
    "text/csv": b"word," * (MEGABYTES // 5),
    "text/html": b"word " * (MEGABYTES // 5),
    "application/json": json.dumps("word " * (MEGABYTES // 5)).encode(),
    "text/x-rst": b"word *two* " * (MEGABYTES // 22),
    "text/asciidoc": b"word *two* " * (MEGABYTES // 22),
}


@pytest.mark.parametrize("media_type", LONG_LINES)
def test_a_single_line_of_20_megabytes_is_read(media_type: str) -> None:
    """A file without line ends takes a child a few seconds, not hours, and no letter is lost."""
    data = LONG_LINES[media_type]
    with ReaderPool(1, timeout_seconds=30) as pool:
        content = pool.read(data, media_type)
    letters = sum(block.text.count("w") + block.text.count("x") for block in content.blocks)
    assert letters == data.count(b"w") + data.count(b"x")


AWKWARD = {
    "text/markdown": [
        b"[" * 5_000,
        b"*a " * 10_000,
        b"`" * 20_000,
        b"> " * 5_000,
        b"<" * 20_000,
        b"| " * 5_000 + b"\n|-|\n",
    ],
    "text/html": [b"<a" * 50_000, b"<!--" * 50_000, b"&" * 100_000, b"<table>" * 4_000, b"<ul><li>" * 4_000]
    + [b"<span>" * 25_000 + after * 25_000 for after in (b"<div></div>", b"</i>", b"<pre>")]
    + [b"<table><tr>" + b"<td rowspan=999 colspan=50>a" * 500 + b"<tr><td>a" * 500],
    "text/csv": [b'"' * 100_001, b'"a' * 50_000, b",\n" * 50_000],
    "text/vtt": [b"WEBVTT\n\n1:1.1 --> 1\n" + b"<v " * 30_000, b"1" * 100_000],
    "text/asciidoc": [
        b"a:" * 50_000,
        b"<<" * 50_000,
        b"*_`#" * 20_000,
        b"|===\n" + b"|" * 50_000,
        b"----\n-----\n" * 9_999,
        b"-" * 50_000 + b" a b",
    ],
    "text/x-rst": [
        b"`a" * 50_000,
        b"*a" * 50_000,
        b"=\n" * 50_000,
        b"=== ===\n" * 9_999,
        b"+-+\n" * 9_999,
        b"|a" * 50_000,
        b"+--+--+\n" + b"|a |b |\n|a |\n" * 50_000,
    ],
    "message/rfc822": [
        b"Subject: " + b"=?" * 5_000 + b"\n\nx",
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n" * 99,
        b"Subject: x\nTo: " + b'"' * 20_000 + b"\n\nx",
        b"Subject: x\nContent-Type: text/plain; a=" + b'"' * 20_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?q?a?= " * 30_000 + b"\n\nx",
    ],
    "application/xml": [b"<a " + b"b='1' " * 9_999 + b"/>", b"<a>" + b"<b/>" * 50_000 + b"</a>"],
}


@pytest.mark.parametrize(
    ("media_type", "number"), [(name, at) for name, some in AWKWARD.items() for at in range(len(some))]
)
def test_awkward_texts_take_no_time(media_type: str, number: int) -> None:
    """Marks that open and never close do not multiply the time."""
    before = time.process_time()
    with suppress(SemsearchError):
        read(AWKWARD[media_type][number], media_type)
    assert time.process_time() - before < 3
