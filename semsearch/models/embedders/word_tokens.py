"""Cache the tokens of words and of their runs: runs of letters, of digits and of all other characters.

No token crosses a space or the boundary of a run, so a word has the same tokens in every text. Most words of a text are
in the cache. A new word usually consists of cached runs, of which there are far fewer: `(see`, `see,` and `see` share
one. Words of a query are split with the vocabulary alone, which loads fast; the new words of many texts go to the
tokenizer in batches.
"""

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .bpe import SPACE, BPETokenizer, parse_vocabulary
from .token_vectors import TokenIds
from .tokenizer import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_WORD_CHARACTERS = 64
"""A longer word is cut: the time for its tokens grows faster than its length, and the tokens carry no meaning."""

RUN_PATTERN = re.compile(r" ?(?:[^\W\d_²]+|\d+|(?:[^\w ]|[_²])+)")
"""Letters, digits, all other characters. Except for `².` and the like, no token of the table mixes them. The first run
of a word includes the space before it, because its tokens differ from those of a later run."""

_CACHE_SIZE = 65_536
"""Entries of each cache (words, runs), about 12 MB. A long book has fewer words, and a quarter of the runs."""
_ASCII_CLASSES = np.array(
    [2 if chr(code).isalpha() else 1 if chr(code).isdigit() else 3 * (code != 32) for code in range(128)]
)
"""Class of each ASCII character: 2 letter, 1 digit, 3 other, 0 space."""
_TOKEN_BYTES = array("H").itemsize
_MAX_SINGLE_WORDS = 16
"""Up to so many new words are encoded one by one, which does not need the tokenizer."""
_RUN_BATCH_SIZE = 256
"""Runs that are encoded together; one by one they take three times as long."""


