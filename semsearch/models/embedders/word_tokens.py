"""Which tokens a word has, where tokens cross neither spaces nor runs of letters, of digits and of all else.

So the tokens of a word are the same in every text. Most words of a text were met before; of the others it is the runs,
of which there are far fewer: `(see`, `see,` and `see` share one. Those of questions are cut by the vocabulary alone,
which is soon ready; what is new in many texts is given to the tokenizer, many at once.
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
"""A longer word is cut: finding its tokens takes longer than its length says, and they mean nothing."""

RUN_PATTERN = re.compile(r" ?(?:[^\W\d_²]+|\d+|(?:[^\w ]|[_²])+)")
"""Letters, digits, and all else: but for `².` and the like, no token of the table has two of these in it. The first run
of a word has the space before it, because its tokens are others than those of a later one."""

_CACHE_SIZE = 65_536
"""Words, and runs, whose tokens are kept: some 12 MB each. A long book has fewer words, and a quarter of the runs."""
_ASCII_CLASSES = np.array(
    [2 if chr(code).isalpha() else 1 if chr(code).isdigit() else 3 * (code != 32) for code in range(128)]
)
"""Of the characters of ASCII: letters, digits, all else, and the space."""
_TOKEN_BYTES = array("H").itemsize
_MAX_SINGLE_WORDS = 16
"""Up to so many new words are found one by one, which does without a look at the whole vocabulary."""
_RUN_BATCH_SIZE = 256
"""Runs given to the tokenizer in one text: one by one they take three times as long."""


class WordTokenCache:
    """The tokens of the words that were met."""

    def __init__(self, read_tokenizer: Callable[[], bytes]) -> None:
        """`read` gives a `tokenizer.json`."""
        self._read_tokenizer = read_tokenizer
        self._word_tokens = _TokenCache(self._tokenize_word)
        self._run_tokens = _TokenCache(self._tokenize_run)

    def tokenize(self, texts: Iterable[str], *, in_bulk: bool = False) -> Iterator[TokenIds]:
        """The token ids of the words of each text; white space has none. Of `many` texts new words are met together."""
        cut = [text.split() for text in texts]
        if in_bulk:
            self._tokenize_new_words(set().union(*cut))
        for words in cut:
            yield np.frombuffer(b"".join(map(self._word_tokens.__getitem__, words)), np.uint16).astype(np.int64)

    def prepare(self) -> None:
        """Have at hand what many new words need."""
        self._split_by_word(self._encode_text("a"))

    def _tokenize_new_words(self, words: set[str]) -> None:
        """Find the tokens of those words that are new."""
        new = [word for word in words if word not in self._word_tokens]
        if len(new) > _MAX_SINGLE_WORDS:
            usual = [word for word in new if SPACE not in word and len(word) <= MAX_WORD_CHARACTERS]
            plain = [word for word in usual if word.isascii()]
            others = [word for word in usual if not word.isascii()]
            for some, find in ((plain, _find_ascii_runs), (others, RUN_PATTERN.findall)):
                runs = find(" " + " ".join(some)) if some else []
                self._tokenize_new_runs([run for run in set(runs) if run not in self._run_tokens])
                self._word_tokens.put(some, self._split_by_word(b"".join(map(self._run_tokens.__getitem__, runs))))

    def _tokenize_new_runs(self, runs: Sequence[str]) -> None:
        for at in range(0, len(runs), _RUN_BATCH_SIZE):
            some = runs[at : at + _RUN_BATCH_SIZE]
            found = self._split_by_word(self._encode_text(" ".join(map(_write_as_word, some))))
            bare = [tokens if run[0] == " " else tokens[_TOKEN_BYTES:] for run, tokens in zip(some, found, strict=True)]
            self._run_tokens.put(some, bare)

    def _split_by_word(self, tokens: bytes) -> list[bytes]:
        """The tokens of each of some words: the first of a word is one that begins with a space, and no other is."""
        firsts = np.flatnonzero(self._starts_with_space[np.frombuffer(tokens, np.uint16)])
        bounds = [*(firsts * _TOKEN_BYTES).tolist(), len(tokens)]
        return [tokens[start:end] for start, end in pairwise(bounds)]

    def _tokenize_word(self, word: str) -> bytes:
        if len(word) > MAX_WORD_CHARACTERS:
            parts = (word[at : at + MAX_WORD_CHARACTERS] for at in range(0, len(word), MAX_WORD_CHARACTERS))
            return b"".join(map(self._word_tokens.__getitem__, parts))
        if SPACE in word:
            return self._encode_word(word)
        return b"".join(map(self._run_tokens.__getitem__, RUN_PATTERN.findall(" " + word)))

    def _tokenize_run(self, run: str) -> bytes:
        tokens = self._encode_word(_write_as_word(run))
        return tokens if run[0] == " " else tokens[_TOKEN_BYTES:]

    def _encode_word(self, word: str) -> bytes:
        return array("H", self._bpe_tokenizer.encode(word)).tobytes()

    def _encode_text(self, text: str) -> bytes:
        return array("H", self._tokenizer.encode(text, add_special_tokens=False).ids).tobytes()

    @cached_property
    def _bpe_tokenizer(self) -> BPETokenizer:
        """Ready within a sixth of the time of the tokenizer, and with 30 MB less."""
        return BPETokenizer(parse_vocabulary(self._read_tokenizer()))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        """The same tokens: of many new words in a third of the time."""
        return load_tokenizer(self._read_tokenizer())

    @cached_property
    def _starts_with_space(self) -> npt.NDArray[np.bool_]:
        """Whether each token begins with a space."""
        vocabulary = self._tokenizer.get_vocab()
        begins = np.zeros(max(vocabulary.values()) + 1, np.bool_)
        begins[[number for token, number in vocabulary.items() if token.startswith(SPACE)]] = True
        return begins


class _TokenCache(dict[str, bytes]):
    """The tokens of what was met: a table, because a cache that orders its entries takes twice the time."""

    def __init__(self, tokenize: Callable[[str], bytes]) -> None:
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, name: str) -> bytes:
        tokens = self._tokenize(name)
        if len(name) <= MAX_WORD_CHARACTERS:
            self.put([name], [tokens])
        return tokens

    def put(self, names: Collection[str], tokens: Iterable[bytes]) -> None:
        """Remember these, and forget all others if they would become too many."""
        if len(self) + len(names) > _CACHE_SIZE:
            self.clear()
        self.update(zip(names, tokens, strict=True))


def _find_ascii_runs(text: str) -> list[str]:
    """What `RUNS.findall` finds in a text of ASCII, in half of its time."""
    kinds = _ASCII_CLASSES[np.frombuffer(text.encode(), np.uint8)]
    ends = np.flatnonzero((kinds[1:] != kinds[:-1]) & (kinds[:-1] != _ASCII_CLASSES[ord(" ")])) + 1
    return [text[start:end] for start, end in pairwise([0, *ends.tolist(), len(text)])]


def _write_as_word(run: str) -> str:
    """A run as a word; one that does not begin its word stands behind another kind, whose one token goes."""
    if run[0] == " ":
        return run[1:]
    return ("(" if run[0].isalnum() and run[0] != "²" else "a") + run
