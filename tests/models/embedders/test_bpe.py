"""The BPE tokenizer gives the same tokens as the tokenizers library for any word."""

import random
import sys
from collections.abc import Callable, Iterable
from functools import cache
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
TOKENIZER = BPETokenizer(VOCABULARY)
REFERENCE = LocalEmbedder()._word_token_cache._tokenizer

MAX_SCRIPT_CHARACTERS = 60_000


@cache
def list_characters() -> list[str]:
    """Return all characters except white space and surrogates."""
    return [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if not character.isspace() and not "\ud800" <= character <= "\udfff"
    ]


ALPHABETS: dict[str, Callable[[], list[str]]] = {
    "known characters": lambda: [piece for piece in VOCABULARY if len(piece) == 1],
    "pieces": lambda: [piece for piece in VOCABULARY if len(piece) > 1],
    "letters": lambda: list("aeinorst"),
    "signs": lambda: list("-.=*#/_()"),
    "runs that overlap": lambda: list("ab-"),
    "spaces": lambda: [SPACE, SPACE * 2, "a", "in"],
    "every script": lambda: list_characters()[:MAX_SCRIPT_CHARACTERS],
}


def find_differences(words: Iterable[str]) -> list[str]:
    """Return the words for which the library gives other tokens."""
    words = list(words)
    encodings = REFERENCE.encode_batch_fast(words, add_special_tokens=False)
    return [word for word, encoding in zip(words, encodings, strict=True) if encoding.ids != TOKENIZER.encode(word)]


def test_vocabulary_equals_that_of_the_library() -> None:
    """No piece is missing, and every id is equal."""
    assert REFERENCE.get_vocab() == VOCABULARY


def test_each_piece_encodes_to_itself() -> None:
    """A word that is a piece is one token, as in the library."""
    pieces = [piece.removeprefix(SPACE) for piece in VOCABULARY if piece.startswith(SPACE) and piece != SPACE]
    assert not find_differences(pieces)
    assert all(TOKENIZER.encode(piece) == [VOCABULARY[SPACE + piece]] for piece in pieces)


def test_every_piece_is_encoded_as_a_word() -> None:
    """This includes special tokens and single bytes, which are plain text here."""
    assert not find_differences(VOCABULARY)


def test_characters_of_every_script_are_encoded() -> None:
    """Every eleventh Unicode character is a word."""
    assert not find_differences(list_characters()[::11])


@pytest.mark.parametrize("alphabet", sorted(ALPHABETS))
def test_random_words_are_encoded(alphabet: str) -> None:
    """Thousands of words of any length, from alphabets with many merges and with few."""
    rng, characters = random.Random(alphabet), ALPHABETS[alphabet]()
    words = ("".join(rng.choices(characters, k=rng.randint(1, 40))) for _ in range(5_000))
    assert not find_differences(word[:MAX_WORD_CHARACTERS] for word in words)


@given(st.lists(st.text(min_size=1, max_size=MAX_WORD_CHARACTERS).filter(lambda word: not any(map(str.isspace, word)))))
def test_generated_words_are_encoded(words: list[str]) -> None:
    """Words of any characters except white space."""
    assert not find_differences(words)


def test_words_of_squad2_and_cranfield_are_encoded(shared_data: Path) -> None:
    """100,000 words of real text."""
    words = (shared_data / "squad2_a" / "corpus.jsonl").read_text().split()
    words += (shared_data / "cranfield" / "corpus.jsonl").read_text().split()
    assert not find_differences({word[:MAX_WORD_CHARACTERS] for word in words[:100_000]})


def test_file_without_a_vocabulary_is_rejected() -> None:
    """Another kind of file is not read as an empty vocabulary."""
    with pytest.raises(ValueError, match="not found"):
        parse_vocabulary(b'{"model": {}}')
