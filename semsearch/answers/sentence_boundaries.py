"""Find where the sentences of an answer end while its text is still growing. Resolves no markers.

A marker behind the end of a sentence belongs to that sentence.
"""

import re
from functools import cached_property

from ..text.sentences import split_sentences
from .attribution import Attribution
from .loose_markers import UNFINISHED_LOOSE_MARKER
from .markers import MARKER_CHARACTER, MarkerPatterns

MAX_PENDING_CHARACTERS = 1200
"""Characters that are buffered at most; a longer sentence is released in parts."""

_SENTENCE_STOPS = r"[.!?…؟۔‽。！？｡।॥։]"
_CLOSING_MARKS = r"[\"'”’»›)\]}」』）】》〉*_`]"
_UNFINISHED_MARKER = re.compile(
    rf"\[(?:{MARKER_CHARACTER}{{0,160}}|\[{{1,3}}(?:{MARKER_CHARACTER}|\]\[){{0,160}}\]{{0,3}})\Z"
)
_WIDE_STOP = re.compile(r"[。！？｡।॥։]")
_CLOSING = re.compile(rf"{_SENTENCE_STOPS}*{_CLOSING_MARKS}*")
_LINE_SPACE = re.compile(r"[ \t]*")
_EMPHASIS = re.compile(r"[*_`]")
_NEXT_WORD = re.compile(r"\S{1,40}")


class SentenceBoundaries:
    """Finds the end of the first sentence in text that is still growing."""

    def __init__(self, patterns: MarkerPatterns, attribution: Attribution) -> None:
        self._patterns = patterns
        self._attribution = attribution
        self._scan_start = 0

    @cached_property
    def _token_pattern(self) -> re.Pattern[str]:
        """What may end a sentence."""
        marker = self._patterns.pattern
        return re.compile(
            rf"(?P<marker>{marker})|(?P<stop>{_SENTENCE_STOPS}+{_CLOSING_MARKS}*)|(?P<line>\n)|(?P<open>\[)"
        )

    @cached_property
    def _trailing_markers(self) -> re.Pattern[str]:
        """Markers after the end of a sentence, which belong to it."""
        return re.compile(rf"(?:\s*{self._patterns.pattern}{_SENTENCE_STOPS}*{_CLOSING_MARKS}*)*")

    def find_first_end(self, text: str, *, is_closed: bool) -> int | None:
        """Return where the first sentence of `text` ends, markers included; None while more text can change that.

        `is_closed`: no later text can change the result.
        """
        position = max(self._scan_start, len(text) - len(text.lstrip()))
        while token := self._token_pattern.search(text, position):
            position = token.end()
            if token["open"]:
                if not is_closed and _UNFINISHED_MARKER.match(text, token.start()):
                    return None
                self._scan_start = position
            if token["stop"] or token["line"]:
                end = self._find_end(text, token, is_closed=is_closed)
                if end is None or end > 0:
                    self._scan_start = 0 if end else self._scan_start
                    return end
                self._scan_start = position
        if not is_closed:
            return None
        self._scan_start = 0
        return self._find_cut(text)

    def _find_end(self, text: str, token: re.Match[str], *, is_closed: bool) -> int | None:
        """Return the sentence end at `token`; 0 if no sentence ends there, None while more text can change that."""
        trail_start = token.start() if token["line"] else token.end()
        end, has_loose = self._find_trail_end(text, trail_start)
        next_start = len(text) - len(text[end:].lstrip())
        if next_start == len(text):
            return end if is_closed else None
        if not is_closed and _is_unfinished_at(text, next_start):
            return None
        if token["line"]:
            return end if self._strip_markers(text[: token.start()]) else 0
        if next_start == token.end() and not _WIDE_STOP.search(token["stop"]):
            return 0
        word = _NEXT_WORD.match(text, next_start)
        if not is_closed and word and word.end() == len(text) and len(word[0]) < 40:
            return None
        before, gap = text[:end], text[end:next_start]
        if has_loose:
            before, gap = text[: token.end()], " "
        return end if self._is_boundary(before, gap, word[0] if word else "") else 0

    def _find_trail_end(self, text: str, position: int) -> tuple[int, bool]:
        """Return where the markers after a sentence end, and whether one of them has another form.

        Those in other forms belong to the sentence only on the same line.
        """
        end, has_loose = position, False
        while True:
            markers = self._trailing_markers.match(text, end)
            end = markers.end() if markers else end
            space = _LINE_SPACE.match(text, end)
            citation = self._attribution.match_citation(text, space.end() if space else end)
            if citation is None:
                return end, has_loose
            closing = _CLOSING.match(text, citation.end())
            end, has_loose = closing.end() if closing else citation.end(), True

    def _is_boundary(self, before: str, gap: str, word: str) -> bool:
        """Return whether a sentence ends between `before` and `word`, by the rules for documents."""
        plain = self._strip_markers(before)
        space = " " if gap or self._patterns.marker.search(before) else ""
        return any(end == len(plain) for _, end in split_sentences(f"{plain}{space}{word}"))

    def _strip_markers(self, text: str) -> str:
        return _EMPHASIS.sub("", self._patterns.marker.sub("", text)).strip()

    def _find_cut(self, text: str) -> int:
        """Return where to cut text without a sentence end: at its end if short, else at a space, never in a marker."""
        if len(text) < MAX_PENDING_CHARACTERS:
            return len(text)
        unfinished = _UNFINISHED_MARKER.search(text)
        limit = unfinished.start() if unfinished else len(text)
        last_marker_end = max((marker.end() for marker in self._patterns.marker.finditer(text, 0, limit)), default=0)
        space = text.rfind(" ", max(last_marker_end, len(text) - len(text.lstrip()) + 1), limit)
        return space if space > 0 else limit


def _is_unfinished_at(text: str, position: int) -> bool:
    """Return whether the text ends in a marker that begins at `position` and may still be growing."""
    return bool(_UNFINISHED_MARKER.match(text, position) or UNFINISHED_LOOSE_MARKER.match(text, position))
