"""The OpenAPI document, by the rules that generated clients need; scripts/prove client generates one."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from semsearch.core.settings import Settings
from semsearch.interfaces.http.app import create_app
from semsearch.interfaces.http.problems import Problem
from semsearch.interfaces.http.service import make_service
from semsearch.library import Library

OPERATION_IDS = {
    "list_collections", "create_collection", "get_collection", "delete_collection",
    "put_documents", "list_documents", "put_document", "get_document", "get_original", "get_blocks", "delete_document",
    "delete_documents", "render_page", "get_rectangles", "simple_search",
    "search", "recommend", "find_similar", "ask", "get_answer", "add_feedback", "create_session", "list_sessions",
    "approve_answer", "remove_approval", "list_approved_answers",
    "get_session", "delete_session",
    "create_key", "list_keys", "rotate_key", "revoke_key", "get_me", "sign_in", "sign_out",
    "get_usage", "list_gaps", "healthz", "readyz",
}  # fmt: skip

SUFFIXES_BELOW_URI = {"blocks", "original", "pages/{page}.png", "rectangles", "similar"}
"""The fixed ends of paths behind the uri of a document."""

GENERATED_MEDIA_TYPES = {
    "application/json",
    "application/problem+json",
    "application/octet-stream",
    "text/event-stream",
}
"""Types for which client generators have a parser; they warn about others, and leave the operation out."""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the document of an empty library."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        return create_app(make_service(library)).openapi()


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def _references(value: object) -> Iterator[str]:
    """Yield all references in a part of the document."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _references(child)
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]


def test_operation_ids_are_short_and_unique(document: dict[str, Any]) -> None:
    """They name the functions of a generated client."""
    ids = [operation["operationId"] for operation in _operations(document)]
    assert sorted(ids) == sorted(OPERATION_IDS)


def test_routes_below_a_uri_are_the_listed_ones(document: dict[str, Any]) -> None:
    """A uri may be sent with unencoded slashes, so that no other suffix may get a meaning."""
    prefix = "/v1/collections/{name}/documents/{uri}/"
    suffixes = {path.removeprefix(prefix) for path in document["paths"] if path.startswith(prefix)}
    assert suffixes == SUFFIXES_BELOW_URI


def test_every_error_refers_to_the_schema_of_problems(document: dict[str, Any]) -> None:
    """An inline schema would be one class of its own for each response."""
    schema = document["components"]["schemas"]["Problem"]
    assert list(schema["properties"]) == schema["required"] == list(Problem.__slots__)
    for operation in _operations(document):
        errors = {status: reply for status, reply in operation["responses"].items() if int(status) >= 400}
        assert {"400", "403", "422", "500", "503"} <= errors.keys()
        for status, reply in errors.items():
            content = reply["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (operation["operationId"], status)


def test_generators_know_every_media_type_and_reference(document: dict[str, Any]) -> None:
    """Bodies have one of these types, a file also any other one, and no reference leads nowhere."""
    for operation in _operations(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            kinds = [*body.get("content", {})]
            assert not kinds or kinds[0] in GENERATED_MEDIA_TYPES
            assert {*kinds} - {"*/*"} <= GENERATED_MEDIA_TYPES
    names = {reference.removeprefix("#/components/schemas/") for reference in _references(document)}
    assert names <= document["components"]["schemas"].keys()
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in names)


def test_access_key_is_described_and_optional(document: dict[str, Any]) -> None:
    """Generated clients take it as a parameter, and the page of the documentation has a field for it."""
    assert document["security"] == [{"accessKey": []}, {}]
    scheme = document["components"]["securitySchemes"]["accessKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_bound_is_a_keyword_of_json_schema(document: dict[str, Any]) -> None:
    """A bound in other words, such as `ge`, means nothing to clients."""
    search = document["components"]["schemas"]["SearchBody"]["properties"]
    assert (search["offset"]["minimum"], search["offset"]["exclusiveMaximum"]) == (0, 1000)
    assert not {"ge", "gt", "le", "lt"} & set(_keys(document["components"]["schemas"]))


def _keys(value: object) -> Iterator[str]:
    """Yield all keys in a part of the document."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _keys(child)
    if isinstance(value, dict):
        yield from value
