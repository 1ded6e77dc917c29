"""An excerpt is one contiguous span that can be understood by itself."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.passages import BlockText, make_block_passage, make_blocks

from semsearch.answers.excerpts import (
    MAX_EXCERPT_WORDS,
    MAX_JOINED_WORDS,
    Excerpt,
    build_excerpt,
    count_size,
    ends_as_lead_in,
    join_excerpts,
)
from semsearch.core.types.answers import Passage, Sentence
from semsearch.core.types.documents import BLOCK_SEPARATOR
from semsearch.core.types.stored_documents import TextBlock

FILLER = "The keeper writes every ship into the log of the tower before the night begins. "


def build_around(passage: Passage, words: str) -> Excerpt | None:
    """Return the excerpt around the sentence that contains these words."""
    return build_excerpt(passage, next(sentence for sentence in passage.sentences if words in sentence.text))


def text_around(words: str, *contents: BlockText, pages: tuple[int, ...] = ()) -> str | None:
    """Return the text of that excerpt; None if there is none."""
    excerpt = build_around(make_block_passage(*contents, pages=pages), words)
    return excerpt.text if excerpt else None


@pytest.mark.parametrize("words", ["do these things", "Light", "Write"])
def test_lead_in_comes_with_its_list(words: str) -> None:
    """Whether the lead-in or an item is the best sentence; the section around it is filled up to the target."""
    text = text_around(
        words,
        ("paragraph", "Every evening the keepers do these things:"),
        ("list", "- Light the lamp.\n- Write the log.\n- Lock the door."),
        ("heading", "Mornings"),
        ("paragraph", "Sheep graze."),
    )
    assert text == (
        "Every evening the keepers do these things:\n\n- Light the lamp.\n- Write the log.\n- Lock the door."
    )


@pytest.mark.parametrize("lead", ["Run this command at dusk:", "This command lights the lamp."])
def test_code_comes_with_the_paragraph_before_it(lead: str) -> None:
    """Its lines stay as they are."""
    code = "$ lamp on\n    --level 3\n$ log 'on'"
    assert text_around("lamp on", ("paragraph", lead), ("code", code)) == f"{lead}\n\n{code}"
    assert text_around(lead, ("paragraph", lead), ("code", code)) in (f"{lead}\n\n{code}", lead)


def test_code_without_an_introduction_comes_with_what_follows_or_its_heading() -> None:
    """Code without either is not quoted."""
    explanation: BlockText = ("paragraph", "This lights the lamp at once.")
    code: BlockText = ("code", "$ lamp on --level 3 --now --quiet")
    assert text_around("lamp on", ("heading", "Lamps"), code, explanation) == f"{code[1]}\n\n{explanation[1]}"
    assert text_around("lamp on", ("heading", "Lamps"), code) == f"Lamps\n\n{code[1]}"
    assert (
        text_around("lamp on", ("heading", "Lamps"), code, ("heading", "Doors"), explanation) == f"Lamps\n\n{code[1]}"
    )
    assert text_around("lamp on", code) is None


def test_short_last_row_of_a_table_is_quoted() -> None:
    """Rows before it are added until there are enough words."""
    table = "Setting | Default\nNumber of attempts before a request fails | 7\nRetention | 30"
    assert text_around("Retention", ("table", table)) == table.partition("\n")[2]


@pytest.mark.parametrize(
    ("words", "contents"),
    [
        ("Lamps", [("heading", "Lamps and towers of the old coast")]),
        ("steps", [("paragraph", "To light the lamp of the tower follow these steps:")]),
        ("steps", [("paragraph", "To light the lamp follow these steps:"), ("heading", "Doors")]),
        ("steps", [("paragraph", "To light the lamp follow these steps:"), ("code", "y = 2 " * 400)]),
        ("Table", [("paragraph", "Table of contents")]),
        ("name |", [("table", "name | weight | colour | height | since\nlamp | 3 | red | 7 | 1907")]),
    ],
)
def test_nothing_is_quoted_where_nothing_is_coherent(words: str, contents: list[BlockText]) -> None:
    """Headings, lead-ins without what they introduce, fragments, and the header of a table are not quoted."""
    assert text_around(words, *contents) is None


def test_table_row_has_the_header_as_its_context() -> None:
    """The row alone is the excerpt."""
    passage = make_block_passage(
        ("paragraph", "Lamps of the coast are listed below."),
        ("table", "name | height | colour | since\nnorth lamp | 30 | red | 1907\nsouth lamp | 20 | green | 1911"),
    )
    excerpt = build_around(passage, "south")
    assert excerpt is not None
    assert (excerpt.text, excerpt.context, excerpt.kind) == (
        "south lamp | 20 | green | 1911",
        "name | height | colour | since",
        "table",
    )


def test_excerpt_stays_within_its_section_and_page() -> None:
    """However short it is."""
    texts = [f"The {name} lamp is lit by its keeper at dusk." for name in ("north", "south", "east", "west")]
    paragraphs: list[BlockText] = [("paragraph", text) for text in texts]
    north, south, east, west = paragraphs
    assert text_around("south", north, ("heading", "South"), south, ("heading", "East"), east) == south[1]
    assert text_around("south", north, south, east, west, pages=(1, 2, 2, 3)) == f"{south[1]}\n\n{east[1]}"


def test_sentence_that_refers_to_the_one_before_comes_with_it() -> None:
    """Otherwise the following sentences are preferred."""
    before = "The `max_age` option limits a session in days. " + FILLER * 3
    passage: BlockText = ("paragraph", f"{before.strip()} It defaults to 600. {FILLER * 6}".strip())
    text = text_around("defaults", passage)
    assert text is not None
    assert text.endswith("It defaults to 600.") or f"{FILLER.strip()} It defaults to 600." in text


def test_best_sentence_is_in_the_excerpt_of_a_long_paragraph() -> None:
    """It is not cut in the middle of a sentence."""
    text = text_around("Zanzibar", ("paragraph", f"{FILLER * 20}The lamp of Zanzibar is red. {FILLER * 20}".strip()))
    assert text is not None
    assert "The lamp of Zanzibar is red." in text
    assert text.startswith("The ")
    assert text.endswith(".")
    assert count_size(text) <= MAX_EXCERPT_WORDS


KINDS = st.sampled_from(["paragraph", "heading", "list", "table", "code"])
LINES = st.sampled_from(
    [
        "The lamp is lit at dusk.",
        "Do this:",
        "- Light the lamp.",
        "1. Write the log: now.",
        "name | height",
        "  x = lamp(3)",
        "It is red.",
        "灯在黄昏时点亮。守塔人记录每一艘船。",
        "One",
        "",
        FILLER * 12,
    ]
)
TEXTS = st.lists(LINES, min_size=1, max_size=5).map("\n".join).filter(str.strip)  # readers add no empty block
CONTENTS = st.lists(st.tuples(KINDS, TEXTS), min_size=1, max_size=7)


@given(CONTENTS, st.lists(st.sampled_from([None, 1, 2]), min_size=7, max_size=7))
def test_excerpt_is_a_coherent_span_of_its_document(contents: list[BlockText], pages: list[int | None]) -> None:
    """For any blocks and every sentence: text, bounds, section, page and length hold, and no lead-in is left open."""
    blocks = make_blocks(contents, pages)
    document = BLOCK_SEPARATOR.join(block.text for block in blocks)
    passage = make_block_passage(*contents, pages=pages)
    for sentence in passage.sentences:
        if (excerpt := build_excerpt(passage, sentence)) is not None:
            _validate_excerpt(excerpt, blocks, document)
            assert _overlaps(excerpt, sentence)


@given(CONTENTS, st.lists(st.sampled_from([None, 1, 2]), min_size=7, max_size=7))
def test_joined_excerpts_are_coherent_too(contents: list[BlockText], pages: list[int | None]) -> None:
    """They cover both, inside one section and page."""
    blocks = make_blocks(contents, pages)
    document = BLOCK_SEPARATOR.join(block.text for block in blocks)
    passage = make_block_passage(*contents, pages=pages)
    excerpts = [build_excerpt(passage, sentence, 20) for sentence in passage.sentences]
    for first, second in pairwise(excerpt for excerpt in excerpts if excerpt is not None):
        if (joined := join_excerpts(passage, first, second)) is not None:
            _validate_excerpt(joined, blocks, document)
            assert count_size(joined.text) <= MAX_JOINED_WORDS
            assert "table" not in {
                block.kind for block in blocks if block.start < joined.end and joined.start < block.end
            }
            assert joined.start == min(first.start, second.start)
            assert joined.end == max(first.end, second.end)


def test_excerpts_of_two_sections_are_not_joined() -> None:
    """Nor are those that would be too long together, nor rows of tables."""
    light, door = "The lamp is lit at dusk every day.", "The door is locked at night every day."
    near: tuple[BlockText, BlockText] = ("paragraph", light), ("paragraph", door)
    joined = _join_around(light, door, *near)
    assert joined is not None
    assert joined.text == f"{light}\n\n{door}"
    assert _join_around(light, door, near[0], ("heading", "Doors"), near[1]) is None
    assert _join_around(light, door, near[0], ("paragraph", FILLER * 12), near[1]) is None
    assert (
        _join_around("1066", "1067", ("table", "Year | Ship\n1066 | the old red ship\n1067 | the new red ship")) is None
    )


def _join_around(first: str, second: str, *contents: BlockText) -> Excerpt | None:
    """Return the joined excerpts of 5 words around the sentences with these words."""
    passage = make_block_passage(*contents)
    sentences = [next(one for one in passage.sentences if words in one.text) for words in (first, second)]
    excerpts = [build_excerpt(passage, sentence, 5) for sentence in sentences]
    assert excerpts[0] is not None
    assert excerpts[1] is not None
    return join_excerpts(passage, excerpts[0], excerpts[1])


def _validate_excerpt(excerpt: Excerpt, blocks: Sequence[TextBlock], document: str) -> None:
    assert document[excerpt.start : excerpt.end] == excerpt.text
    assert count_size(excerpt.text) <= MAX_EXCERPT_WORDS
    assert not ends_as_lead_in(excerpt.text)
    inside = [block for block in blocks if block.start < excerpt.end and excerpt.start < block.end]
    assert {block.kind for block in inside} - {"code"}
    above, *others = inside
    assert "heading" not in {block.kind for block in others}
    assert above.kind != "heading" or {block.kind for block in others} == {"code"}
    assert len({block.page for block in inside}) == 1
    assert not excerpt.context or excerpt.kind == "table"


def _overlaps(excerpt: Excerpt, sentence: Sentence) -> bool:
    return excerpt.start < sentence.end and sentence.start < excerpt.end
