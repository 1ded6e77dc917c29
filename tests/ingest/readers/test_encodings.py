"""Decoding of bytes in many encodings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import UnsupportedMediaError
from semsearch.ingest.readers.encodings import decode, recode

JAPANESE = "名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n"
FRENCH = "Les élèves ont été très occupés; ça coûte 5 €, dit-il à Noël.\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp932"])
def test_japanese_is_detected(encoding: str) -> None:
    """UTF-8, text with a byte order mark and Shift-JIS are detected without a declaration."""
    assert decode(JAPANESE.encode(encoding)) == JAPANESE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_french_is_detected(encoding: str) -> None:
    """Western text is not mistaken for Shift-JIS, in which its bytes are often valid."""
    assert decode(FRENCH.encode(encoding)) == FRENCH


def test_french_that_is_valid_shift_jis_is_still_french() -> None:
    """Isolated CJK characters among Latin letters are misread accents."""
    text = "Les élèves préfèrent Genève"
    assert text.encode("cp1252").decode("cp932")
    assert decode(text.encode("cp1252")) == text


def test_half_width_kana_is_detected() -> None:
    """Shift-JIS with half-width kana is detected too."""
    assert decode("ｶﾀｶﾅ テスト".encode("cp932")) == "ｶﾀｶﾅ テスト"


def test_few_invalid_bytes_stay_utf8() -> None:
    """A long text that ends in the middle of a character is read, with a replacement character."""
    assert decode(("ü" * 50).encode() + b"\xc3") == "ü" * 50 + "\ufffd"


def test_declaration_is_used_where_utf8_fails() -> None:
    """A declared encoding is used if the bytes are not UTF-8 and the declaration is plausible."""
    assert decode("Привет, мир".encode("koi8-r"), "koi8-r") == "Привет, мир"
    assert decode("日本".encode("iso-2022-jp"), "iso-2022-jp") == "日本"
    assert decode("ü".encode(), "latin-1") == "ü"
    assert decode(b"plain text", "utf-16") == "plain text"
    assert decode(b"plain +AGE- text", "utf-7") == "plain +AGE- text"
    assert decode(b"plain", "no such thing") == "plain"
    assert decode(b"plain", "zlib") == "plain"
    assert decode(b"\\x41bc-", "unicode_escape") == "\\x41bc-"
    assert decode(b"plain text", "utf-16le") == "plain text"


@pytest.mark.parametrize(
    ("declared", "superset", "text"),
    [
        ("iso-8859-1", "cp1252", "“5 €” – l’été…"),
        ("us-ascii", "cp1252", "“5 €”"),
        ("gb2312", "gb18030", "朱镕基"),
        ("shift_jis", "cp932", "①㈱"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("latin5", "cp1254", "İstanbul – 5 €"),
    ],
)
def test_superset_of_the_declared_encoding_is_used(declared: str, superset: str, text: str) -> None:
    """As in browsers, the Windows superset of a declared encoding is used."""
    assert decode(text.encode(superset), declared) == text
    assert recode(text.encode(superset), declared).decode("utf-8-sig") == text
    assert recode("é".encode(), "ascii").decode("utf-8-sig") == "é"


def test_declared_encoding_is_used_where_the_superset_fails() -> None:
    """Where the superset does not fit, the declared encoding is used."""
    assert decode(b"\x81\xe9", "latin-1") == "\x81é"


def test_chinese_is_not_mistaken_for_half_width_kana() -> None:
    """Bytes that would be a run of half-width kana have an unknown encoding, unless it is declared."""
    text = "你好世界，这是一个测试。"
    with pytest.raises(UnsupportedMediaError, match="is unknown"):
        decode(text.encode("gbk"))
    assert decode(text.encode("gbk"), "gbk") == text


def test_unknown_encoding_is_an_error() -> None:
    """Cyrillic in an old code page is refused, with a remedy, instead of being misread."""
    with pytest.raises(UnsupportedMediaError, match="save it as UTF-8"):
        decode("Привет, мир, это проверка.".encode("cp1251"))


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x00\x00", b"text\x00text", bytes(range(1, 20)) * 10])
def test_binary_data_is_refused(data: bytes) -> None:
    """Data with a NUL byte or many control characters is refused as binary."""
    with pytest.raises(UnsupportedMediaError, match="binary"):
        decode(data)


def test_line_ends_are_normalized() -> None:
    """Windows and old Mac line ends become "\\n"."""
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_utf8_is_never_mistaken(text: str) -> None:
    """UTF-8 is always read as UTF-8."""
    assert decode(b"\xef\xbb\xbf" + text.encode()) == text
    assert decode(text.removeprefix("\ufeff").encode()) == text.removeprefix("\ufeff")
