"""Wrong settings of a server are named before anything is sent or held, and no secret in them is repeated."""

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
    """A server that is never asked."""
    with run_upstream() as upstream:
        yield upstream


@pytest.mark.parametrize(
    "given",
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
def test_an_address_that_is_none_is_refused(given: str) -> None:
    """Only http and https, without a user, query or fragment; what might be a secret is not repeated."""
    with pytest.raises(InvalidError) as caught:
        OpenAIClient(given, lambda: None, meter=RecordingMeter())
    assert "sk-" not in str(caught.value)
    assert "BASE_URL" in str(caught.value) or "its own setting" in str(caught.value)


def test_an_address_loses_its_last_slash() -> None:
    """Paths are put behind it."""
    assert validate_base_url("http://h:65535/v1/") == "http://h:65535/v1"


@pytest.mark.parametrize("value", ["ö", "a\nb", "a\r\nX-Evil: 1", " a"])
def test_a_name_that_no_header_can_carry_is_refused(value: str) -> None:
    """Organisation and project, by their variables."""
    with pytest.raises(InvalidError, match="OPENAI_ORG_ID"):
        OpenAIClient("http://h", lambda: None, meter=RecordingMeter(), organization=value)
    with pytest.raises(InvalidError, match="OPENAI_PROJECT_ID"):
        OpenAIClient("http://h", lambda: None, meter=RecordingMeter(), project=value)


def refused(upstream: Upstream, proxy: str | None = None, ca_file: Path | None = None) -> str:
    """What is said of these settings by the first call, which holds and sends nothing."""
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
def test_a_proxy_that_is_none_is_refused(upstream: Upstream, proxy: str) -> None:
    """By its variable alone: it may hold a password."""
    said = refused(upstream, proxy)
    assert said.startswith("HTTP_PROXY, or ALL_PROXY, is not the address of a proxy")
    assert "passw0rd" not in said


def test_a_socks_proxy_without_its_package_is_refused(upstream: Upstream) -> None:
    """The error says what to install."""
    assert "pip install 'httpx[socks]'" in refused(upstream, "socks5://127.0.0.1:1080")


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_file_without_certificates_is_refused(upstream: Upstream, tmp_path: Path, content: bytes | None) -> None:
    """Whether it is missing, empty or something else."""
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    assert refused(upstream, ca_file=file).startswith("SSL_CERT_FILE")


def test_what_cannot_be_sent_is_not_billed() -> None:
    """A request that breaks the protocol never left, and is not tried again."""
    call = ApiCall("POST", "http://h", "CHAT", "m", RequestContext("answer"), 0.0)
    with pytest.raises(RequestFailedError) as caught, map_transport_errors(call):
        raise httpx.LocalProtocolError("Illegal header value")
    assert (caught.value.may_be_billed, caught.value.is_retryable) == (False, False)
