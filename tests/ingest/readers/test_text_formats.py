"""The readers of plain text, code, Markdown, AsciiDoc and reStructuredText."""

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import Block, ParsedContent
from semsearch.ingest.readers import read


def get_lines(block: Block) -> tuple[int, int]:
    """Return the first and last line of a block."""
    assert block.locator.lines is not None
    return block.locator.lines


def list_blocks(content: ParsedContent) -> list[tuple[str, str]]:
    """Return kind and text of each block."""
    return [(block.kind, block.text) for block in content.blocks]


def test_plain_text_is_split_at_blank_lines() -> None:
    """A paragraph keeps its line breaks and has its line numbers."""
    content = read(b"\n\none\ntwo  \n \nthree\n", "text/plain")
    assert [(block.text, get_lines(block)) for block in content.blocks] == [("one\ntwo", (3, 4)), ("three", (6, 6))]
    assert content.title is None


def test_code_keeps_functions_whole() -> None:
    """Code is split before a line that is not indented; blank lines inside a function are kept."""
    code = b"import os\n\n\ndef f():\n    a = 1\n\n    return a\n\n\ndef g():\n    pass\n"
    content = read(code, "text/x-python")
    assert [(block.kind, get_lines(block)) for block in content.blocks] == [
        ("code", (1, 1)),
        ("code", (4, 7)),
        ("code", (10, 11)),
    ]
    assert content.blocks[1].text == "def f():\n    a = 1\n\n    return a"


def test_long_function_is_split_at_blank_lines() -> None:
    """A block of code has at most 60 lines where blank lines allow it, and no line is lost."""
    code = "def f():\n" + "".join(f"    x{number} = 1\n\n" for number in range(200))
    content = read(code.encode(), "text/x-python")
    assert max(last - first for first, last in map(get_lines, content.blocks)) < 60
    assert sum(block.text.count("= 1") for block in content.blocks) == 200


MARKDOWN = """\
---
title: "The handbook"
tags: [a]
---
# Leave

You get *twenty* [days](http://x.org/a_b) of `leave`
a year.\\
![A calendar](c.png)

1. Ask
   your boss.
2. Go
   - far
   - away

   ```sh
   bye --now
   ```
3. Come back

| Kind | Days |
|------|-----:|
| sick | 10 |
| care \\| child | 5 |

## More <em>rules</em>

> Quoted
> text

<div>Raw <b>HTML</b></div>

<!-- never shown -->
"""


def test_markdown_is_read_without_markup() -> None:
    """Headings, lists, tables, code, quotes and raw HTML are read without markup."""
    content = read(MARKDOWN.encode(), "text/markdown")
    assert content.title == "The handbook"
    assert list_blocks(content) == [
        ("heading", "Leave"),
        ("paragraph", "You get twenty days of leave a year. A calendar"),
        ("list", "1. Ask your boss.\n2. Go\n  - far\n  - away"),
        ("code", "bye --now"),
        ("list", "3. Come back"),
        ("table", "Kind | Days\nsick | 10\ncare | child | 5"),
        ("heading", "More rules"),
        ("paragraph", "Quoted text"),
        ("paragraph", "Raw HTML"),
    ]
    assert content.blocks[-1].locator.headings == ("Leave", "More rules")


def test_markdown_blocks_have_line_numbers() -> None:
    """Line numbers count from the top of the file, including front matter."""
    source = MARKDOWN.split("\n")
    for block in read(MARKDOWN.encode(), "text/markdown").blocks:
        first, last = get_lines(block)
        assert block.text.split()[-1].split(".")[0] in " ".join(source[first - 1 : last])


def test_title_of_markdown_is_its_first_heading() -> None:
    """Without front matter the first heading of the first level is the title."""
    assert read(b"## Sub\n\nMain\n====\n\n# Other\n", "text/markdown").title == "Main"
    assert read(b"---\n\n## Sub\n\n---\n", "text/markdown").blocks[0].text == "Sub"


def read_markdown(text: str) -> list[tuple[str, str]]:
    """Return kind and text of each block of a Markdown text."""
    return list_blocks(read(text.encode(), "text/markdown"))


