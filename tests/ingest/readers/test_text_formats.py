"""Plain text, code, Markdown, AsciiDoc and reStructuredText as blocks."""

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import Block, ParsedContent
from semsearch.ingest.readers import read


def lines_of(block: Block) -> tuple[int, int]:
    """The lines of a block of a text format."""
    assert block.locator.lines is not None
    return block.locator.lines


def shape(content: ParsedContent) -> list[tuple[str, str]]:
    """Kinds and texts."""
    return [(block.kind, block.text) for block in content.blocks]


def test_plain_text_is_cut_at_blank_lines() -> None:
    """A paragraph keeps its line breaks and knows its lines."""
    content = read(b"\n\none\ntwo  \n \nthree\n", "text/plain")
    assert [(block.text, lines_of(block)) for block in content.blocks] == [("one\ntwo", (3, 4)), ("three", (6, 6))]
    assert content.title is None


def test_code_keeps_functions_whole() -> None:
    """Code is cut before a line that is not indented; blank lines inside a function stay."""
    code = b"import os\n\n\ndef f():\n    a = 1\n\n    return a\n\n\ndef g():\n    pass\n"
    content = read(code, "text/x-python")
    assert [(block.kind, lines_of(block)) for block in content.blocks] == [
        ("code", (1, 1)),
        ("code", (4, 7)),
        ("code", (10, 11)),
    ]
    assert content.blocks[1].text == "def f():\n    a = 1\n\n    return a"


def test_a_long_function_is_cut_at_blank_lines() -> None:
    """A piece of code has at most 60 lines where blank lines allow it, and no line is lost."""
    code = "def f():\n" + "".join(f"    x{number} = 1\n\n" for number in range(200))
    content = read(code.encode(), "text/x-python")
    assert max(last - first for first, last in map(lines_of, content.blocks)) < 60
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


