"""The originals of documents over HTTP: their bytes, and headers with which no browser executes them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service
from support.pdf_files import make_pdf, place_lines

from semsearch import Library, read
from semsearch.core.settings import Settings


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files."""
    folder = tmp_path_factory.mktemp("files") / "docs"
    folder.mkdir()
    (folder / "plan %.md").write_bytes(b"# Plan\r\n\r\nThe lamp is lit.\r\n")
    (folder / "draft.md").write_text("# Draft\n\nA bell.\n")
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, docs: Path) -> Iterator[httpx.Client]:
    """A client of a service with a collection `folder` of these files."""
    indexes = tmp_path_factory.mktemp("indexes")
    with Library(indexes, settings=Settings()) as library:
        library.create("folder").ingest(read(docs))
    with run_service(indexes) as client:
        yield client


def get_original(client: httpx.Client, collection: str, uri: str, **headers: str) -> httpx.Response:
    """Request the original of a document."""
    return client.get(f"{document_path(collection, uri)}/original", headers=headers)


def put(client: httpx.Client, uri: str, data: bytes, media_type: str) -> None:
    """Store a file in the collection `sent`."""
    client.put("/v1/collections/sent")
    response = client.put(document_path("sent", uri), content=data, headers={"content-type": media_type})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("uri", "data", "media_type", "content_type", "disposition"),
    [
        ("a/notes.txt", b"The l\xc3\xa4mp.\r\n", "text/plain", "text/plain; charset=utf-8", "inline"),
        ("latin.txt", b"Caf\xe9 or bar.", "text/plain; charset=iso-8859-1", "text/plain", "inline"),
        ("page.html", b"<script>alert(1)</script><p>A lamp.", "text/html", "text/html; charset=utf-8", "attachment"),
        ("lamp.md", b"# Lamp\n\n<b>lit</b>\n", "text/markdown", "text/markdown; charset=utf-8", "attachment"),
        ("t.csv", b"a,b\n1,2\n", "text/csv", "text/csv; charset=utf-8", "attachment"),
    ],
)
def test_sent_file_is_returned_byte_for_byte(
    client: httpx.Client, uri: str, data: bytes, media_type: str, content_type: str, disposition: str
) -> None:
    """With its type and hash; only types that cannot execute are shown in the browser."""
    put(client, uri, data, media_type)
    reply = get_original(client, "sent", uri)
    assert (reply.status_code, reply.content) == (200, data)
    assert reply.headers["content-type"] == content_type
    assert reply.headers["content-disposition"] == f"{disposition}; filename*=UTF-8''{uri.rpartition('/')[2]}"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'


def test_pdf_file_is_shown_by_the_browser(client: httpx.Client) -> None:
    """Inline, and not in a sandbox, in which Chrome shows no PDF file."""
    put(client, "kelp.pdf", make_pdf(place_lines("The lamp burns.")), "application/pdf")
    headers = get_original(client, "sent", "kelp.pdf").headers
    assert headers["content-disposition"].startswith("inline")
    assert headers["content-security-policy"] == "frame-ancestors 'none'"


def test_known_original_is_not_sent_again(client: httpx.Client) -> None:
    """304 if one of the tags in If-None-Match is its own."""
    put(client, "known.txt", b"A lamp.", "text/plain")
    tag = get_original(client, "sent", "known.txt").headers["etag"]
    reply = get_original(client, "sent", "known.txt", **{"If-None-Match": f'"other", W/{tag}'})
    assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", tag)
    assert get_original(client, "sent", "known.txt", **{"If-None-Match": '"other"'}).status_code == 200


def test_file_name_cannot_end_its_header(client: httpx.Client) -> None:
    """Quotes and other characters of a uri are encoded."""
    uri = 'x/a"; filename=evil.html;\u202e ü.txt'
    put(client, uri, b"A lamp.", "text/plain")
    disposition = get_original(client, "sent", uri).headers["content-disposition"]
    assert disposition == "inline; filename*=UTF-8''a%22%3B%20filename%3Devil.html%3B%E2%80%AE%20%C3%BC.txt"


def test_file_of_a_folder_is_read_from_there(client: httpx.Client, docs: Path) -> None:
    """Only while it is the file that was ingested; no message has the path of the folder."""
    uri = "docs/plan %25.md"
    assert get_original(client, "folder", uri).content == (docs / "plan %.md").read_bytes()
    (docs / "draft.md").write_text("# Draft\n\nA louder bell.\n")
    detail = check_problem(get_original(client, "folder", "docs/draft.md"), "conflict", 409)
    assert detail == "the file of 'docs/draft.md' has changed since it was ingested; ingest it again"
    (docs / "draft.md").unlink()
    detail = check_problem(get_original(client, "folder", "docs/draft.md"), "not_found", 404)
    assert str(docs.parent) not in detail


def test_text_has_no_original(client: httpx.Client) -> None:
    """404 says so; an unknown document is another 404."""
    path = fill_collection(client, "texts", {})
    client.post(f"{path}/documents", json={"documents": [{"uri": "a.txt", "text": "A lamp."}]})
    assert "it came as a text" in check_problem(get_original(client, "texts", "a.txt"), "not_found", 404)
    assert "has no document" in check_problem(get_original(client, "texts", "b.txt"), "not_found", 404)


def test_uri_that_ends_like_the_route_is_a_document(client: httpx.Client) -> None:
    """Where it is sent as one percent-encoded value."""
    put(client, "a/original", b"A lamp.", "text/plain")
    assert client.get(document_path("sent", "a/original")).json()["text"] == "A lamp."
    assert get_original(client, "sent", "a/original").content == b"A lamp."
    check_problem(client.get(document_path("sent", "a") + "/original"), "not_found", 404)


def test_route_takes_no_parameters(client: httpx.Client) -> None:
    """An unknown one is refused."""
    put(client, "q.txt", b"A lamp.", "text/plain")
    check_problem(client.get(f"{document_path('sent', 'q.txt')}/original?download=1"), "invalid", 422)
