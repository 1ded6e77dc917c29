"""Split text into sentences, in any script, by punctuation and its context. Uses only lists of abbreviations."""

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

from ..core.types.documents import Span


def _to_word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPENING_MARKS = "\"'“‘«‹([{¿¡„「『（【《〈*_–—•-"
_CLOSING_MARKS = "\"'”’»›)\\]}」』）】》〉〗"
_STOP_START = re.compile("[。！？｡।॥։.!?…؟۔‽\n]")
"""First character of a stop: searching for one of a set of characters takes a tenth of the time of `_STOP`."""
# The quantifiers are possessive and every branch matches, so that the search never backtracks.
_SINGLE_STOP_REGEX = (
    rf"[.!?…؟۔‽][.!?…؟۔‽]*+(?: \.)*+[{_CLOSING_MARKS}]*+(?:\[\d{{1,3}}\])*+"
    rf"(?:(?=\s[\s{_OPENING_MARKS}]*+(?P<next>\w{{0,20}}))|(?P<end>\Z)|(?P<inside>))"
)
_STOP = re.compile(
    rf"(?P<wide>[。！？｡।॥։]++[{_CLOSING_MARKS}]*+(?:\[\d{{1,3}}\])*+)"
    rf"|{_SINGLE_STOP_REGEX}"
    r"|(?P<gap>\n[^\S\n]*+(?=\n))"
    r"|(?P<line>\n)"
)
_SINGLE_STOP = re.compile(_SINGLE_STOP_REGEX)
_WIDE_STOP = re.compile("[。！？｡।॥։]")
_BLANK_LINE = re.compile(r"\n[^\S\n]*+\n")
_WHITESPACE = re.compile(r"\s*")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_LIST_MARKER = re.compile(r"\d{1,3}|[A-Za-z]|[ivxIVX]{1,5}")
_MAX_ABBREVIATION_CHARACTERS = 12
_CERTAIN_STOP_KINDS = frozenset(("wide", "gap", "line"))
"""Stops that end a sentence in any context."""

# A full stop after these never ends a sentence ...
_ABBREVIATIONS_BEFORE_NAMES = _to_word_set(
    "mr mrs ms mx dr prof st ste gen col capt cmdr lt maj sgt rev hon gov sen rep pres messrs mme mlle fr sr sra dra"
    " e.g i.e eg ie cf vs viz approx ca al fig figs eq eqs ref refs resp incl excl esp bzw usw z.b d.h p.ex"
)
# ... after these not if a number follows ...
_ABBREVIATIONS_BEFORE_NUMBERS = _to_word_set("no nos nr vol vols p pp ch chap sec sect art para pt app tab op v n c")
# ... and after these, like after initials, only if the next word often begins sentences.
_ABBREVIATIONS_AT_SENTENCE_END = _to_word_set(
    "inc ltd co corp bros llc jr etc jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun dept"
    " univ est ave blvd rd mt ft min max avg ph.d m.d b.a m.a d.c"
)
_SENTENCE_STARTERS = _to_word_set(
    "a after all also although an and another as at because both but by despite during each every finally for from"
    " hence here his her he how however i if in instead it its later many meanwhile more moreover most my no not"
    " nowadays of on once one only our over she since so some such that the their then there these they this those"
    " thus to today two under unlike until we what when where whereas which while who why with yet you your"
)


def _find_last_word(text: str, start: int, stop: int) -> str:
    tail = text[max(start, stop - _MAX_ABBREVIATION_CHARACTERS) : stop]
    return tail.split()[-1].lstrip(_OPENING_MARKS) if tail.strip() else ""


def _dot_ends_sentence(text: str, start: int, stop: int, next_word: str) -> bool:
    """Return whether the full stop at `stop` ends the sentence that begins at `start`."""
    if stop - start <= 5 and _LIST_MARKER.fullmatch(text, start, stop):
        return False
    last_word = _find_last_word(text, start, stop)
    word = last_word.casefold()
    if word in _ABBREVIATIONS_BEFORE_NAMES or (word in _ABBREVIATIONS_BEFORE_NUMBERS and next_word[:1].isdigit()):
        return False
    if word in _ABBREVIATIONS_AT_SENTENCE_END or _INITIALS.fullmatch(last_word):
        return not next_word or next_word.casefold() in _SENTENCE_STARTERS
    return True


def _ends_sentence(text: str, start: int, stop: re.Match[str], *, is_cased: bool) -> bool:
    """Return whether a matched stop ends the sentence that begins at `start`."""
    next_word = stop["next"]
    if next_word is None:
        return True  # end of the text
    dots = stop[0].rstrip(_CLOSING_MARKS)
    if dots == "." and text[stop.start() - 1 : stop.start()].isspace():
        return True  # a stop between spaces, " . ", belongs to no abbreviation
    if is_cased and next_word[:1].islower():
        return False
    return dots != "." or _dot_ends_sentence(text, start, stop.start(), next_word)


def split_sentences(text: str, break_at_newlines: bool = False) -> list[Span]:
    """Return the spans of the sentences of `text`, trimmed; `break_at_newlines` also splits at line ends.

    >>> split_sentences("Dr. No paid $3.5 on Jan. 5. Why? ")
    [(0, 27), (28, 32)]
    """
    spans: list[Span] = []
    is_cased = not text.islower()  # in a text without capitals a lower-case letter has no meaning
    start = _skip_whitespace(text, 0)
    for stop in _iter_stops(text, break_at_newlines):
        kind = stop.lastgroup
        if kind == "inside" or (kind == "line" and not break_at_newlines):
            continue
        if kind in _CERTAIN_STOP_KINDS or _ends_sentence(text, start, stop, is_cased=is_cased):
            end = len(text[start : stop.end()].rstrip()) + start
            if end > start:
                spans.append((start, end))
                start = _skip_whitespace(text, end)
    if start < len(text):
        spans.append((start, len(text.rstrip())))
    return spans


def split_lines(text: str) -> list[Span]:
    """Return the spans of the lines of `text`, without empty lines and trailing white space."""
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    spans = ((start, start + len(text[start:end].rstrip())) for start, end in pairwise(starts))
    return [(start, end) for start, end in spans if end > start]


def _iter_stops(text: str, break_at_newlines: bool) -> Iterator[re.Match[str]]:
    """Yield the matches of `_STOP`, perhaps without line ends that do not end a sentence."""
    if break_at_newlines or _BLANK_LINE.search(text) or not (text.isascii() or _WIDE_STOP.search(text) is None):
        return _iter_all_stops(text)
    return _SINGLE_STOP.finditer(text)  # most texts; takes a quarter of the time


def _iter_all_stops(text: str) -> Iterator[re.Match[str]]:
    end = 0
    for stop_start in _STOP_START.finditer(text):
        if stop_start.start() >= end and (stop := _STOP.match(text, stop_start.start())):
            yield stop
            end = stop.end()


def _skip_whitespace(text: str, offset: int) -> int:
    match = _WHITESPACE.match(text, offset)
    return match.end() if match else offset
