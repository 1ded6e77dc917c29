"""A server that was never reached fails fast; one that went away is waited for."""

import asyncio
import json
import socket
import time
from collections.abc import Callable

import pytest
from support.fakes import RecordingMeter
from support.upstream import run_upstream, run_with_client

from semsearch.core.errors import UnavailableError
from semsearch.core.types.usage import Purpose, RequestContext
from semsearch.models.openai.client import OpenAIClient


class SmallServer:
    """A server of embeddings on one port of this machine that can be stopped and started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        """Listen on the port."""
        self._server = await asyncio.start_server(self._reply, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.close()
        await self._server.wait_closed()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readuntil(b"\r\n\r\n")
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        body = json.dumps({"data": [{"index": 0, "embedding": [1.0, 2.0]}], "usage": {"prompt_tokens": 1}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()


async def embed(client: OpenAIClient, purpose: Purpose = "ingest") -> None:
    """Embed one text."""
    await client.create_embeddings("m", ["one"], RequestContext(purpose))


@pytest.mark.parametrize("purpose", ["ingest", "query"])
@pytest.mark.parametrize(
    ("make_url", "cause"),
    [
        (lambda port: f"http://127.0.0.1:{port}/v1", "connection refused"),
        (lambda port: "http://no-such-host.invalid/v1", "its name is not known"),
    ],
)
def test_server_that_was_never_reached_is_not_tried_again(
    make_url: Callable[[int], str], cause: str, purpose: Purpose
) -> None:
    """The error comes at once and names URL, cause and setting; calls that run together do not wait either."""
    meter, url = RecordingMeter(), make_url(SmallServer().port)

    async def run() -> None:
        client = OpenAIClient(url, lambda: None, meter=meter)
        results = await asyncio.gather(*(embed(client, purpose) for _ in range(3)), return_exceptions=True)
        await client.aclose()
        for result in results:
            assert isinstance(result, UnavailableError)
            assert f"no connection to {url}/embeddings ({cause})" in str(result)
            assert "SEMSEARCH_EMBEDDINGS__BASE_URL" in str(result)

    start = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - start < 2
    assert len(meter.requests) == 3


def test_server_without_tls_fails_fast() -> None:
    """A wrong scheme is a wrong address too."""
    start = time.monotonic()
    with run_upstream() as upstream:
        upstream.url = upstream.url.replace("http:", "https:")
        with pytest.raises(UnavailableError, match="TLS failed"):
            run_with_client(upstream, embed)
    assert time.monotonic() - start < 2


def test_server_that_comes_back_during_an_ingestion_is_waited_for() -> None:
    """After the first response a refused connection is retried as before."""
    meter, server = RecordingMeter(), SmallServer()

    async def run() -> None:
        await server.start()
        client = OpenAIClient(server.url, lambda: None, meter=meter)
        await embed(client)
        await server.stop()
        waiting = asyncio.ensure_future(embed(client))
        while len(meter.outcomes) < 2:
            await asyncio.sleep(0.01)
        await server.start()
        await asyncio.wait_for(waiting, 30)
        await client.aclose()
        await server.stop()

    asyncio.run(run())
    statuses = [outcome.status for outcome in meter.outcomes.values()]
    assert statuses[0] == statuses[-1] == "ok"
    assert set(statuses[1:-1]) == {"no connection"}
