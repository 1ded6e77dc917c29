"""Hostile files: each ends quickly with an error or with its text."""

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
from semsearch.ingest.readers import READERS, block_builder, read
from semsearch.ingest.readers.worker_pool import ReaderPool

pytestmark = pytest.mark.slow

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ZIP_MEDIA_TYPES = [name for name in READERS if name.startswith("application/vnd") or "epub" in name]
LINE_BYTES = 20_000_000
RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="d.xml"/>'
    "</Relationships>"
)


def make_zip(members: Mapping[str, bytes | str]) -> bytes:
    """Return a zip archive of these members."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("media_type", ZIP_MEDIA_TYPES)
def test_zip_bomb_is_too_large(media_type: str) -> None:
    """An archive with a compression ratio of 1,000 is refused before it is decompressed; the error has both sizes."""
    with pytest.raises(TooLargeError, match="expands to 30,000,000 bytes"):
        read(make_zip({"word/document.xml": bytes(30_000_000)}), media_type)


def test_zip_bomb_with_a_false_size_is_refused() -> None:
    """A member that is larger than its stated size is truncated there, and is then damaged."""
    bomb = make_zip({"_rels/.rels": RELATIONSHIPS, "d.xml": b" " * 50_000_000})
    false_size = bomb.replace((50_000_000).to_bytes(4, "little"), (5_000).to_bytes(4, "little"))
    assert false_size != bomb
    with pytest.raises(UnsupportedMediaError, match=r"damaged|well-formed"):
        read(false_size, DOCX)


def test_archive_with_many_entries_is_too_large() -> None:
    """The number of members is limited."""
    with pytest.raises(TooLargeError, match="20,001 entries"):
        read(make_zip({str(number): "" for number in range(20_001)}), DOCX)


@pytest.mark.parametrize("media_type", ZIP_MEDIA_TYPES)
def test_encrypted_archive_is_refused(media_type: str) -> None:
    """An archive with encrypted members is refused with that reason."""
    data = bytearray(make_zip({"content.xml": "<x/>"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnsupportedMediaError, match="encrypted"):
        read(bytes(data), media_type)


EXTERNAL_ENTITY_XML = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_in_office_files_are_refused(encoding: str) -> None:
    """An office file that declares entities is refused; they are not expanded or fetched."""
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(make_zip({"_rels/.rels": RELATIONSHIPS, "d.xml": EXTERNAL_ENTITY_XML.encode(encoding)}), DOCX)
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(make_zip({"content.xml": EXTERNAL_ENTITY_XML.encode(encoding)}), "application/vnd.oasis.opendocument.text")
    workbook = make_zip({"_rels/.rels": RELATIONSHIPS, "xl/workbook.xml": EXTERNAL_ENTITY_XML.encode(encoding)})
    with pytest.raises(UnsupportedMediaError, match="document type"):
        read(workbook, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_deeply_nested_office_file_is_refused() -> None:
    """The parser limits the depth of office files, and with it the recursion of their readers."""
    deep_xml = "<w>" * 1_000 + "</w>" * 1_000
    with pytest.raises(UnsupportedMediaError, match="not well-formed"):
        read(make_zip({"_rels/.rels": RELATIONSHIPS, "d.xml": deep_xml}), DOCX)
    shallow_xml = "<w>" * 200 + "<p><t>text</t></p>" + "</w>" * 200
    assert read(make_zip({"_rels/.rels": RELATIONSHIPS, "d.xml": shallow_xml}), DOCX).blocks[0].text == "text"


def test_many_lists_and_styles_are_read_quickly() -> None:
    """An OpenDocument text with 2,000 lists and styles is read within three seconds."""
    level = "".join(f'<list-level-style-number level="{number}" num-format="1"/>' for number in range(1, 11))
    styles = "".join(f'<list-style name="{number}">{level}</list-style>' for number in range(2_000))
    lists = "".join(f'<list style-name="{number}"><i><p>x</p></i></list>' for number in range(2_000))
    content = f"<d><automatic-styles>{styles}</automatic-styles><body><text>{lists}</text></body></d>"
    started = time.process_time()
    blocks = read(make_zip({"content.xml": content}), "application/vnd.oasis.opendocument.text").blocks
    assert [block.text for block in blocks] == ["1. x"] * 2_000
    assert time.process_time() - started < 3


def test_many_charts_are_read_quickly() -> None:
    """A document with thousands of chart references reads its relationships once and each chart once."""
    namespace = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relationships = "".join(
        f'<Relationship Id="c{number}" Type="{namespace}/chart" Target="c.xml"/>' for number in range(1_000)
    )
    charts = "".join(f'<chart r:id="c{number}"/>' for number in range(1_000)) + '<chart r:id="c0"/>' * 1_000
    members = {
        "_rels/.rels": RELATIONSHIPS,
        "_rels/d.xml.rels": f"<Relationships>{relationships}</Relationships>",
        "d.xml": f'<d xmlns:r="{namespace}"><p>{charts}</p></d>',
        "c.xml": "<c><title><t>Yield</t></title></c>",
    }
    started = time.process_time()
    assert [block.text for block in read(make_zip(members), DOCX).blocks] == ["Yield"]
    assert time.process_time() - started < 3


def test_relationship_outside_the_package_is_a_missing_part() -> None:
    """A relationship to a file outside the package is a missing part."""
    relationships = RELATIONSHIPS.replace("d.xml", "../../../../etc/passwd")
    with pytest.raises(UnsupportedMediaError, match="missing"):
        read(make_zip({"_rels/.rels": relationships}), DOCX)


def test_repeated_long_text_is_too_large() -> None:
    """A workbook whose cells all refer to one long text exceeds the limit on text."""
    cells = "".join(f'<row r="{row}"><c t="s" r="A{row}"><v>0</v></c></row>' for row in range(1, 2_001))
    namespace = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main_namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheets = RELATIONSHIPS.replace('officeDocument" Target="d.xml', 'worksheet" Target="s.xml').replace('"r"', '"s"')
    data = make_zip(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
            f'<Override PartName="/xl/s.xml" ContentType="{types}.worksheet+xml"/>'
            f'<Override PartName="/xl/t.xml" ContentType="{types}.sharedStrings+xml"/></Types>',
            "_rels/.rels": RELATIONSHIPS.replace("d.xml", "xl/workbook.xml"),
            "xl/workbook.xml": f'<workbook xmlns="{main_namespace}" xmlns:r="{namespace}">'
            '<sheets><sheet name="S" sheetId="1" r:id="s"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": sheets,
            "xl/s.xml": f'<worksheet xmlns="{main_namespace}"><sheetData>{cells}</sheetData></worksheet>',
            "xl/t.xml": f'<sst xmlns="{main_namespace}"><si><t>{"word " * 10_000}</t></si></sst>',
        }
    )  # fmt: skip
    with pytest.raises(TooLargeError, match="more text than"):
        read(data, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_huge_row_number_is_refused() -> None:
    """A workbook with a row number of 99,999,999,999 is refused within seconds."""
    buffer = BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    members[name] = re.sub(b'r="1"', b'r="99999999999"', members[name])
    with pytest.raises(UnsupportedMediaError, match="claims more than 1,048,576 rows"):
        read(make_zip(members), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def test_too_many_paragraphs_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of blocks is limited, because each costs memory in the parent process."""
    monkeypatch.setattr(block_builder, "MAX_BLOCKS", 1_000)
    assert len(read(b"a\n\n" * 1_000, "text/plain").blocks) == 1_000
    with pytest.raises(TooLargeError, match="1,000 paragraphs"):
        read(b"a\n\n" * 1_001, "text/plain")