def test_html_table_may_have_blank_lines() -> None:
    """Its cells and their Markdown are read, also inside a list; an unclosed table ends with its list item."""
    table = "<table>\n<tr>\n<td>\n\n**One** `<b>`\n\n</td>\n<td>Two</td><td>\n\n- x\n- y\n\n</td>\n</tr>\n</table>\n"
    assert read_markdown(table) == [("table", "One <b> | Two | x y")]
    assert read(f"a\n\n{table}".encode(), "text/markdown").blocks[1].locator.lines == (3, 17)
    assert read_markdown("- " + table.replace("\n", "\n  ") + "\n# End\n")[-2:] == [
        ("table", "One <b> | Two | x y"),
        ("heading", "End"),
    ]
    assert read_markdown("- <table>\n\n  # One\n\n# Two\n\n</table>\n") == [("list", "- One"), ("heading", "Two")]


def test_line_break_tag_in_code_is_text() -> None:
    """A <br> tag becomes a space; one in code or with entities is text."""
    assert read_markdown("a<br/>b `<br>` &lt;br&gt;\n\n&lt;br&gt;\n") == [
        ("paragraph", "a b <br> <br>"),
        ("paragraph", "<br>"),
    ]


def test_footnote_of_one_word_is_text() -> None:
    """A footnote of one word looks like a link definition, but is kept as text."""
    assert read_markdown("A[^1] [b].\n\n[^1]: Ibid.\n\n[b]: x\n") == [
        ("paragraph", "A[^1] b."),
        ("paragraph", "[^1]: Ibid."),
    ]


def test_text_between_two_rules_is_not_front_matter() -> None:
    """Text between two rules with prose paragraphs is not front matter; a front matter title may be a block scalar."""
    assert read_markdown("---\nNote: a draft\n\nText.\n\n---\n\nRest\n") == [
        ("paragraph", "Note: a draft"),
        ("paragraph", "Text."),
        ("paragraph", "Rest"),
    ]
    content = read(b"---\ntitle: >-\n  Long\n  title\n\n# c\ntags:\n  - a\n---\nText\n", "text/markdown")
    assert (content.title, list_blocks(content)) == ("Long title", [("paragraph", "Text")])


def test_headings_are_nested() -> None:
    """A heading closes those of its own and deeper levels; its path includes itself."""
    content = read(b"# A\n\n### B\n\n## C\n\ntext\n\n# D\n", "text/markdown")
    assert [block.locator.headings for block in content.blocks] == [("A",), ("A", "B"), ("A", "C"), ("A", "C"), ("D",)]


def test_long_heading_is_a_paragraph() -> None:
    """A heading of more than 300 characters becomes a paragraph."""
    content = read(f"# {'word ' * 100}\n\ntext\n".encode(), "text/markdown")
    assert [(block.kind, block.locator.headings) for block in content.blocks] == [("paragraph", ()), ("paragraph", ())]


def test_deep_lists_keep_their_text() -> None:
    """Twenty nested lists keep all their text."""
    text = "".join(f"{'  ' * depth}- item{depth}\n" for depth in range(20))
    assert read(text.encode(), "text/markdown").blocks[0].text == text.rstrip()


ASCIIDOC = """\
= The Guide
:author: Somebody

Click *Rename* or see https://x.org[the site] and <<below,that section>>.
It has `code` too.

== Steps

.Procedure
. First
+
still first
. Second
** nested

term:: what it means

[source,sh]
----
ls -l
----

|===
|Name |Age
|Ada |36
|===

////
hidden
////
=== Last
"""


def test_asciidoc_is_read_without_markup() -> None:
    """Headings, lists with continuations, listings, tables and captions are read; comments are skipped."""
    content = read(ASCIIDOC.encode(), "text/asciidoc")
    assert content.title == "The Guide"
    assert list_blocks(content) == [
        ("heading", "The Guide"),
        ("paragraph", "Click Rename or see the site and that section. It has code too."),
        ("heading", "Steps"),
        ("paragraph", "Procedure"),
        ("list", "1. First still first\n2. Second\n  - nested\n- term: what it means"),
        ("code", "ls -l"),
        ("table", "Name | Age\nAda | 36"),
        ("heading", "Last"),
    ]
    assert content.blocks[-1].locator.headings == ("The Guide", "Steps", "Last")


