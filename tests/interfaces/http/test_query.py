"""Search and ask over HTTP, with valid and unusual input, through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import HANDBOOK, check_problem, document_path, fill_collection, run_service

from semsearch.core.settings import Settings

JSON = {"content-type": "application/json"}


pytestmark = pytest.mark.usefixtures("shared_readers")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb` and an empty one."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb")
        client.put("/v1/collections/empty")
        yield client


def parse_events(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return name and value of each event of a stream."""
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_a_search_returns_the_best_chunk_first(client: httpx.Client, mode: str) -> None:
    """The offsets of the hit and of its sentence are those in the stored text."""
    body = {"query": "leave for parents", "k": 2, "mode": mode}
    response = client.post("/v1/collections/hb/search", json=body).json()
    assert set(response) == {"hits", "took_ms"}
    best = response["hits"][0]
    assert set(best) == {
        "chunk_id", "uri", "title", "heading", "page", "start", "end", "text", "score", "metadata",
        "sentence", "explanation", "url",
    }  # fmt: skip
    assert best["uri"] == "docs/leave.md"
    assert len(response["hits"]) <= 2
    text, sentence = client.get(document_path("hb", best["uri"])).json()["text"], best["sentence"]
    assert text[best["start"] : best["end"]] == best["text"]
    assert text[sentence["start"] : sentence["end"]] == sentence["text"] == "Parents take up to 26 weeks of leave."
    assert best["explanation"] is None


def test_a_ranking_is_explained(client: httpx.Client) -> None:
    """With `explain` each hit has its rank by vectors and by words, for the query and for that joined with history."""
    body = {"query": "leave for parents", "history": ["trains"], "explain": True, "k": 1}
    (best,) = client.post("/v1/collections/hb/search", json=body).json()["hits"]
    first, second = best["explanation"]
    assert (first["query"], second["query"]) == ("leave for parents", "trains leave for parents")
    assert first["dense"]["rank"] == first["lexical"]["rank"] == 1
    assert first["fused"] == 1.0
    assert 0 < first["sentence"] <= 1.5
    assert (first["role"], first["source_weight"]) == ("", 1.0)


def test_a_search_returns_only_documents_that_pass_the_filter(client: httpx.Client) -> None:
    """The texts of the filter are cleaned like all other texts."""
    body = {"query": "the pump is dry", "filter": {"folder": {"$in": ["do\u200bcs"]}}}
    hits = client.post("/v1/collections/hb/search", json=body).json()["hits"]
    assert hits
    assert {hit["metadata"]["folder"] for hit in hits} == {"docs"}


def test_a_filter_compares_uris_exactly(client: httpx.Client) -> None:
    """A uri in its decomposed form is not normalised."""
    uri = "cafe\u0301\u00ad.txt"
    fill_collection(client, "letter", {uri: "coffee", "café.txt": "coffee"})
    body = {"query": "coffee", "filter": {"$or": [{"uri": uri}, {"uri": {"$in": ["x"]}}]}}
    assert [hit["uri"] for hit in client.post("/v1/collections/letter/search", json=body).json()["hits"]] == [uri]


@pytest.mark.parametrize(
    "question", ["How long is parental leave?", "What does the alarm E-417 mean?", "Does a taxi need a reason?"]
)
def test_every_quote_is_at_its_offsets_in_the_stored_text(client: httpx.Client, question: str) -> None:
    """Each citation also has the hash of that text and a marker in the answer."""
    answer = client.post("/v1/collections/hb/ask", json={"question": question}).json()
    assert answer["answered"] is True
    assert answer["citations"]
    for citation in answer["citations"]:
        stored = client.get(document_path("hb", citation["uri"])).json()
        assert stored["text"][citation["start"] : citation["end"]] == citation["quote"]
        assert stored["content_sha256"] == citation["content_sha256"]
        assert f"[{citation['marker']}]" in answer["answer"]


