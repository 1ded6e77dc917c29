"""Requests with an Idempotency-Key: replay, conflict, and which responses are kept."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service
from support.upstream import CUT, HANG, Upstream, delta_event, error_reply, raw_stream_reply

from semsearch.core.settings import Settings
from semsearch.core.types.access import ALL_SCOPES, KeyGrants
from semsearch.interfaces.http import limits
from semsearch.library import Library

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

ASK = "/v1/collections/hb/ask"
QUESTION = {"question": "How long is parental leave?"}
REPLAYED = "idempotent-replayed"


def key(value: str) -> dict[str, str]:
    """Return the header."""
    return {"idempotency-key": value}


def put(client: httpx.Client, uri: str, text: str, value: str) -> httpx.Response:
    """Store a document with an idempotency key."""
    headers = {**key(value), "content-type": "text/plain"}
    return client.put(document_path("hb", uri), content=text.encode(), headers=headers)


def test_repeated_change_is_made_once(client: httpx.Client) -> None:
    """The response is that of the first request, even after the document has changed."""
    first = put(client, "a.txt", "The lamp is lit.", "one")
    assert (first.json()["status"], first.headers.get(REPLAYED)) == ("added", None)
    assert put(client, "a.txt", "The lamp is out.", "two").json()["status"] == "updated"
    again = put(client, "a.txt", "The lamp is lit.", "one")
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (200, first.content, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert client.get(document_path("hb", "a.txt")).json()["text"] == "The lamp is out."


def test_another_request_with_the_key_is_refused(client: httpx.Client) -> None:
    """Another body, path, query string or method is another request."""
    assert put(client, "b.txt", "one", "other").status_code == 200
    path, headers = document_path("hb", "b.txt"), {**key("other"), "content-type": "text/plain"}
    for method, target, content in (
        ("PUT", path, b"two"),
        ("PUT", document_path("hb", "c.txt"), b"one"),
        ("PUT", f"{path}?title=x", b"one"),
        ("DELETE", path, b"one"),
    ):
        check_problem(client.request(method, target, content=content, headers=headers), "invalid", 422)
    assert client.get(path).json()["text"] == "one"


def test_question_is_answered_once(client: httpx.Client, upstream: Upstream) -> None:
    """A repeated one costs nothing; a streamed answer is replayed as a whole."""
    for stream in (False, True):
        value, body = f"ask-{stream}", {**QUESTION, "stream": stream}
        first = client.post(ASK, json=body, headers=key(value))
        calls = len(upstream.calls)
        again = client.post(ASK, json=body, headers=key(value))
        assert (again.status_code, again.content, again.headers[REPLAYED]) == (200, first.content, "true")
        assert again.headers["content-type"] == first.headers["content-type"]
        assert len(upstream.calls) == calls


def test_of_requests_at_the_same_time_one_runs(client: httpx.Client) -> None:
    """Each of the others gets its response, or a conflict."""
    barrier = threading.Barrier(8)

    def send(_: int) -> httpx.Response:
        barrier.wait()
        return put(client, "race.txt", "The race.", "race")

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(send, range(8)))
    for reply in replies:
        if reply.status_code == 409:
            check_problem(reply, "conflict", 409)
            assert reply.headers["retry-after"] == "1"
        else:
            assert reply.json()["status"] == "added"
    firsts = [reply for reply in replies if reply.status_code == 200 and REPLAYED not in reply.headers]
    assert len(firsts) == 1


def test_running_request_conflicts_and_frees_its_key_when_the_client_leaves(
    client: httpx.Client, upstream: Upstream
) -> None:
    """A response that was broken off is not kept, so the request may be sent again."""
    upstream.scripted_replies = [raw_stream_reply(HANG)]

    def ask_and_leave() -> None:
        with pytest.raises(httpx.ReadTimeout):
            client.post(ASK, json=QUESTION, headers=key("hang"), timeout=2)

    thread = threading.Thread(target=ask_and_leave)
    thread.start()
    while not upstream.calls:
        threading.Event().wait(0.01)
    check_problem(client.post(ASK, json=QUESTION, headers=key("hang")), "conflict", 409)
    check_problem(client.post(ASK, json={"question": "Why?"}, headers=key("hang")), "invalid", 422)
    thread.join()
    while (reply := client.post(ASK, json=QUESTION, headers=key("hang"))).status_code == 409:
        threading.Event().wait(0.01)
    assert (reply.status_code, reply.headers.get(REPLAYED)) == (200, None)


def test_failures_of_the_service_are_not_kept(client: httpx.Client, upstream: Upstream) -> None:
    """Neither an error status nor a stream that ends with an error."""
    upstream.scripted_replies = [error_reply(500, "boom")] * 5
    check_problem(client.post(ASK, json=QUESTION, headers=key("fails")), "upstream", 502)
    upstream.reset()
    reply = client.post(ASK, json=QUESTION, headers=key("fails"))
    assert (reply.status_code, reply.headers.get(REPLAYED)) == (200, None)
    begun = f"data: {json.dumps(delta_event('Parents '))}\n\n"
    upstream.scripted_replies = [raw_stream_reply(begun, CUT)] * 5
    body = {**QUESTION, "stream": True}
    assert "event: error" in client.post(ASK, json=body, headers=key("cut")).text
    upstream.reset()
    reply = client.post(ASK, json=body, headers=key("cut"))
    assert REPLAYED not in reply.headers
    assert "event: answer" in reply.text


def test_large_response_is_not_kept(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is then made again."""
    monkeypatch.setattr(limits, "MAX_KEPT_RESPONSE_BYTES", 20)
    assert put(client, "large.txt", "The whale.", "large").json()["status"] == "added"
    assert put(client, "large.txt", "The whale.", "large").json()["status"] == "unchanged"


