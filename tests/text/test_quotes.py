"""Quotes in other versions of their documents."""

import random

from hypothesis import given
from hypothesis import strategies as st

from semsearch.text.quotes import DocumentWords, split_words

FEW_WORDS = st.lists(st.sampled_from("a b c 1.5 x. (y) 東京 z".split()), min_size=3, max_size=40)


def locate(old: str, quote: str, new: str) -> str | None:
    """Return the text where the quote of `old` stands in `new`."""
    start = old.index(quote)
    span = DocumentWords(new).locate(DocumentWords(old).read_quote(start, start + len(quote)), quote)
    return None if span is None else new[slice(*span)]


def test_spaces_line_breaks_and_punctuation_may_change() -> None:
    """The quote is then as the new text has it."""
    old, quote = "One. Leave lasts 26 weeks, at full pay. End.", "Leave lasts 26 weeks, at full pay."
    assert locate(old, quote, f"New text. {old}") == quote
    assert locate(old, quote, "Leave lasts 26\nweeks at  full pay; see below.") == "Leave lasts 26\nweeks at  full pay;"


def test_changed_words_are_lost() -> None:
    """Numbers, signs, case and parts of words count."""
    quote = "Leave lasts 6 weeks."
    for new in ("Leave lasts 16 weeks.", "Leave lasts -6 weeks.", "leave lasts 6 weeks.", "Leave lasts 6 full weeks."):
        assert locate(quote, quote, new) is None
    for quote, new in (("6 weeks of leave.", "16 weeks of leave."), ("東京は首都です。", "東京は州都です。")):
        assert locate(quote, quote, new) is None
    words = DocumentWords("Leave lasts 16 weeks. Something else lasts 6 days.")
    assert words.find_lost_words(DocumentWords("Leave lasts 6 weeks.").read_quote(0, 20)) == ("6",)


def test_same_words_of_another_section_are_no_evidence() -> None:
    """Two options have the same default; a change of one must not move its quote to the other."""
    quote, filler = "The default is 30.", "It is used by all of the others, unless one of them has another value."
    text = f"Option A\n\n{quote} {filler}\n\nOption B\n\n{quote} {filler}\n\nThe end."
    start = text.rindex(quote)
    quoted = DocumentWords(text).read_quote(start, start + len(quote))
    assert (quoted.occurrences, quoted.rival_score) == (2, 8)
    own_changed = f"{text[:start]}{text[start:].replace('30', '60')}"
    assert DocumentWords(own_changed).locate(quoted, quote) is None
    other_changed = DocumentWords(text.replace("30", "60", 1))
    assert other_changed.locate(quoted, quote) == (start, start + len(quote))
    both_near = DocumentWords(text.replace("30", "60", 1).replace("B\n", "C\n"))  # the words around it changed too
    assert both_near.locate(quoted, quote) is None


@given(words=FEW_WORDS, data=st.data())
def test_unchanged_text_has_its_quotes_in_place(words: list[str], data: st.DataObject) -> None:
    """Also where it repeats the same words."""
    text = " ".join(words)
    placed = split_words(text)
    first = data.draw(st.integers(0, len(placed) - 1))
    last = data.draw(st.integers(first, len(placed) - 1))
    start, end = placed[first].start, placed[last].end
    document = DocumentWords(text)
    span = document.locate(document.read_quote(start, end), text[start:end])
    assert span is not None
    assert text[slice(*span)] == text[start:end]


@given(words=FEW_WORDS, seed=st.integers(0, 1000))
def test_located_span_has_the_quoted_words(words: list[str], seed: int) -> None:
    """In any new version, the words of the span are those of the quote."""
    rng, text = random.Random(seed), " ".join(words)
    placed = split_words(text)
    first = rng.randrange(len(placed))
    start, end = placed[first].start, placed[min(first + rng.randrange(4), len(placed) - 1)].end
    new = " ".join(rng.sample(words, rng.randint(1, len(words))) + words[: rng.randint(0, len(words))])
    quoted = DocumentWords(text).read_quote(start, end)
    span = DocumentWords(new).locate(quoted, text[start:end])
    if span is not None:
        assert tuple(word.form for word in split_words(new[slice(*span)])) == quoted.words