LONG_LINES = {
    "text/plain": b"x" * LINE_BYTES,
    "text/x-python": b"x = 1; " * (LINE_BYTES // 7),
    "text/csv": b"word," * (LINE_BYTES // 5),
    "text/html": b"word " * (LINE_BYTES // 5),
    "application/json": json.dumps("word " * (LINE_BYTES // 5)).encode(),
    "text/x-rst": b"word *two* " * (LINE_BYTES // 22),
    "text/asciidoc": b"word *two* " * (LINE_BYTES // 22),
}


@pytest.mark.parametrize("media_type", LONG_LINES)
def test_single_line_of_20_megabytes_is_read(media_type: str) -> None:
    """A file without line ends is read within 30 seconds, and no letter is lost."""
    data = LONG_LINES[media_type]
    with ReaderPool(1, timeout_seconds=30) as pool:
        content = pool.read(data, media_type)
    letters = sum(block.text.count("w") + block.text.count("x") for block in content.blocks)
    assert letters == data.count(b"w") + data.count(b"x")


UNCLOSED_MARKUP = {
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
    ("media_type", "index"),
    [(media_type, index) for media_type, texts in UNCLOSED_MARKUP.items() for index in range(len(texts))],
)
def test_unclosed_markup_is_read_quickly(media_type: str, index: int) -> None:
    """Unclosed markup is read in linear time."""
    started = time.process_time()
    with suppress(SemsearchError):
        read(UNCLOSED_MARKUP[media_type][index], media_type)
    assert time.process_time() - started < 3
