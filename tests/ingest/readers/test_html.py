"""HTML as blocks."""

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.readers import read


def page(html: str) -> ParsedContent:
    """A page that was read."""
    return read(html.encode(), "text/html")


def shape(html: str) -> list[tuple[str, str]]:
    """Kinds and texts of a page."""
    return [(block.kind, block.text) for block in page(html).blocks]


def test_text_that_is_not_shown_is_left_out() -> None:
    """Scripts, styles, templates and comments are not text; the title is not part of the body."""
    html = "<title>T</title><style>p{}</style><p>a<script>x</script><!-- c --><template>y</template>b<noscript>n"
    assert shape(html) == [("paragraph", "ab")]
    assert page(html).title == "T"


def test_hidden_text_is_left_out() -> None:
    """What is marked as hidden is not shown; what a search in the page would open is, and so is the body."""
    html = (
        "<p hidden>a<p style='color:red; DISPLAY : none !important'>b<p hidden=until-found>c<p style='display:block'>d"
    )
    assert shape(f"<body style='display:none'>{html}") == [("paragraph", "c"), ("paragraph", "d")]


def test_a_picture_does_not_name_the_page() -> None:
    """The title inside a drawing is not that of the page."""
    assert page("<p>x</p><svg><title>Icon</title></svg><h1>Real</h1>").title == "Real"


def test_quotes_are_shown() -> None:
    """A short quotation has the marks that a browser gives it."""
    assert shape("<p>He said <q>no</q>.") == [("paragraph", "He said “no”.")]


def test_navigation_is_left_out_only_beside_an_article() -> None:
    """A page whose text stands in <main> loses its menus; a page without one loses nothing."""
    assert shape("<nav>menu</nav><main><p>text</p></main><p>after</p>") == [
        ("paragraph", "text"),
        ("paragraph", "after"),
    ]
    assert shape("<nav>menu</nav><p>text</p>") == [("paragraph", "menu"), ("paragraph", "text")]


def test_blocks_end_paragraphs_and_inline_elements_do_not() -> None:
    """Words keep together over inline tags, and apart over blocks, line breaks and buttons."""
    html = (
        "<div>H<sub>2</sub>O <b>is</b>\n wet<br>and <my-tag>cold</my-tag><div>next</div>last<button>Go</button>on</div>"
    )
    assert [text for _, text in shape(html)] == ["H2O is wet and cold", "next", "last Go on"]


def test_headings_and_the_title() -> None:
    """Headings nest; without a <title> the first <h1> is the title."""
    content = page("<h2>Zero</h2><h1>One <i>!</i></h1><h3>Two</h3><p>x</p>")
    assert content.title == "One !"
    assert content.blocks[-1].locator.headings == ("One !", "Two")


def test_a_heading_may_hold_blocks() -> None:
    """Blocks in a heading are its words; a heading that is never closed ends with its first block."""
    assert shape("<h2><div>Opening</div> <div>hours</div></h2><p>x") == [
        ("heading", "Opening hours"),
        ("paragraph", "x"),
    ]
    assert shape(f"<h2>Top<p>{'word ' * 80}<p>y<ul><li>z")[::2] == [("heading", "Top"), ("paragraph", "y")]
    assert shape("<h2>Top<ul><li>z") == [("heading", "Top"), ("list", "- z")]


def test_lists_have_a_line_for_each_item() -> None:
    """Bullets, numbers with their start, and what is nested is indented."""
    assert shape("<ol start=3><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ol>") == [
        ("list", "3. a\n  - b\n4. c d")
    ]


def test_an_item_goes_on_behind_the_list_inside_it() -> None:
    """What stands there is not the nested item's; a paragraph behind the whole list is no item's."""
    html = "<ul><li>a<ul><li>b<ul><li>c</ul>more of b</ul><p>more of a</p><li>d</ul><p>text</p><ul><p>e</p></ul>"
    assert shape(html) == [
        ("list", "- a\n  - b\n    - c\n    more of b\n  more of a\n- d"),
        ("paragraph", "text"),
        ("list", "e"),
    ]


def test_items_have_the_numbers_that_are_shown() -> None:
    """An item may have a number of its own; a reversed list counts down."""
    html = "<ol><li value=5>a<li>b</ol><ol reversed><li>c<li>d</ol><ol start=-1><li>e<li>f"
    assert [text for _, text in shape(html)] == [
        "5. a\n6. b",
        "2. c\n1. d",
        "-1. e\n0. f",
    ]


def test_description_lists_join_term_and_meaning() -> None:
    """A term stands in one line with its first description."""
    assert shape("<dl><dt>HTML</dt><dd>markup</dd><dd>more</dd><dt>CSS:</dt><dd>style</dd></dl>") == [
        ("list", "- HTML: markup\n- more\n- CSS: style")
    ]


