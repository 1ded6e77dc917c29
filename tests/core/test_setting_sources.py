"""The list of settings: complete, with the source of each value, and without secrets."""

import re
from pathlib import Path

import pytest

from semsearch.core.setting_sources import SettingSource
from semsearch.core.settings import list_setting_sources

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
CANARY = "sk-canary-0123456789"


def find(name: str, environ: dict[str, str], folder: Path) -> SettingSource:
    """Return the setting of this name."""
    return next(each for each in list_setting_sources(environ, folder=folder) if each.name == name)


def test_every_documented_setting_is_listed(tmp_path: Path) -> None:
    """Each variable in the first column of the table of settings, with its default."""
    table = OPERATIONS.read_text(encoding="utf-8").partition("## Settings")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert len(documented) > 40
    assert documented <= {each.variable for each in list_setting_sources({}, folder=tmp_path)}
    assert find("keep_days", {}, tmp_path) == SettingSource("keep_days", "SEMSEARCH_KEEP_DAYS", 90, "default")


def test_source_is_that_of_the_value(tmp_path: Path) -> None:
    """A flag wins over the environment, the environment over the file, the file over the default."""
    file = tmp_path / "semsearch.toml"
    file.write_text('[search]\nper_document = 7\n[chat]\nmax_tokens = 5\nmodel = "m"\n[profiles.short]\nk = 3\n')
    environ = {"SEMSEARCH_CHAT__MAX_TOKENS": "6"}
    by_name = {each.name: each for each in list_setting_sources(environ, folder=tmp_path)}
    limit = by_name["search.per_document"]
    assert (limit.value, limit.source, limit.origin) == (7, "file", str(file))
    tokens = by_name["chat.max_tokens"]
    assert (tokens.value, tokens.source, tokens.origin) == (6, "environment", "SEMSEARCH_CHAT__MAX_TOKENS")
    assert (by_name["profiles.short.k"].value, by_name["profiles.short.k"].source) == (3, "file")
    flags = {"data_dir": ("--data-dir", "here")}
    moved = next(each for each in list_setting_sources({}, folder=tmp_path, flags=flags) if each.name == "data_dir")
    assert (moved.value, moved.source, moved.origin) == ("here", "flag", "--data-dir")


def test_settings_that_are_not_set_name_what_is_used_instead(tmp_path: Path) -> None:
    """OPENAI_API_KEY and OPENAI_BASE_URL; the server and key of the chat model for the check model."""
    environ = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": "http://a/v1"}
    key, url = find("chat.api_key", environ, tmp_path), find("chat.base_url", environ, tmp_path)
    assert (key.value, key.source, key.origin) == ("set", "environment", "OPENAI_API_KEY")
    assert (url.value, url.source, url.origin) == ("http://a/v1", "environment", "OPENAI_BASE_URL")
    check = find("check.api_key", environ, tmp_path)
    assert (check.value, check.source, check.origin) == ("set", "default", "chat.api_key")
    other = find("chat.api_key", {**environ, "SEMSEARCH_CHAT__BASE_URL": "http://b/v1"}, tmp_path)
    assert (other.value, other.source) == (None, "default")


def test_key_that_a_key_file_replaces_is_marked(tmp_path: Path) -> None:
    """Both are listed; only the file is used."""
    (tmp_path / "key").write_text(CANARY)
    environ = {"SEMSEARCH_CHAT__API_KEY_FILE": str(tmp_path / "key"), "SEMSEARCH_CHAT__API_KEY": CANARY}
    file, key = find("chat.api_key_file", environ, tmp_path), find("chat.api_key", environ, tmp_path)
    assert (file.value, file.is_used) == (str(tmp_path / "key"), True)
    assert (key.value, key.is_used) == ("set", False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", CANARY),
        ("SEMSEARCH_CHAT__API_KEY", CANARY),
        ("SEMSEARCH_CHAT__API_KEY_ENV", CANARY),
        ("SEMSEARCH_CHAT__API_KEY_FILE", CANARY),
        ("SEMSEARCH_EMBEDDINGS__BASE_URL", f"https://user:{CANARY}@host/v1"),
        ("SEMSEARCH_CHAT__BASE_URL", f"https://user:pass/{CANARY}@host/v1?key={CANARY}"),
        ("OPENAI_BASE_URL", f"https://host/v1?api-key={CANARY}"),
        ("HTTPS_PROXY", f"user:{CANARY}@proxy:3128"),
        ("all_proxy", f"socks5://{CANARY}@proxy:1080"),
    ],
)
def test_no_secret_is_listed(name: str, value: str, tmp_path: Path) -> None:
    """Neither a key, nor a key where the name of a variable or a file belongs, nor a password in a URL."""
    sources = list_setting_sources({name: value}, folder=tmp_path)
    assert CANARY not in repr(sources)
    assert any(each.source == "environment" and each.value for each in sources)
