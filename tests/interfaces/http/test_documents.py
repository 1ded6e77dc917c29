"""Collections and documents over HTTP, through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.http_service import HANDBOOK, check_problem, document_path, fill_collection, run_service
from support.small_models import make_onnx_folder

from semsearch import Library
from semsearch.interfaces.http import limits
from semsearch.text.cleaning import clean

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module; each test uses its own collections."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        yield client


URIS = st.text(
    st.one_of(st.sampled_from("/%?#&+;=:@ ._-~\\\"'<>{}|^[]aZ09é🚕日"), st.characters(exclude_categories=["Cc", "Cs"])),
    min_size=1,
    max_size=60,
).filter(lambda uri: not uri.isspace())


def test_a_collection_is_created_read_and_deleted(client: httpx.Client) -> None:
    """Creating it twice returns the existing one; after its deletion it is not found."""
    path = "/v1/collections/life"
    created = client.put(path, json={"embedder": "local"})
    assert created.json() == {"name": "life", "embedder": "local", "documents": 0, "chunks": 0}
    assert client.put(path).json() == created.json()
    index = {"state": "none", "indexed_chunks": 0, "pending_chunks": 0}
    assert client.get(path).json() == {**created.json(), "index": index}
    assert "life" in [info["name"] for info in client.get("/v1/collections").json()["collections"]]
    assert client.delete(path).status_code == 204
    check_problem(client.get(path), "not_found", 404)
    check_problem(client.delete(path), "not_found", 404)


@pytest.mark.parametrize("name", ["A", "-a", "a%2Fb", "a.b", "ä", "a" * 64, "%00"])
def test_an_invalid_collection_name_is_refused(client: httpx.Client, name: str) -> None:
    """Every method refuses a name that no collection can have."""
    for method in ("PUT", "GET", "DELETE"):
        check_problem(client.request(method, f"/v1/collections/{name}"), "invalid", 422)


def test_a_model_folder_cannot_be_chosen_over_http(client: httpx.Client, tmp_path: Path) -> None:
    """The response is the same whether or not the folder exists; the detail says who can choose it."""
    for folder in (tmp_path, tmp_path / "none"):
        response = client.put("/v1/collections/strange", json={"embedder": f"onnx:{folder}"})
        assert "the operator can" in check_problem(response, "forbidden", 403)
        assert str(folder) not in response.text


def test_the_path_of_a_model_folder_is_not_shown(tmp_path: Path) -> None:
    """Every route that returns a collection shows the name of the folder only."""
    folder = make_onnx_folder(tmp_path / "secret" / "minilm")
    with Library(tmp_path / "indexes") as library:
        library.create("hb", embedder=f"onnx:{folder}")
    with run_service(tmp_path / "indexes") as client:
        replies = [client.get("/v1/collections"), client.get("/v1/collections/hb"), client.put("/v1/collections/hb")]
    assert [reply.status_code for reply in replies] == [200] * 3
    assert all('"onnx:minilm"' in reply.text and "secret" not in reply.text for reply in replies)


def test_an_unknown_embedder_is_refused(client: httpx.Client) -> None:
    """No collection is created."""
    response = client.put("/v1/collections/strange", json={"embedder": "nobody:knows"})
    assert 400 <= response.status_code < 500
    check_problem(client.get("/v1/collections/strange"), "not_found", 404)


def test_an_encoded_slash_is_part_of_the_name(client: httpx.Client) -> None:
    """`a%2Fdocuments%2Fb` is one collection name, not the document b of the collection a."""
    fill_collection(client, "steps", {"b": "this stays"})
    check_problem(client.delete("/v1/collections/steps%2Fdocuments%2Fb"), "invalid", 422)
    assert client.get(document_path("steps", "b")).status_code == 200


def test_an_unchanged_file_is_not_stored_again(client: httpx.Client) -> None:
    """The same bytes are unchanged, other bytes are an update."""
    fill_collection(client, "files", {})
    path = document_path("files", "docs/a.md")
    first = client.put(path, content=b"# A\n\nFirst text.")
    assert first.json() == {"uri": "docs/a.md", "status": "added", "chunks": 1}
    assert client.put(path, content=b"# A\n\nFirst text.").json()["status"] == "unchanged"
    assert client.put(path, content=b"# A\n\nSecond text.").json()["status"] == "updated"
    stored = client.get(path).json()
    assert (stored["title"], stored["media_type"]) == ("A", "text/markdown")
    assert stored["text"] == "A\n\nSecond text."


def test_title_and_metadata_of_a_file_are_stored(client: httpx.Client) -> None:
    """Both come in the query string and are cleaned."""
    fill_collection(client, "told", {})
    path = document_path("told", "a.txt")
    params = {"title": "Cafe\u0301\u200b", "metadata": '{"team": "h\u200br", "years": [2024, 2025.5, null]}'}
    assert client.put(path, content=b"text", params=params).status_code == 200
    stored = client.get(path).json()
    assert stored["title"] == "Café"
    assert stored["metadata"] == {"team": "hr", "years": [2024, 2025.5, None]}


@pytest.mark.parametrize("content_type", ["application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_the_uri_gives_the_format_if_the_client_does_not(client: httpx.Client, content_type: str) -> None:
    """Without a specific Content-Type the extension of the uri decides how a file is read."""
    fill_collection(client, "types", {})
    headers = {"content-type": content_type} if content_type else {}
    path = document_path("types", f"{content_type or 'nothing'}.html")
    assert client.put(path, content=b"<p>One <b>two</b>", headers=headers).status_code == 200
    assert client.get(path).json()["text"] == "One two"


def test_the_content_type_takes_precedence_over_the_uri(client: httpx.Client) -> None:
    """It is used with its charset."""
    fill_collection(client, "latin", {})
    path = document_path("latin", "a.html")
    client.put(
        path, content="caf\xe9 <b>".encode("latin-1"), headers={"content-type": "text/plain; charset=iso-8859-1"}
    )
    assert client.get(path).json()["text"] == "café <b>"


@pytest.mark.parametrize(
    ("uri", "content", "params", "name", "status"),
    [
        ("a.xyz", b"?", {}, "unsupported_media", 415),
        ("a.pdf", b"not a pdf", {}, "unsupported_media", 415),
        ("a.md", b"---\ntitle: Moved\n---\n", {}, "unsupported_media", 415),
        ("a.txt", b"x", {"metadata": "{"}, "malformed", 400),
        ("a.txt", b"x", {"metadata": "[1]"}, "invalid", 422),
        ("a.txt", b"x", {"metadata": '{"a": {"b": 1}}'}, "invalid", 422),
        ("a.txt", b"x", {"metadata": '{"a": NaN}'}, "malformed", 400),
        ("a.txt", b"x", {"metadata": '{"a": 9223372036854775808}'}, "invalid", 422),
        ("a.txt", b"x", {"metadata": '{"a": 1e400}'}, "invalid", 422),
        ("a.txt", b"x", {"metadata": '{"a": 1, "a": 2}'}, "malformed", 400),
        ("a.txt", b"x", {"metadata": '{"$a": 1}'}, "invalid", 422),
        ("a.txt", b"x", {"metadata": '{"a": ' + "[" * 900 + "]" * 900 + "}"}, "invalid", 422),
        ("a.txt", b"x", {"metadata": "[" * 15_000}, "malformed", 400),
        ("a.txt", b"x", {"metadata": json.dumps({"a": ["x" * 1900] * 9})}, "invalid", 422),
        ("a.txt", b"x", {"title": "t" * 1001}, "invalid", 422),
        ("a.txt", b"x", {"titel": "t"}, "invalid", 422),
        ("a\x00.txt", b"x", {}, "invalid", 422),
        ("a\n.txt", b"x", {}, "invalid", 422),
        ("", b"x", {}, "invalid", 422),
        (" ", b"x", {}, "invalid", 422),
        ("a" * 1025, b"x", {}, "invalid", 422),
    ],
)
def test_an_invalid_file_is_refused(
    client: httpx.Client, uri: str, content: bytes, params: dict[str, str], name: str, status: int
) -> None:
    """An error in the file, its uri or its metadata is a 4xx problem, and nothing is stored."""
    fill_collection(client, "bad", {})
    check_problem(client.put(document_path("bad", uri), content=content, params=params), name, status)
    assert client.get("/v1/collections/bad/documents").json() == {"documents": [], "total": 0, "next_cursor": None}


def test_an_empty_file_is_no_internal_error(client: httpx.Client) -> None:
    """A file without a byte is stored or refused."""
    fill_collection(client, "empty", {})
    assert client.put(document_path("empty", "a.txt"), content=b"").status_code in (200, 415, 422)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(uri="%41%2541/%2F")
@example(uri="a\\b")
@given(uri=URIS)
def test_a_uri_is_stored_exactly(client: httpx.Client, uri: str) -> None:
    """Any uri stores, lists, reads and removes the document of exactly this name."""
    if uri in (".", ".."):
        return  # clients remove these from a path before they send it
    assert client.put("/v1/collections/letters").status_code == 200
    path = document_path("letters", uri)
    stored = client.put(path, content=b"a text", headers={"content-type": "text/plain"})
    assert stored.json() == {"uri": uri, "status": "added", "chunks": 1}
    assert client.get(path).json()["uri"] == uri
    assert [info["uri"] for info in client.get("/v1/collections/letters/documents").json()["documents"]] == [uri]
    assert client.delete(path).status_code == 204
    check_problem(client.get(path), "not_found", 404)


def test_a_path_is_decoded_once(client: httpx.Client) -> None:
    """`%2525` is the uri `%25`. A slash may be sent unencoded."""
    fill_collection(client, "once", {"a%25b": "one", "a%b": "two", "x/y": "three"})
    assert client.get("/v1/collections/once/documents/a%2525b").json()["uri"] == "a%25b"
    assert client.get("/v1/collections/once/documents/a%25b").json()["uri"] == "a%b"
    assert client.get("/v1/collections/once/documents/x/y").json()["uri"] == "x/y"


def test_a_path_that_is_not_utf8_is_malformed(client: httpx.Client) -> None:
    """Invalid bytes are not replaced: two uris could become one."""
    fill_collection(client, "bytes", {})
    check_problem(client.get("/v1/collections/bytes/documents/a%FF"), "malformed", 400)


def test_each_text_has_its_own_result(client: httpx.Client) -> None:
    """Results are in the order of the request, and an error in one text does not affect the others."""
    fill_collection(client, "many", {})
    documents: list[dict[str, object]] = [
        {"uri": "a", "text": "First."},
        {"uri": "", "text": "No name."},
        {"uri": "b", "text": "Sec\u200bond.", "title": "B\u200b", "metadata": {"year": 2024, "tags": ["x", "y"]}},
        {"uri": "b", "text": "Again."},
        {"uri": "c", "text": "Third.", "metadata": {"deep": {"er": 1}}},
        {"uri": "d", "text": "Fourth.", "metadata": {"k": "v" * 20_000}},
        {"uri": "e", "text": "half \ud83d an emoji"},
        {"uri": "f\x00", "text": "control"},
        {"uri": "g", "text": "x" * 2_000_001},
    ]
    reply = client.post(
        "/v1/collections/many/documents",
        content=json.dumps({"documents": documents}),
        headers={"content-type": "application/json"},
    )
    results = reply.json()["results"]
    assert [result["uri"] for result in results] == [item["uri"] for item in documents]
    assert [result["status"] for result in results] == [
        "added", "failed", "added", "failed", "failed", "failed", "added", "failed", "failed",
    ]  # fmt: skip
    for result in results:
        assert ("error" in result) == (result["status"] == "failed") != ("chunks" in result)
    assert {result["error"]["type"] for result in results if "error" in result} == {"/problems/invalid"}
    stored = client.get(document_path("many", "b")).json()
    assert (stored["title"], stored["text"], stored["metadata"]) == ("B", "Second.", {"year": 2024, "tags": ["x", "y"]})


@pytest.mark.parametrize("count", [0, 1001])
def test_the_number_of_texts_is_limited(client: httpx.Client, count: int) -> None:
    """One request has 1 to 1,000 texts."""
    fill_collection(client, "bounded", {})
    documents = [{"uri": str(number), "text": "t"} for number in range(count)]
    check_problem(client.post("/v1/collections/bounded/documents", json={"documents": documents}), "invalid", 422)


def test_pages_join_to_the_complete_list(client: httpx.Client) -> None:
    """Following the cursors lists every document once, by uri."""
    uris = sorted(["a", "b/ü", "c%20d", "日本", "z", "é"])
    fill_collection(client, "pages", dict.fromkeys(uris, "text"))
    for limit in (1, 2, 3, 6, 1000):
        listed, cursor, page_count = [], None, 0
        while cursor or not page_count:
            params = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
            page = client.get("/v1/collections/pages/documents", params=params).json()
            listed += [info["uri"] for info in page["documents"]]
            cursor, page_count = page["next_cursor"], page_count + 1
        assert listed == uris


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=1001", "limit=x", "limit=1e3", "limit=9223372036854775808", "cursor=%00",
              "cursor=*", "cursor=gA", "cursor=abcde", "offset=1", "limit="],
)  # fmt: skip
def test_invalid_page_parameters_are_refused(client: httpx.Client, query: str) -> None:
    """Limits out of range, cursors that no page returned, and unknown parameters are invalid."""
    fill_collection(client, "pages", {})
    check_problem(client.get(f"/v1/collections/pages/documents?{query}"), "invalid", 422)


def test_a_removed_document_is_not_found(client: httpx.Client) -> None:
    """Removing it a second time is a 404."""
    path = fill_collection(client, "gone")
    assert client.delete(document_path("gone", "docs/leave.md")).status_code == 204
    check_problem(client.delete(document_path("gone", "docs/leave.md")), "not_found", 404)
    assert client.get(path).json()["documents"] == len(HANDBOOK) - 1


def test_a_document_has_its_length_and_hash(client: httpx.Client) -> None:
    """`characters` is the length of the stored text, and the text is clean."""
    fill_collection(client, "checked")
    for uri in HANDBOOK:
        stored = client.get(document_path("checked", uri)).json()
        assert stored["characters"] == len(stored["text"])
        assert stored["text"] == clean(stored["text"])
        assert len(stored["content_sha256"]) == 64
        assert stored["metadata"] == {"folder": uri.split("/")[0]}


def test_blocks_show_a_passage_in_its_place(client: httpx.Client) -> None:
    """Blocks of a span have the text at their offsets; a span that is no span is refused."""
    client.put("/v1/collections/blocks")
    path = document_path("blocks", "docs/a b.md")
    client.put(path, content=b"# Leave\n\nParents take 26 weeks.\n\n## Pay\n\n- half\n- whole\n")
    text = client.get(path).json()["text"]
    start = text.index("26 weeks")
    part = client.get(f"{path}/blocks", params={"start": start, "end": start + 8}).json()
    assert [(block["kind"], block["text"]) for block in part["blocks"]] == [("paragraph", "Parents take 26 weeks.")]
    assert text[part["blocks"][0]["start"] :].startswith("Parents")
    assert [(entry["title"], entry["level"]) for entry in part["contents"]] == [("Leave", 1), ("Pay", 2)]
    whole = client.get(f"{path}/blocks").json()
    assert "\n\n".join(block["text"] for block in whole["blocks"]) == text
    check_problem(client.get(f"{path}/blocks", params={"start": 9, "end": 3}), "invalid", 422)
    check_problem(client.get(f"{path}/blocks", params={"start": -1}), "invalid", 422)
    check_problem(client.get(document_path("blocks", "none") + "/blocks"), "not_found", 404)


def test_a_list_has_the_number_of_all_documents(client: httpx.Client) -> None:
    """`total` counts the documents of all pages, only those that match a filter if there is one."""
    path = f"{fill_collection(client, 'totals')}/documents"
    page = client.get(path, params={"limit": 1}).json()
    assert (page["total"], len(page["documents"])) == (3, 1)
    assert client.get(path, params={"limit": 1, "cursor": page["next_cursor"]}).json()["total"] == 3
    page = client.get(path, params={"filter": '{"folder": "docs"}'}).json()
    assert ([info["uri"] for info in page["documents"]], page["total"]) == (["docs/leave.md", "docs/travel.md"], 2)
    assert page["next_cursor"] is None
    check_problem(client.get(path, params={"filter": "{"}), "malformed", 400)
    check_problem(client.get(path, params={"filter": '{"$no": 1}'}), "invalid", 422)
    assert "did you mean 'limit'?" in check_problem(client.get(path, params={"limits": "1"}), "invalid", 422)


def test_documents_are_removed_by_filter(client: httpx.Client) -> None:
    """The response has their number and uris; the others stay, and searches find the removed ones no more."""
    path = fill_collection(client, "tidy")
    response = client.post(f"{path}/documents/delete", json={"filter": {"folder": "docs"}})
    assert response.json() == {"removed": 2, "uris": ["docs/leave.md", "docs/travel.md"]}
    assert [info["uri"] for info in client.get(f"{path}/documents").json()["documents"]] == ["it/alarms.md"]
    hits = client.post(f"{path}/search", json={"query": "leave for parents"}).json()["hits"]
    assert {hit["uri"] for hit in hits} == {"it/alarms.md"}
    response = client.post(f"{path}/documents/delete", json={"filter": {"folder": "docs"}})
    assert response.json() == {"removed": 0, "uris": []}


@pytest.mark.parametrize("body", [{}, {"filter": {}}, {"filter": None}, {"filters": {"a": 1}}, {"filter": {"$no": 1}}])
def test_a_removal_needs_a_filter(client: httpx.Client, body: dict[str, object]) -> None:
    """Without a valid one that has a condition, nothing is removed."""
    path = fill_collection(client, "whole")
    check_problem(client.post(f"{path}/documents/delete", json=body), "invalid", 422)
    assert client.get(f"{path}/documents").json()["total"] == 3


def test_the_response_to_a_removal_has_a_limited_number_of_uris(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All matching documents are removed and counted."""
    monkeypatch.setattr(limits, "MAX_REMOVED_URIS", 2)
    path = fill_collection(client, "much")
    response = client.post(f"{path}/documents/delete", json={"filter": {"uri": {"$exists": True}}})
    assert response.json() == {"removed": 3, "uris": ["docs/leave.md", "docs/travel.md"]}
    assert client.get(f"{path}/documents").json()["total"] == 0


def test_a_document_may_have_the_name_of_an_operation(client: httpx.Client) -> None:
    """Only POST means the operation."""
    fill_collection(client, "named", {"delete": "a text"})
    assert client.get(document_path("named", "delete")).json()["text"] == "a text"
    assert client.delete(document_path("named", "delete")).status_code == 204
