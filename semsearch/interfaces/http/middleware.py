"""The middleware in front of all routes: checks, authentication, limits, request id, headers, unexpected errors.

Plain ASGI. A request that it refuses reaches no route.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import SemsearchError, TooLargeError
from ...core.tracing import begin_trace
from . import cors, limits, problems
from .bodies import BodyReceiver, ClientDisconnectedError, RequestBody
from .host_check import HostCheck
from .request_ids import make_request_id
from .request_limits import RATE_LIMIT_HEADERS, RequestLimits
from .security_headers import add_security_headers
from .upgrades import validate_no_websocket
from .uploads import BodyTimeoutError

_log = logging.getLogger("semsearch.http")


class GuardMiddleware:
    """Check each request before the application sees it."""

    def __init__(
        self,
        app: ASGIApp,
        host_check: HostCheck,
        bodies: BodyReceiver,
        authenticate: Callable[[Scope], None],
        request_limits: RequestLimits,
        validate_before_body: Callable[[Scope], None] = lambda scope: None,
    ) -> None:
        self._app = app
        self._host_check = host_check
        self._bodies = bodies
        self._authenticate = authenticate
        self._request_limits = request_limits
        self._validate_before_body = validate_before_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request to the application, or answer it with a problem."""
        # routes get the path as it was sent, so that an encoded slash or question mark stays inside its value
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        request_id = make_request_id()
        traceparents = [value for name, value in scope["headers"] if name == b"traceparent"]
        trace = begin_trace(traceparents, request_id)
        scope.setdefault("state", {}).update(request_id=request_id, trace_id=trace.trace_id)
        self._request_limits.note_client_address(scope)
        reply = _Reply(scope, send)
        try:
            await self._validate_and_forward(scope, receive, reply)
        except ClientDisconnectedError:
            return
        except asyncio.CancelledError:  # the service shuts down, and the grace period is over
            if reply.has_started:
                return  # the server closes the connection; raising would only log an error that is none
            await reply.send_problem("unavailable", problems.SHUTDOWN_DETAIL)
        except Exception as exc:
            _log.error("request %s failed: %s", scope["state"]["request_id"], type(exc).__name__, exc_info=exc)
            if reply.has_started:
                raise  # the server closes the connection, so that the client sees that the response is incomplete
            await reply.send_problem("internal", "internal error; see the server log for this request id")

    async def _validate_and_forward(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        try:
            _validate_head_size(scope)
            self._validate_host(scope)
            if cors.is_preflight(scope):
                await cors.send_preflight(reply.send)
                return
            validate_no_websocket(scope)
            self._request_limits.admit_address(scope)  # before the key, so that guesses of keys are counted
            self._authenticate(scope)
            self._request_limits.admit_caller(scope)
            self._validate_before_body(scope)
            body = await self._bodies.receive(scope, receive)
        except BodyTimeoutError as exc:
            await reply.refuse_and_close(receive, "timeout", str(exc))
        except SemsearchError as exc:
            await reply.refuse_and_close(receive, exc.name, str(exc), problems.make_retry_headers(exc))
        else:
            scope["state"]["body"] = body
            try:
                await self._app(scope, _replay_body(body, receive), reply.send)
            finally:
                body.close()
                del scope["state"]["body"]  # an idle connection keeps its last scope

    def _validate_host(self, scope: Scope) -> None:
        hosts, origins = _get_header_values(scope, b"host"), _get_header_values(scope, b"origin")
        # a search with GET may cost money; a link of another site to the documentation does no harm
        is_api = scope["path"].startswith("/v1/")
        fetch_sites = _get_header_values(scope, b"sec-fetch-site") if is_api else ()
        cors.set_cross_origin(scope, self._host_check.validate(hosts, origins, fetch_sites, is_api=is_api))


class _Reply:
    """The response of one request: adds the request id and security headers, and knows whether it has started."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.has_started = False
        self._scope = scope
        self._send = send
        self._state = scope["state"]
        self._header = (b"x-request-id", scope["state"]["request_id"].encode())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            limit_headers = self._state.get(RATE_LIMIT_HEADERS, ())
            headers = [*add_security_headers(message["headers"]), self._header, *limit_headers]
            message["headers"] = cors.add_cors_headers(self._scope, headers)
        await self._send(message)

    async def send_problem(self, name: str, detail: str) -> None:
        """Answer with a problem."""
        await problems.make_response(self._scope, name, detail)(self._scope, _receive_disconnect, self.send)

    async def refuse_and_close(
        self, receive: Receive, name: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with a problem and close the connection, without reading all of the request.

        The connection is closed a little later: closing it with unread bytes would discard the answer too.
        """
        response = problems.make_response(self._scope, name, detail, {**(headers or {}), "Connection": "close"})
        start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(limits.LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _receive_disconnect() -> Message:
    return {"type": "http.disconnect"}


def _get_header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _validate_head_size(scope: Scope) -> None:
    sizes = (
        ("path", len(scope["path"]), limits.MAX_PATH_BYTES),
        ("query string", len(scope["query_string"]), limits.MAX_QUERY_STRING_BYTES),
        ("header", sum(len(name) + len(value) for name, value in scope["headers"]), limits.MAX_HEADER_BYTES),
    )
    for part, size, max_size in sizes:
        if size > max_size:
            raise TooLargeError(f"the {part} of the request has {size:,} bytes; the limit is {max_size:,}")


def _replay_body(body: RequestBody, receive: Receive) -> Receive:
    """Return a `receive` that gives the body in one message, then waits for the disconnect."""
    bodies = iter([body])

    async def replay() -> Message:
        for whole_body in bodies:
            return {"type": "http.request", "body": await whole_body.read(), "more_body": False}
        message = await receive()
        while message["type"] == "http.request":
            message = await receive()
        return message

    return replay