def test_deltas_of_a_stream_join_to_the_answer(client: httpx.Client) -> None:
    """The events are sources, passages, deltas, answer. The answer equals the one without a stream."""
    body = {"question": "How long is parental leave?", "stream": True}
    reply = client.post("/v1/collections/hb/ask", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    names = [name for name, _ in parse_events(reply.text)]
    assert names[:2] == ["sources", "passages"]
    assert names[-1] == "answer"
    assert set(names[2:-1]) == {"delta"}
    values = [value for _, value in parse_events(reply.text)]
    assert "".join(str(value["text"]) for value in values[2:-1]) == values[-1]["answer"]
    assert values[0]["hits"] == values[-1]["hits"]
    assert values[1]["passages"] == values[-1]["passages"]
    answer = client.post("/v1/collections/hb/ask", json={**body, "stream": False}).json()
    assert {**answer, "id": ""} == {**values[-1], "id": ""}


def test_an_answer_has_its_kind_and_the_closest_passages(client: httpx.Client) -> None:
    """`best` is a span of the document, inside its passage; the fields are those of the schema."""
    answer = client.post("/v1/collections/hb/ask", json={"question": "How long is parental leave?"}).json()
    assert answer["kind"] in ("excerpt", "generated")
    assert 0 <= answer["confidence"] <= 1
    for passage in answer["passages"]:
        assert set(passage) == {"uri", "title", "heading", "page", "start", "end", "text", "best", "url"}
        assert passage["start"] <= passage["best"]["start"] < passage["best"]["end"] <= passage["end"]
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name, value in (
        ("Answer", answer),
        ("AnswerSentence", answer["sentences"][0]),
        ("ClosestPassage", answer["passages"][0]),
    ):
        assert set(schemas[name]["properties"]) == set(value)
    assert schemas["Answer"]["properties"]["kind"]["enum"] == ["generated", "excerpt", "passages"]
    assert "verbatim" in schemas["AnswerSentence"]["properties"]["support"]["enum"]


def test_an_unanswered_question_is_a_200(client: httpx.Client) -> None:
    """The answer of an empty collection has the reason."""
    answer = client.post("/v1/collections/empty/ask", json={"question": "Who are you?"}).json()
    assert (answer["answered"], answer["reason"]) == (False, "empty_collection")


def test_an_error_before_the_first_event_is_a_problem_response(client: httpx.Client) -> None:
    """A stream that cannot start has the status of its error."""
    body = {"question": "What?", "filter": {"$nor": []}, "stream": True}
    assert "$nor" in check_problem(client.post("/v1/collections/hb/ask", json=body), "invalid", 422)
    check_problem(client.post("/v1/collections/nowhere/ask", json={**body, "filter": {}}), "not_found", 404)


def test_both_names_of_max_tokens_mean_the_same(client: httpx.Client) -> None:
    """Either name is accepted, and both if they are equal; otherwise they are invalid."""
    for body in ({"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 5}):
        assert client.post("/v1/collections/hb/ask", json={"question": "leave?", **body}).status_code == 200
    body = {"max_tokens": 5, "max_completion_tokens": 6}
    detail = check_problem(client.post("/v1/collections/hb/ask", json={"question": "leave?", **body}), "invalid", 422)
    assert "max_completion_tokens" in detail


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    ["don't", '"', '""', "*", "AND", "NOT", "OR NOT", "http://x", "NEAR(", "NEAR(a b, 3)", "col:term", "title:leave",
     "a*", "(", "^a", "-a", "+", "{a}", "';--", "%", "_", "\\", "\x00a", "a\u202eb", "日本語", "🚕", "\ufdfa" * 100,
     "a " * 2000, "I\u0307", "ﬀ", "e" + "\u0301" * 3000, "1" * 4000, "ไทย"],
)  # fmt: skip
def test_any_text_can_be_searched(client: httpx.Client, query: str) -> None:
    """No character is query syntax."""
    for mode in ("hybrid", "dense", "lexical"):
        assert client.post("/v1/collections/hb/search", json={"query": query, "mode": mode}).status_code == 200
    assert client.post("/v1/collections/hb/ask", json={"question": query}).status_code == 200


DEEP = "[" * 900 + "]" * 900
INVALID_SEARCHES = [
    (b"", "invalid", 422),
    (b"null", "invalid", 422),
    (b"[]", "invalid", 422),
    (b'"query"', "invalid", 422),
    (b"{}", "invalid", 422),
    (b"{", "malformed", 400),
    (b"\xff", "malformed", 400),
    (b'\xef\xbb\xbf{"query": "x"}', "malformed", 400),
    ('{"query": "x"}'.encode("utf-16"), "malformed", 400),
    (b"[" * 100_000, "malformed", 400),
    (b'{"query":' * 20_000, "malformed", 400),
    (b'{"query": "x", "filter": {"a": ' + DEEP.encode() + b"}}", "invalid", 422),
    (b'{"query": "x", "filter": ' + b'{"$not": ' * 300 + b"{}" + b"}" * 300 + b"}", "invalid", 422),
    (b'{"query": "x", "query": "y"}', "malformed", 400),
    (b'{"query": "x", "filter": {"a": 1, "a": 2}}', "malformed", 400),
    (b'{"query": "x", "k": NaN}', "malformed", 400),
    (b'{"query": "x", "filter": {"a": Infinity}}', "malformed", 400),
    (b'{"query": "x", "filter": {"a": -Infinity}}', "malformed", 400),
    (b'{"query": "x", "filter": {"a": 1e400}}', "invalid", 422),
    (b'{"query": "x", "filter": {"a": 9223372036854775808}}', "invalid", 422),
    (b'{"query": "x", "filter": {"a": -9223372036854775809}}', "invalid", 422),
    (b'{"query": "x", "k": ' + b"9" * 5000 + b"}", "invalid", 422),
    (b'{"query": "x", "k": 9223372036854775808}', "invalid", 422),
    (b'{"query": "x", "k": -1}', "invalid", 422),
    (b'{"query": "x", "k": 0}', "invalid", 422),
    (b'{"query": "x", "k": 101}', "invalid", 422),
    (b'{"query": "x", "k": "5"}', "invalid", 422),
    (b'{"query": "x", "k": true}', "invalid", 422),
    (b'{"query": "x", "k": 1.5}', "invalid", 422),
    (b'{"query": "x", "k": null}', "invalid", 422),
    (b'{"query": 5}', "invalid", 422),
    (b'{"query": ["x"]}', "invalid", 422),
    (b'{"query": ""}', "invalid", 422),
    (b'{"query": " \\n\\t "}', "invalid", 422),
    (b'{"query": "\\u200b\\u202e"}', "invalid", 422),
    (b'{"query": "' + b"x" * 4001 + b'"}', "invalid", 422),
    (b'{"query": "x", "mode": "fuzzy"}', "invalid", 422),
    (b'{"query": "x", "filter": []}', "invalid", 422),
    (b'{"query": "x", "filter": "a"}', "invalid", 422),
    (b'{"query": "x", "filter": {"$nor": []}}', "invalid", 422),
    (b'{"query": "x", "filter": {"a": {"$in": 1}}}', "invalid", 422),
    (b'{"query": "x", "filter": {"a\\"b": 1}}', "invalid", 422),
    (b'{"query": "x", "history": "y"}', "invalid", 422),
    (b'{"query": "x", "explain": 1}', "invalid", 422),
    (b'{"query": "x", "diversity": 1.5}', "invalid", 422),
    (b'{"query": "x", "\\ud800": 1}', "invalid", 422),
    (b'{"query": "x", "' + b"a" * 10_000 + b'": 1}', "invalid", 422),
]


@pytest.mark.parametrize(("body", "name", "status"), INVALID_SEARCHES)
def test_an_invalid_search_is_a_problem(client: httpx.Client, body: bytes, name: str, status: int) -> None:
    """Each response is a short problem with a 4xx status."""
    detail = check_problem(client.post("/v1/collections/hb/search", content=body, headers=JSON), name, status)
    assert len(detail) < 400


@pytest.mark.parametrize(
    "text",
    [
        b'{"query": "caf\\ud800"}',
        b'{"query": "\\udc00\\ud83d\\ude95 taxi"}',
        b'{"query": "x", "filter": {"a": "\\ud800"}}',
        b'{"query": "x", "filter": {"uri": "\\udfff"}}',
        b'{"query": "x", "filter": {"\\ud800": 1}}',
        b'{"query": "\\\\ud800"}',
        b'{"query": "x", "filter": null, "k": 9.0e0}',
    ],
)
def test_a_lone_surrogate_is_no_internal_error(client: httpx.Client, text: bytes) -> None:
    """Half of a surrogate pair is no character; the request succeeds or is invalid."""
    assert client.post("/v1/collections/hb/search", content=text, headers=JSON).status_code in (200, 422)


@pytest.mark.parametrize(
    "option",
    [{"temperature": 2.1}, {"temperature": -0.1}, {"temperature": "1"}, {"max_tokens": 0}, {"max_tokens": 100_001},
     {"system": "x" * 4001}, {"system": 1}, {"model": ""}, {"model": "x" * 201}, {"stream": "yes"}, {"stream": 1},
     {"session_id": ""}, {"profile": 1}, {"policy": "hard"}, {"history": ["x"]}, {"k": 0}, {"question": None}],
)  # fmt: skip
def test_an_invalid_option_is_named(client: httpx.Client, option: dict[str, object]) -> None:
    """A value out of range, of another type, or of an unknown field is refused with the name of its field."""
    detail = check_problem(client.post("/v1/collections/hb/ask", json={"question": "x", **option}), "invalid", 422)
    assert next(iter(option)) in detail


@pytest.mark.parametrize("number", ["2", "2.0", "2e0", "0.2E1"])
def test_a_whole_number_may_have_a_fraction_or_an_exponent(client: httpx.Client, number: str) -> None:
    """JSON has no integer type: 2.0 is 2."""
    body = json.dumps({"query": "the", "mode": "dense", "k": 0})[:-2] + number + "}"
    reply = client.post("/v1/collections/hb/search", content=body, headers=JSON)
    assert len(reply.json()["hits"]) == 2


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_a_body_without_a_json_content_type_is_refused(client: httpx.Client, content_type: str) -> None:
    """The detail has the remedy. This also refuses forms of other web pages."""
    reply = client.post("/v1/collections/hb/search", content=b'{"query": "x"}', headers={"content-type": content_type})
    assert "application/json" in check_problem(reply, "unsupported_media", 415)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"]
)
def test_every_json_content_type_is_accepted(client: httpx.Client, content_type: str) -> None:
    """Parameters, upper case and `+json` are accepted."""
    reply = client.post("/v1/collections/hb/search", content=b'{"query": "x"}', headers={"content-type": content_type})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "path", ["/ask/", "/v1", "/v1/collections/", "/v1/collections/hb/", "/v1/nothing", "/redoc", "/%2e%2e/x"]
)
def test_an_unknown_path_is_not_found(client: httpx.Client, path: str) -> None:
    """There is no redirect and no prefix match."""
    check_problem(client.get(path), "not_found", 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/collections", "GET"),
        ("PATCH", "/v1/collections/hb", "DELETE, GET, PUT"),
        ("DELETE", "/v1/collections/hb/documents", "GET, POST"),
        ("POST", "/v1/collections/hb/documents/a", "DELETE, GET, PUT"),
        ("PUT", "/v1/collections/hb/search", "GET, POST"),
        ("OPTIONS", "/v1/collections/hb/ask", "POST"),
        ("HEAD", "/v1/collections", "GET"),
        ("TRACE", "/readyz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_lists_the_allowed_ones(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    """A 405 lists the methods of all routes at the path, not only those of the first."""
    reply = client.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, allowed)
    assert method == "HEAD" or check_problem(reply, "method_not_allowed", 405)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/collections?limit=1"), ("POST", "/v1/collections/hb/search?k=1"), ("DELETE", "/v1/sessions/ses_0?x")],
)
def test_a_parameter_that_is_not_served_is_refused(client: httpx.Client, method: str, path: str) -> None:
    """A route without parameters does not ignore one."""
    response = client.request(method, path, json={"query": "x"} if method == "POST" else None)
    assert "no parameters" in check_problem(response, "invalid", 422)


def test_every_route_of_a_missing_collection_is_not_found(client: httpx.Client) -> None:
    """The detail says how to make it."""
    path = "/v1/collections/nowhere"
    for reply in (
        client.post(f"{path}/search", json={"query": "x"}),
        client.post(f"{path}/ask", json={"question": "x"}),
        client.get(f"{path}/documents"),
        client.get(f"{path}/documents/a"),
        client.delete(f"{path}/documents/a"),
        client.put(f"{path}/documents/a.txt", content=b"x"),
        client.post(f"{path}/documents", json={"documents": [{"uri": "a", "text": "x"}]}),
    ):
        check_problem(reply, "not_found", 404)
        assert reply.json()["detail"].endswith("; make one: PUT /v1/collections/nowhere")


def test_not_found_has_a_remedy(client: httpx.Client) -> None:
    """The detail says how to list the others, or how to make one."""
    for reply, remedy in (
        (client.get(document_path("hb", "nothing")), "GET /v1/collections/hb/documents"),
        (client.delete(document_path("hb", "nothing")), "GET /v1/collections/hb/documents"),
        (client.get("/v1/answers/ans_0"), "answers are kept for 90 days"),
        (client.get("/v1/sessions/ses_0"), "POST /v1/sessions"),
        (client.delete("/v1/sessions/ses_0"), "POST /v1/sessions"),
    ):
        check_problem(reply, "not_found", 404)
        assert remedy in reply.json()["detail"]


def test_every_hit_is_a_span_of_its_document(client: httpx.Client) -> None:
    """The text of each hit is at its offsets in the stored document."""
    hits = client.post("/v1/collections/hb/search", json={"query": "the", "k": 100, "mode": "dense"}).json()["hits"]
    assert {hit["uri"] for hit in hits} == set(HANDBOOK)
    for hit in hits:
        assert client.get(document_path("hb", hit["uri"])).json()["text"][hit["start"] : hit["end"]] == hit["text"]


def test_an_answer_warns_of_a_key_without_a_chat_model(tmp_path: Path) -> None:
    """The warning is in the answer, also in a streamed one."""
    warning = "OPENAI_API_KEY is set, but no chat model is chosen; set SEMSEARCH_CHAT__MODEL"
    with run_service(tmp_path, Settings(has_openai_key=True)) as client:
        path = f"{fill_collection(client, 'hb')}/ask"
        question = {"question": "How many weeks of leave do parents take?"}
        assert client.post(path, json=question).json()["warnings"] == [warning]
        streamed = client.post(path, json={**question, "stream": True})
        assert parse_events(streamed.text)[-1][1]["warnings"] == [warning]
