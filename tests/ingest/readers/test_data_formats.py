"""The readers of CSV, JSON, XML, feeds, notebooks, subtitles, messages and books."""

import json
import zipfile
from io import BytesIO

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read


def list_blocks(content: ParsedContent) -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in content.blocks]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_one_table(delimiter: str) -> None:
    """The delimiter is detected; quoted line breaks become spaces, and empty rows are dropped."""
    rows = [["Name", "Note"], ["Ada", '"a, b; c\nd"'], ["", ""], ["Bob", ""]]
    content = read("\n".join(delimiter.join(cells) for cells in rows).encode(), "text/csv")
    assert list_blocks(content) == [("table", "Name | Note\nAda | a, b; c d\nBob")]
    assert content.blocks[0].locator.lines == (1, 5)


def test_csv_without_delimiter_is_one_column() -> None:
    """A CSV with one column is a table too."""
    assert list_blocks(read(b"name\nada\n", "text/csv")) == [("table", "name\nada")]


def test_decimal_commas_are_not_delimiters() -> None:
    """Where commas and another delimiter split the lines equally well, the commas are decimal commas."""
    for delimiter in (";", "\t", "|"):
        rows = [["1,5", "2,5", "3,5"], ["4,0", "5,0", "6,0"]]
        data = "\n".join(delimiter.join(cells) for cells in rows).encode()
        assert list_blocks(read(data, "text/csv")) == [("table", "1,5 | 2,5 | 3,5\n4,0 | 5,0 | 6,0")]


def test_tsv_is_split_at_tabs() -> None:
    """A TSV is split at tabs only, even if it has more commas."""
    data = b"a, b, c\nd, e\tf, g\n"
    assert list_blocks(read(data, "text/tab-separated-values")) == [("table", "a, b, c\nd, e | f, g")]


def test_json_keeps_its_order() -> None:
    """Scalars stay between the nested values that surround them."""
    data = {"intro": {"a": "first"}, "middle": "second", "list": [{"x": 1}, {"x": 2}], "end": "last"}
    texts = [block.text for block in read(json.dumps(data).encode(), "application/json").blocks]
    assert texts == ["intro.a: first", "middle: second", "list.x: 1", "list.x: 2", "end: last"]


def test_json_is_read_as_lines_of_path_and_value() -> None:
    """Nested values have their path, numbers are unchanged, and every nested value is a block of its own."""
    data = {"title": "T", "n": 1.50, "ok": True, "no": None, "tags": ["a", "b"], "deep": {"x": {"y": "z"}}}
    content = read(json.dumps(data).encode().replace(b"1.5", b"1.50"), "application/json")
    assert content.title == "T"
    assert [block.text for block in content.blocks] == ["title: T\nn: 1.50\nok: true", "tags: a, b", "deep.x.y: z"]


def test_json_list_has_a_block_for_each_record() -> None:
    """Each record of a list is a block, at the top level and below a key."""
    records = [{"a": 1}, {"a": 2, "b": [{"c": 3}, {"c": 4}]}]
    assert [block.text for block in read(json.dumps(records).encode(), "application/json").blocks] == [
        "a: 1",
        "a: 2\nb.c: 3\nb.c: 4",
    ]
    assert [block.text for block in read(json.dumps({"r": records}).encode(), "application/json").blocks] == [
        "r.a: 1",
        "r.a: 2\nr.b.c: 3\nr.b.c: 4",
    ]


@pytest.mark.parametrize("data", [b"{", b"[1,]", b"[" * 100_000, b'{"a": ' * 100_000])
def test_invalid_json_is_refused(data: bytes) -> None:
    """JSON that cannot be parsed or is nested too deeply is an error."""
    with pytest.raises(UnsupportedMediaError):
        read(data, "application/json")


def test_json_lines_have_line_numbers() -> None:
    """Each record is a block with its line number; a line that is not JSON is kept as text."""
    content = read(b'{"a": "x"}\n\nnot json\n{"b": 2}\n', "application/jsonl")
    assert [(block.text, block.locator.lines) for block in content.blocks] == [
        ("a: x", (1, 1)),
        ("not json", (3, 3)),
        ("b: 2", (4, 4)),
    ]


