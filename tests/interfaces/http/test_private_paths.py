"""No reply tells where the service keeps its data; the log does, under the id of the request."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import HANDBOOK, check_problem, document_path, fill_collection, run_service

from semsearch.interfaces.http.private_paths import hide_paths

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

SEARCH, ASK = {"query": "leave"}, {"question": "How many weeks of leave do parents take?"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory whose path has a space and a quote."""
    return tmp_path / "ann's data" / "indexes"


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    """A service whose collections are not open."""
    with run_service(folder) as client:
        fill_collection(client, "hb")
    with run_service(folder) as client:
        yield client


def assert_private(reply: httpx.Response, folder: Path) -> None:
    """Assert that a reply has no part of the path above the data directory."""
    for part in [str(folder), *folder.parts[1:-1]]:
        assert part not in reply.text


@pytest.mark.parametrize("damage", ["text", "journal", "folder"])
def test_storage_errors_name_the_file_in_the_data_directory(
    client: httpx.Client, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The same error over the fast path, a route, a stream and a write."""
    caplog.set_level(logging.ERROR, "semsearch.http")
    catalog = folder / "hb" / "catalog.db"
    if damage == "text":
        catalog.write_bytes(b"no database" * 1000)
    elif damage == "journal":
        (folder / "hb" / "catalog.db-journal").write_bytes(b"x" * 5000)
    else:
        shutil.rmtree(folder / "hb" / "commit.seq", ignore_errors=True)
        (folder / "hb" / "commit.seq").unlink(missing_ok=True)
        (folder / "hb" / "commit.seq").mkdir()
    replies = [
        client.post("/v1/collections/hb/search", json=SEARCH),
        client.post("/v1/collections/hb/search", json={**SEARCH, "explain": True}),
        client.post("/v1/collections/hb/ask", json={**ASK, "stream": True}),
        client.put(document_path("hb", "new.txt"), content=b"a new text"),
        client.post("/v1/collections/hb/documents", json={"documents": [{"uri": "b", "text": "b"}]}),
    ]
    for reply in replies:
        assert "hb/" in check_problem(reply, "storage", 507)
        assert_private(reply, folder)
    assert [f"request {reply.headers['x-request-id']}: {folder}/hb/" in caplog.text for reply in replies] == [True] * 5


def test_ledger_errors_are_private(client: httpx.Client, folder: Path) -> None:
    """A ledger of a later version is a conflict, a damaged one a storage error."""
    (folder / "ledger.db").write_bytes(b"no database" * 1000)
    reply = client.get("/v1/usage")
    assert "ledger.db" in check_problem(reply, "storage", 507)
    assert_private(reply, folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/data/hb/catalog.db: full", "hb/catalog.db: full"),
        ("the data directory /srv/data cannot be read", "the data directory cannot be read"),
        ("/srv/data cannot be read", "the data directory cannot be read"),
        ("/srv/data-2/x.db is damaged", "x.db is damaged"),
        (
            "/opt/model/tokenizer.json is missing; copy /opt/model/ again",
            "tokenizer.json is missing; copy a folder again",
        ),
        ("uses 'onnx:/srv/models/e5@int8', not static:/m: no", "uses 'onnx:e5@int8', not static:m: no"),
        ("no document '/srv/data/a.md'; list: GET /v1/collections/hb/documents", None),
        ("see /docs, https://example.org/a/b and docs/a/b.md", None),
    ],
)
def test_paths_are_shortened(text: str, expected: str | None) -> None:
    """Values of the request, which are quoted, routes, addresses and uris stay."""
    assert hide_paths(text, "/srv/data") == (text if expected is None else expected)


def test_handbook_texts_stay() -> None:
    """Ordinary text is not changed."""
    assert all(hide_paths(text, "/srv/data") == text for text in HANDBOOK.values())
