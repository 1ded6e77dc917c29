"""Feedback on answers over HTTP, through a real server."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch.core.types.access import Caller
from semsearch.core.types.feedback import MAX_COMMENT_CHARACTERS
from semsearch.interfaces.http import auth

QUESTION = {"question": "How many weeks of leave do parents take?"}
NOTHING = {"helpful": None, "wrong_marker": None, "right_chunk_id": None, "comment": None}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb`."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb")
        yield client


@pytest.fixture
def answer(client: httpx.Client) -> Any:
    """A new answer."""
    return client.post("/v1/collections/hb/ask", json=QUESTION).json()


def test_feedback_is_stored_merged_and_shown_with_the_answer(client: httpx.Client, answer: Any) -> None:
    """A later value replaces the earlier one of its field only."""
    path = f"/v1/answers/{answer['id']}"
    assert client.get(path).json()["feedback"] is None
    chunk_id = answer["hits"][1]["chunk_id"]
    steps: list[dict[str, object]] = [
        {"helpful": True},
        {"wrong_marker": 1, "comment": "  caf\u0065\u0301 \u202eold "},
        {"helpful": False, "right_chunk_id": float(chunk_id), "comment": None},
    ]
    expected = {"answer_id": answer["id"], **NOTHING}
    for body, cleaned in zip(steps, ({}, {"comment": "café old"}, {"comment": "café old"}), strict=True):
        response = client.post(f"{path}/feedback", json=body)
        assert response.status_code == 201, response.text
        stored = response.json()
        assert datetime.now(UTC) - datetime.fromisoformat(stored.pop("created")) < timedelta(minutes=5)
        expected |= body | cleaned
        assert stored == expected
    record = client.get(path).json()
    assert record["answer"] == answer
    assert {**record["feedback"], "created": None} == {**expected, "created": None}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "empty"),
        ({"helpful": None}, "empty"),
        ({"helpful": 1}, "helpful"),
        ({"wrong_marker": 2}, "its markers are 1"),
        ({"wrong_marker": True}, "wrong_marker"),
        ({"wrong_marker": 10**30}, "63 bits"),
        ({"right_chunk_id": 0}, "no chunk 0"),
        ({"right_chunk_id": 999_999}, "no chunk 999999"),
        ({"right_chunk_id": 2**63}, "63 bits"),
        ({"right_chunk_id": -1}, "no chunk -1"),
        ({"comment": "x" * (MAX_COMMENT_CHARACTERS + 1)}, "comment"),
        ({"comment": " \u200b "}, "comment"),
        ({"helpful": True, "wrong_marker": 9}, "no citation 9"),
        ({"helpfull": True}, "did you mean 'helpful'"),
    ],
)
def test_invalid_feedback_is_refused_and_nothing_is_stored(
    client: httpx.Client, answer: Any, body: dict[str, object], named: str
) -> None:
    """The detail names the field, and for a wrong marker those of the answer."""
    path = f"/v1/answers/{answer['id']}"
    assert named in check_problem(client.post(f"{path}/feedback", json=body), "invalid", 422)
    assert client.get(path).json()["feedback"] is None


@pytest.mark.slow
def test_chunk_of_a_later_collection_of_the_name_is_refused(tmp_path: Path) -> None:
    """Its number may be the same, but it is another passage; what needs no chunk is stored."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        answer = client.post("/v1/collections/hb/ask", json=QUESTION).json()
        path, body = f"/v1/answers/{answer['id']}/feedback", {"right_chunk_id": answer["hits"][0]["chunk_id"]}
        assert client.post(path, json=body).status_code == 201
        assert client.delete("/v1/collections/hb").status_code == 204
        fill_collection(client, "hb")
        assert "created again" in check_problem(client.post(path, json=body), "invalid", 422)
        assert client.post(path, json={"helpful": False}).status_code == 201


def test_comment_of_the_longest_length_is_stored(client: httpx.Client, answer: Any) -> None:
    """Its characters are counted, not its bytes."""
    comment = "ü" * MAX_COMMENT_CHARACTERS
    response = client.post(f"/v1/answers/{answer['id']}/feedback", json={"comment": comment})
    assert (response.status_code, response.json()["comment"]) == (201, comment)


def test_feedback_on_an_answer_of_another_owner_is_not_found(
    client: httpx.Client, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of an unknown answer."""
    details = []
    monkeypatch.setattr(auth, "LOCAL_CALLER", Caller("other"))
    for answer_id in (answer["id"], "ans_0"):
        response = client.post(f"/v1/answers/{answer_id}/feedback", json={"helpful": True})
        details.append(check_problem(response, "not_found", 404).replace(answer_id, ""))
    assert details[0] == details[1]


def test_ids_of_answers_have_128_random_bits(answer: Any) -> None:
    """Nobody can guess one."""
    assert re.fullmatch("ans_[0-9a-f]{32}", answer["id"])


@pytest.mark.slow
def test_feedback_survives_a_restart(tmp_path: Path) -> None:
    """It is durable when the response is sent."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        answer_id = client.post("/v1/collections/hb/ask", json=QUESTION).json()["id"]
        stored = client.post(f"/v1/answers/{answer_id}/feedback", json={"helpful": False}).json()
    with run_service(tmp_path) as client:
        assert client.get(f"/v1/answers/{answer_id}").json()["feedback"] == stored