def test_xml_is_read_element_by_element() -> None:
    """Short texts and attributes are grouped as fields; prose is a paragraph without its inline tags."""
    prose = "This is a <b>long</b> paragraph. " * 5
    data = f'<r xmlns:a="u"><!-- no --><a:item id="7"><name>Ada</name><age>36</age></a:item><p>{prose}</p></r>'
    assert list_blocks(read(data.encode(), "application/xml")) == [
        ("list", "id: 7\nname: Ada\nage: 36"),
        ("paragraph", ("This is a long paragraph. " * 5).strip()),
    ]


def test_xml_elements_separate_words() -> None:
    """Elements separate words unless they are inline; punctuation stays next to its word."""
    data = "<r><s>Intro<p>One.</p><p>H<sub>2</sub>O (<x>b</x>)</p></s><l>word<lb/>word<note/>, <b>b</b>old</l></r>"
    assert list_blocks(read(data.encode(), "application/xml")) == [
        ("list", "s: Intro One. H2O (b)\nl: word word, bold")
    ]


RSS = """<?xml version="1.0"?><rss xmlns:c="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>
<description>All of it</description><item><title>One</title><pubDate>Mon</pubDate><description>short</description>
<c:encoded>&lt;p&gt;Some &lt;b&gt;bold&lt;/b&gt; text&lt;/p&gt;&lt;script&gt;x&lt;/script&gt;</c:encoded></item>
<item><title>Two</title><description><![CDATA[<p>Second</p>]]></description></item></channel></rss>"""


def test_feed_is_read_item_by_item() -> None:
    """Items are headings with their text, without HTML markup."""
    content = read(RSS.encode(), "application/rss+xml")
    assert content.title == "News"
    assert list_blocks(content) == [
        ("heading", "News"),
        ("paragraph", "All of it"),
        ("heading", "One"),
        ("paragraph", "Mon"),
        ("paragraph", "Some bold text"),
        ("heading", "Two"),
        ("paragraph", "Second"),
    ]


ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:h="http://www.w3.org/1999/xhtml"><title>News</title><entry>
<title>One</title><author><name>Ada</name><email>a@x.org</email></author>
<content type="xhtml"><h:div><h:p>One ends.</h:p><h:p>Two <h:b>beg</h:b>ins.</h:p></h:div> </content></entry></feed>"""


def test_feed_may_contain_xhtml_elements() -> None:
    """XHTML in a feed is read as HTML, and the parts of an author are separated."""
    assert list_blocks(read(ATOM.encode(), "application/atom+xml"))[2:] == [
        ("paragraph", "Ada, a@x.org"),
        ("paragraph", "One ends."),
        ("paragraph", "Two begins."),
    ]


def test_code_in_a_feed_keeps_its_lines() -> None:
    """Preformatted code in the HTML of a feed keeps its white space."""
    item = "<item><title>x</title><description>&lt;pre>a\n  b&lt;/pre></description></item>"
    content = read(f"<rss><channel><title>F</title>{item}</channel></rss>".encode(), "application/rss+xml")
    assert list_blocks(content)[2:] == [("code", "a\n  b")]


NESTED_ENTITIES_XML = b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><r>&c;</r>'
EXTERNAL_ENTITY_XML = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>text &x;</r>'


@pytest.mark.parametrize(
    "data", [NESTED_ENTITIES_XML, EXTERNAL_ENTITY_XML, EXTERNAL_ENTITY_XML.decode().encode("utf-16")]
)
def test_entities_are_refused(data: bytes) -> None:
    """XML that declares entities is refused; they are not expanded or fetched."""
    with pytest.raises(UnsupportedMediaError, match="entities"):
        read(data, "application/xml")


def test_deeply_nested_xml_is_refused() -> None:
    """The depth of XML is limited."""
    with pytest.raises(UnsupportedMediaError, match="not well-formed"):
        read(b"<a>" * 100_000 + b"x" + b"</a>" * 100_000, "application/xml")


def test_notebook_is_prose_and_code() -> None:
    """Markdown cells are read as Markdown; code and its output are code."""
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "\n", "Some *words*."]},
        {
            "cell_type": "code",
            "source": "1 + 1",
            "outputs": [{"data": {"text/plain": ["2"], "image/png": "x"}}, {"text": "\x1b[31mred\x1b[0m"}],
        },
    ]
    content = read(json.dumps({"cells": cells}).encode(), "application/x-ipynb+json")
    assert content.title == "Study"
    assert list_blocks(content) == [
        ("heading", "Study"),
        ("paragraph", "Some words."),
        ("code", "1 + 1"),
        ("code", "2"),
        ("code", "red"),
    ]


def test_old_notebook_is_read() -> None:
    """Before format 4, cells were in worksheets, code was in `input`, and headings were cells."""
    html = {"output_type": "display_data", "html": "<h1>Shown</h1><p>x"}
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Old\n"]},
        {"cell_type": "code", "input": ["1 +", " 1"], "outputs": [{"output_type": "pyout", "text": ["2"]}, html]},
    ]
    content = read(json.dumps({"worksheets": [{"cells": cells}]}).encode(), "application/x-ipynb+json")
    assert content.title == "Old"
    assert list_blocks(content) == [
        ("heading", "Old"),
        ("code", "1 + 1"),
        ("code", "2"),
        ("paragraph", "Shown"),
        ("paragraph", "x"),
    ]
    assert content.blocks[-1].locator.headings == ("Old",)


def test_tracebacks_and_html_outputs_of_a_notebook_are_read() -> None:
    """Tracebacks are read, and HTML whose plain text is only the name of its object."""
    error = {"output_type": "error", "ename": "E", "traceback": ["\x1b[31mTraceback\x1b[0m", "E: no such file"]}
    page = {"data": {"text/plain": "<IPython.core.display.HTML object>", "text/html": ["<p>seen ", "<b>so</b>"]}}
    picture = {"data": {"text/plain": "<IPython.core.display.Image object>", "image/png": "x"}}
    cells = [{"cell_type": "code", "source": "f()", "outputs": [error, page, picture, 7]}, {"outputs": 7}]
    content = read(json.dumps({"cells": cells}).encode(), "application/x-ipynb+json")
    assert list_blocks(content) == [("code", "f()"), ("code", "Traceback\nE: no such file"), ("paragraph", "seen so")]


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"cells": []}', b'{"cells": [1]}', b"x"])
def test_json_that_is_not_a_notebook_is_refused(data: bytes) -> None:
    """JSON that is not a notebook is an error."""
    with pytest.raises(UnsupportedMediaError, match="notebook"):
        read(data, "application/x-ipynb+json")


VTT = """WEBVTT

