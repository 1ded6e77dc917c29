"""Find the words of a quote in another version of its document, and the words that it has lost.

Line breaks, spaces and punctuation around words do not count; everything else does. Where a document has the words more
than once, the words around them tell the occurrences apart.
"""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import NamedTuple

from ..core.types.documents import Span
from ..core.types.evidence import QuotedWords
from .analyzer import SPACELESS_RANGES

MAX_CONTEXT_WORDS = 8
"""Words on each side of a quote that are compared."""

_EDGE_PUNCTUATION = ".,;:!?…\"'“”‘’«»()。、，．！？：；「」『』（）"


class PlacedWord(NamedTuple):
    """A word of a text without punctuation around it, and the span with that punctuation."""

    form: str
    start: int
    end: int


class DocumentWords:
    """The words of one document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._words = split_words(text)
        self._forms = [word.form for word in self._words]

    def read_quote(self, start: int, end: int) -> QuotedWords:
        """Return the words of a span with their context; no words if it has none."""
        indexes = [index for index, word in enumerate(self._words) if word.start < end and word.end > start]
        if not indexes:
            return QuotedWords(())
        first, words = indexes[0], tuple(self._forms[indexes[0] : indexes[-1] + 1])
        before, after = self._read_context(first, len(words))
        rivals = [place for place in self._find(words) if place != first]
        quoted = QuotedWords(words, before, after, len(rivals) + 1)
        scores = [self._score(place, quoted) for place in rivals]
        return QuotedWords(words, before, after, len(rivals) + 1, max(scores, default=-1))

    def locate(self, quoted: QuotedWords, quote: str) -> Span | None:
        """Return the span of the quoted words; None if they are lost.

        Of several occurrences it is the one with most words around it in common. If there are fewer than before, the
        lost one may be the quoted one: then all words around it must be as they were, and as around no other one.
        """
        places = self._find(quoted.words)
        if not places:
            return None
        score, place = max((self._score(place, quoted), -place) for place in places)
        full_score = len(quoted.before) + len(quoted.after)
        if len(places) < quoted.occurrences and not full_score == score > quoted.rival_score:
            return None
        return self._get_span(-place, len(quoted.words), quote)

    def find_lost_words(self, quoted: QuotedWords) -> tuple[str, ...]:
        """Return the words of a quote that the closest part of the text does not have in their order."""
        part = self._find_closest_part(quoted.words)
        matches = SequenceMatcher(None, quoted.words, part, autojunk=False).get_matching_blocks()
        kept = {index for match in matches for index in range(match.a, match.a + match.size)}
        return tuple(word for index, word in enumerate(quoted.words) if index not in kept)

    def _find(self, words: Sequence[str]) -> list[int]:
        """Return the indexes of the first words of all occurrences."""
        wanted, count = list(words), len(words)
        return [
            index
            for index, form in enumerate(self._forms)
            if form == wanted[0] and self._forms[index : index + count] == wanted
        ]

    def _get_span(self, first: int, count: int, quote: str) -> Span:
        """Return the span of the quote itself, or of these words if spaces or punctuation have changed."""
        start, end = self._words[first].start, self._words[first + count - 1].end
        exact = self.text.find(quote, start, end + len(quote))
        if start <= exact < self._words[first].end and exact + len(quote) > self._words[first + count - 1].start:
            return exact, exact + len(quote)
        return start, end

    def _read_context(self, first: int, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        before = self._forms[max(0, first - MAX_CONTEXT_WORDS) : first]
        return tuple(reversed(before)), tuple(self._forms[first + count : first + count + MAX_CONTEXT_WORDS])

    def _score(self, place: int, quoted: QuotedWords) -> int:
        """Return how many words around an occurrence are those around the quote, up to the first that differs."""
        before, after = self._read_context(place, len(quoted.words))
        return _count_common(before, quoted.before) + _count_common(after, quoted.after)

    def _find_closest_part(self, words: Sequence[str]) -> list[str]:
        """Return the part of equal length that has most of these words, with some words around it."""
        wanted, size = Counter(words), len(words)
        window, common, best, best_end = Counter[str](), 0, -1, 0
        for index, form in enumerate(self._forms):
            window[form] += 1
            common += window[form] <= wanted[form]
            if index >= size:
                leaving = self._forms[index - size]
                common -= window[leaving] <= wanted[leaving]
                window[leaving] -= 1
            if common > best:
                best, best_end = common, index + 1
        margin = size // 2  # it may have become longer
        return self._forms[max(0, best_end - size - margin) : best_end + margin]


def split_words(text: str) -> list[PlacedWord]:
    """Return the words of a text; in scripts without spaces each character is one.

    >>> [word.form for word in split_words("It was (almost) 1.5 m.")]
    ['It', 'was', 'almost', '1.5', 'm']
    """
    placed = (
        PlacedWord(match[0].strip(_EDGE_PUNCTUATION), match.start(), match.end())
        for match in _word_pattern().finditer(text)
    )
    return [word for word in placed if word.form]


@cache
def _word_pattern() -> re.Pattern[str]:
    return re.compile(f"[{SPACELESS_RANGES}]|[^\\s{SPACELESS_RANGES}]+")


def _count_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of equal words at the start."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