def test_error_of_the_client_is_replayed(client: httpx.Client) -> None:
    """The same request fails in the same way."""
    path = document_path("none", "a.txt")
    headers = {**key("missing"), "content-type": "text/plain"}
    first, again = (client.put(path, content=b"text", headers=headers) for _ in range(2))
    assert check_problem(first, "not_found", 404) == again.json()["detail"]
    assert (again.status_code, again.headers[REPLAYED]) == (404, "true")


@pytest.mark.parametrize("value", ["", "a" * 256, "café"])
def test_invalid_key_is_refused(client: httpx.Client, value: str) -> None:
    """A key has 1 to 255 printable ASCII characters."""
    headers = [(b"idempotency-key", value.encode())]
    check_problem(client.post(ASK, json=QUESTION, headers=headers), "invalid", 422)


def test_key_is_sent_once(client: httpx.Client) -> None:
    """Of two keys none is chosen."""
    headers = [("idempotency-key", "a"), ("idempotency-key", "a")]
    check_problem(client.post(ASK, json=QUESTION, headers=headers), "invalid", 422)


def test_routes_with_secrets_refuse_a_key(client: httpx.Client) -> None:
    """What they return must not be stored."""
    for method, path in (("POST", "/v1/keys"), ("POST", "/v1/keys/k3v9x0q2m7ab/rotate"), ("DELETE", "/v1/sign-in")):
        check_problem(client.request(method, path, headers=key("k")), "invalid", 422)


def test_search_is_not_kept(client: httpx.Client) -> None:
    """It changes nothing, and another search may have the same key."""
    for query in ("leave", "train"):
        reply = client.post("/v1/collections/hb/search", json={"query": query}, headers=key("s"))
        assert (reply.status_code, reply.headers.get(REPLAYED)) == (200, None)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A service with access keys: two of one owner with other rights, and one of another owner."""

    client: httpx.Client
    wide: dict[str, str]
    narrow: dict[str, str]
    other: dict[str, str]


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    """One service with a collection."""
    filter = {"folder": "it"}
    with Library(tmp_path, settings=Settings()) as library:
        headers = [
            {"authorization": f"Bearer {library.create_key(grants)[1]}"}
            for grants in (
                KeyGrants("wide", "ann", ALL_SCOPES),
                KeyGrants("narrow", "ann", filter=filter),
                KeyGrants("other", "bob", ALL_SCOPES),
            )
        ]
    with run_service(tmp_path) as client:
        client.headers.update(headers[0])
        fill_collection(client, "hb")
        del client.headers["authorization"]
        yield Keyed(client, *headers)


def test_responses_belong_to_the_owner_and_their_rights(keyed: Keyed) -> None:
    """Another owner's request with the same key runs; another key of the owner sees no more than it may."""
    first = keyed.client.post(ASK, json=QUESTION, headers={**keyed.wide, **key("k")})
    assert "26 weeks" in first.text
    reply = keyed.client.post(ASK, json=QUESTION, headers={**keyed.other, **key("k")})
    assert (reply.status_code, reply.headers.get(REPLAYED)) == (200, None)
    assert reply.json()["id"] != first.json()["id"]
    refused = keyed.client.post(ASK, json=QUESTION, headers={**keyed.narrow, **key("k")})
    check_problem(refused, "invalid", 422)
    assert "26 weeks" not in refused.text
    check_problem(keyed.client.post(ASK, json=QUESTION, headers=key("k")), "unauthorized", 401)