NOTE made by hand

1
00:01.000 --> 00:02.000
<v.loud Ada>Hello &amp; <i>welcome</i>

00:02.000 --> 00:03.000
<v Ada>to the show.

01:00:03.000 --> 01:00:04.000 align:left
<v Bob>Thanks.
"""


def test_subtitles_are_joined_by_speaker() -> None:
    """Cues of one speaker are joined; times and tags are dropped, line numbers are kept."""
    content = read(VTT.encode(), "text/vtt")
    assert [(block.text, block.locator.lines) for block in content.blocks] == [
        ("Ada: Hello & welcome to the show.", (5, 10)),
        ("Bob: Thanks.", (12, 13)),
    ]
    srt = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\ntwo.\r\n"
    assert [block.text for block in read(srt, "application/x-subrip").blocks] == ["One two."]


def test_only_tags_are_removed_from_subtitles() -> None:
    """Less-than and greater-than signs are kept, unless they enclose a tag."""
    cue = "If a < b and c > d, <c.red>then</c><00:01.500><c> <font color='x'>go</font>"
    data = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{cue}\n".encode()
    assert [block.text for block in read(data, "text/vtt").blocks] == ["If a < b and c > d, then go"]


def test_roll_up_captions_are_read_once() -> None:
    """Lines that a cue repeats from the previous one are dropped, unless another speaker says them."""
    cues = ("one", "one", "one\ntwo", "two", "<v Ann>two", "<v Bob>two")
    data = "WEBVTT\n\n" + "".join(f"00:01.000 --> 00:02.000\n{cue}\n\n" for cue in cues)
    texts = [block.text for block in read(data.encode(), "text/vtt").blocks]
    assert texts == ["one two", "Ann: two", "Bob: two"]


MAIL = """\
From: =?utf-8?q?Ad=C3=A1?= <ada@example.org>
To: bob@example.org
Subject: =?utf-8?b?SMOkbGxv?=
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: multipart/alternative; boundary=C

