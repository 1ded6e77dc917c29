"""The HTML and XHTML readers."""

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read


def read_page(html: str) -> ParsedContent:
    """Return the content of an HTML page."""
    return read(html.encode(), "text/html")


def list_blocks(html: str) -> list[tuple[str, str]]:
    """Return kind and text of each block of a page."""
    return [(block.kind, block.text) for block in read_page(html).blocks]


def test_scripts_styles_and_comments_are_skipped() -> None:
    """Scripts, styles, templates, comments and the title are not part of the text."""
    html = "<title>T</title><style>p{}</style><p>a<script>x</script><!-- c --><template>y</template>b<noscript>n"
    assert list_blocks(html) == [("paragraph", "ab")]
    assert read_page(html).title == "T"


def test_hidden_text_is_skipped() -> None:
    """Hidden elements are skipped, except those that a search in the page reveals, and a hidden body."""
    html = (
        "<p hidden>a<p style='color:red; DISPLAY : none !important'>b<p hidden=until-found>c<p style='display:block'>d"
    )
    assert list_blocks(f"<body style='display:none'>{html}") == [("paragraph", "c"), ("paragraph", "d")]


def test_image_title_is_not_the_page_title() -> None:
    """The title of an SVG image is not the title of the page."""
    assert read_page("<p>x</p><svg><title>Icon</title></svg><h1>Real</h1>").title == "Real"


def test_quotation_marks_are_added() -> None:
    """An inline quotation has the quotation marks that a browser shows."""
    assert list_blocks("<p>He said <q>no</q>.") == [("paragraph", "He said “no”.")]


def test_navigation_is_skipped_only_in_a_page_with_an_article() -> None:
    """Navigation is skipped in a page with <main>, and kept in a page without it."""
    assert list_blocks("<nav>menu</nav><main><p>text</p></main><p>after</p>") == [
        ("paragraph", "text"),
        ("paragraph", "after"),
    ]
    assert list_blocks("<nav>menu</nav><p>text</p>") == [("paragraph", "menu"), ("paragraph", "text")]


def test_blocks_separate_words_and_inline_elements_do_not() -> None:
    """Inline tags do not separate words; blocks, line breaks and buttons do."""
    html = (
        "<div>H<sub>2</sub>O <b>is</b>\n wet<br>and <my-tag>cold</my-tag><div>next</div>last<button>Go</button>on</div>"
    )
    assert [text for _, text in list_blocks(html)] == ["H2O is wet and cold", "next", "last Go on"]


def test_headings_are_nested_and_give_the_title() -> None:
    """Headings are nested; without a <title> the first <h1> is the title."""
    content = read_page("<h2>Zero</h2><h1>One <i>!</i></h1><h3>Two</h3><p>x</p>")
    assert content.title == "One !"
    assert content.blocks[-1].locator.headings == ("One !", "Two")


def test_heading_may_contain_blocks() -> None:
    """Blocks in a heading belong to it; a heading that is never closed ends with its first block."""
    assert list_blocks("<h2><div>Opening</div> <div>hours</div></h2><p>x") == [
        ("heading", "Opening hours"),
        ("paragraph", "x"),
    ]
    assert list_blocks(f"<h2>Top<p>{'word ' * 80}<p>y<ul><li>z")[::2] == [("heading", "Top"), ("paragraph", "y")]
    assert list_blocks("<h2>Top<ul><li>z") == [("heading", "Top"), ("list", "- z")]


def test_lists_have_a_line_for_each_item() -> None:
    """Items have bullets or numbers from the list's start, and nested items are indented."""
    assert list_blocks("<ol start=3><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ol>") == [
        ("list", "3. a\n  - b\n4. c d")
    ]


def test_item_continues_after_a_nested_list() -> None:
    """Text after a nested list belongs to the outer item; a paragraph after the whole list belongs to none."""
    html = "<ul><li>a<ul><li>b<ul><li>c</ul>more of b</ul><p>more of a</p><li>d</ul><p>text</p><ul><p>e</p></ul>"
    assert list_blocks(html) == [
        ("list", "- a\n  - b\n    - c\n    more of b\n  more of a\n- d"),
        ("paragraph", "text"),
        ("list", "e"),
    ]


def test_items_have_the_numbers_that_a_browser_shows() -> None:
    """An item may set its number; a reversed list counts down."""
    html = "<ol><li value=5>a<li>b</ol><ol reversed><li>c<li>d</ol><ol start=-1><li>e<li>f"
    assert [text for _, text in list_blocks(html)] == [
        "5. a\n6. b",
        "2. c\n1. d",
        "-1. e\n0. f",
    ]


def test_description_lists_join_term_and_description() -> None:
    """A term is on one line with its first description."""
    assert list_blocks("<dl><dt>HTML</dt><dd>markup</dd><dd>more</dd><dt>CSS:</dt><dd>style</dd></dl>") == [
        ("list", "- HTML: markup\n- more\n- CSS: style")
    ]


def test_tables_have_a_line_for_each_row() -> None:
    """Spanning cells are repeated in each row; line breaks in cells and empty rows are dropped."""
    html = """<table><caption>Cap</caption><tr><th>A<th colspan=2>B
      <tr><td rowspan=2>x<td>1<td>p<br>q<tr><td>2<td><tr></tr></table>"""
    assert list_blocks(html) == [("paragraph", "Cap"), ("table", "A | B | B\nx | 1 | p q\nx | 2")]