def test_markdown_reads_without_its_marks() -> None:
    """Headings, lists, tables, code, quotes and raw HTML become what a person reads."""
    content = read(MARKDOWN.encode(), "text/markdown")
    assert content.title == "The handbook"
    assert shape(content) == [
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


def test_markdown_blocks_know_their_lines() -> None:
    """Lines are counted from the top of the file, front matter included."""
    source = MARKDOWN.split("\n")
    for block in read(MARKDOWN.encode(), "text/markdown").blocks:
        first, last = lines_of(block)
        assert block.text.split()[-1].split(".")[0] in " ".join(source[first - 1 : last])


def test_the_title_of_markdown_is_its_first_heading() -> None:
    """Without front matter the first heading of the first level is the title."""
    assert read(b"## Sub\n\nMain\n====\n\n# Other\n", "text/markdown").title == "Main"
    assert read(b"---\n\n## Sub\n\n---\n", "text/markdown").blocks[0].text == "Sub"


def markdown(text: str) -> list[tuple[str, str]]:
    """Kinds and texts of Markdown."""
    return shape(read(text.encode(), "text/markdown"))


def test_a_table_in_html_may_have_blank_lines() -> None:
    """Its cells stay apart and its Markdown is read, inside a list too; a table that never ends holds nothing back."""
    table = "<table>\n<tr>\n<td>\n\n**One** `<b>`\n\n</td>\n<td>Two</td><td>\n\n- x\n- y\n\n</td>\n</tr>\n</table>\n"
    assert markdown(table) == [("table", "One <b> | Two | x y")]
    assert read(f"a\n\n{table}".encode(), "text/markdown").blocks[1].locator.lines == (3, 17)
    assert markdown("- " + table.replace("\n", "\n  ") + "\n# End\n")[-2:] == [
        ("table", "One <b> | Two | x y"),
        ("heading", "End"),
    ]
    assert markdown("- <table>\n\n  # One\n\n# Two\n\n</table>\n") == [("list", "- One"), ("heading", "Two")]


def test_a_break_in_code_is_code() -> None:
    """Only a tag that breaks a line is a space, not one that is spoken of."""
    assert markdown("a<br/>b `<br>` &lt;br&gt;\n\n&lt;br&gt;\n") == [
        ("paragraph", "a b <br> <br>"),
        ("paragraph", "<br>"),
    ]


def test_a_footnote_of_one_word_is_text() -> None:
    """It looks like the target of a link, which is none."""
    assert markdown("A[^1] [b].\n\n[^1]: Ibid.\n\n[b]: x\n") == [
        ("paragraph", "A[^1] b."),
        ("paragraph", "[^1]: Ibid."),
    ]


def test_a_text_between_two_rules_is_no_front_matter() -> None:
    """Front matter has names and what is indented, not prose; its title may stand below its name."""
    assert markdown("---\nNote: a draft\n\nText.\n\n---\n\nRest\n") == [
        ("paragraph", "Note: a draft"),
        ("paragraph", "Text."),
        ("paragraph", "Rest"),
    ]
    content = read(b"---\ntitle: >-\n  Long\n  title\n\n# c\ntags:\n  - a\n---\nText\n", "text/markdown")
    assert (content.title, shape(content)) == ("Long title", [("paragraph", "Text")])


def test_headings_nest() -> None:
    """A heading closes those of its own level and below; its path includes itself."""
    content = read(b"# A\n\n### B\n\n## C\n\ntext\n\n# D\n", "text/markdown")
    assert [block.locator.headings for block in content.blocks] == [("A",), ("A", "B"), ("A", "C"), ("A", "C"), ("D",)]


def test_an_endless_heading_is_a_paragraph() -> None:
    """A heading longer than anybody would write is not repeated in every path below it."""
    content = read(f"# {'word ' * 100}\n\ntext\n".encode(), "text/markdown")
    assert [(block.kind, block.locator.headings) for block in content.blocks] == [("paragraph", ()), ("paragraph", ())]


def test_deep_lists_keep_their_text() -> None:
    """Twenty lists inside each other lose nothing."""
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


def test_asciidoc_reads_without_its_marks() -> None:
    """Headings, lists with their continuations, listings, tables and captions; comments are left out."""
    content = read(ASCIIDOC.encode(), "text/asciidoc")
    assert content.title == "The Guide"
    assert shape(content) == [
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


def test_restructured_text_reads_without_its_marks() -> None:
    """Headings by the order of their marks, roles, literal blocks, directives, both kinds of table."""
    content = read(RST.encode(), "text/x-rst")
    assert content.title == "Guide"
    assert shape(content) == [
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


def rst(text: str) -> list[tuple[str, str]]:
    """Kinds and texts of reStructuredText."""
    return shape(read(text.encode(), "text/x-rst"))


def asciidoc(text: str) -> list[tuple[str, str]]:
    """Kinds and texts of AsciiDoc."""
    return shape(read(text.encode(), "text/asciidoc"))


@pytest.mark.parametrize(
    "silent",
    [".. image:: x.png\n      :alt: y", ".. index:: x", ".. a comment\n      of two lines", ".. _target:", ".."],
)
def test_what_is_silent_ends_with_its_own_indentation(silent: str) -> None:
    """A picture, an index entry, a comment or a target leaves out nothing of the item or the note around it."""
    assert rst(f"#. One\n\n   {silent}\n\n   goes on.\n\n#. Two\n") == [("list", "1. One goes on.\n2. Two")]
    assert rst(f".. note::\n\n   One.\n\n   {silent}\n\n   Two.\n") == [("paragraph", "One."), ("paragraph", "Two.")]


@pytest.mark.parametrize("opening", ["Run::", "Run:\n\n   .. code-block:: sh\n      :linenos:"])
def test_code_in_an_item_ends_where_the_prose_goes_on(opening: str) -> None:
    """What follows code at the depth of its item is prose, and the numbers go on."""
    assert rst(f"#. {opening}\n\n      ls -l\n\n      pwd\n\n   Then look.\n\n#. Next\n") == [
        ("list", "1. Run:"),
        ("code", "ls -l\n\npwd"),
        ("paragraph", "Then look."),
        ("list", "2. Next"),
    ]


def test_numbers_go_on_behind_a_table_in_an_item() -> None:
    """A table that is indented is part of its item."""
    table = "   == ==\n   a  b\n   == ==\n   c  d\n   == ==\n"
    assert rst(f"#. One\n\n{table}\n#. Two\n") == [("list", "1. One"), ("table", "a | b\nc | d"), ("list", "2. Two")]


def test_two_colons_without_code_are_a_colon() -> None:
    """What is not indented deeper is no code."""
    assert rst("- See::\n\n  here\n\nEnd::\n") == [("list", "- See: here"), ("paragraph", "End:")]


def test_classes_have_their_signature() -> None:
    """A class is named above what is said of it."""
    assert rst(".. class:: Foo(x)\n\n   Text.\n\n.. py:class:: Bar\n") == [
        ("paragraph", "Foo(x)"),
        ("paragraph", "Text."),
        ("paragraph", "Bar"),
    ]


WRAPPED = "It ended in\n1998. Then came\nE. coli\n* or not.\n"


def test_a_wrapped_line_is_no_item() -> None:
    """A line of running text may begin as an item would; within an item too."""
    text = "It ended in 1998. Then came E. coli * or not."
    assert rst(WRAPPED) == asciidoc(WRAPPED) == [("paragraph", text)]
    assert rst("- It ended in\n  1998. Then\n\n  1. came\n") == [("list", "- It ended in 1998. Then\n  1. came")]


def test_items_keep_their_enumerators() -> None:
    """Numbers and letters are those that were written; "#." is counted, anew below each item and after a bullet."""
    text = "5. five\n6. six\n\na) a\n\n(ii) ii\n\n#. one\n#. two\n\n   #. below\n\n* bullet\n\n#. anew\n"
    assert rst(text)[0][1].split("\n") == [
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


def test_asciidoc_counts_points_only() -> None:
    """What stands in a list by another mark is inside its item, and numbers go on after it."""
    text = "5. five\n\n// other\n\nText.\n\n. one\n* in it\n. two\n----\nls\n----\n. three\n\nText.\n\n. anew\n"
    assert asciidoc(text) == [
        ("list", "5. five"),
        ("paragraph", "Text."),
        ("list", "1. one\n  - in it\n2. two"),
        ("code", "ls"),
        ("list", "3. three"),
        ("paragraph", "Text."),
        ("list", "1. anew"),
    ]


def test_a_session_with_an_interpreter_is_code() -> None:
    """It keeps its lines up to an empty one; a paragraph may have such a line inside."""
    source = b"Call it:\n\n>>> f(1)\n1\n>>> for x in y:\n...     *x*\n\nA line that\n>>> is quoted.\n\n  >>> g()\n  2\n"
    assert shape(read(source, "text/x-rst")) == [
        ("paragraph", "Call it:"),
        ("code", ">>> f(1)\n1\n>>> for x in y:\n...     *x*"),
        ("paragraph", "A line that >>> is quoted."),
        ("code", ">>> g()\n2"),
    ]


def test_literals_are_not_altered() -> None:
    """Marks are taken off outside of literals and roles, and underscores of names that Python made stay."""
    text = "Use ``__name__``, ``foo_``, ``|x|``, ``*a*``, :meth:`__len__`; not |x|, **a** or foo_ in __main__.\n"
    assert rst(text) == [
        ("paragraph", "Use __name__, foo_, |x|, *a*, __len__; not x, a or foo in __main__."),
    ]


def test_a_formula_may_stand_behind_its_directive() -> None:
    """One line or more, it is one block that knows its lines."""
    content = read(b".. math:: E = m c^2\n   :label: e\n\n   a = b\n", "text/x-rst")
    assert [(block.kind, block.text, lines_of(block)) for block in content.blocks] == [
        ("code", "E = m c^2\na = b", (1, 4)),
    ]
    assert rst(".. math:: a = b\n") == [("code", "a = b")]


def test_asciidoc_macros_show_what_a_reader_sees() -> None:
    """Of a picture what stands in its place, of a link its text; attributes and what is included are no text."""
    assert asciidoc("include::a[leveloffset=1]\n* an item\n\nimage::x[Alt,300,200]\n") == [
        ("list", "- an item"),
        ("paragraph", "Alt"),
    ]
    text = 'image:x["A, b",300] image:x[width=3,alt=C] https://x.org[D^,window=_blank] link:a[E,role=f] stem:[x=3]\n'
    assert asciidoc(text) == [("paragraph", "A, b C D E x=3")]


def test_asciidoc_headings_may_be_underlined() -> None:
    """A line about as long as the one above it makes that a heading; any other opens a block."""
    content = read(b"My Doc\n======\n\nSection\n-------\n\nText.\n\n[sh]\n----\nls\n----\n", "text/asciidoc")
    assert content.title == "My Doc"
    assert shape(content) == [
        ("heading", "My Doc"),
        ("heading", "Section"),
        ("paragraph", "Text."),
        ("code", "ls"),
    ]
    assert content.blocks[-1].locator.headings == ("My Doc", "Section")


def test_a_cell_of_asciidoc_goes_on_before_the_next_one() -> None:
    """Text before a cell's mark belongs to the cell before, spans and styles do not."""
    assert asciidoc("|===\n|One |Two\n\n|Three\n42 |Four\n2+|Five 3 .2+^.>s|Six\n|===\n") == [
        ("table", "One | Two\nThree 42 | Four\nFive 3 | Five 3\nSix")
    ]


def test_binary_under_a_text_name_is_refused() -> None:
    """A program that is called .txt is not indexed."""
    with pytest.raises(UnsupportedMediaError, match="binary"):
        read(b"\x7fELF\x00\x00\x01", "text/plain")


def test_a_simple_table_may_have_blank_lines() -> None:
    """Rows behind a blank line are rows; text is none of a table that does not end."""
    table = "===  =====\nA    B\n===  =====\none  two\n\nsix  eight\n===  =====\n"
    content = read(f"{table}\nText and more text.\n\n{table}".encode(), "text/x-rst")
    rows = ("table", "A | B\none | two\nsix | eight")
    assert shape(content) == [rows, ("paragraph", "Text and more text."), rows]
    assert lines_of(content.blocks[0]) == (1, 7)
    endless = "===  =====\nA    B\n===  =====\none  two\n\nText and more text.\n\n===  =====\n"
    content = read(endless.encode(), "text/x-rst")
    assert shape(content) == [("table", "A | B\none | two"), ("paragraph", "Text and more text.")]


def test_a_table_of_restructured_text_may_be_csv() -> None:
    """Its header stands in an option; a row that is no CSV costs no text."""
    table = '.. csv-table:: Frozen *Delights*\n   :header: "Treat", "Price"\n   :widths: 15, 10\n\n'
    content = read(f'{table}   "Cone, large", 2.99\n   "``Bar``\n   small", 1.50\n\nAfter.\n'.encode(), "text/x-rst")
    assert shape(content) == [
        ("paragraph", "Frozen Delights"),
        ("table", "Treat | Price\nCone, large | 2.99\nBar small | 1.50"),
        ("paragraph", "After."),
    ]
    assert lines_of(content.blocks[1]) == (1, 7)
    broken = read(f"{table}   :a\n".replace(":widths: 15, 10", ":delim: ab").encode(), "text/x-rst")
    assert shape(broken)[1] == ("table", '"Treat", "Price"\n:a')


@pytest.mark.parametrize("columns", ['[%header,cols="1,2a"]', "[cols=2*]", "[cols='2']\n.Settings"])
def test_a_table_of_asciidoc_may_state_its_columns(columns: str) -> None:
    """Where each cell has a line of its own, the attributes say how many make a row."""
    content = read(f"{columns}\n|===\n|Name\n|Value\n\n|port\n|8080\nor more\n|===\n".encode(), "text/asciidoc")
    assert shape(content)[-1] == ("table", "Name | Value\nport | 8080 or more")


@pytest.mark.parametrize("columns", ['cols="{widths}"', "cols="])
def test_columns_that_asciidoc_takes_from_elsewhere_are_counted(columns: str) -> None:
    """An attribute that is not known says nothing, and the first line tells how many there are."""
    content = read(f"[{columns}]\n|===\n|Name |Value\n|port |8080\n|===\n".encode(), "text/asciidoc")
    assert shape(content) == [("table", "Name | Value\nport | 8080")]


def test_cells_of_asciidoc_may_span() -> None:
    """A cell that spans stands in each row and column it reaches, and moves no other out of its row."""
    table = "|===\n|Name |Value |Note\n\n|x\n2+|wide\n\n.2+|tall |1 |2\n|3 |4\n3*|same\n|===\n"
    rows = ["Name | Value | Note", "x | wide | wide", "tall | 1 | 2", "tall | 3 | 4", "same | same | same"]
    assert shape(read(table.encode(), "text/asciidoc")) == [("table", "\n".join(rows))]
