"""Text without the marks of documentation generators, and the headings of plain text."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import NothingToIndexError
from semsearch.ingest.media_types import guess_media_type
from semsearch.ingest.readers import read

pytestmark = pytest.mark.slow


def read_blocks(text: str, media_type: str = "text/markdown") -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in read(text.encode(), media_type).blocks]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Leave { #leave }", ["Leave"]),
        ("## Leave {#18f-(leave)}\n{: .no_toc}", ["Leave"]),
        ("Text\n{: .lead #x}", ["Text"]),
        ("{% include 'nav.html' %}\n{{ site.title }}\n\nText", ["Text"]),
        ('Ask in {% slack_channel "leave" %}, or [HR]({% page "/hr/" %}).', ["Ask in leave, or HR."]),
        ('[HR][hr] knows.\n\n[hr]: {% page "/hr/" %}', ["HR knows."]),
        ('A {{< glossary_tooltip text="cluster" term_id="x" >}} runs.', ["A cluster runs."]),
        ('{% alert "Heads up!" %}\nText\n{% endalert %}', ["Heads up!", "Text"]),
        ("{* ../../src/x.py hl[3] *}\n\nText{% comment %}TODO{% endcomment %}.", ["Text."]),
        ("/// tip | Best\n\nText\n\n///", ["Best", "Text"]),
        (":::note[Best]\nText\n:::", ["Best", "Text"]),
        ('!!! note "Best"\n    Text\n\n    - item\n\nAfter', ["Best", "Text", "- item", "After"]),
        ("> [!WARNING]\n> Text", ["Text"]),
        ("```{note} Best\n:class: x\nMore *text*.\n```", ["Best", "More text."]),
        ("import Tabs from '@theme/Tabs';\n\n{/* x */}\n\nText", ["Text"]),
        ('<Listing number="1" caption="Prints `x`">\n\nText\n\n</Listing>', ["Prints x", "Text"]),
        ("[![Build](b.svg)](x)\n\n<!-- x -->\n\nText", ["Text"]),
        ('## Leave [¶](#leave "Permanent link")\n\nText', ["Leave", "Text"]),
        ("See {doc}`the guide <guide>`.", ["See the guide."]),
        ("Sets {1, 2}, {x}, {} and \\\\frac{{a}}{{b}}.", ["Sets {1, 2}, {x}, {} and \\frac{{a}}{{b}}."]),
        ("<table><tr><td>a</td><td>{% if x %}b</td></tr></table>", ["a | b"]),
    ],
)
def test_marks_of_generators_give_no_text(markdown: str, expected: list[str]) -> None:
    """Marks vanish, and titles and shown words stay."""
    assert [text for _, text in read_blocks(markdown)] == expected


TAGS = ["{% raw %}", "{{ x }}", "{: .a}", ":::note", "/// tip", "!!! note", "{{< x >}}", "{* x *}", "import a from 'b'"]


@given(st.lists(st.sampled_from([*TAGS, "x = 1", "    y"]), min_size=1))
def test_code_is_kept_byte_for_byte(lines: list[str]) -> None:
    """A fence keeps its text, and so does inline code."""
    code = "\n".join(["begin", *lines, "end"])
    assert read_blocks(f"A\n\n```\n{code}\n```\n\nB")[1] == ("code", code)
    for tag in lines:
        assert read_blocks(f"Write `{tag.strip()}` here.") == [("paragraph", f"Write {tag.strip()} here.")]


def test_front_matter_gives_the_title_and_no_text() -> None:
    """TOML is read as YAML is; a file of front matter alone has nothing to index."""
    content = read(b'+++\ntitle = "Leave"\ntags = ["a"]\n+++\nText\n', "text/markdown")
    assert (content.title, content.blocks[0].text, content.blocks[0].locator.lines) == ("Leave", "Text", (5, 5))
    for text in ("---\ntitle: Moved\nredirect_to: x\n---\n", "---\n---\n", "{% include 'x.md' %}\n"):
        with pytest.raises(NothingToIndexError, match="nothing to index"):
            read(text.encode(), "text/markdown")


@pytest.mark.slow
def test_no_mark_is_left_in_real_documentation(shared_data: Path) -> None:
    """Outside code and inline code, no block of the real manuals has a template tag or an attribute list."""
    marks = re.compile(r"\{%|\{\*|\{\s*[#:]\s?[\w.-]|^(?:/{3}|:{3}|!!!)\s*\w|¶$", re.MULTILINE)
    marked_blocks = []
    for path in sorted((shared_data / "realdocs" / "files").rglob("*.md")):
        source = path.read_text()
        inline_code = set(re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", source, flags=re.DOTALL | re.MULTILINE)))
        try:
            blocks = read(source.encode(), guess_media_type(path.name)).blocks
        except NothingToIndexError:
            continue
        for block in blocks:
            text = block.text
            for code in sorted(inline_code, key=len, reverse=True):
                text = text.replace(" ".join(code.split()), "")
            if block.kind != "code" and marks.search(text):
                marked_blocks.append((path.name, block.text))
    assert marked_blocks == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["{% a ", "{% raw %}\n", "{% comment %}\n", "{#a ", "{{ a ", "[a](", "<A x={ ", "```{note}\n", ":::note\n"]
)
def test_unclosed_marks_are_read_in_linear_time(part: str) -> None:
    """Four times as many unclosed marks take about four times as long."""
    seconds = []
    for count in (5_000, 20_000):
        started = time.process_time()
        read(f"x\n\n{part * count}{{% x".encode(), "text/markdown")
        seconds.append(time.process_time() - started)
    assert seconds[1] < 8 * seconds[0] + 0.3


HANDBOOK = """\
Employee Handbook
=================

