"""All readers: media types, limits, charsets, cleaning."""

import re
from itertools import filterfalse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import InvalidError, SemsearchError, TooLargeError, UnsupportedMediaError
from semsearch.ingest import readers
from semsearch.ingest.media_types import MEDIA_TYPES

TEXT_TYPES = sorted(
    {name for name in readers.READERS if not name.startswith("application/vnd") and "epub" not in name}
    - {"application/pdf"}
)
UNDERLINE = re.compile(r"([=~*-])\1{2,}")
TYPES_WITHOUT_READER = {"application/vnd.ms-outlook", "application/vnd.ms-excel"}


def read_texts(data: bytes, media_type: str) -> list[str]:
    """Return the read_texts of the blocks."""
    return [block.text for block in readers.read(data, media_type).blocks]


@pytest.mark.parametrize("media_type", sorted(readers.READERS))
def test_every_registered_reader_can_be_imported(media_type: str) -> None:
    """The reader of a registered type can be imported, and refuses an empty file."""
    with pytest.raises(UnsupportedMediaError):
        readers.read(b"", media_type)


@pytest.mark.parametrize("media_type", sorted(set(MEDIA_TYPES.values())))
def test_every_known_extension_has_a_reader_or_is_refused(media_type: str) -> None:
    """Every known extension has a reader, except the old binary formats, which are refused by name."""
    assert (media_type in readers.READERS) != (media_type in TYPES_WITHOUT_READER)


def test_unknown_type_is_refused_by_name() -> None:
    """The error names the unknown media type."""
    for media_type in ("image/png", "application/octet-stream", "application/vnd.ms-outlook"):
        with pytest.raises(UnsupportedMediaError, match=media_type):
            readers.read(b"x", media_type)
    with pytest.raises(UnsupportedMediaError, match="without a type"):
        readers.read(b"x", "")


def test_source_over_the_size_limit_is_too_large() -> None:
    """A source of more than 64 MiB is refused; the error has its size and the limit."""
    with pytest.raises(TooLargeError, match="67,108,865 bytes, more than the limit of 67,108,864"):
        readers.read(bytes(readers.MAX_SOURCE_BYTES + 1), "text/plain")


def test_stated_charset_is_used() -> None:
    """The charset of the media type is used; a wrong or unknown charset is an error that names it."""
    assert read_texts("café".encode("latin-1"), "text/plain; charset=latin-1") == ["café"]
    assert read_texts("日本".encode("cp932"), 'Text/HTML; charset="Shift_JIS"') == ["日本"]
    assert read_texts(b'<meta charset="latin-1">caf\xc3\xa9', "text/html; charset=utf-8") == ["café"]
    with pytest.raises(InvalidError, match="stated charset utf-8"):
        readers.read("é".encode("latin-1"), "text/plain; charset=utf-8")
    for charset in ("klingon", "zlib", "rot13"):
        with pytest.raises(InvalidError, match=charset):
            readers.read(b"x", f"text/plain; charset={charset}")


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "Raw-Unicode-Escape", "utf7", "undefined"])
def test_codec_that_is_not_a_text_encoding_is_unknown(charset: str) -> None:
    """Python codecs that are not text encodings are refused under all their names: one takes hours for a large text."""
    with pytest.raises(InvalidError, match="is unknown"):
        readers.read(b"x" * 100_000, f"text/plain; charset={charset}")
    assert read_texts("é".encode("utf-16"), "text/plain; charset=utf-16") == ["é"]


def test_text_is_cleaned() -> None:
    """Invisible characters are removed from read_texts, headings and titles; blocks that become empty are dropped."""
    content = readers.read("# Ti\u200btle\u202e\n\n\u200b\n\ncafe\u0301\u00ad\n".encode(), "text/markdown")
    assert [block.text for block in content.blocks] == ["Title", "café"]
    assert content.blocks[1].locator.headings == ("Title",)
    assert content.title == "Title"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", "\u200b\ufeff".encode()])
def test_file_without_text_is_refused(data: bytes) -> None:
    """A file without text is an error, not an empty document."""
    with pytest.raises(UnsupportedMediaError, match="no text"):
        readers.read(data, "text/plain")


def test_only_plain_text_and_code_are_read_in_process() -> None:
    """Plain text and code are read in this process; markup and archives are not."""
    assert {"text/plain", "text/x-python"} <= readers.IN_PROCESS_MEDIA_TYPES <= set(readers.READERS)
    assert not readers.IN_PROCESS_MEDIA_TYPES & {"text/html", "text/markdown", "application/pdf", "application/json"}


@given(st.text(max_size=300))
def test_no_word_of_a_plain_text_is_lost(text: str) -> None:
    """Reading plain text keeps every word, in order; the line under a heading is no word."""
    from semsearch.text.cleaning import clean

    try:
        content = readers.read(text.encode(errors="replace"), "text/plain")
    except UnsupportedMediaError:
        return
    words = clean(text.encode(errors="replace").decode()).split()
    read_words = " ".join(block.text for block in content.blocks).split()
    assert list(filterfalse(UNDERLINE.fullmatch, read_words)) == list(filterfalse(UNDERLINE.fullmatch, words))


FRAGMENTS = st.sampled_from(
    [
        "<p>",
        "<table><tr><td>",
        "</div>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "&amp;",
        "&#x110000;",
        "#",
        "##",
        "-",
        "*",
        "1.",
        "```",
        "~~~",
        "---",
        "===",
        "|",
        "|-",
        ">",
        "[a](b)",
        "![i](j)",
        "..",
        "code::",
        "..",
        "note::",
        "::",
        ":a:`b`",
        "|===",
        "----",
        "==",
        ".",
        ",",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        ":",
        "null",
        "1e999",
        "--",
        "-->",
        "WEBVTT",
        "00:00.000",
        "\n",
        "\n\n",
        "\t",
        "\\",
        "\x00",
        "é",
        "日",
    ]
)


@given(
    st.sampled_from(TEXT_TYPES), st.one_of(st.lists(FRAGMENTS).map("".join).map(str.encode), st.binary(max_size=200))
)
def test_any_bytes_of_a_text_format_are_content_or_a_semsearch_error(media_type: str, data: bytes) -> None:
    """A reader of a text format returns blocks or raises a SemsearchError, for any bytes."""
    try:
        content = readers.read(data, media_type)
    except SemsearchError:
        return
    assert content.blocks
    for block in content.blocks:
        assert block.text.strip()
        if block.kind == "heading":
            assert block.locator.headings[-1] == block.text
        if block.locator.lines:
            first, last = block.locator.lines
            assert 1 <= first <= last <= data.count(b"\n") + data.count(b"\r") + 1


@pytest.mark.parametrize("media_type", [name for name in readers.READERS if name not in TEXT_TYPES])
@given(data=st.binary(max_size=100))
def test_any_bytes_of_a_binary_format_are_a_semsearch_error(media_type: str, data: bytes) -> None:
    """Random bytes with a binary media type raise a SemsearchError."""
    with pytest.raises(SemsearchError):
        readers.read(data, media_type)
