"""Clean all text that enters the system. Does not interpret the text.

Removes invisible characters that would disturb a model, a terminal or a database, and normalises the rest, so that
texts that look equal are equal.
"""

import re
import unicodedata
from functools import cache

from ..core.errors import InvalidError

MAX_QUERY_CHARACTERS = 4_000

_LINE_ENDS = re.compile(r"\r\n?|[\u0085\u2028\u2029\v\f]")
_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # control characters but tab and line ends
    "\xad"  # soft hyphen: splits words for a search engine
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # zero width and bidirectional controls
    "\ud800-\udfff"  # lone surrogates cannot be encoded
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotation and tag characters: text that hides from people only
    "]+"
)

_MAX_MARKS = 30
"""Combining marks in a row, as in the stream-safe text format of Unicode (UAX #15): normalisation sorts each run, in a
time that grows with the square of its length."""
_MAX_UNCHECKED_CHARACTERS = 256
_NO_LATIN_RUN = re.compile(rf"[^\x00-\u02ff]{{{_MAX_MARKS + 1}}}")
"""All marks are behind these characters."""
_GRAPHEME_JOINER = "\u034f"
"""Invisible; it ends a run."""


def clean(text: str) -> str:
    r"""Return `text` in NFC, with "\n" line ends and without invisible characters; `clean(clean(x)) == clean(x)`.

    >>> clean("caf\u0065\u0301\r\n\u202eok\x00")
    'café\nok'
    """
    if text.isascii() and text.isprintable():
        return text
    visible = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    if len(visible) > _MAX_UNCHECKED_CHARACTERS and _has_mark_run(visible):
        visible = _split_mark_runs(visible)
    normalized = unicodedata.normalize("NFC", visible)
    # some marks become two
    return normalized if len(normalized) <= len(visible) else _split_mark_runs(normalized)


def _has_mark_run(text: str) -> bool:
    """Return whether there is a run that is too long; looks at long words only, because the pattern is slow."""
    long_words = [word for word in text.split() if len(word) > _MAX_MARKS and not word.isascii()]
    return any(_NO_LATIN_RUN.search(word) and _get_mark_run_pattern().search(word) for word in long_words)


def _split_mark_runs(text: str) -> str:
    return _get_mark_run_pattern().sub(rf"\g<0>{_GRAPHEME_JOINER}", text)


@cache
def _get_mark_run_pattern() -> re.Pattern[str]:
    """Return the pattern of a run that is too long; made at its first use, because that takes 10 ms."""
    marks = "".join(char for char in map(chr, range(0x300, 0x1F000)) if unicodedata.combining(char))
    return re.compile(f"[{marks}]{{{_MAX_MARKS}}}(?=[{marks}])")


def validate_query(text: str) -> str:
    """Return a query, cleaned and stripped; InvalidError if it is not text, empty or too long."""
    if not isinstance(text, str):
        raise InvalidError(f"the question must be text, not {text!r:.40}")
    cleaned = clean(text).strip()
    if not cleaned:
        raise InvalidError("the question is empty")
    if len(cleaned) > MAX_QUERY_CHARACTERS:
        raise InvalidError(f"the question has {len(cleaned)} characters; the maximum is {MAX_QUERY_CHARACTERS}")
    return cleaned
