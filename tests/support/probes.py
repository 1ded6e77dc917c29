"""Requests that look for hidden data, made from the route table and the OpenAPI document, and the check of replies.

Each parameter of a path or query and each field of a body has a kind in `KINDS`; one that is missing there is an error,
so that a new route is probed, or a test fails. A probe is sent twice: with hidden values, and with values that do not
exist. Both replies must be the same.
"""

import base64
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from support.tenants import CANARY, OPEN, OWN_FILTER, QUESTION, SIDE, Prober, TenantWorld, make_canary

from semsearch.access.secrets import make_cookie_value
from semsearch.interfaces.http.auth import COOKIE
from semsearch.interfaces.http.route_scopes import find_scope, is_public

KINDS: Mapping[str, str | None] = {
    **dict.fromkeys(("name", "collection"), "collection"),
    **dict.fromkeys(("answer_id",), "answer"),
    **dict.fromkeys(("session_id",), "session"),
    "key_id": "key",
    "uri": "uri",
    "collections": "collections",
    "right_chunk_id": "chunk",
    "cursor": "cursor",
    "filter": "filter",
    "facets": "fields",
    **dict.fromkeys(("positive", "negative"), "examples"),
    "exclude": "uris",
    **dict.fromkeys(("query", "question", "q"), "text"),
    **dict.fromkeys(("queries", "history"), "texts"),
    **dict.fromkeys(
        "page path width start end limit offset k mode by since title metadata text documents embedder diversity"
        " explain stream model max_tokens max_completion_tokens temperature system profile policy helpful wrong_marker"
        " comment owner scopes requests_per_minute tokens_per_minute streams day_usd expires overlap_seconds"
        " chunk_id strategy per_document answer".split()
    ),
}
"""What each parameter and field names; None if it names nothing that could be hidden."""

FIXED = {
    "page": "1", "q": QUESTION, "query": QUESTION, "question": QUESTION, "start": "0", "end": "9",
}  # fmt: skip
_ANSWER_ID = re.compile(r"(ans|ses)_[0-9A-Za-z]+")
_VOLATILE = re.compile(r'"(took_ms|request_id|instance|created|last_used)": ?("[^"]*"|[0-9.e+-]+)')
_COMPARED_PATHS = re.compile(r"/v1/collections/[^/]+/(search|documents)|/(view|readyz|healthz|docs)")


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and the path of a route, with the names of its parameters and of the fields of its body."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    body_example: Mapping[str, Any] | None = None
    body_fields: tuple[str, ...] = ()

    @property
    def path_names(self) -> list[str]:
        """Return the names of the values in the path."""
        return re.findall(r"{(\w+)(?::path)?}", self.path)

    def make_example_path(self) -> str:
        """Return the path with values of the right form."""
        values = {"name": "x", "collection": "x", "uri": "a", "page": "1", "key_id": "0" * 12, "path": "a"}
        return re.sub(r"{(\w+)(:path)?}", lambda match: values.get(match[1], "ans_0"), self.path)

    @property
    def is_public(self) -> bool:
        """Return whether it needs no key."""
        return is_public(self.method, self.make_example_path())

    @property
    def scope(self) -> str | None:
        """Return the scope that it needs."""
        return find_scope(self.method, self.make_example_path())


def list_operations(app: FastAPI) -> list[Operation]:
    """Return every operation of the route table, also of routes that the OpenAPI document does not list."""
    document = app.openapi()
    operations = []
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        described = document["paths"].get(re.sub(r":path}", "}", route.path), {})
        for method in sorted(route.methods or ()):
            entry = described.get(method.lower(), {})
            query = tuple(item["name"] for item in entry.get("parameters", ()) if item["in"] == "query")
            example, fields = _read_body(document, entry)
            operations.append(Operation(method, route.path, query, example, fields))
    return operations


