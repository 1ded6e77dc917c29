"""Define the grammar of citation markers: `[[passage.sentence]]` with a passage id of this request, and look-alikes.

A marker contains the id of a passage of this request. Other text in brackets is plain text: `[[1, "a.b"]]`,
`[[ -f file ]]` or `[[Main page]]` stay as they are. Text with the form of a marker but without such an id is an unknown
marker: it never cites, and is removed unless it is copied from cited text. Does not resolve references.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

MAX_RANGE_SPAN = 3
"""Sentences after the first one that a range such as `[[a.1-9]]` can refer to."""

MARKER_CHARACTER = r"[^\[\]\n\r\v\f\x85\u2028\u2029]"
"""Pattern of a character between the brackets of a marker."""

DIGITS_IN_BRACKETS = re.compile(r"[\[［【]([\s\u200c\u200d]*\d[\d\s,;.–\-\\\u200c\u200d]*)[\]］】]")
"""Pattern of digits in brackets that a model or a document wrote, with wide forms and invisible joiners."""

_MARKER_BODY = rf"(?:{MARKER_CHARACTER}|\]\[){{0,160}}"
_SEPARATOR = r"(?:[ \t,;]+|\]\[)"
_NUMBER_RANGE = r"\d{1,6}(?:[-–]\d{1,6})?"
# An id has a letter: numbers such as [[0.5, 1.5]] are not references.
_ID = r"(?=[\w-]{0,40}[^\W\d])[\w-]{1,40}"
_UNKNOWN_REFERENCE = rf"{_ID}[.:]{_NUMBER_RANGE}"
_UNKNOWN_REFERENCES = rf"{_UNKNOWN_REFERENCE}(?:{_SEPARATOR}(?:{_UNKNOWN_REFERENCE}|{_NUMBER_RANGE}))*"
_REFERENCE = re.compile(r"(?:(?P<id>.+)[.:])?(?P<first>[0-9]{1,6})(?:[-–](?P<last>[0-9]{1,6}))?")


def _wrap_in_brackets(pattern: str) -> str:
    """Return `pattern` in two to four brackets, with as many after it as before it."""
    return "(?:" + "|".join(rf"\[{{{count}}}{pattern}\]{{{count}}}" for count in (2, 3, 4)) + ")"


_UNKNOWN_MARKER = _wrap_in_brackets(rf"[ \t]*{_UNKNOWN_REFERENCES}[ \t]*")
# An unclosed marker is removed only if no later bracket closes it: `[[a.1 and more]]` is plain text.
_UNKNOWN_MARKER_IN_TEXT = re.compile(
    rf"[ \t]*(?:{_UNKNOWN_MARKER}|\[\[{_UNKNOWN_REFERENCE}(?![\w-])\]?(?!{MARKER_CHARACTER}{{0,160}}\]\]))"
)


class MarkerPatterns:
    """Patterns of markers that cite passages with these ids.

    Each is compiled when it is first used: together they take 10 ms, and an answer of quotations needs none of them.
    """

    def __init__(self, passage_ids: Sequence[str]) -> None:
        self._known_id = "|".join(map(re.escape, passage_ids)) or r"(?!)"
        self._id_prefix = (
            "|".join(re.escape(text[:length]) for text in passage_ids for length in range(1, len(text) + 1)) or r"(?!)"
        )
        double = (
            rf"(?=\[{{2,4}}(?:{MARKER_CHARACTER}|\]\[){{0,160}}?(?:{self._known_id}))"
            f"{_wrap_in_brackets(_MARKER_BODY)}"
        )
        reference = rf"(?:{self._known_id})[.:][0-9]+"
        # One bracket is enough around a known id: models forget the second.
        single = rf"\[{{1,2}}(?={MARKER_CHARACTER}{{1,160}}\])\s*{reference}(?:[\s,;]+{reference})*\s*\]{{1,2}}"
        self.pattern = rf"(?:{double}|{_UNKNOWN_MARKER}|{single})"
        """Pattern of one marker, known or unknown."""

    @cached_property
    def marker(self) -> re.Pattern[str]:
        """One marker."""
        return re.compile(self.pattern)

    @cached_property
    def marker_runs(self) -> re.Pattern[str]:
        """Adjacent markers, and the space before them."""
        return re.compile(rf"(?P<space>[ \t]*)(?P<markers>{self.pattern}(?:[\s,;]*{self.pattern})*)")

    @cached_property
    def broken_markers(self) -> re.Pattern[str]:
        """Fragments of malformed markers with a known id: an id is never shown."""
        return re.compile(rf"[ \t]*[\[［【]*\s*(?:{self._known_id})(?:[.:][0-9]+)?\s*[\]］】]*", re.IGNORECASE)

    @cached_property
    def partial_marker(self) -> re.Pattern[str]:
        """The start of a marker at the end of the text."""
        opened = rf"(?:{_UNKNOWN_REFERENCES}[-–]?{_SEPARATOR}?)?(?:{self._id_prefix}|{_ID}[.:])?"
        return re.compile(rf"[ \t]*\[(?:\[{{1,3}}[ \t]*{opened})?\Z")

    @cached_property
    def _groups(self) -> re.Pattern[str]:
        """One marker, one unknown marker or one group of digits in brackets."""
        return re.compile(rf"{self.pattern}|{_UNKNOWN_MARKER_IN_TEXT.pattern}|{DIGITS_IN_BRACKETS.pattern}")

    @cached_property
    def _known_id_pattern(self) -> re.Pattern[str]:
        """The id of one passage."""
        return re.compile(self._known_id, re.IGNORECASE)

    def find_plain_groups(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of unknown markers and of digits in brackets, except in or directly behind a known marker."""
        known_markers = [
            match.span() for match in self.marker.finditer(text) if self._known_id_pattern.search(match[0])
        ]
        start = 0
        for known_start, known_end in [*known_markers, (len(text), len(text))]:
            for match in self._groups.finditer(text, start, known_start):
                group_start = match.end() - len(match[0].lstrip(" \t"))
                if group_start != start or start == 0:
                    yield group_start, match.end()
            start = known_end


def parse_references(markers: str) -> Iterator[tuple[str, int]]:
    """Yield the references in a run of markers as (passage id, sentence number); number 0 if it is not a reference.

    Markers come as `[[a.1, b.2]]`, `[[a.1, 3]]`, `[[a.1-3]]`, `[[a.1][b.2]]` and `[[a.1]] [[b.2]]`.
    """
    passage_id = ""
    for token in re.split(r"[\[\],;\s]+", markers):
        reference = _REFERENCE.fullmatch(token)
        if reference:
            passage_id = reference["id"] or passage_id
            first = int(reference["first"])
            last = min(int(reference["last"] or first), first + MAX_RANGE_SPAN)
            yield from ((passage_id, number) for number in range(first, last + 1))
        elif token:
            yield token, 0


def remove_unknown_markers(text: str) -> str:
    """Remove unknown markers and the space before each, repeatedly: a removal can form a new one."""
    while _UNKNOWN_MARKER_IN_TEXT.search(text):
        text = _UNKNOWN_MARKER_IN_TEXT.sub("", text)
    return text