RST = """\
=====
Guide
=====

.. _target:

Use :func:`open <os.open>` or ``x * y``, says the `docs <https://x.org>`_,
with **care**::

    f = open("x")

    f.close()

Steps
-----

1. First
   goes on
2. Second

* bullet

.. note:: Mind the gap.

   Really.

.. code-block:: python
   :linenos:

   import os

.. image:: x.png

.. only:: html

   Online.

====  =====
Name  Age
====  =====
Ada   36
====  =====

+------+-----+
| Name | Age |
+======+=====+
| Bob  | 5   |
| Lee  |     |
+------+-----+

Sub
~~~
"""


def test_restructured_text_is_read_without_markup() -> None:
    """Headings, roles, literal blocks, directives and both kinds of tables are read without markup."""
    content = read(RST.encode(), "text/x-rst")
    assert content.title == "Guide"
    assert list_blocks(content) == [
        ("heading", "Guide"),
        ("paragraph", "Use open or x * y, says the docs, with care:"),
        ("code", 'f = open("x")\n\nf.close()'),
        ("heading", "Steps"),
        ("list", "1. First goes on\n2. Second\n- bullet"),
        ("paragraph", "Mind the gap."),
        ("paragraph", "Really."),
        ("code", "import os"),
        ("paragraph", "Online."),
        ("table", "Name | Age\nAda | 36"),
        ("table", "Name | Age\nBob Lee | 5"),
        ("heading", "Sub"),
    ]
    assert content.blocks[-1].locator.headings == ("Guide", "Steps", "Sub")


def read_rst(text: str) -> list[tuple[str, str]]:
    """Return kind and text of each block of a reStructuredText document."""
    return list_blocks(read(text.encode(), "text/x-rst"))


def read_asciidoc(text: str) -> list[tuple[str, str]]:
    """Return kind and text of each block of an AsciiDoc document."""
    return list_blocks(read(text.encode(), "text/asciidoc"))


@pytest.mark.parametrize(
    "directive",
    [".. image:: x.png\n      :alt: y", ".. index:: x", ".. a comment\n      of two lines", ".. _target:", ".."],
)
def test_directive_without_text_ends_with_its_indentation(directive: str) -> None:
    """An image, index entry, comment or target skips no text of the item or note around it."""
    assert read_rst(f"#. One\n\n   {directive}\n\n   goes on.\n\n#. Two\n") == [("list", "1. One goes on.\n2. Two")]
    assert read_rst(f".. note::\n\n   One.\n\n   {directive}\n\n   Two.\n") == [
        ("paragraph", "One."),
        ("paragraph", "Two."),
    ]


@pytest.mark.parametrize("opening", ["Run::", "Run:\n\n   .. code-block:: sh\n      :linenos:"])
def test_code_in_an_item_ends_where_the_prose_continues(opening: str) -> None:
    """Text after code at the indentation of its item is prose, and the numbering continues."""
    assert read_rst(f"#. {opening}\n\n      ls -l\n\n      pwd\n\n   Then look.\n\n#. Next\n") == [
        ("list", "1. Run:"),
        ("code", "ls -l\n\npwd"),
        ("paragraph", "Then look."),
        ("list", "2. Next"),
    ]


def test_numbering_continues_after_a_table_in_an_item() -> None:
    """An indented table is part of its item, and the numbering continues."""
    table = "   == ==\n   a  b\n   == ==\n   c  d\n   == ==\n"
    assert read_rst(f"#. One\n\n{table}\n#. Two\n") == [
        ("list", "1. One"),
        ("table", "a | b\nc | d"),
        ("list", "2. Two"),
    ]


def test_two_colons_without_code_become_one() -> None:
    """Without deeper indentation after it, `::` becomes a colon."""
    assert read_rst("- See::\n\n  here\n\nEnd::\n") == [("list", "- See: here"), ("paragraph", "End:")]


def test_signature_of_a_class_is_read() -> None:
    """The signature of a class precedes its description."""
    assert read_rst(".. class:: Foo(x)\n\n   Text.\n\n.. py:class:: Bar\n") == [
        ("paragraph", "Foo(x)"),
        ("paragraph", "Text."),
        ("paragraph", "Bar"),
    ]


