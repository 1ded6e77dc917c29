"""CSV, JSON, XML, feeds, notebooks, subtitles, messages and books as blocks."""

import json
import zipfile
from io import BytesIO

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read


def shape(content: ParsedContent) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(block.kind, block.text) for block in content.blocks]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_is_one_table(delimiter: str) -> None:
    """The delimiter is found; quoted line breaks become spaces, and empty rows are dropped."""
    rows = [["Name", "Note"], ["Ada", '"a, b; c\nd"'], ["", ""], ["Bob", ""]]
    content = read("\n".join(delimiter.join(cells) for cells in rows).encode(), "text/csv")
    assert shape(content) == [("table", "Name | Note\nAda | a, b; c d\nBob")]
    assert content.blocks[0].locator.lines == (1, 5)


def test_a_csv_without_delimiter_is_a_column() -> None:
    """One column is a table too."""
    assert shape(read(b"name\nada\n", "text/csv")) == [("table", "name\nada")]


def test_decimal_commas_do_not_cut() -> None:
    """Where commas and another delimiter cut all lines as evenly, the commas belong to numbers."""
    for delimiter in (";", "\t", "|"):
        rows = [["1,5", "2,5", "3,5"], ["4,0", "5,0", "6,0"]]
        data = "\n".join(delimiter.join(cells) for cells in rows).encode()
        assert shape(read(data, "text/csv")) == [("table", "1,5 | 2,5 | 3,5\n4,0 | 5,0 | 6,0")]


def test_a_tsv_is_cut_at_tabs() -> None:
    """The delimiter of a TSV is known, however many commas it has."""
    data = b"a, b, c\nd, e\tf, g\n"
    assert shape(read(data, "text/tab-separated-values")) == [("table", "a, b, c\nd, e | f, g")]


def test_json_keeps_its_order() -> None:
    """Plain values stay between the nested ones that surround them."""
    data = {"intro": {"a": "first"}, "middle": "second", "list": [{"x": 1}, {"x": 2}], "end": "last"}
    texts = [block.text for block in read(json.dumps(data).encode(), "application/json").blocks]
    assert texts == ["intro.a: first", "middle: second", "list.x: 1", "list.x: 2", "end: last"]


def test_json_is_lines_of_path_and_value() -> None:
    """Nested values have their path, numbers stay as written, and every part is a block of its own."""
    data = {"title": "T", "n": 1.50, "ok": True, "no": None, "tags": ["a", "b"], "deep": {"x": {"y": "z"}}}
    content = read(json.dumps(data).encode().replace(b"1.5", b"1.50"), "application/json")
    assert content.title == "T"
    assert [block.text for block in content.blocks] == ["title: T\nn: 1.50\nok: true", "tags: a, b", "deep.x.y: z"]


def test_a_json_list_has_a_block_for_each_record() -> None:
    """Records of a list are apart, at the top and below a key."""
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
def test_broken_json_is_refused(data: bytes) -> None:
    """What cannot be parsed, or is nested without end, is an error."""
    with pytest.raises(UnsupportedMediaError):
        read(data, "application/json")


def test_json_lines_know_their_line() -> None:
    """Each record is a block with its line; a line that is not JSON is kept as it is."""
    content = read(b'{"a": "x"}\n\nnot json\n{"b": 2}\n', "application/jsonl")
    assert [(block.text, block.locator.lines) for block in content.blocks] == [
        ("a: x", (1, 1)),
        ("not json", (3, 3)),
        ("b: 2", (4, 4)),
    ]


def test_xml_is_read_element_by_element() -> None:
    """Short texts are fields beside their neighbours, attributes too; prose stands alone, its inline tags dropped."""
    prose = "This is a <b>long</b> paragraph. " * 5
    data = f'<r xmlns:a="u"><!-- no --><a:item id="7"><name>Ada</name><age>36</age></a:item><p>{prose}</p></r>'
    assert shape(read(data.encode(), "application/xml")) == [
        ("list", "id: 7\nname: Ada\nage: 36"),
        ("paragraph", ("This is a long paragraph. " * 5).strip()),
    ]


def test_elements_keep_words_apart() -> None:
    """What stands between two elements ends a word, unless they only mark it; punctuation stays where it is."""
    data = "<r><s>Intro<p>One.</p><p>H<sub>2</sub>O (<x>b</x>)</p></s><l>word<lb/>word<note/>, <b>b</b>old</l></r>"
    assert shape(read(data.encode(), "application/xml")) == [("list", "s: Intro One. H2O (b)\nl: word word, bold")]


