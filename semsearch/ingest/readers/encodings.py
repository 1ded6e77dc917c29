"""Decode bytes in any encoding to text. Does not clean the text and knows no format."""

import codecs
import re

from ...core.errors import InvalidError, UnsupportedMediaError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is its first two bytes
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NON_TEXT_CODECS = frozenset(
    """
    base64 bz2 charmap hex idna punycode quopri raw-unicode-escape rot-13 undefined unicode-escape utf-7 uu zlib
    """.split()
)
"""Python codecs that are not text encodings, by their canonical names; some take hours for a megabyte."""
_ENCODING_SUPERSETS = {
    "ascii": ("utf-8", "cp1252"),
    "iso8859-1": ("cp1252",),
    "iso8859-9": ("cp1254",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "shift_jis": ("cp932",),
    "euc_kr": ("cp949",),
}
"""Encodings that are tried before the declared one, as browsers do: https://encoding.spec.whatwg.org."""
_CJK_CHARACTER = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_CJK_PAIR = re.compile("(?<=[\u3040-\u30ff\u4e00-\u9fff])[\u3040-\u30ff\u4e00-\u9fff]")
_CONTROL_CHARACTERS = [*map(chr, (*range(0x01, 0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)))]
_NON_ASCII_CHARACTER = re.compile(r"[^\x00-\x7f]")
_SAMPLE_CHARACTERS = 1 << 16


def decode(data: bytes, declared_encoding: str | None = None) -> str:
    r"""Return the text of `data` with "\n" line ends.

    Raises UnsupportedMediaError if it is binary or its encoding is unknown.
    """
    text = _decode_bytes(data, declared_encoding)
    sample = text[:_SAMPLE_CHARACTERS]
    if "\0" in text or sum(map(sample.count, _CONTROL_CHARACTERS)) > len(sample) / 10:
        raise UnsupportedMediaError("it is binary data, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def recode(data: bytes, charset: str) -> bytes:
    """Return `data` in UTF-8 with a byte order mark, which overrides any encoding that the text itself declares."""
    encodings = _resolve_encodings(charset)
    if not encodings:
        raise InvalidError(f"the charset {charset!r} is unknown; use utf-8")
    text = _decode_with_first(data, encodings)
    if text is None:
        raise InvalidError(
            f"its bytes are not valid in the stated charset {charset}; correct the charset, or leave it out"
        )
    return codecs.BOM_UTF8 + text.encode(errors="replace")


def _decode_bytes(data: bytes, declared_encoding: str | None) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    if not data.isascii() and (text := _decode_strictly(data, "utf-8")) is not None:
        return text
    if declared_encoding and (text := _decode_as_declared(data, declared_encoding)) is not None:
        return text
    return data.decode("ascii") if data.isascii() else _decode_by_guess(data)


def _decode_strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _decode_as_declared(data: bytes, name: str) -> str | None:
    encodings = _resolve_encodings(name)
    # a declaration that is readable as ASCII cannot be in UTF-16 or UTF-32
    return (
        None
        if any(encoding.startswith(("utf-16", "utf-32")) for encoding in encodings)
        else _decode_with_first(data, encodings)
    )


def _resolve_encodings(name: str) -> tuple[str, ...]:
    """Return the encodings that a name may stand for, most likely first; none if it is not a text encoding."""
    try:
        encoding = codecs.lookup(name).name
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return ()
    return () if encoding in _NON_TEXT_CODECS else (*_ENCODING_SUPERSETS.get(encoding, ()), encoding)


def _decode_with_first(data: bytes, encodings: tuple[str, ...]) -> str | None:
    return next((text for encoding in encodings if (text := _decode_strictly(data, encoding)) is not None), None)


def _count_matches(pattern: re.Pattern[str], text: str) -> int:
    """Return the number of matches, without building a list of them."""
    return sum(1 for _ in pattern.finditer(text))


def _decode_by_guess(data: bytes) -> str:
    """Decode as UTF-8 if few bytes are invalid, else as Shift-JIS if its CJK characters are adjacent, else cp1252."""
    text = data.decode("utf-8", errors="replace")
    replacement_count = text.count("\ufffd")
    if replacement_count * 10 < _count_matches(_NON_ASCII_CHARACTER, text):
        return text
    text = _decode_strictly(data, "cp932") or ""
    if 2 * _count_matches(_CJK_PAIR, text) >= _count_matches(_CJK_CHARACTER, text) > 0:
        return text
    text = data.decode("cp1252", errors="replace")
    letters = re.findall(r"[^\W\d_]", text[:_SAMPLE_CHARACTERS])
    if sum(not letter.isascii() for letter in letters) * 2 > len(letters):
        raise UnsupportedMediaError("its encoding is unknown: save it as UTF-8, or state the charset")
    return text
