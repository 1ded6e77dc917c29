"""Sessions, recorded answers and readiness over HTTP, through a real server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import support.upstream as double
from support.http_service import check_problem, document_path, fill_collection, run_service

from semsearch.core.settings import Endpoint, Secret, Settings

QUESTION = {"question": "How many weeks of leave do parents take?"}


pytestmark = pytest.mark.usefixtures("shared_readers")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb` and an empty one."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb")
        client.put("/v1/collections/empty")
        yield client


def begin_session(client: httpx.Client, **fields: str) -> str:
    """Begin a session with `hb` and return its id."""
    response = client.post("/v1/sessions", json={"collection": "hb", **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def test_a_session_is_begun_continued_read_and_deleted(client: httpx.Client) -> None:
    """After its deletion it is not found."""
    session = begin_session(client, profile="support")
    answer = client.post("/v1/collections/hb/ask", json={**QUESTION, "session_id": session}).json()
    assert (answer["session_id"], answer["answered"]) == (session, True)
    stored = client.get(f"/v1/sessions/{session}").json()
    assert (stored["collection"], stored["profile"], len(stored["turns"])) == ("hb", "support", 1)
    assert stored["turns"][0]["question"] == QUESTION["question"]
    assert stored["turns"][0]["answer_id"] == answer["id"]
    assert client.delete(f"/v1/sessions/{session}").status_code == 204
    check_problem(client.get(f"/v1/sessions/{session}"), "not_found", 404)
    check_problem(client.post("/v1/collections/hb/ask", json={**QUESTION, "session_id": session}), "not_found", 404)


def test_a_session_needs_an_existing_collection_and_profile(client: httpx.Client) -> None:
    """Other fields are refused, and so are questions to another collection."""
    check_problem(client.post("/v1/sessions", json={"collection": "nowhere"}), "not_found", 404)
    detail = check_problem(client.post("/v1/sessions", json={"collection": "hb", "profile": "boss"}), "invalid", 422)
    assert "support" in detail
    check_problem(client.post("/v1/sessions", json={"collection": "hb", "owner": "me"}), "invalid", 422)
    check_problem(client.post("/v1/sessions", json={}), "invalid", 422)
    session = begin_session(client)
    check_problem(client.post("/v1/collections/empty/ask", json={**QUESTION, "session_id": session}), "conflict", 409)
    check_problem(client.get("/v1/sessions/no%20id"), "invalid", 422)


def test_a_recorded_answer_can_be_read_later(client: httpx.Client) -> None:
    """It equals the answer that was sent, and names the sources that changed since."""
    answer = client.post("/v1/collections/hb/ask", json=QUESTION).json()
    record = client.get(f"/v1/answers/{answer['id']}").json()
    assert record["answer"] == answer
    assert (record["question"], record["collection"], record["changes"]) == (QUESTION["question"], "hb", [])
    client.put(document_path("hb", "docs/leave.md"), content=b"Other", headers={"content-type": "text/markdown"})
    changed = client.get(f"/v1/answers/{answer['id']}").json()
    assert changed["changes"] == [{"marker": 1, "uri": "docs/leave.md", "change": "edited"}]
    check_problem(client.get("/v1/answers/ans_nothing"), "not_found", 404)
    fill_collection(client, "hb")


def test_history_is_for_searches_only_and_limited(client: httpx.Client) -> None:
    """A search uses earlier questions; `ask` refuses them, as it has sessions."""
    body = {"query": "And what of taxis?", "history": ["How do we travel?"]}
    assert client.post("/v1/collections/hb/search", json=body).json()["hits"][0]["uri"] == "docs/travel.md"
    check_problem(client.post("/v1/collections/hb/search", json={**body, "history": ["x"] * 51}), "invalid", 422)
    check_problem(client.post("/v1/collections/hb/search", json={**body, "history": [" "]}), "invalid", 422)
    check_problem(client.post("/v1/collections/hb/ask", json={**QUESTION, "history": ["x"]}), "invalid", 422)


@pytest.mark.parametrize("option", [{"policy": "hard"}, {"profile": ""}, {"session_id": 3}])
def test_an_invalid_option_is_named(client: httpx.Client, option: dict[str, object]) -> None:
    """The detail names the field of a wrong value."""
    assert next(iter(option)) in check_problem(
        client.post("/v1/collections/hb/ask", json={**QUESTION, **option}), "invalid", 422
    )


def test_a_profile_hands_off(client: httpx.Client) -> None:
    """Without an answer in the documents, the profile `support` passes the reader on to a person."""
    body = {"question": "Which volcano erupted in Iceland?", "profile": "support"}
    answer = client.post("/v1/collections/hb/ask", json=body).json()
    assert (answer["answered"], answer["escalated"]) == (False, True)
    assert answer["answer"].endswith("to a person.")


def test_readiness_shows_model_servers(tmp_path: Path) -> None:
    """A model server that fails makes the service degraded; searches that need no server still succeed."""
    with double.run_upstream() as upstream:
        settings = Settings(chat=Endpoint(upstream.url, Secret(double.KEY)), chat_model="m")
        with run_service(tmp_path, settings) as client:
            fill_collection(client, "hb")
            assert client.get("/readyz").json() == {"status": "ok", "upstreams": []}
            client.post("/v1/collections/hb/ask", json=QUESTION)
            assert client.get("/readyz").json()["upstreams"][0]["state"] == "ok"
            assert client.get("/readyz", headers={"x-forwarded-for": "192.0.2.1"}).json()["upstreams"] == []
            upstream.scripted_replies = [double.error_reply(500, "down")] * 50
            for _ in range(3):
                assert client.post("/v1/collections/hb/ask", json=QUESTION).status_code in (502, 503)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["upstreams"][0]["state"] == "open"
            assert double.KEY not in ready.text
            refused = client.post("/v1/collections/hb/ask", json=QUESTION)
            check_problem(refused, "unavailable", 503)
            assert int(refused.headers["retry-after"]) >= 1
            assert client.post("/v1/collections/hb/search", json={"query": "leave"}).status_code == 200


def test_times_are_iso_8601_in_utc(client: httpx.Client) -> None:
    """Times of sessions and answers end with Z and are times of now."""
    session = client.get(f"/v1/sessions/{begin_session(client)}").json()
    answer = client.get(f"/v1/answers/{client.post('/v1/collections/hb/ask', json=QUESTION).json()['id']}").json()
    times = [session["created"], session["last_used"], session["collection_created_at"], answer["created"]]
    assert all(time.endswith("Z") for time in times)
    assert all(abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(minutes=5) for time in times)


def test_sessions_are_listed_page_by_page(tmp_path: Path) -> None:
    """The last used one first, each with its number of turns and its first question."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        client.put("/v1/collections/empty")
        ids = [begin_session(client, profile="support") for _ in range(3)]
        other = client.post("/v1/sessions", json={"collection": "empty"}).json()["id"]
        client.post("/v1/collections/hb/ask", json={**QUESTION, "session_id": ids[0]})
        pages, cursor = list[dict[str, Any]](), None
        while not pages or cursor:
            response = client.get("/v1/sessions", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
            pages.append(response.json())
            cursor = pages[-1]["next_cursor"]
        sessions = [session for page in pages for session in page["sessions"]]
        assert [session["id"] for session in sessions] == [ids[0], other, ids[2], ids[1]]
        assert (sessions[0]["turns"], sessions[0]["title"]) == (1, QUESTION["question"])
        assert set(sessions[1]) == {"id", "collection", "created", "last_used", "profile", "turns", "title"}
        assert (sessions[1]["collection"], sessions[2]["profile"], sessions[2]["turns"]) == ("empty", "support", 0)
        listed = client.get("/v1/sessions", params={"collection": "hb"}).json()
        assert [session["id"] for session in listed["sessions"]] == [ids[0], ids[2], ids[1]]
        client.delete(f"/v1/sessions/{ids[0]}")
        assert ids[0] not in client.get("/v1/sessions").text


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=x", "collection=A", "owner=me"])
def test_invalid_list_of_sessions_is_refused(client: httpx.Client, query: str) -> None:
    """Each parameter is checked."""
    assert check_problem(client.get(f"/v1/sessions?{query}"), "invalid", 422)
