"""Invalid server settings are errors before anything is sent or reserved, and messages contain no secret."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.fakes import RecordingMeter
from support.upstream import KEY, Upstream, embed_two, run_upstream

from semsearch.core.errors import InvalidError
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai.client import OpenAIClient
from semsearch.models.openai.errors import ApiCall, RequestFailedError, map_transport_errors
from semsearch.models.openai.transport import validate_base_url


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Run a server that gets no call."""
    with run_upstream() as upstream:
        yield upstream


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "sk-oops-1",
        "localhost:1",
        "ftp://host",
        "http://",
        "http://u:pw-sk-1@host/v1",
        "http://h:x",
        "http://h:99999",
        "http://h:0/v1",
        "http://h?key=1",
    ],
)
def test_invalid_base_url_is_rejected(base_url: str) -> None:
    """Only http and https without user, query or fragment are allowed; the message contains no secret."""
    with pytest.raises(InvalidError) as caught:
        OpenAIClient(base_url, lambda: None, meter=RecordingMeter())
    assert "sk-" not in str(caught.value)
    assert "BASE_URL" in str(caught.value) or "its own setting" in str(caught.value)


def test_base_url_loses_its_last_slash() -> None:
    """Paths are appended with a slash."""
    assert validate_base_url("http://h:65535/v1/") == "http://h:65535/v1"


@pytest.mark.parametrize("value", ["ö", "a\nb", "a\r\nX-Evil: 1", " a"])
def test_invalid_header_value_is_rejected(value: str) -> None:
    """The error names the variable of the organization or the project."""
    with pytest.raises(InvalidError, match="OPENAI_ORG_ID"):
        OpenAIClient("http://h", lambda: None, meter=RecordingMeter(), organization=value)
    with pytest.raises(InvalidError, match="OPENAI_PROJECT_ID"):
        OpenAIClient("http://h", lambda: None, meter=RecordingMeter(), project=value)


def get_settings_error(upstream: Upstream, proxy: str | None = None, ca_file: Path | None = None) -> str:
    """Return the error of the first call with these settings; it reserves and sends nothing."""
    meter = RecordingMeter()

    async def run() -> None:
        client = OpenAIClient(upstream.url, lambda: KEY, meter=meter, proxy=proxy, ca_file=ca_file)
        try:
            await embed_two(client)
        finally:
            await client.aclose()

    with pytest.raises(InvalidError) as caught:
        asyncio.run(run())
    assert meter.requests == []
    assert upstream.calls == []
    return str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["http://", "ftp://u:passw0rd@h", "http://h:99999", "http://h:x", "http://u:passw0rd@h:x"]
)
def test_invalid_proxy_is_rejected(upstream: Upstream, proxy: str) -> None:
    """The error names the variable and not its value, which may contain a password."""
    message = get_settings_error(upstream, proxy)
    assert message.startswith("HTTP_PROXY, or ALL_PROXY, is not a valid proxy URL")
    assert "passw0rd" not in message


def test_socks_proxy_without_its_package_is_rejected(upstream: Upstream) -> None:
    """The error names the package to install."""
    assert "pip install 'httpx[socks]'" in get_settings_error(upstream, "socks5://127.0.0.1:1080")


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_file_without_certificates_is_rejected(upstream: Upstream, tmp_path: Path, content: bytes | None) -> None:
    """The file may be missing, empty or of another kind."""
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    assert get_settings_error(upstream, ca_file=file).startswith("SSL_CERT_FILE")


def test_invalid_request_is_not_billed() -> None:
    """A request that is not valid HTTP is neither sent nor retried."""
    call = ApiCall("POST", "http://h", "CHAT", "m", RequestContext("answer"), 0.0)
    with pytest.raises(RequestFailedError) as caught, map_transport_errors(call):
        raise httpx.LocalProtocolError("Illegal header value")
    assert (caught.value.may_be_billed, caught.value.is_retryable) == (False, False)