def _read_body(
    document: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    content = entry.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None, ()
    return schema["examples"][0], tuple(dict.fromkeys(_list_fields(document, schema)))


def _list_fields(document: Mapping[str, Any], schema: Any) -> Iterator[str]:
    """Yield the names of all fields of a schema, also of objects in it."""
    if isinstance(schema, list):
        for item in schema:
            yield from _list_fields(document, item)
    elif isinstance(schema, dict):
        if "$ref" in schema:
            yield from _list_fields(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        yield from schema.get("properties", ())
        for name in ("anyOf", "items"):
            yield from _list_fields(document, schema.get(name, []))
        yield from _list_fields(document, list(schema.get("properties", {}).values()))


@dataclass(slots=True)
class Request:
    """One request of a probe."""

    method: str
    path: str
    params: dict[str, str]
    json: Any = None
    used_kinds: set[str] = field(default_factory=set)
    """Kinds of the hidden values in it."""
    hides_path: bool = False
    """Whether a value of its path is hidden."""


@dataclass(slots=True)
class Values:
    """The values that a probe uses; the twin of a probe uses values that do not exist in place of the hidden ones."""

    world: TenantWorld
    prober: Prober
    rng: random.Random
    absent: bool
    used: set[str] = field(default_factory=set)
    """Kinds of hidden values that were used."""

    def hide(self, kind: str) -> str:
        """Return a hidden value of a kind, or one of the same form that does not exist."""
        value = self.rng.choice(self._list_hidden(kind))
        self.used.add(kind)
        absent = _make_absent(kind, value, random.Random(self.rng.random()))
        return absent if self.absent else value

    def can_hide(self, kind: str) -> bool:
        """Return whether anything of a kind is hidden from the prober."""
        return bool(self._list_hidden(kind))

    def _list_hidden(self, kind: str) -> list[str]:
        ids = self.world.ids
        if kind == "collection":
            return [*ids[kind], *([OPEN] if self.visible_collection == SIDE else [])]
        if kind in ("uri", "chunk", "field", "value", "text") and self.prober.sees_whole_open:
            return ids["chunk"][1:] if kind == "chunk" else []
        return ids[kind]

    @property
    def visible_collection(self) -> str:
        """Return the collection that the prober may see."""
        return min(self.prober.grants.collections or ())


def _make_absent(kind: str, value: str, rng: random.Random) -> str:
    """Return a value of the same form that does not exist."""
    if kind == "chunk":
        return str(10**9 + rng.randrange(10**6))
    if kind == "key":
        return f"{rng.getrandbits(60):012x}"[:12]
    if kind == "cursor" and "ses_" not in value:
        uri = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
        return base64.urlsafe_b64encode(CANARY.sub(make_canary(rng), uri).encode()).rstrip(b"=").decode()
    if value == OPEN:
        return f"{OPEN[:-1]}{rng.choice('xyz')}q"
    if match := _ANSWER_ID.search(value):
        tail = "".join(rng.choice("0123456789abcdef") for _ in range(len(match[0]) - 4))
        return value.replace(match[0], f"{match[1]}_{tail}")
    return CANARY.sub(make_canary(rng), value)


def make_request(operation: Operation, values: Values) -> Request:
    """Return a request of an operation, with hidden values in some places: in one of its path, if that is possible."""
    rng = values.rng
    hidden_name = _choose_hidden_name(operation, values)
    path = operation.path
    for name in operation.path_names:
        text = _make_path_value(name, values, name == hidden_name)
        path = path.replace(f"{{{name}}}", text).replace(f"{{{name}:path}}", text)
    params = {name: FIXED[name] for name in operation.query if name in ("q", "start", "end")}
    for name in operation.query:
        value = _make_field(name, values)
        if value is not None and rng.random() < 0.5:
            params[name] = json.dumps(value) if isinstance(value, dict) else str(value)
    body = _make_body(operation, values)
    return Request(operation.method, path, params, body, values.used, hidden_name is not None)


def _choose_hidden_name(operation: Operation, values: Values) -> str | None:
    """Return the name of the path value that is hidden; that of a change is always, so that nothing visible changes."""
    names = [name for name in operation.path_names if (kind := KINDS[name]) is not None and values.can_hide(kind)]
    changes = operation.method in ("PUT", "DELETE") or (operation.method == "POST" and "documents" in operation.path)
    if changes and "name" in names:
        return "name"
    return values.rng.choice(names) if names else None


def _make_path_value(name: str, values: Values, is_hidden: bool) -> str:
    kind = KINDS[name]
    if kind is None:
        return FIXED.get(name, "a")
    if kind == "uri":
        uri = values.hide("uri") if is_hidden else values.rng.choice(["own/oil.txt", "own/page.pdf"])
        return encode_uri(uri, values.rng)
    if is_hidden:
        return values.hide(kind)
    return values.visible_collection if kind == "collection" else _make_absent(kind, "ans_0", values.rng)


def encode_uri(uri: str, rng: random.Random) -> str:
    """Return a uri in one of the forms in which a client may send it."""
    whole = "".join(f"%{byte:02x}" for byte in uri.encode())
    once = quote(uri, safe="")
    forms = [once, once, once, quote(uri), whole, quote(once, safe=""), f"%2E%2F{once}", f"{once}/"]
    return rng.choice(forms)


def _make_body(operation: Operation, values: Values) -> Any:
    if operation.body_example is None:
        return None
    body = {**operation.body_example}
    for name in operation.body_fields:
        value = _make_field(name, values)
        is_required = name in body
        if value is not None and (is_required or values.rng.random() < 0.4):
            body[name] = value
    if "documents" in body:
        body = {"documents": [{"uri": values.world.ids["uri"][0], "text": "x"}]}
    if "queries" in body:
        body.pop("query", None)
        body.pop("history", None)
        body.pop("facets", None)
    if "query" in body and "k" in body:
        body["k"] = values.rng.choice([1, 5, 12, 40])
        body["explain"] = values.rng.random() < 0.3
    return body


def _make_field(name: str, values: Values) -> Any:
    """Return a value of a parameter or field that may name something hidden; None to leave it as it is."""
    kind, rng = KINDS[name], values.rng
    if kind in ("text", "texts"):
        words = values.hide("text") if values.can_hide("text") and rng.random() < 0.5 else ""
        text = f"{QUESTION} {words}"
        return text if kind == "text" else [text, QUESTION]
    if kind == "filter":
        return _make_filter(values)
    if kind == "fields":
        return [] if rng.random() < 0.3 or not values.can_hide("field") else ["team", values.hide("field")]
    if kind == "collections":
        return [values.hide("collection")]
    if kind == "examples":
        return _make_examples(values)
    if kind == "uris":
        return [values.hide("uri")] if values.can_hide("uri") else ["own/page.pdf"]
    if kind is None or name in ("name", "uri") or not values.can_hide(kind):
        return None
    value = values.hide(kind)
    return int(value) if kind == "chunk" else value


def _make_examples(values: Values) -> list[dict[str, Any]]:
    """Return an example of a recommendation: a visible document, or a hidden document or passage."""
    if values.can_hide("uri") and values.rng.random() < 0.3:
        return [{"uri": values.hide("uri")}]
    if values.can_hide("chunk") and values.rng.random() < 0.3:
        return [{"chunk_id": int(values.hide("chunk"))}]
    return [{"uri": "own/oil.txt"}]


def _make_filter(values: Values) -> dict[str, Any]:
    """Return a filter that would match hidden documents if it replaced that of the caller."""
    rng = values.rng
    if not values.can_hide("uri"):
        return OWN_FILTER
    return rng.choice(
        [
            {"uri": values.hide("uri")},
            {"$or": [{values.hide("field"): values.hide("value")}, {"team": "mine"}]},
            {"$not": {"team": "mine"}},
            {values.hide("field"): {"$exists": True}},
            {"team": {"$ne": "mine"}},
        ]
    )


def send(client: httpx.Client, request: Request, key: str | None, *, as_cookie: bool = False) -> httpx.Response:
    """Send a request with a key, or with the cookie that stands for it."""
    headers = {}
    if key is not None:
        headers = {"cookie": f"{COOKIE}={make_cookie_value(key)}"} if as_cookie else {"authorization": f"Bearer {key}"}
    if as_cookie:
        headers["origin"] = str(client.base_url).rstrip("/")
    path = request.path + (f"?{httpx.QueryParams(request.params)}" if request.params else "")
    return client.request(request.method, path, json=request.json, headers=headers)


def find_leaks(request: Request, reply: httpx.Response, prober: Prober) -> list[str]:
    """Return the hidden words in a reply that were not in its request."""
    sent = set(CANARY.findall(_decode_all(f"{request.path} {request.params} {request.json}")))
    received = _decode_all(f"{reply.headers!r} {reply.content.decode('utf-8', 'replace')}")
    return sorted((set(CANARY.findall(received)) & prober.hidden) - sent)


def _decode_all(text: str) -> str:
    """Return a text with what is decoded of the base64 texts and percent-encodings in it."""
    percent_decoded = re.sub(r"%(?:25)?([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)
    encoded = [match[: len(match) - len(match) % 4] for match in re.findall(r"[\w-]{12,}", text, re.ASCII)]
    return " ".join([text, percent_decoded, *(base64.urlsafe_b64decode(part).decode("latin-1") for part in encoded)])


def normalize(request: Request, reply: httpx.Response) -> tuple[object, ...]:
    """Return what must be the same for a hidden and an absent value: not what the request itself said."""
    text = reply.content.decode("utf-8", "replace")
    for value in sorted(_list_sent_values(request), key=len, reverse=True):
        text = text.replace(value, "SENT")
    text = _VOLATILE.sub(r"\1", CANARY.sub("SENT", text))
    headers = {
        name: value for name, value in reply.headers.items() if name not in ("x-request-id", "date", "content-length")
    }
    return reply.status_code, text, tuple(sorted(headers.items()))


def _list_sent_values(request: Request) -> set[str]:
    sent = f"{request.path} {request.params} {request.json}"
    return (
        {match[0] for match in re.finditer(r"(?:ans|ses)_[0-9A-Za-z]+|\b[0-9a-z]{12}\b|\b[0-9]{9,}\b", sent)}
        | {part for part in request.path.split("/")[3:4]}
        | {request.params[name] for name in ("collection",) if name in request.params}
        | {str(value) for value in (request.json or {}).values() if isinstance(value, int | str)}
    )


def is_compared(request: Request, reply: httpx.Response) -> bool:
    """Return whether the twin must get the same reply: not where the words of a query differ, or ids are new."""
    if reply.status_code >= 400:
        return True
    return "text" not in request.used_kinds and _COMPARED_PATHS.match(request.path) is not None
