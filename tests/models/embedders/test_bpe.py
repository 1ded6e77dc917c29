"""Words are cut as the library cuts them, whatever they are made of."""

import random
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.models.embedders.bpe import SPACE, BPETokenizer, parse_vocabulary
from semsearch.models.embedders.local import _TOKENIZER_FILE, LocalEmbedder, _find_file
from semsearch.models.embedders.word_tokens import MAX_WORD_CHARACTERS

pytestmark = pytest.mark.slow

DATA = _find_file(_TOKENIZER_FILE).read_bytes()
VOCABULARY = parse_vocabulary(DATA)
OWN = BPETokenizer(VOCABULARY)
LIBRARY = LocalEmbedder()._word_token_cache._tokenizer

CHARACTERS = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if not character.isspace() and not "\ud800" <= character <= "\udfff"
]
ALPHABETS = {
    "known characters": [piece for piece in VOCABULARY if len(piece) == 1],
    "pieces": [piece for piece in VOCABULARY if len(piece) > 1],
    "letters": list("aeinorst"),
    "signs": list("-.=*#/_()"),
    "runs that overlap": list("ab-"),
    "spaces": [SPACE, SPACE * 2, "a", "in"],
    "every script": CHARACTERS[:60_000],
}


def differing(words: Iterable[str]) -> list[str]:
    """The words that the library cuts otherwise."""
    words = list(words)
    theirs = LIBRARY.encode_batch_fast(words, add_special_tokens=False)
    return [word for word, found in zip(words, theirs, strict=True) if found.ids != OWN.encode(word)]


def test_the_vocabulary_is_the_whole_of_it() -> None:
    """No piece is missing, and none has another id."""
    assert LIBRARY.get_vocab() == VOCABULARY


def test_each_piece_is_cut_into_itself() -> None:
    """A word that is a piece needs no cutting; the library says so of each."""
    pieces = [piece.removeprefix(SPACE) for piece in VOCABULARY if piece.startswith(SPACE) and piece != SPACE]
    assert not differing(pieces)
    assert all(OWN.encode(piece) == [VOCABULARY[SPACE + piece]] for piece in pieces)


def test_every_piece_as_a_word() -> None:
    """Markers and single bytes among them, which are text here."""
    assert not differing(VOCABULARY)


def test_every_script() -> None:
    """Each eleventh of all characters stands as a word of its own."""
    assert not differing(CHARACTERS[::11])


@pytest.mark.parametrize("kind", sorted(ALPHABETS))
def test_words_of_chance(kind: str) -> None:
    """Thousands of words of any length, of letters that join easily and of those that never do."""
    luck = random.Random(kind)
    words = ("".join(luck.choices(ALPHABETS[kind], k=luck.randint(1, 40))) for _ in range(5_000))
    assert not differing(word[:MAX_WORD_CHARACTERS] for word in words)


@given(st.lists(st.text(min_size=1, max_size=MAX_WORD_CHARACTERS).filter(lambda word: not any(map(str.isspace, word)))))
def test_any_words(words: list[str]) -> None:
    """What hypothesis thinks of."""
    assert not differing(words)


def test_words_of_the_judged_collections(shared_data: Path) -> None:
    """A hundred thousand words as people write them."""
    words = (shared_data / "squad2_a" / "corpus.jsonl").read_text().split()
    words += (shared_data / "cranfield" / "corpus.jsonl").read_text().split()
    assert not differing({word[:MAX_WORD_CHARACTERS] for word in words[:100_000]})


def test_a_file_without_a_vocabulary_is_refused() -> None:
    """Another kind of file is not taken for an empty vocabulary."""
    with pytest.raises(ValueError, match="not found"):
        parse_vocabulary(b'{"model": {}}')
