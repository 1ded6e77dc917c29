"""Lines and headings of blocks without their markers, as the rules compare them."""

import re

from ...core.types.documents import Document

_BULLETS = "-*+•‣◦"
_MARKER = re.compile(rf"^(?:[{_BULLETS}]|\d{{1,3}}[.)])\s+")
_ANCHOR = re.compile(r"(?:¶|\[source\]|\{\s{0,3}#[\w-]{1,200}\s{0,3}\})+:?$")
_NUMBERED = re.compile(r"\d|[A-Z][.:) \d]|(?:chapter|section|appendix|part)\b", re.I)
_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|appendix|part)\s+)?(?:[A-Z]|\d{1,3})(?:\.\d{1,3})*[.:)]?\s+(?=\S)", re.I
)


def split_items(text: str) -> list[str]:
    """Return the lines of a list without bullets, numbers of a list and permalink signs."""
    return [_strip_markers(line) for line in text.split("\n") if line and not line.isspace()]


def _strip_markers(line: str) -> str:
    line = line.strip()
    if line[0] in _BULLETS or line[0].isdigit():
        line = _MARKER.sub("", line)
    return _ANCHOR.sub("", line).strip() if line[-1:] in ("¶", "]", "}", ":") else line


def clean_heading(text: str) -> str:
    """Return a heading without its permalink sign.

    >>> clean_heading("2.1 Setup { #setup }")
    '2.1 Setup'
    """
    return _ANCHOR.sub("", text).strip() if text[-1:] in ("¶", "]", "}") else text


def normalize_title(text: str) -> str:
    """Return a title in lower case, without chapter number.

    >>> normalize_title("2.1 Getting Started¶")
    'getting started'
    """
    title = clean_heading(text)
    return (_NUMBERING.sub("", title) if _NUMBERED.match(title) else title).casefold()


def get_file_stem(document: Document) -> str:
    """Return the name of a document's file without its extension, in lower case."""
    return document.uri.rpartition("/")[2].partition(".")[0].casefold()


def count_characters(document: Document, block_indexes: set[int]) -> int:
    """Return how many characters these blocks have."""
    return sum(len(document.blocks[index].text) for index in block_indexes)
