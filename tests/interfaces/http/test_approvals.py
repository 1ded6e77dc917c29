"""Approved answers over HTTP, through a real server."""

from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch import KeyGrants, Library
from semsearch.core.settings import Settings
from semsearch.core.types.access import Scope

pytestmark = pytest.mark.slow

QUESTION = {"question": "How many weeks of leave do parents take?"}


def test_admin_approves_and_everybody_who_sees_the_documents_gets_it(tmp_path: Path) -> None:
    """A key with a filter gets no sign of it; an upload makes it stale."""
    with Library(tmp_path, settings=Settings()) as library:
        grants: list[tuple[str, str, set[Scope], dict[str, str] | None]] = [
            ("admin", "desk", {"write", "admin"}, None),
            ("desk", "desk", {"ask"}, None),
            ("reader", "reader", {"ask"}, None),
            ("narrow", "narrow", {"ask"}, {"team": "none"}),
        ]
        keys = {
            name: library.create_key(KeyGrants(name, owner, frozenset(scopes), filter=filter))[1]
            for name, owner, scopes, filter in grants
        }
    with run_service(tmp_path) as client:
        client.headers["Authorization"] = f"Bearer {keys['admin']}"
        fill_collection(client, "hb")

        def ask(name: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {keys[name]}"}
            return client.post("/v1/collections/hb/ask", json=QUESTION, headers=headers)

        answer = ask("desk").json()
        assert answer["approved"] is None
        path, listing = f"/v1/answers/{answer['id']}/approve", "/v1/collections/hb/approved"
        reader = {"Authorization": f"Bearer {keys['reader']}"}
        for method, url in (("POST", path), ("DELETE", path), ("GET", listing)):
            check_problem(client.request(method, url, headers=reader), "forbidden", 403)
        own = ask("reader").json()["id"]
        check_problem(client.post(f"/v1/answers/{own}/approve"), "not_found", 404)

        created = client.post(path)
        assert created.status_code == 201, created.text
        approved = created.json()
        assert {name: approved[name] for name in ("id", "owner", "stale", "reason", "lost")} == {
            "id": answer["id"], "owner": "desk", "stale": False, "reason": None, "lost": [],
        }  # fmt: skip
        assert client.get(listing).json() == {"approved": [approved]}
        assert approved["citations"] == answer["citations"]
        assert approved["citations"][0]["url"].startswith(f"{str(client.base_url).rstrip(chr(47))}/view/hb/")
        mark = {"id": answer["id"], "date": approved["approved"][:10]}
        returned = ask("reader").json()
        assert (returned["approved"], returned["answer"], returned["kind"]) == (mark, answer["answer"], answer["kind"])
        assert client.get(f"/v1/answers/{returned['id']}", headers=reader).json()["answer"]["approved"] == mark
        assert ask("narrow").json()["approved"] is None

        uri = answer["citations"][0]["uri"]
        client.put(
            f"/v1/collections/hb/documents/{uri.replace('/', '%2F')}", content=b"Nothing of it."
        ).raise_for_status()
        stale = client.get(listing).json()["approved"][0]
        assert (stale["stale"], stale["lost"][0]["reason"]) == (True, "edited")
        assert ask("reader").json()["approved"] is None
        assert client.delete(path).status_code == 204
        check_problem(client.delete(path), "not_found", 404)
        check_problem(client.post(path, json={"text": "x"}), "invalid", 422)
        check_problem(client.post(path), "conflict", 409)
