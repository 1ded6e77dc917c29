"""The setting of the addresses of trusted proxies."""

from pathlib import Path

import pytest

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings


def test_addresses_are_a_list_or_a_text_with_commas(tmp_path: Path) -> None:
    """The environment overrides the file; by default no proxy is trusted."""
    config = tmp_path / "semsearch.toml"
    config.write_text("[access.proxy]\naddresses = ['127.0.0.1', '10.0.0.0/8']")
    assert Settings.load({}, config=config).access_proxies == ("127.0.0.1/32", "10.0.0.0/8")
    environ = {"SEMSEARCH_ACCESS__PROXY__ADDRESSES": "::1, 192.0.2.0/24"}
    assert Settings.load(environ, config=config).access_proxies == ("::1/128", "192.0.2.0/24")
    assert Settings.load({}, folder=tmp_path / "empty").access_proxies == ()


@pytest.mark.parametrize("value", ["'localhost'", "['10.0.0.1/8']", "['10.0.0.1:80']", "[1]", "['']", "['*']"])
def test_other_values_are_refused(tmp_path: Path, value: str) -> None:
    """Names, ports and networks with further bits are no addresses."""
    config = tmp_path / "semsearch.toml"
    config.write_text(f"[access.proxy]\naddresses = {value}")
    with pytest.raises(InvalidError, match=r"access\.proxy\.addresses"):
        Settings.load({}, config=config)
