"""The one door to all readers: types, bounds, charsets, cleaning."""

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
NAMED_FAILURES = {"application/vnd.ms-outlook", "application/vnd.ms-excel"}


def texts(data: bytes, media_type: str) -> list[str]:
    """The texts of what is read."""
    return [block.text for block in readers.read(data, media_type).blocks]


@pytest.mark.parametrize("media_type", sorted(readers.READERS))
def test_every_registered_reader_is_there(media_type: str) -> None:
    """A registered type imports its reader, and an empty file of it is a named error."""
    with pytest.raises(UnsupportedMediaError):
        readers.read(b"", media_type)


@pytest.mark.parametrize("media_type", sorted(set(MEDIA_TYPES.values())))
def test_every_known_extension_has_a_reader_or_a_refusal(media_type: str) -> None:
    """An extension leads to a reader, but for the old binary formats, which are refused by name."""
    assert (media_type in readers.READERS) != (media_type in NAMED_FAILURES)


def test_an_unknown_type_is_refused_by_name() -> None:
    """What no reader knows is named in the refusal."""
    for media_type in ("image/png", "application/octet-stream", "application/vnd.ms-outlook"):
        with pytest.raises(UnsupportedMediaError, match=media_type):
            readers.read(b"x", media_type)
    with pytest.raises(UnsupportedMediaError, match="without a type"):
        readers.read(b"x", "")


def test_a_source_over_the_bound_is_too_large() -> None:
    """64 MiB are read, one byte more is refused with both numbers."""
    with pytest.raises(TooLargeError, match="67,108,865 bytes, more than the 67,108,864"):
        readers.read(bytes(readers.MAX_SOURCE_BYTES + 1), "text/plain")


def test_a_stated_charset_is_honoured() -> None:
    """The charset of a media type decides, and one that is wrong or unknown is an error that says so."""
    assert texts("café".encode("latin-1"), "text/plain; charset=latin-1") == ["café"]
    assert texts("日本".encode("cp932"), 'Text/HTML; charset="Shift_JIS"') == ["日本"]
    assert texts(b'<meta charset="latin-1">caf\xc3\xa9', "text/html; charset=utf-8") == ["café"]
    with pytest.raises(InvalidError, match="stated charset utf-8"):
        readers.read("é".encode("latin-1"), "text/plain; charset=utf-8")
    for charset in ("klingon", "zlib", "rot13"):
        with pytest.raises(InvalidError, match=charset):
            readers.read(b"x", f"text/plain; charset={charset}")


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "Raw-Unicode-Escape", "utf7", "undefined"])
def test_a_codec_that_is_no_character_set_is_not_known(charset: str) -> None:
    """Codecs that only programs use are refused under any of their names: one takes hours for a large text."""
    with pytest.raises(InvalidError, match="is unknown"):
        readers.read(b"x" * 100_000, f"text/plain; charset={charset}")
    assert texts("é".encode("utf-16"), "text/plain; charset=utf-16") == ["é"]


def test_text_is_cleaned_on_the_way_in() -> None:
    """What no reader sees is gone from texts, headings and titles alike; what is left empty is left out."""
    content = readers.read("# Ti\u200btle\u202e\n\n\u200b\n\ncafe\u0301\u00ad\n".encode(), "text/markdown")
    assert [block.text for block in content.blocks] == ["Title", "café"]
    assert content.blocks[1].locator.headings == ("Title",)
    assert content.title == "Title"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", "\u200b\ufeff".encode()])
def test_a_file_without_text_is_refused(data: bytes) -> None:
    """Nothing to read is an error, not an empty document."""
    with pytest.raises(UnsupportedMediaError, match="no text"):
        readers.read(data, "text/plain")


def test_only_lines_are_read_in_process() -> None:
    """Plain text and code need no child process; markup and archives do."""
    assert {"text/plain", "text/x-python"} <= readers.IN_PROCESS_MEDIA_TYPES <= set(readers.READERS)
    assert not readers.IN_PROCESS_MEDIA_TYPES & {"text/html", "text/markdown", "application/pdf", "application/json"}


@given(st.text(max_size=300))
def test_no_word_of_a_plain_text_is_lost(text: str) -> None:
    """Reading keeps every word, in order."""
    from semsearch.text.cleaning import clean

    try:
        content = readers.read(text.encode(errors="replace"), "text/plain")
    except UnsupportedMediaError:
        return
    words = clean(text.encode(errors="replace").decode()).split()
    assert " ".join(block.text for block in content.blocks).split() == words


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
def test_any_bytes_end_as_content_or_as_a_named_error(media_type: str, data: bytes) -> None:
    """No reader of a text format raises anything that is not ours, whatever it is given."""
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
def test_any_bytes_of_a_binary_format_are_a_named_error(media_type: str, data: bytes) -> None:
    """Rubbish under a binary type is refused by name."""
    with pytest.raises(SemsearchError):
        readers.read(data, media_type)
