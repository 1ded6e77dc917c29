"""The setting of the names by which the service is reached."""

from pathlib import Path

import pytest

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings

VARIABLE = "SEMSEARCH_HTTP__ALLOWED_HOSTS"


def test_hosts_are_read_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """A text has commas between the names, a file may also have a list; the environment takes precedence."""
    config = tmp_path / "named.toml"
    config.write_text("[http]\nallowed_hosts = ['Search.example', 'intranet:8443']")
    assert Settings.load({}, config=config).allowed_hosts == ("search.example", "intranet:8443")
    environ = {VARIABLE: "a.example, [::1]:8765"}
    assert Settings.load(environ, config=config).allowed_hosts == ("a.example", "[::1]:8765")
    assert Settings.load({}, folder=tmp_path).allowed_hosts == ()


@pytest.mark.parametrize(
    "value", ["https://a.example", "a.example/", "*.example", "a b", "a,,b", "user@a", "a:", "a:x", "-a", ".", "é"]
)
def test_what_is_no_exact_name_is_refused(tmp_path: Path, value: str) -> None:
    """The message names the setting and shows a name."""
    with pytest.raises(InvalidError, match=rf"{VARIABLE}: .*search\.example\.org"):
        Settings.load({VARIABLE: value}, folder=tmp_path)


@pytest.mark.parametrize("value", ["3", "[1]", "{ a = 1 }"])
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, value: str) -> None:
    """A file may have other types."""
    config = tmp_path / "named.toml"
    config.write_text(f"[http]\nallowed_hosts = {value}")
    with pytest.raises(InvalidError, match=r"http\.allowed_hosts|no setting"):
        Settings.load({}, config=config)
