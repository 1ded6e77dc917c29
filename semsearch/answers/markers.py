"""The grammar of citation markers: `[[passage.sentence]]` with an id of this request, and what imitates one.

Only what holds the id of a passage of this request is a marker. Other text in brackets is text: `[[1, "a.b"]]`,
`[[ -f file ]]` or `[[Main page]]` stay as they are. What has the form of a marker but the id of no passage is an
unknown marker, which never cites and is removed. Resolves nothing.
"""

import re
from collections.abc import Iterator, Sequence

MAX_RANGE = 3
"""Sentences beyond the first that a range such as `[[a.1-9]]` refers to at most."""

INSIDE = r"[^\[\]\n\r\v\f\x85\u2028\u2029]"
"""A character between the brackets of a marker."""

_WITHIN = rf"(?:{INSIDE}|\]\[){{0,160}}"
_SEPARATOR = r"(?:[ \t,;]+|\]\[)"
_NUMBERS = r"\d{1,6}(?:[-–]\d{1,6})?"
# An id has a letter: numbers such as [[0.5, 1.5]] are no references.
_ID = r"(?=[\w-]{0,40}[^\W\d])[\w-]{1,40}"
_LIKE_REFERENCE = rf"{_ID}[.:]{_NUMBERS}"
_LIKE_REFERENCES = rf"{_LIKE_REFERENCE}(?:{_SEPARATOR}(?:{_LIKE_REFERENCE}|{_NUMBERS}))*"
_REFERENCE = re.compile(r"(?:(?P<id>.+)[.:])?(?P<first>[0-9]{1,6})(?:[-–](?P<last>[0-9]{1,6}))?")


def _enclosed(inside: str) -> str:
    """Return the pattern of `inside` in two to four brackets, with as many behind it as before it."""
    return "(?:" + "|".join(rf"\[{{{count}}}{inside}\]{{{count}}}" for count in (2, 3, 4)) + ")"


_UNKNOWN = _enclosed(rf"[ \t]*{_LIKE_REFERENCES}[ \t]*")
# One that is not closed is removed only where no bracket behind it closes a text of another kind.
_UNKNOWN_IN_TEXT = re.compile(rf"[ \t]*(?:{_UNKNOWN}|\[\[{_LIKE_REFERENCE}(?![\w-])\]?(?!{INSIDE}{{0,160}}\]\]))")


class Markers:
    """The patterns of markers that cite passages with these ids."""

    def __init__(self, ids: Sequence[str]) -> None:
        known = "|".join(map(re.escape, ids)) or r"(?!)"
        begun = "|".join(re.escape(each[:length]) for each in ids for length in range(1, len(each) + 1)) or r"(?!)"
        double = rf"(?=\[{{2,4}}(?:{INSIDE}|\]\[){{0,160}}?(?:{known})){_enclosed(_WITHIN)}"
        reference = rf"(?:{known})[.:][0-9]+"
        # One bracket is enough where the id is a live one: models forget the second.
        single = rf"\[{{1,2}}(?={INSIDE}{{1,160}}\])\s*{reference}(?:[\s,;]+{reference})*\s*\]{{1,2}}"
        self.pattern = rf"(?:{double}|{_UNKNOWN}|{single})"
        """Of one marker, known or unknown."""
        self.each = re.compile(self.pattern)
        self.runs = re.compile(rf"(?P<space>[ \t]*)(?P<markers>{self.pattern}(?:[\s,;]*{self.pattern})*)")
        self.strays = re.compile(rf"[ \t]*[\[［【]*\s*(?:{known})(?:[.:][0-9]+)?\s*[\]］】]*", re.IGNORECASE)
        """What is left of a live marker that the model spoiled: an id is never shown."""
        opened = rf"(?:{_LIKE_REFERENCES}[-–]?{_SEPARATOR}?)?(?:{begun}|{_ID}[.:])?"
        self.cut_off = re.compile(rf"[ \t]*\[(?:\[{{1,3}}[ \t]*{opened})?\Z")
        """The beginning of a marker at the end of the text."""


def references(markers: str) -> Iterator[tuple[str, int]]:
    """Yield what a run of markers refers to, as id and sentence number; the number 0 where it is no reference.

    Markers come as `[[a.1, b.2]]`, `[[a.1, 3]]`, `[[a.1-3]]`, `[[a.1][b.2]]` and `[[a.1]] [[b.2]]`.
    """
    passage_id = ""
    for token in re.split(r"[\[\],;\s]+", markers):
        reference = _REFERENCE.fullmatch(token)
        if reference:
            passage_id = reference["id"] or passage_id
            first = int(reference["first"])
            last = min(int(reference["last"] or first), first + MAX_RANGE)
            yield from ((passage_id, number) for number in range(first, last + 1))
        elif token:
            yield token, 0


def remove_unknown(text: str) -> str:
    """Return `text` without unknown markers and the space before each, also those that the removal of others forms."""
    while _UNKNOWN_IN_TEXT.search(text):
        text = _UNKNOWN_IN_TEXT.sub("", text)
    return text