def test_blocks_in_cells_separate_words() -> None:
    """Headings and code in a cell separate words."""
    html = "<table><tr><td><h3>Price</h3>10 EUR<td><pre>a</pre>b<p>c</table>"
    assert list_blocks(html) == [("table", "Price 10 EUR | a b c")]


def test_long_text_of_a_spanning_cell_is_not_repeated() -> None:
    """A cell of a thousand words that spans fifty columns is not repeated."""
    html = f"<table><tr><td colspan=50>{'word ' * 1000}<td>x<tr><td>a<td>b</table>"
    assert read_page(html).blocks[0].text.count("word") == 1000


def test_layout_tables_are_read_as_paragraphs() -> None:
    """A table that contains another, or has one column, is read as paragraphs."""
    html = "<table><tr><td><h1>Top</h1><table><tr><td>a<td>b</table></td></tr></table>"
    assert list_blocks(html) == [("heading", "Top"), ("table", "a | b")]
    assert list_blocks("<table><tr><td>one<tr><td>two</table>") == [("paragraph", "one"), ("paragraph", "two")]


def test_code_keeps_its_lines() -> None:
    """<pre> is a code block with its white space."""
    assert list_blocks("<pre>\ndef f():\n    <b>return</b> 1\n</pre>") == [("code", "def f():\n    return 1")]


def test_alt_text_of_an_image_is_read() -> None:
    """The alt text of an image is read."""
    assert list_blocks('<p>See <img src=x alt="a chart"> here</p>') == [("paragraph", "See a chart here")]


def test_declared_encoding_is_used() -> None:
    """A page is decoded with the encoding that its <meta> declares."""
    html = '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Привет'
    assert read(html.encode("koi8-r"), "text/html").blocks[0].text == "Привет"


def test_self_closed_xhtml_elements_are_empty() -> None:
    """Self-closed elements such as <title/> are empty, and the following text is read."""
    head = "<head><title/><script src='a>b.js'/><style type=\"text/css\" /><meta name='x'/></head>"
    body = "<body><h1>One<a id='x'/></h1><p/>a<br/>b<textarea/><ul/>c</body>"
    content = read(f"<html>{head}{body}</html>".encode(), "application/xhtml+xml")
    assert [(block.kind, block.text) for block in content.blocks] == [
        ("heading", "One"),
        ("paragraph", "a b"),
        ("paragraph", "c"),
    ]
    assert content.title == "One"


def test_encoding_of_the_xml_declaration_is_used() -> None:
    """A page is decoded with the encoding of its XML declaration."""
    html = '<?xml version="1.0" encoding="windows-1250"?><html><body><p>Příliš žluťoučký kůň</p></body></html>'
    assert read(html.encode("cp1250"), "application/xhtml+xml").blocks[0].text == "Příliš žluťoučký kůň"


@pytest.mark.slow
def test_deep_nesting_is_refused() -> None:
    """100,000 nested elements are refused quickly, and 1,000 are read."""
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        read_page("<div>" * 100_000)
    assert list_blocks("<div>" * 1_000 + "x")[0] == ("paragraph", "x")
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        read_page("<span>" * 100_000 + "<p>x" * 10_000)
    assert list_blocks("<span>" * 1_000 + "<p>x</p>" * 10_000)[-1] == ("paragraph", "x")
    assert list_blocks("<p>x<li>x" * 20_000 + "<svg>" + "<path/>" * 20_000 + "</svg>x")[-1] == ("paragraph", "x x")
    assert list_blocks("<script>" + "a<b;" * 30_000 + "</script>" + "<p>x" * 20_000)[-1] == ("paragraph", "x")
    assert list_blocks("<b>" * 100_000 + "x") == [("paragraph", "x")]
    assert list_blocks("<div>x</div>" * 10_000)[-1] == ("paragraph", "x")


@pytest.mark.parametrize(
    "html",
    [
        "<style-x>" + "<div>" * 100_000,
        "<svg><title>" + "<div>" * 100_000,
        "<svg><style><foreignObject>" + "<div>" * 100_000,
        "<svg><p><script><!--</script>" + "<div>" * 100_000,
        "<span><div></span>" * 100_000,
        "<form><div></form>" * 100_000,
        "<div><table></div>" * 100_000,
        "<div><table><td>" + "<span></div>" * 100_000,
    ],
    ids=["named alike", "title", "drawing", "script", "inline", "form", "table", "stray"],
)
def test_disguised_deep_nesting_is_refused(html: str) -> None:
    """Elements that the parser keeps open count, and only scripts and titles contain no elements."""
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        read_page(html)


@pytest.mark.slow
def test_misnested_pages_are_read() -> None:
    """Misnested end tags, self-closed drawings and markup in scripts do not add depth."""
    for part in (
        "<b><p>x</b></p>",
        "<span><div>x</span></div>",
        "<table><form><tr><td>x</form></td></tr></table>",
        "<svg/><script>'<div><ul>'</script><p>x</p>",
        "<svg><title>a</title><style>b{}</style><g><path/></g></svg><p>x</p>",
        "<div><svg><g></div><p>x</p>",
        "<!-- <div> --><title-bar>x</title-bar>",
    ):
        assert list_blocks(f"<div>{part}</div>" * 6_000)[-1][1].endswith("x"), part
