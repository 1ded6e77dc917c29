"""Turns bytes into text, whatever wrote them. Does not clean the text and knows no format."""

import codecs
import re

from ..errors import Invalid, UnsupportedMedia

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: its mark starts with the same two bytes
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NEVER_MEANT = {"utf-16", "utf-32", "utf-7", "unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"}
"""Names that a document cannot truthfully declare inside itself, in ASCII."""
_WIDE = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uff61-\uff9f]")
_WIDE_PAIR = re.compile("(?<=[\u3040-\u30ff\u4e00-\u9fff\uff61-\uff9f])[\u3040-\u30ff\u4e00-\u9fff\uff61-\uff9f]")
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
    try:
        return codecs.BOM_UTF8 + data.decode(charset).encode(errors="replace")
    except LookupError as exc:
        raise Invalid(f"the charset {charset!r} is not known; utf-8 always works") from exc
    except UnicodeError as exc:
        raise Invalid(f"it is not in the stated charset {charset}; leave the charset out, or correct it") from exc


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
    try:
        encoding = codecs.lookup(name).name
    except LookupError:
        return None
    if encoding in _NEVER_MEANT:
        return None
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):  # LookupError: a codec such as zlib, which makes no text
        return None


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