RSS = """<?xml version="1.0"?><rss xmlns:c="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>
<description>All of it</description><item><title>One</title><pubDate>Mon</pubDate><description>short</description>
<c:encoded>&lt;p&gt;Some &lt;b&gt;bold&lt;/b&gt; text&lt;/p&gt;&lt;script&gt;x&lt;/script&gt;</c:encoded></item>
<item><title>Two</title><description><![CDATA[<p>Second</p>]]></description></item></channel></rss>"""


def test_a_feed_is_read_item_by_item() -> None:
    """Items are headings with their text, without the HTML around it."""
    content = read(RSS.encode(), "application/rss+xml")
    assert content.title == "News"
    assert shape(content) == [
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


def test_a_feed_may_hold_elements() -> None:
    """XHTML in a feed is read as HTML is, and the parts of an author stand apart."""
    assert shape(read(ATOM.encode(), "application/atom+xml"))[2:] == [
        ("paragraph", "Ada, a@x.org"),
        ("paragraph", "One ends."),
        ("paragraph", "Two begins."),
    ]


def test_code_in_a_feed_keeps_its_lines() -> None:
    """White space in the HTML of a feed counts as it does in a page."""
    item = "<item><title>x</title><description>&lt;pre>a\n  b&lt;/pre></description></item>"
    content = read(f"<rss><channel><title>F</title>{item}</channel></rss>".encode(), "application/rss+xml")
    assert shape(content)[2:] == [("code", "a\n  b")]


LAUGHS = b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><r>&c;</r>'
STEALS = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>text &x;</r>'


@pytest.mark.parametrize("data", [LAUGHS, STEALS, STEALS.decode().encode("utf-16")])
def test_entities_are_refused(data: bytes) -> None:
    """XML that declares entities is neither expanded nor fetched, but refused."""
    with pytest.raises(UnsupportedMediaError, match="entities"):
        read(data, "application/xml")


def test_xml_nested_without_end_is_refused() -> None:
    """Depth is bounded."""
    with pytest.raises(UnsupportedMediaError, match="not well-formed"):
        read(b"<a>" * 100_000 + b"x" + b"</a>" * 100_000, "application/xml")


def test_a_notebook_is_prose_and_code() -> None:
    """Markdown cells are read as Markdown; code and what it printed are code."""
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
    assert shape(content) == [
        ("heading", "Study"),
        ("paragraph", "Some words."),
        ("code", "1 + 1"),
        ("code", "2"),
        ("code", "red"),
    ]


def test_an_old_notebook_is_read() -> None:
    """Before format 4 code was an input in a worksheet, and a heading was a cell of its own."""
    html = {"output_type": "display_data", "html": "<h1>Shown</h1><p>x"}
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Old\n"]},
        {"cell_type": "code", "input": ["1 +", " 1"], "outputs": [{"output_type": "pyout", "text": ["2"]}, html]},
    ]
    content = read(json.dumps({"worksheets": [{"cells": cells}]}).encode(), "application/x-ipynb+json")
    assert content.title == "Old"
    assert shape(content) == [
        ("heading", "Old"),
        ("code", "1 + 1"),
        ("code", "2"),
        ("paragraph", "Shown"),
        ("paragraph", "x"),
    ]
    assert content.blocks[-1].locator.headings == ("Old",)


def test_errors_and_pages_that_a_notebook_shows_are_read() -> None:
    """A traceback is an output, and so is HTML that has no text beside it but the name of its object."""
    error = {"output_type": "error", "ename": "E", "traceback": ["\x1b[31mTraceback\x1b[0m", "E: no such file"]}
    page = {"data": {"text/plain": "<IPython.core.display.HTML object>", "text/html": ["<p>seen ", "<b>so</b>"]}}
    picture = {"data": {"text/plain": "<IPython.core.display.Image object>", "image/png": "x"}}
    cells = [{"cell_type": "code", "source": "f()", "outputs": [error, page, picture, 7]}, {"outputs": 7}]
    content = read(json.dumps({"cells": cells}).encode(), "application/x-ipynb+json")
    assert shape(content) == [("code", "f()"), ("code", "Traceback\nE: no such file"), ("paragraph", "seen so")]


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"cells": []}', b'{"cells": [1]}', b"x"])
def test_what_is_no_notebook_is_refused(data: bytes) -> None:
    """JSON that is no notebook is an error."""
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