WRAPPED = "It ended in\n1998. Then came\nE. coli\n* or not.\n"


def test_wrapped_line_is_not_an_item() -> None:
    """A wrapped line that begins like an item continues its paragraph or item."""
    text = "It ended in 1998. Then came E. coli * or not."
    assert read_rst(WRAPPED) == read_asciidoc(WRAPPED) == [("paragraph", text)]
    assert read_rst("- It ended in\n  1998. Then\n\n  1. came\n") == [("list", "- It ended in 1998. Then\n  1. came")]


def test_items_keep_their_enumerators() -> None:
    """Written numbers and letters are kept; "#." is counted, and restarts in each nested list and after a bullet."""
    text = "5. five\n6. six\n\na) a\n\n(ii) ii\n\n#. one\n#. two\n\n   #. below\n\n* bullet\n\n#. anew\n"
    assert read_rst(text)[0][1].split("\n") == [
        "5. five",
        "6. six",
        "a) a",
        "(ii) ii",
        "1. one",
        "2. two",
        "  1. below",
        "- bullet",
        "1. anew",
    ]


def test_asciidoc_counts_only_dot_items() -> None:
    """A list with another mark is nested in the item, and the numbering continues after it."""
    text = "5. five\n\n// other\n\nText.\n\n. one\n* in it\n. two\n----\nls\n----\n. three\n\nText.\n\n. anew\n"
    assert read_asciidoc(text) == [
        ("list", "5. five"),
        ("paragraph", "Text."),
        ("list", "1. one\n  - in it\n2. two"),
        ("code", "ls"),
        ("list", "3. three"),
        ("paragraph", "Text."),
        ("list", "1. anew"),
    ]


def test_interpreter_session_is_code() -> None:
    """An interpreter session is code up to an empty line, unless it begins inside a paragraph."""
    source = b"Call it:\n\n>>> f(1)\n1\n>>> for x in y:\n...     *x*\n\nA line that\n>>> is quoted.\n\n  >>> g()\n  2\n"
    assert list_blocks(read(source, "text/x-rst")) == [
        ("paragraph", "Call it:"),
        ("code", ">>> f(1)\n1\n>>> for x in y:\n...     *x*"),
        ("paragraph", "A line that >>> is quoted."),
        ("code", ">>> g()\n2"),
    ]


def test_literals_are_unchanged() -> None:
    """Markup is removed only outside of literals and roles, and underscores of Python names are kept."""
    text = "Use ``__name__``, ``foo_``, ``|x|``, ``*a*``, :meth:`__len__`; not |x|, **a** or foo_ in __main__.\n"
    assert read_rst(text) == [
        ("paragraph", "Use __name__, foo_, |x|, *a*, __len__; not x, a or foo in __main__."),
    ]


def test_formula_may_begin_on_the_line_of_its_directive() -> None:
    """A formula on the line of its directive and below it is one block with its line numbers."""
    content = read(b".. math:: E = m c^2\n   :label: e\n\n   a = b\n", "text/x-rst")
    assert [(block.kind, block.text, get_lines(block)) for block in content.blocks] == [
        ("code", "E = m c^2\na = b", (1, 4)),
    ]
    assert read_rst(".. math:: a = b\n") == [("code", "a = b")]


def test_asciidoc_macros_become_their_visible_text() -> None:
    """Images become their alt text and links their text; attributes and includes are skipped."""
    assert read_asciidoc("include::a[leveloffset=1]\n* an item\n\nimage::x[Alt,300,200]\n") == [
        ("list", "- an item"),
        ("paragraph", "Alt"),
    ]
    text = 'image:x["A, b",300] image:x[width=3,alt=C] https://x.org[D^,window=_blank] link:a[E,role=f] stem:[x=3]\n'
    assert read_asciidoc(text) == [("paragraph", "A, b C D E x=3")]


def test_asciidoc_headings_may_be_underlined() -> None:
    """A line as long as the one above it underlines a heading; any other delimits a block."""
    content = read(b"My Doc\n======\n\nSection\n-------\n\nText.\n\n[sh]\n----\nls\n----\n", "text/asciidoc")
    assert content.title == "My Doc"
    assert list_blocks(content) == [
        ("heading", "My Doc"),
        ("heading", "Section"),
        ("paragraph", "Text."),
        ("code", "ls"),
    ]
    assert content.blocks[-1].locator.headings == ("My Doc", "Section")