--C
Content-Type: text/plain; charset=latin-1
Content-Transfer-Encoding: quoted-printable

Sch=F6n.

Bye.
--C
Content-Type: text/html

<p>Nicht</p>
--C--
--B
Content-Type: application/pdf; name=a.pdf
Content-Disposition: attachment; filename="plan.pdf"

x
--B--
"""


def test_message_has_headers_body_and_attachment_names() -> None:
    """Headers are decoded, plain text is preferred to HTML, and attachments are listed."""
    content = read(MAIL.encode(), "message/rfc822")
    assert content.title == "Hällo"
    assert [block.text for block in content.blocks] == [
        "Subject: Hällo\nFrom: Adá <ada@example.org>\nTo: bob@example.org\nDate: Mon, 01 Jan 2024 10:00:00 +0000",
        "Schön.",
        "Bye.",
        "Attachment: plan.pdf",
    ]


def test_html_message_is_read_as_html() -> None:
    """Without plain text the HTML is the body, and its title is ignored."""
    content = read(b"Subject: S\nContent-Type: text/html\n\n<title>no</title><p>a <b>b</b></p>", "message/rfc822")
    assert (content.title, content.blocks[1].text) == ("S", "a b")
    with pytest.raises(UnsupportedMediaError, match="not a message"):
        read(b"just some text\n", "message/rfc822")


def read_message(*parts: str, subtype: str = "mixed") -> list[str]:
    """Return the texts of a message with these parts, after its headers."""
    head = f"Subject: S\nContent-Type: multipart/{subtype}; boundary=B\n\n"
    data = head + "".join(f"--B\nContent-Type: {part}\n" for part in parts) + "--B--\n"
    return [block.text for block in read(data.encode(), "message/rfc822").blocks][1:]


def test_all_parts_of_a_mixed_message_are_read() -> None:
    """Plain text replaces HTML only in multipart/alternative."""
    html, plain = "text/html\n\n<p>the body</p>", "text/plain\n\na footer"
    assert read_message(html, plain) == ["the body", "a footer"]
    assert read_message(html, plain, subtype="alternative") == ["a footer"]
    assert read_message(html, "text/plain\n\n \n", subtype="alternative") == ["the body"]


def test_attached_text_is_not_the_body() -> None:
    """An attached text is not read, even without a file name."""
    assert read_message("text/html\n\n<p>body</p>", "text/plain\nContent-Disposition: attachment\n\nlog") == ["body"]


def test_control_characters_do_not_fail_a_message() -> None:
    """Control characters are removed from a part, and the message is read."""
    assert read_message("text/plain\n\nbody", "text/plain\n\na\0\1b") == ["body", "ab"]


def make_book(**members: str | bytes) -> bytes:
    """Return an EPUB of two chapters, with some members replaced."""
    files = {
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>',
        "in/book.opf": """<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The Book</dc:title>
            </metadata><manifest><item id="b" href="two.xhtml" media-type="application/xhtml+xml"/>
            <item id="a" href="ch%201.xhtml" media-type="application/xhtml+xml"/></manifest>
            <spine><itemref idref="a"/><itemref idref="b"/><itemref idref="missing"/></spine></package>""",
        "in/ch 1.xhtml": "<!DOCTYPE html><html><head><title>no</title></head><h1>First</h1><p>one</p></html>",
        "in/two.xhtml": "<html><body><p>two</p></body></html>",
        **members,
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_book_is_read_in_spine_order() -> None:
    """Chapters are in spine order, the title is that of the book, and headings end with their chapter."""
    content = read(make_book(), "application/epub+zip")
    assert content.title == "The Book"
    assert [(block.text, block.locator.headings) for block in content.blocks] == [
        ("First", ("First",)),
        ("one", ("First",)),
        ("two", ()),
    ]


def test_chapters_are_read_as_xhtml() -> None:
    """A chapter with <title/> is read, with the encoding of its XML declaration."""
    chapter = "<?xml version='1.0' encoding='koi8-r'?><html><head><title/></head><body><p>Привет</p></body></html>"
    content = read(make_book(**{"in/two.xhtml": chapter.encode("koi8-r")}), "application/epub+zip")
    assert [block.text for block in content.blocks] == ["First", "one", "Привет"]


def test_protected_book_is_refused() -> None:
    """The error of a book with DRM names the protection."""
    with pytest.raises(UnsupportedMediaError, match="protected"):
        read(make_book(**{"META-INF/rights.xml": "<r/>"}), "application/epub+zip")


def test_unparsable_headers_are_kept() -> None:
    """A message with long or malformed headers is read, and encoded words in them are decoded."""
    recipients = ",\r\n ".join(f"=?utf-8?q?J=C3=B6rg_{number}?= <j{number}@x.org>" for number in range(200))
    parentheses = "(" * 2_000
    blocks = list_blocks(
        read(f"Subject: Hi\r\nTo: {recipients}\r\nCc: {parentheses}\r\n\r\nText".encode(), "message/rfc822")
    )
    decoded_recipients = ", ".join(f"J\u00f6rg {number} <j{number}@x.org>" for number in range(200))
    assert blocks == [("list", f"Subject: Hi\nTo: {decoded_recipients}\nCc: {parentheses}"), ("paragraph", "Text")]
    latin_message = "From: J\u00f6rg\nSubject: Gr\u00fc\u00dfe\n\nText".encode("latin-1")
    assert list_blocks(read(latin_message, "message/rfc822"))[0] == (
        "list",
        "Subject: Gr\u00fc\u00dfe\nFrom: J\u00f6rg",
    )


def test_forwarded_message_keeps_its_headers() -> None:
    """A forwarded message is read with its author, date and subject."""
    inner = "From: a@b.c\nSubject: The leak\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\nIt drips."
    outer = (
        "Subject: Fwd\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below.\n"
        f"--b\nContent-Type: message/rfc822\n\n{inner}\n--b--\n"
    )
    assert list_blocks(read(outer.encode(), "message/rfc822")) == [
        ("list", "Subject: Fwd"),
        ("paragraph", "See below."),
        ("list", "Subject: The leak\nFrom: a@b.c\nDate: Tue, 02 Jan 2024 10:00:00 +0000"),
        ("paragraph", "It drips."),
    ]


def test_separator_line_is_not_a_row() -> None:
    """`sep=;` sets the delimiter and is not part of the table."""
    content = read(b"sep=;\r\nName;Value\r\nA, B;1\r\n", "text/csv")
    assert list_blocks(content) == [("table", "Name | Value\nA, B | 1")]
    assert content.blocks[0].locator.lines == (2, 3)
    assert list_blocks(read(b"sep=;;\nName;x\n", "text/csv")) == [("table", "sep=\nName | x")]


def test_rdf_without_items_is_read_as_generic_xml() -> None:
    """An RDF vocabulary is not a feed, although feeds may have the same root element."""
    concept = "<Concept><prefLabel>Kelp</prefLabel><definition>A large brown seaweed.</definition></Concept>"
    content = read(f'<r:RDF xmlns:r="http://r">{concept}</r:RDF>'.encode(), "application/xml")
    assert list_blocks(content) == [("list", "prefLabel: Kelp\ndefinition: A large brown seaweed.")]


def test_markup_outputs_of_a_notebook_are_read() -> None:
    """Displayed Markdown and formulas are read, and the HTML of an object whose text is only its address."""
    styled = {"text/plain": "<pandas.io.formats.style.Styler at 0x7f2c>", "text/html": "<td>seen</td>"}
    outputs = [
        {
            "text/plain": "<IPython.core.display.Markdown object>",
            "text/markdown": ["# Result\n", "\n", "It is **42**."],
        },
        {"text/plain": "<IPython.core.display.Math object>", "text/latex": "$x_1$"},
        styled,
        {"text/plain": "<body>", "text/html": "<p>not seen</p>"},
    ]
    cells = [{"cell_type": "code", "source": "f()", "outputs": [{"data": data} for data in outputs]}]
    content = read(json.dumps({"cells": cells}).encode(), "application/x-ipynb+json")
    assert list_blocks(content) == [
        ("code", "f()"),
        ("paragraph", "Result"),
        ("paragraph", "It is 42."),
        ("paragraph", "$x_1$"),
        ("paragraph", "seen"),
        ("code", "<body>"),
    ]
    assert all(block.locator.headings == () for block in content.blocks)