def test_tables_have_a_line_for_each_row() -> None:
    """Spanning cells are repeated, so that each row can be read alone; line breaks in cells and empty rows go."""
    html = """<table><caption>Cap</caption><tr><th>A<th colspan=2>B
      <tr><td rowspan=2>x<td>1<td>p<br>q<tr><td>2<td><tr></tr></table>"""
    assert shape(html) == [("paragraph", "Cap"), ("table", "A | B | B\nx | 1 | p q\nx | 2")]


def test_blocks_keep_words_apart_in_cells() -> None:
    """Headings and code in a cell are words of their own."""
    html = "<table><tr><td><h3>Price</h3>10 EUR<td><pre>a</pre>b<p>c</table>"
    assert shape(html) == [("table", "Price 10 EUR | a b c")]


def test_a_span_does_not_multiply_a_long_text() -> None:
    """A cell of a thousand words that spans fifty columns holds them once."""
    html = f"<table><tr><td colspan=50>{'word ' * 1000}<td>x<tr><td>a<td>b</table>"
    assert page(html).blocks[0].text.count("word") == 1000


def test_tables_that_lay_out_a_page_are_no_tables() -> None:
    """A table around another, or with one column, is read as the paragraphs in it."""
    html = "<table><tr><td><h1>Top</h1><table><tr><td>a<td>b</table></td></tr></table>"
    assert shape(html) == [("heading", "Top"), ("table", "a | b")]
    assert shape("<table><tr><td>one<tr><td>two</table>") == [("paragraph", "one"), ("paragraph", "two")]


def test_code_keeps_its_lines() -> None:
    """<pre> is code with its white space."""
    assert shape("<pre>\ndef f():\n    <b>return</b> 1\n</pre>") == [("code", "def f():\n    return 1")]


def test_the_text_in_place_of_a_picture_is_read() -> None:
    """What an author wrote for those who do not see a picture is found too."""
    assert shape('<p>See <img src=x alt="a chart"> here</p>') == [("paragraph", "See a chart here")]


def test_the_declared_encoding_is_used() -> None:
    """A page in an old encoding is read by what its <meta> declares."""
    html = '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Привет'
    assert read(html.encode("koi8-r"), "text/html").blocks[0].text == "Привет"


def test_xhtml_may_close_an_element_at_once() -> None:
    """<title/> and its like hold nothing, and swallow nothing that follows."""
    head = "<head><title/><script src='a>b.js'/><style type=\"text/css\" /><meta name='x'/></head>"
    body = "<body><h1>One<a id='x'/></h1><p/>a<br/>b<textarea/><ul/>c</body>"
    content = read(f"<html>{head}{body}</html>".encode(), "application/xhtml+xml")
    assert [(block.kind, block.text) for block in content.blocks] == [
        ("heading", "One"),
        ("paragraph", "a b"),
        ("paragraph", "c"),
    ]
    assert content.title == "One"


def test_the_encoding_in_the_first_line_of_xhtml_is_used() -> None:
    """A page that names its encoding as XML does is read by it."""
    html = '<?xml version="1.0" encoding="windows-1250"?><html><body><p>Příliš žluťoučký kůň</p></body></html>'
    assert read(html.encode("cp1250"), "application/xhtml+xml").blocks[0].text == "Příliš žluťoučký kůň"


@pytest.mark.slow
def test_nesting_without_end_is_refused() -> None:
    """A hundred thousand elements inside each other are an error within a moment, a thousand are read."""
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        page("<div>" * 100_000)
    assert shape("<div>" * 1_000 + "x")[0] == ("paragraph", "x")
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        page("<span>" * 100_000 + "<p>x" * 10_000)
    assert shape("<span>" * 1_000 + "<p>x</p>" * 10_000)[-1] == ("paragraph", "x")
    assert shape("<p>x<li>x" * 20_000 + "<svg>" + "<path/>" * 20_000 + "</svg>x")[-1] == ("paragraph", "x x")
    assert shape("<script>" + "a<b;" * 30_000 + "</script>" + "<p>x" * 20_000)[-1] == ("paragraph", "x")
    assert shape("<b>" * 100_000 + "x") == [("paragraph", "x")]
    assert shape("<div>x</div>" * 10_000)[-1] == ("paragraph", "x")


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
def test_nesting_that_hides_is_refused(html: str) -> None:
    """What does not end there for the parser is still open, and only what is a script or a title holds no elements."""
    with pytest.raises(UnsupportedMediaError, match="nested more than 5,000 deep"):
        page(html)


@pytest.mark.slow
def test_pages_that_nest_carelessly_are_read() -> None:
    """Ends in the wrong order, drawings that end where they begin, and scripts full of markup are no depth."""
    for part in (
        "<b><p>x</b></p>",
        "<span><div>x</span></div>",
        "<table><form><tr><td>x</form></td></tr></table>",
        "<svg/><script>'<div><ul>'</script><p>x</p>",
        "<svg><title>a</title><style>b{}</style><g><path/></g></svg><p>x</p>",
        "<div><svg><g></div><p>x</p>",
        "<!-- <div> --><title-bar>x</title-bar>",
    ):
        assert shape(f"<div>{part}</div>" * 6_000)[-1][1].endswith("x"), part
