"""Traces across the service: from the request of a client to the requests to model servers."""

from pathlib import Path

import httpx
import pytest
from support.http_service import document_path, run_service
from support.upstream import Upstream

from semsearch.core.settings import Endpoint, Secret, Settings

pytestmark = pytest.mark.slow

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}


def test_model_requests_belong_to_the_trace_of_their_request(upstream: Upstream, tmp_path: Path) -> None:
    """An upload, whose texts a thread embeds, a search and a question: each model request has a span id of its own."""
    upstream.reset()
    endpoint = Endpoint(upstream.url, Secret("sk-none"))
    with run_service(tmp_path, Settings(embeddings=endpoint, chat=endpoint, chat_model="m")) as client:
        client.put("/v1/collections/hb", json={"embedder": "openai:m"}).raise_for_status()
        upstream.calls.clear()
        client.put(document_path("hb", "a.txt"), content=b"The lamp is lit.", headers=HEADERS).raise_for_status()
        client.get("/v1/collections/hb/search", params={"q": "lamp"}, headers=HEADERS).raise_for_status()
        client.post("/v1/collections/hb/ask", json={"question": "Is it lit?"}, headers=HEADERS).raise_for_status()
        sent = [call.headers["traceparent"].split("-") for call in upstream.calls]
    assert len(sent) >= 4
    assert {(version, trace_id, flags) for version, trace_id, _, flags in sent} == {("00", TRACE_ID, "01")}
    assert len({span_id for _, _, span_id, _ in sent} - {SPAN_ID}) == len(sent)


def test_requests_without_a_valid_trace_begin_one_each(client: httpx.Client, upstream: Upstream) -> None:
    """Nothing of an invalid header is sent on."""
    for _ in range(2):
        headers = {"traceparent": "00-galaxy"}
        client.post(
            "/v1/collections/hb/ask", json={"question": "How long is leave?"}, headers=headers
        ).raise_for_status()
    sent = [call.headers["traceparent"] for call in upstream.calls]
    assert len({value.split("-")[1] for value in sent}) == len(sent) >= 2
    assert not any("galaxy" in value for value in sent)
