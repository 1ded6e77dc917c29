"""The setting of the address of the page."""

from pathlib import Path

import pytest

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings

VARIABLE = "SEMSEARCH_PUBLIC_URL"


@pytest.mark.parametrize(
    ("value", "public_url"),
    [
        ("https://search.example.org", "https://search.example.org"),
        ("http://127.0.0.1:8765/", "http://127.0.0.1:8765"),
        ("https://intranet/teams/search/", "https://intranet/teams/search"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        ("", None),
    ],
)
def test_address_is_read_without_the_slash_at_its_end(tmp_path: Path, value: str, public_url: str | None) -> None:
    """From the environment, or from a trusted file."""
    assert Settings.load({VARIABLE: value}, folder=tmp_path).public_url == public_url
    config = tmp_path / "named.toml"
    config.write_text(f"public_url = {value!r}")
    assert Settings.load({}, config=config).public_url == public_url


@pytest.mark.parametrize(
    "value",
    [
        *("search.example.org", "/search", "ftp://a", "javascript:alert(1)", "https://", "https:a", "https://a:x"),
        *(
            "https://me@a",
            "https://a/?q=1",
            "https://a#b",
            "https://a b",
            "https://a/\x1b]8;;",
            "https://é",
            "https://[a",
        ),
        *('https://a/"><script>', "https://a/\n"),
    ],
)
def test_what_is_no_address_of_a_site_is_refused(tmp_path: Path, value: str) -> None:
    """The message names the setting and shows an address."""
    with pytest.raises(InvalidError, match=rf"{VARIABLE}: .*https://search\.example\.org"):
        Settings.load({VARIABLE: value}, folder=tmp_path)


def test_address_is_a_text(tmp_path: Path) -> None:
    """A file may have other types."""
    config = tmp_path / "named.toml"
    config.write_text("public_url = 3")
    with pytest.raises(InvalidError, match="public_url"):
        Settings.load({}, config=config)