Welcome to the company. This handbook explains all of our rules.

3.2 Leave of absence

Employees may take leave of up to twelve weeks in any year.

HEALTH AND SAFETY

All employees must report accidents to their supervisor on the same day.

Working from Home
-----------------
You may work from home on two days a week after the probation period.
"""


def test_headings_of_plain_text_are_recognised() -> None:
    """Underlined, numbered and title-case lines above text are headings, and the text has their path."""
    content = read(HANDBOOK.encode(), "text/plain")
    headings = [(block.text, block.locator.lines) for block in content.blocks if block.kind == "heading"]
    assert headings == [
        ("Employee Handbook", (1, 2)),
        ("3.2 Leave of absence", (6, 6)),
        ("HEALTH AND SAFETY", (10, 10)),
        ("Working from Home", (14, 15)),
    ]
    assert content.title == "Employee Handbook"
    assert content.blocks[3].locator.headings == ("Employee Handbook", "3.2 Leave of absence")


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01 10:00 INFO Starting\n\nError In Module Foo\n\nThe module could not be loaded from the disk.\n",
        "Shall I Compare Thee\n\nTo a summer's day?\nThou art more lovely\nand more temperate.\n",
        "Milk And Eggs\n\nBread And Butter\n\nPlease buy all of these things before the shop closes at eight.\n",
        "Dear Sir or Madam,\n\nAcme Corporation Ltd\n\n12 High Street\nLondon\n\nBest Regards\n\nThe Team\n",
        "Name  Age\n---------\nBob   12\n",
        "Example Person\n\n- one item of the list that follows\n- another item of the list\n",
    ],
    ids=["log", "poem", "list", "letter", "table", "items"],
)
def test_other_short_lines_are_not_headings(text: str) -> None:
    """Lines of logs, poems, lists, letters and tables are not headings."""
    assert {kind for kind, _ in read_blocks(text, "text/plain")} == {"paragraph"}


@pytest.mark.parametrize(
    "html",
    [
        '<h2>Leave<a class="headerlink" href="#leave" title="Link to this heading">¶</a></h2>',
        '<h2><a href="#leave" aria-hidden="true">#</a> Leave</h2>',
        '<h2>Leave <a class="hash-link" href="#leave">\u200b</a></h2>',
        '<a href="#main">Skip to main content</a><h2>Leave</h2>',
        '<div role="navigation"><a href="/">Home</a></div><main><h2>Leave</h2></main><footer>Terms</footer>',
    ],
)
def test_permalinks_and_navigation_give_no_text(html: str) -> None:
    """Signs of permalinks, links that skip, and navigation around a main text are not read."""
    assert read_blocks(html, "text/html") == [("heading", "Leave")]


def test_other_links_of_a_page_are_read() -> None:
    """A link to a heading that shows words is text, and so is a sign outside a heading."""
    html = '<h2><a href="#csharp">C#</a></h2><p>See <a href="#x">§ 3</a> or <a href="#y">#</a>.</p>'
    assert read_blocks(html, "text/html") == [("heading", "C#"), ("paragraph", "See § 3 or #.")]


def test_substitutions_of_restructured_text_are_replaced() -> None:
    """A definition gives no text, and notes of versions are sentences."""
    text = (
        ".. |product| replace:: Great Product\n.. |logo| image:: x.png\n   :alt: y\n\n"
        "Use |product| now.\n\n.. versionadded:: 3.2\n"
    )
    assert read_blocks(text, "text/x-rst") == [
        ("paragraph", "Use Great Product now."),
        ("paragraph", "New in version 3.2"),
    ]


def test_front_matter_of_pages_and_asciidoc_gives_the_title() -> None:
    """The source of a page has template tags too, but a page without front matter keeps its braces."""
    page = "---\ntitle: Leave\n---\n<p>See {{ site.hr }} HR</p>"
    assert (read(page.encode(), "text/html").title, read_blocks(page, "text/html")) == (
        "Leave",
        [("paragraph", "See HR")],
    )
    assert read_blocks("<p>a {{ b }}</p>", "text/html") == [("paragraph", "a {{ b }}")]
    assert read_blocks("---\ntitle: Leave\n---\nText\n", "text/asciidoc") == [("paragraph", "Text")]
