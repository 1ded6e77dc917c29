"""Bytes of any origin become text, or an error that says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import UnsupportedMediaError
from semsearch.ingest.readers.encodings import decode, recode

JAPANESE = "名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n"
FRENCH = "Les élèves ont été très occupés; ça coûte 5 €, dit-il à Noël.\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp932"])
def test_japanese_is_recognised(encoding: str) -> None:
    """UTF-8, any mark, and Shift-JIS need no declaration."""
    assert decode(JAPANESE.encode(encoding)) == JAPANESE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_french_is_recognised(encoding: str) -> None:
    """Western text is not mistaken for Shift-JIS, although its bytes often are valid there."""
    assert decode(FRENCH.encode(encoding)) == FRENCH


def test_french_that_is_valid_shift_jis_is_still_french() -> None:
    """Wide characters that stand alone among Latin letters are accents read wrongly."""
    text = "Les élèves préfèrent Genève"
    assert text.encode("cp1252").decode("cp932")
    assert decode(text.encode("cp1252")) == text


def test_kana_of_half_width_is_recognised() -> None:
    """Shift-JIS with single-byte kana is Japanese too."""
    assert decode("ｶﾀｶﾅ テスト".encode("cp932")) == "ｶﾀｶﾅ テスト"


def test_a_few_broken_bytes_stay_utf8() -> None:
    """A long text that was cut in the middle of a letter is read, with a mark where it is broken."""
    assert decode(("ü" * 50).encode() + b"\xc3") == "ü" * 50 + "\ufffd"


def test_a_declaration_is_used_where_utf8_fails() -> None:
    """What a document declares inside itself counts, unless it cannot be true."""
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
    ("declared", "meant", "text"),
    [
        ("iso-8859-1", "cp1252", "“5 €” – l’été…"),
        ("us-ascii", "cp1252", "“5 €”"),
        ("gb2312", "gb18030", "朱镕基"),
        ("shift_jis", "cp932", "①㈱"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("latin5", "cp1254", "İstanbul – 5 €"),
    ],
)
def test_a_declared_encoding_is_the_one_that_is_meant(declared: str, meant: str, text: str) -> None:
    """Like a browser we know that Windows' letters stand in texts that are declared as the standard's."""
    assert decode(text.encode(meant), declared) == text
    assert recode(text.encode(meant), declared).decode("utf-8-sig") == text
    assert recode("é".encode(), "ascii").decode("utf-8-sig") == "é"


def test_a_byte_that_windows_leaves_out_is_kept() -> None:
    """Where the meant encoding does not fit, the declared one is taken."""
    assert decode(b"\x81\xe9", "latin-1") == "\x81é"


def test_chinese_is_not_kana_of_half_width() -> None:
    """What would be a row of half-width kana is an encoding that is not known, until it is declared."""
    text = "你好世界，这是一个测试。"
    with pytest.raises(UnsupportedMediaError, match="is unknown"):
        decode(text.encode("gbk"))
    assert decode(text.encode("gbk"), "gbk") == text


def test_an_unknown_encoding_is_an_error() -> None:
    """Cyrillic in an old code page would be read as nonsense, and is refused with the way out."""
    with pytest.raises(UnsupportedMediaError, match="save it as UTF-8"):
        decode("Привет, мир, это проверка.".encode("cp1251"))


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x00\x00", b"text\x00text", bytes(range(1, 20)) * 10])
def test_binary_is_not_text(data: bytes) -> None:
    """A NUL byte or many control characters mean that this is no text."""
    with pytest.raises(UnsupportedMediaError, match="binary"):
        decode(data)


def test_line_ends_become_one() -> None:
    """Windows and old Mac line ends are line ends."""
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_utf8_is_never_mistaken(text: str) -> None:
    """What is UTF-8 is read as such."""
    assert decode(b"\xef\xbb\xbf" + text.encode()) == text
    assert decode(text.removeprefix("\ufeff").encode()) == text.removeprefix("\ufeff")