def test_asciidoc_cell_continues_before_the_next_mark() -> None:
    """Text before a cell's mark continues the previous cell, except spans and styles."""
    assert read_asciidoc("|===\n|One |Two\n\n|Three\n42 |Four\n2+|Five 3 .2+^.>s|Six\n|===\n") == [
        ("table", "One | Two\nThree 42 | Four\nFive 3 | Five 3\nSix")
    ]


def test_binary_data_as_text_is_refused() -> None:
    """Binary data with the media type of text is refused."""
    with pytest.raises(UnsupportedMediaError, match="binary"):
        read(b"\x7fELF\x00\x00\x01", "text/plain")


def test_simple_table_may_have_blank_lines() -> None:
    """Rows after a blank line belong to the table; text after an unclosed table does not."""
    table = "===  =====\nA    B\n===  =====\none  two\n\nsix  eight\n===  =====\n"
    content = read(f"{table}\nText and more text.\n\n{table}".encode(), "text/x-rst")
    rows = ("table", "A | B\none | two\nsix | eight")
    assert list_blocks(content) == [rows, ("paragraph", "Text and more text."), rows]
    assert get_lines(content.blocks[0]) == (1, 7)
    unclosed_table = "===  =====\nA    B\n===  =====\none  two\n\nText and more text.\n\n===  =====\n"
    content = read(unclosed_table.encode(), "text/x-rst")
    assert list_blocks(content) == [("table", "A | B\none | two"), ("paragraph", "Text and more text.")]


def test_restructured_text_table_may_be_csv() -> None:
    """The header is in an option, and a row that is not CSV is kept as text."""
    table = '.. csv-table:: Frozen *Delights*\n   :header: "Treat", "Price"\n   :widths: 15, 10\n\n'
    content = read(f'{table}   "Cone, large", 2.99\n   "``Bar``\n   small", 1.50\n\nAfter.\n'.encode(), "text/x-rst")
    assert list_blocks(content) == [
        ("paragraph", "Frozen Delights"),
        ("table", "Treat | Price\nCone, large | 2.99\nBar small | 1.50"),
        ("paragraph", "After."),
    ]
    assert get_lines(content.blocks[1]) == (1, 7)
    invalid_content = read(f"{table}   :a\n".replace(":widths: 15, 10", ":delim: ab").encode(), "text/x-rst")
    assert list_blocks(invalid_content)[1] == ("table", '"Treat", "Price"\n:a')


@pytest.mark.parametrize("columns", ['[%header,cols="1,2a"]', "[cols=2*]", "[cols='2']\n.Settings"])
def test_asciidoc_table_may_state_its_columns(columns: str) -> None:
    """The attributes give the number of columns where each cell is on its own line."""
    content = read(f"{columns}\n|===\n|Name\n|Value\n\n|port\n|8080\nor more\n|===\n".encode(), "text/asciidoc")
    assert list_blocks(content)[-1] == ("table", "Name | Value\nport | 8080 or more")


@pytest.mark.parametrize("columns", ['cols="{widths}"', "cols="])
def test_unknown_asciidoc_column_attribute_is_ignored(columns: str) -> None:
    """Without a usable attribute, the first line gives the number of columns."""
    content = read(f"[{columns}]\n|===\n|Name |Value\n|port |8080\n|===\n".encode(), "text/asciidoc")
    assert list_blocks(content) == [("table", "Name | Value\nport | 8080")]


def test_asciidoc_cells_may_span() -> None:
    """A spanning cell is repeated in each row and column, and the other cells keep their rows."""
    table = "|===\n|Name |Value |Note\n\n|x\n2+|wide\n\n.2+|tall |1 |2\n|3 |4\n3*|same\n|===\n"
    rows = ["Name | Value | Note", "x | wide | wide", "tall | 1 | 2", "tall | 3 | 4", "same | same | same"]
    assert list_blocks(read(table.encode(), "text/asciidoc")) == [("table", "\n".join(rows))]
