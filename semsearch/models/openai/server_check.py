"""Check a server and its key with one request that costs nothing, GET /models. Nothing is retried: a person waits."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from threading import Thread
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
class ServerReply:
    """What a server answered to GET /models."""

    models: "list[ListedModel]"
    seconds_behind: float | None
    """How far the clock of this machine is behind that of the server; None if the reply has no date."""


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
        return asyncio.run(_ask(endpoint, base_url, key, _CHECK_SECONDS)).models
    except RequestFailedError as failure:
        raise _explain(failure, base_url, key) from failure


def ask_servers(
    endpoints: Mapping[Endpoint, str | None], *, seconds: float
) -> dict[Endpoint, ServerReply | RequestFailedError | SemsearchError]:
    """Ask all servers at once, each with its key; return the reply or the error of each after at most `seconds`."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_DaemonThreads())
        return runner.run(_ask_all(endpoints, seconds))


def find_shutdown(model: str) -> date | None:
    """Return the day on which OpenAI shuts a model down, by the built-in table."""
    shutdown = load_shutdowns().get(model)
    return shutdown.day if shutdown else None


class _DaemonThreads(ThreadPoolExecutor):
    """Run each call in a thread that nothing waits for: asking for the address of a name can take minutes."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Start a thread; it never ends a process later."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # a future that runs is not cancelled, so that it may have a result

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except OSError as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        Thread(target=run, daemon=True).start()
        return future


async def _ask_all(
    endpoints: Mapping[Endpoint, str | None], seconds: float
) -> dict[Endpoint, ServerReply | RequestFailedError | SemsearchError]:
    async def ask(endpoint: Endpoint, key: str | None) -> ServerReply | RequestFailedError | SemsearchError:
        try:
            return await _ask(endpoint, validate_base_url(endpoint.base_url), key, seconds)
        except (RequestFailedError, SemsearchError) as exc:
            return exc

    results = await asyncio.gather(*(ask(endpoint, key) for endpoint, key in endpoints.items()))
    return dict(zip(endpoints, results, strict=True))


async def _ask(endpoint: Endpoint, base_url: str, key: str | None, seconds: float) -> ServerReply:
    context = RequestContext("query")
    deadline = asyncio.get_running_loop().time() + seconds
    call = ApiCall("GET", f"{base_url}/models", "CHAT", "", context, deadline)
    headers = {"Accept-Encoding": "identity"}  # a compressed reply could be a bomb
    headers |= build_organization_headers(endpoint.organization, endpoint.project)
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    async with make_client(base_url, endpoint.proxy, endpoint.ca_file, min(seconds, _CONNECT_SECONDS)) as client:
        with map_transport_errors(call):
            async with asyncio.timeout_at(deadline):
                response = await client.send(client.build_request("GET", call.url, headers=headers), stream=True)
        seconds_behind = _compare_clocks(response.headers.get("Date"))
        try:
            if response.status_code != 200:
                detail = await read_error(call, response, key)
                raise build_response_error(call, response, detail, has_key=key is not None)
            body = await read_body(call, response, _MAX_BYTES)
        finally:
            await response.aclose()
    with prefix_url(call):
        return ServerReply(_parse_models(parse_json_object(body), key), seconds_behind)


def _compare_clocks(header: str | None) -> float | None:
    """Return how many seconds the time of a header is ahead of the clock of this machine."""
    try:
        date = parsedate_to_datetime(header or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


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