def test_subtitles_are_what_is_said() -> None:
    """Cues of one speaker are joined; times and tags go, lines remain."""
    content = read(VTT.encode(), "text/vtt")
    assert [(block.text, block.locator.lines) for block in content.blocks] == [
        ("Ada: Hello & welcome to the show.", (5, 10)),
        ("Bob: Thanks.", (12, 13)),
    ]
    srt = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\ntwo.\r\n"
    assert [block.text for block in read(srt, "application/x-subrip").blocks] == ["One two."]


def test_only_tags_are_taken_out_of_subtitles() -> None:
    """Signs of less and more are said, unless they enclose a tag."""
    cue = "If a < b and c > d, <c.red>then</c><00:01.500><c> <font color='x'>go</font>"
    data = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{cue}\n".encode()
    assert [block.text for block in read(data, "text/vtt").blocks] == ["If a < b and c > d, then go"]


def test_captions_that_roll_are_read_once() -> None:
    """What a cue repeats from the one before is left out; what somebody else repeats is not."""
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


def test_a_message_is_its_headers_and_its_body() -> None:
    """Headers are decoded, plain text is preferred to HTML, and attachments are named."""
    content = read(MAIL.encode(), "message/rfc822")
    assert content.title == "Hällo"
    assert [block.text for block in content.blocks] == [
        "Subject: Hällo\nFrom: Adá <ada@example.org>\nTo: bob@example.org\nDate: Mon, 01 Jan 2024 10:00:00 +0000",
        "Schön.",
        "Bye.",
        "Attachment: plan.pdf",
    ]


def test_a_message_in_html_is_read_as_html() -> None:
    """Without plain text the HTML is the body; its title is not the subject."""
    content = read(b"Subject: S\nContent-Type: text/html\n\n<title>no</title><p>a <b>b</b></p>", "message/rfc822")
    assert (content.title, content.blocks[1].text) == ("S", "a b")
    with pytest.raises(UnsupportedMediaError, match="not a message"):
        read(b"just some text\n", "message/rfc822")


def message(*parts: str, subtype: str = "mixed") -> list[str]:
    """The texts read from a message of these parts, behind its headers."""
    head = f"Subject: S\nContent-Type: multipart/{subtype}; boundary=B\n\n"
    data = head + "".join(f"--B\nContent-Type: {part}\n" for part in parts) + "--B--\n"
    return [block.text for block in read(data.encode(), "message/rfc822").blocks][1:]


def test_parts_beside_each_other_are_all_read() -> None:
    """Plain text takes the place of HTML only where both are versions of one text."""
    html, plain = "text/html\n\n<p>the body</p>", "text/plain\n\na footer"
    assert message(html, plain) == ["the body", "a footer"]
    assert message(html, plain, subtype="alternative") == ["a footer"]
    assert message(html, "text/plain\n\n \n", subtype="alternative") == ["the body"]


def test_an_attached_text_is_not_the_body() -> None:
    """A part that is sent as an attachment is none, even without a name."""
    assert message("text/html\n\n<p>body</p>", "text/plain\nContent-Disposition: attachment\n\nlog") == ["body"]


def test_a_control_character_does_not_refuse_a_message() -> None:
    """A NUL in one part costs that character, not the message."""
    assert message("text/plain\n\nbody", "text/plain\n\na\0\1b") == ["body", "ab"]


def book(**members: str | bytes) -> bytes:
    """An EPUB of two chapters, with some members replaced."""
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


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    """Chapters follow the spine, the title is the book's, and headings end with their chapter."""
    content = read(book(), "application/epub+zip")
    assert content.title == "The Book"
    assert [(block.text, block.locator.headings) for block in content.blocks] == [
        ("First", ("First",)),
        ("one", ("First",)),
        ("two", ()),
    ]


def test_chapters_are_read_as_the_xml_they_are() -> None:
    """An empty title loses no chapter, and the encoding in its first line is used."""
    chapter = "<?xml version='1.0' encoding='koi8-r'?><html><head><title/></head><body><p>Привет</p></body></html>"
    content = read(book(**{"in/two.xhtml": chapter.encode("koi8-r")}), "application/epub+zip")
    assert [block.text for block in content.blocks] == ["First", "one", "Привет"]


