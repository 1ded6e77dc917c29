"""Check a server and its key with one request that costs nothing, GET /models. Nothing is retried: a person waits."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ...core.endpoints import Endpoint
from ...core.errors import SemsearchError, UnavailableError, UpstreamError
from ...core.types.usage import RequestContext
from .errors import ApiCall, RequestFailedError, build_response_error, map_transport_errors, prefix_url
from .responses import parse_json_object, parse_model_names
from .shutdowns import load_shutdowns
from .streaming import read_body, read_error
from .transport import build_organization_headers, make_client, validate_base_url

_CHECK_SECONDS, _CONNECT_SECONDS = 15.0, 5.0
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in the list of a server."""

    name: str
    shutdown: date | None = None
    """The day from which the server has it no longer, as the list says, or the built-in table."""


def fetch_models(endpoint: Endpoint, key: str | None) -> list[ListedModel]:
    """Return the models of a server in its order; UpstreamError or UnavailableError with the remedy for the user."""
    base_url = validate_base_url(endpoint.base_url)
    try:
        return _parse_models(asyncio.run(_fetch(endpoint, base_url, key)), key)
    except RequestFailedError as failure:
        raise _explain(failure, base_url, key) from failure


def find_shutdown(model: str) -> date | None:
    """Return the day on which OpenAI shuts a model down, by the built-in table."""
    shutdown = load_shutdowns().get(model)
    return shutdown.day if shutdown else None


async def _fetch(endpoint: Endpoint, base_url: str, key: str | None) -> dict[str, Any]:
    context = RequestContext("query")
    deadline = asyncio.get_running_loop().time() + _CHECK_SECONDS
    call = ApiCall("GET", f"{base_url}/models", "CHAT", "", context, deadline)
    headers = {"Accept-Encoding": "identity"}  # a compressed reply could be a bomb
    headers |= build_organization_headers(endpoint.organization, endpoint.project)
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    async with make_client(base_url, endpoint.proxy, endpoint.ca_file, _CONNECT_SECONDS) as client:
        with map_transport_errors(call):
            async with asyncio.timeout_at(deadline):
                response = await client.send(client.build_request("GET", call.url, headers=headers), stream=True)
        try:
            if response.status_code != 200:
                detail = await read_error(call, response, key)
                raise build_response_error(call, response, detail, has_key=key is not None)
            body = await read_body(call, response, _MAX_BYTES)
        finally:
            await response.aclose()
    with prefix_url(call):
        return parse_json_object(body)


def _parse_models(reply: Mapping[str, Any], key: str | None) -> list[ListedModel]:
    data = reply.get("data")
    dates = {
        row["id"]: _parse_day(row.get("shutdown_date"))
        for row in (data if isinstance(data, list) else [])
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    }
    return [ListedModel(name, dates[name] or find_shutdown(name)) for name in parse_model_names(reply, key)]


def _parse_day(value: object) -> date | None:
    """Return a day given as an ISO date or time, or in seconds since 1970; None if it is neither."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _explain(failure: RequestFailedError, base_url: str, key: str | None) -> SemsearchError:
    """Return the error with a remedy in the terms of the guided start."""
    status = getattr(failure.error, "status", None)
    url = f"{base_url}/models"
    if status in (401, 403):
        problem = "rejected the key" if key else "requires a key"
        remedy = "correct the key, or make a new one" if key else "name it with --key-file FILE or --key-env NAME"
        return UpstreamError(f"{url} {problem} ({status}): {remedy}", status=status)
    if status in (404, 405, 501):
        hint = "" if base_url.endswith("/v1") else f"; most addresses end with /v1: --server {base_url}/v1"
        return UpstreamError(
            f"{base_url} has no list of models ({status}){hint}. If the address is right, skip the check:"
            " --no-check --chat-model NAME",
            status=status,
        )
    if failure.outcome == "no connection":
        return UnavailableError(
            f"no connection to {url}: is the server running, and the network up? Correct --server, or skip the check"
            " with --no-check"
        )
    return failure.error
