"""Escape characters of names that a terminal executes, or with which a name looks like another one."""

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # bidirectional controls, zero width, line ends
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f"  # lone surrogates, annotation and tag characters
    "]"
)
_UNSAFE_OR_BREAK = re.compile(f"[\t\n]|{_UNSAFE.pattern}")


def escape_name(name: str) -> str:
    r"""Return a name in which unsafe characters are escaped as in JSON, tab and line feed too.

    >>> escape_name("invoice\u202efdp.exe\n")
    'invoice\\u202efdp.exe\\u000a'
    """
    return name if name.isascii() and name.isprintable() else _UNSAFE_OR_BREAK.sub(_escape, name)


def escape_text(text: str) -> str:
    r"""Return a text in which unsafe characters are escaped as in JSON; JSON keeps its meaning.

    >>> escape_text("one\n\u202etwo")
    'one\n\\u202etwo'
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