def test_a_protected_book_is_refused() -> None:
    """A book under a lock is named as such."""
    with pytest.raises(UnsupportedMediaError, match="protected"):
        read(book(**{"META-INF/rights.xml": "<r/>"}), "application/epub+zip")


def test_a_header_that_cannot_be_parsed_is_read_as_it_stands() -> None:
    """Neither long ones nor those that break the grammar cost a message its text, and words in them are decoded."""
    many = ",\r\n ".join(f"=?utf-8?q?J=C3=B6rg_{number}?= <j{number}@x.org>" for number in range(200))
    nested = "(" * 2_000
    head = shape(read(f"Subject: Hi\r\nTo: {many}\r\nCc: {nested}\r\n\r\nText".encode(), "message/rfc822"))
    whole = ", ".join(f"J\u00f6rg {number} <j{number}@x.org>" for number in range(200))
    assert head == [("list", f"Subject: Hi\nTo: {whole}\nCc: {nested}"), ("paragraph", "Text")]
    plain = "From: J\u00f6rg\nSubject: Gr\u00fc\u00dfe\n\nText".encode("latin-1")
    assert shape(read(plain, "message/rfc822"))[0] == ("list", "Subject: Gr\u00fc\u00dfe\nFrom: J\u00f6rg")


def test_a_forwarded_message_keeps_its_headers() -> None:
    """What was attached as a message is read with who wrote it, when and about what."""
    inner = "From: a@b.c\nSubject: The leak\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\nIt drips."
    outer = (
        "Subject: Fwd\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below.\n"
        f"--b\nContent-Type: message/rfc822\n\n{inner}\n--b--\n"
    )
    assert shape(read(outer.encode(), "message/rfc822")) == [
        ("list", "Subject: Fwd"),
        ("paragraph", "See below."),
        ("list", "Subject: The leak\nFrom: a@b.c\nDate: Tue, 02 Jan 2024 10:00:00 +0000"),
        ("paragraph", "It drips."),
    ]


def test_the_line_that_tells_excel_the_delimiter_is_no_header() -> None:
    """`sep=;` decides how a file is cut, and the names of its columns come after it."""
    content = read(b"sep=;\r\nName;Value\r\nA, B;1\r\n", "text/csv")
    assert shape(content) == [("table", "Name | Value\nA, B | 1")]
    assert content.blocks[0].locator.lines == (2, 3)
    assert shape(read(b"sep=;;\nName;x\n", "text/csv")) == [("table", "sep=\nName | x")]


def test_rdf_without_items_is_read_as_any_xml() -> None:
    """A vocabulary is no feed, though its root is that of some."""
    concept = "<Concept><prefLabel>Kelp</prefLabel><definition>A large brown seaweed.</definition></Concept>"
    content = read(f'<r:RDF xmlns:r="http://r">{concept}</r:RDF>'.encode(), "application/xml")
    assert shape(content) == [("list", "prefLabel: Kelp\ndefinition: A large brown seaweed.")]


def test_markup_that_a_notebook_shows_is_read() -> None:
    """Markdown and formulas that are displayed, and the page of an object that says no more than its address."""
    styled = {"text/plain": "<pandas.io.formats.style.Styler at 0x7f2c>", "text/html": "<td>seen</td>"}
    shown = [
        {
            "text/plain": "<IPython.core.display.Markdown object>",
            "text/markdown": ["# Result\n", "\n", "It is **42**."],
        },
        {"text/plain": "<IPython.core.display.Math object>", "text/latex": "$x_1$"},
        styled,
        {"text/plain": "<body>", "text/html": "<p>not seen</p>"},
    ]
    cells = [{"cell_type": "code", "source": "f()", "outputs": [{"data": data} for data in shown]}]
    content = read(json.dumps({"cells": cells}).encode(), "application/x-ipynb+json")
    assert shape(content) == [
        ("code", "f()"),
        ("paragraph", "Result"),
        ("paragraph", "It is 42."),
        ("paragraph", "$x_1$"),
        ("paragraph", "seen"),
        ("code", "<body>"),
    ]
    assert all(block.locator.headings == () for block in content.blocks)
