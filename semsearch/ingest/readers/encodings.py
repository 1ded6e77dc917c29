"""Turns bytes into text, whatever wrote them. Does not clean the text and knows no format."""

import codecs
import re

from ...core.errors import Invalid, UnsupportedMedia

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: its mark starts with the same two bytes
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_CHARACTER_SETS = frozenset(
    """
    base64 bz2 charmap hex idna punycode quopri raw-unicode-escape rot-13 undefined unicode-escape utf-7 uu zlib
    """.split()
)
"""Codecs of the language that no text is in, by their own names; some take hours for a megabyte."""
_MEANT = {
    "ascii": ("utf-8", "cp1252"),
    "iso8859-1": ("cp1252",),
    "iso8859-9": ("cp1254",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "shift_jis": ("cp932",),
    "euc_kr": ("cp949",),
}
"""What people write who declare an encoding, where it is more than that encoding: https://encoding.spec.whatwg.org."""
_WIDE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_WIDE_PAIR = re.compile("(?<=[\u3040-\u30ff\u4e00-\u9fff])[\u3040-\u30ff\u4e00-\u9fff]")
_CONTROLS = [*map(chr, (*range(0x01, 0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)))]
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_SAMPLE = 1 << 16


def decode(data: bytes, declared: str | None = None) -> str:
    r"""Return the text of `data` with "\n" line ends; UnsupportedMedia if it is binary or in an unknown encoding."""
    text = _text(data, declared)
    sample = text[:_SAMPLE]
    if "\0" in text or sum(map(sample.count, _CONTROLS)) > len(sample) / 10:
        raise UnsupportedMedia("it is binary, not text: nothing in it can be read")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def recode(data: bytes, charset: str) -> bytes:
    """Return `data` in UTF-8 with its mark, which overrules any encoding that the text itself declares."""
    meant = _meant(charset)
    if not meant:
        raise Invalid(f"the charset {charset!r} is not known; utf-8 always works")
    text = _first(data, meant)
    if text is None:
        raise Invalid(f"it is not in the stated charset {charset}; leave the charset out, or correct it")
    return codecs.BOM_UTF8 + text.encode(errors="replace")


def _text(data: bytes, declared: str | None) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    if not data.isascii() and (text := _strict(data, "utf-8")) is not None:
        return text
    if declared and (text := _declared(data, declared)) is not None:
        return text
    return data.decode("ascii") if data.isascii() else _guessed(data)


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _declared(data: bytes, name: str) -> str | None:
    meant = _meant(name)
    # a document cannot truthfully declare these inside itself, in ASCII
    return None if any(encoding.startswith(("utf-16", "utf-32")) for encoding in meant) else _first(data, meant)


def _meant(name: str) -> tuple[str, ...]:
    """The encodings that a name may stand for, the likeliest first; none if it is not one of a character set."""
    try:
        encoding = codecs.lookup(name).name
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return ()
    return () if encoding in _NO_CHARACTER_SETS else (*_MEANT.get(encoding, ()), encoding)


def _first(data: bytes, encodings: tuple[str, ...]) -> str | None:
    return next((text for encoding in encodings if (text := _strict(data, encoding)) is not None), None)


def _count(pattern: re.Pattern[str], text: str) -> int:
    """How often it occurs, without a list of a million letters."""
    return sum(1 for _ in pattern.finditer(text))


def _guessed(data: bytes) -> str:
    """UTF-8 with a few broken bytes, else Shift-JIS, whose wide characters stand side by side, else Western."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if broken * 10 < _count(_FOREIGN, text):
        return text
    text = _strict(data, "cp932") or ""
    if 2 * _count(_WIDE_PAIR, text) >= _count(_WIDE, text) > 0:
        return text
    text = data.decode("cp1252", errors="replace")
    letters = re.findall(r"[^\W\d_]", text[:_SAMPLE])
    if sum(not letter.isascii() for letter in letters) * 2 > len(letters):
        raise UnsupportedMedia("its encoding is not known: save it as UTF-8, or state the charset")
    return text