class WordTokenCache:
    """Returns the tokens of texts and caches them by word."""

    def __init__(self, read_tokenizer: Callable[[], bytes]) -> None:
        """`read_tokenizer` returns the bytes of a `tokenizer.json`."""
        self._read_tokenizer = read_tokenizer
        self._word_tokens = _TokenCache(self._tokenize_word)
        self._run_tokens = _TokenCache(self._tokenize_run)

    def tokenize(self, texts: Iterable[str], *, in_bulk: bool = False) -> Iterator[TokenIds]:
        """Yield the token ids of the words of each text. `in_bulk` encodes the new words of all texts together."""
        text_words = [text.split() for text in texts]
        if in_bulk:
            self._tokenize_new_words(set().union(*text_words))
        for words in text_words:
            yield np.frombuffer(b"".join(map(self._word_tokens.__getitem__, words)), np.uint16).astype(np.int64)

    def prepare(self) -> None:
        """Load the data that many new words need."""
        self._split_by_word(self._encode_text("a"))

    def _tokenize_new_words(self, words: set[str]) -> None:
        """Cache the tokens of those words that are not in the cache yet."""
        new_words = [word for word in words if word not in self._word_tokens]
        if len(new_words) > _MAX_SINGLE_WORDS:
            regular = [word for word in new_words if SPACE not in word and len(word) <= MAX_WORD_CHARACTERS]
            ascii_words = [word for word in regular if word.isascii()]
            other_words = [word for word in regular if not word.isascii()]
            for group, find_runs in ((ascii_words, _find_ascii_runs), (other_words, RUN_PATTERN.findall)):
                runs = find_runs(" " + " ".join(group)) if group else []
                self._tokenize_new_runs([run for run in set(runs) if run not in self._run_tokens])
                self._word_tokens.put(group, self._split_by_word(b"".join(map(self._run_tokens.__getitem__, runs))))

    def _tokenize_new_runs(self, runs: Sequence[str]) -> None:
        for start in range(0, len(runs), _RUN_BATCH_SIZE):
            batch = runs[start : start + _RUN_BATCH_SIZE]
            encoded = self._split_by_word(self._encode_text(" ".join(map(_to_word, batch))))
            run_tokens = [_strip_marker(run, tokens) for run, tokens in zip(batch, encoded, strict=True)]
            self._run_tokens.put(batch, run_tokens)

    def _split_by_word(self, tokens: bytes) -> list[bytes]:
        """Split tokens by word: the first token of a word begins with a space, and no other token does."""
        first_indexes = np.flatnonzero(self._starts_with_space[np.frombuffer(tokens, np.uint16)])
        bounds = [*(first_indexes * _TOKEN_BYTES).tolist(), len(tokens)]
        return [tokens[start:end] for start, end in pairwise(bounds)]

    def _tokenize_word(self, word: str) -> bytes:
        if len(word) > MAX_WORD_CHARACTERS:
            parts = (word[start : start + MAX_WORD_CHARACTERS] for start in range(0, len(word), MAX_WORD_CHARACTERS))
            return b"".join(map(self._word_tokens.__getitem__, parts))
        if SPACE in word:
            return self._encode_word(word)
        return b"".join(map(self._run_tokens.__getitem__, RUN_PATTERN.findall(" " + word)))

    def _tokenize_run(self, run: str) -> bytes:
        return _strip_marker(run, self._encode_word(_to_word(run)))

    def _encode_word(self, word: str) -> bytes:
        return array("H", self._bpe_tokenizer.encode(word)).tobytes()

    def _encode_text(self, text: str) -> bytes:
        return array("H", self._tokenizer.encode(text, add_special_tokens=False).ids).tobytes()

    @cached_property
    def _bpe_tokenizer(self) -> BPETokenizer:
        """Loads in a sixth of the time of `_tokenizer`, with 30 MB less."""
        return BPETokenizer(parse_vocabulary(self._read_tokenizer()))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        """Gives the same tokens; for many new words in a third of the time."""
        return load_tokenizer(self._read_tokenizer())

    @cached_property
    def _starts_with_space(self) -> npt.NDArray[np.bool_]:
        """Whether each token begins with a space, by token id."""
        vocabulary = self._tokenizer.get_vocab()
        starts = np.zeros(max(vocabulary.values()) + 1, np.bool_)
        starts[[token_id for token, token_id in vocabulary.items() if token.startswith(SPACE)]] = True
        return starts


class _TokenCache(dict[str, bytes]):
    """Tokens by word or run. A plain dict: a cache that orders its entries takes twice the time."""

    def __init__(self, tokenize: Callable[[str], bytes]) -> None:
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, text: str) -> bytes:
        tokens = self._tokenize(text)
        if len(text) <= MAX_WORD_CHARACTERS:
            self.put([text], [tokens])
        return tokens

    def put(self, texts: Collection[str], tokens: Iterable[bytes]) -> None:
        """Add the tokens of these texts; clear the cache first if they would not fit."""
        if len(self) + len(texts) > _CACHE_SIZE:
            self.clear()
        self.update(zip(texts, tokens, strict=True))


def _find_ascii_runs(text: str) -> list[str]:
    """Return the same as `RUN_PATTERN.findall` for ASCII text, in half of its time."""
    classes = _ASCII_CLASSES[np.frombuffer(text.encode(), np.uint8)]
    ends = np.flatnonzero((classes[1:] != classes[:-1]) & (classes[:-1] != _ASCII_CLASSES[ord(" ")])) + 1
    return [text[start:end] for start, end in pairwise([0, *ends.tolist(), len(text)])]


def _to_word(run: str) -> str:
    """Return a word that ends in this run; a run within a word follows a marker, one character of another class."""
    if run[0] == " ":
        return run[1:]
    return ("(" if run[0].isalnum() and run[0] != "²" else "a") + run


def _strip_marker(run: str, tokens: bytes) -> bytes:
    """Remove the token of the marker that `_to_word` puts before a run within a word."""
    return tokens if run[0] == " " else tokens[_TOKEN_BYTES:]
