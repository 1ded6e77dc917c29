"""Run the application on a port until a stop signal. Does not know the routes."""

import asyncio
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from ...core.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from ...library import Library
from . import limits, problems
from .accepting import WaitingConnections
from .asgi import Application
from .bodies import mark_arrived
from .connections import CLOSING, IDLE, ConnectionTable, EvictionRank, normalize_address, rank_by_rate
from .early_refusal import EarlyRefusalProtocol
from .pipelining import PipeliningProtocol
from .request_metrics import count_unparsed_request
from .stopping import StoppingServer
from .uploads import Upload, estimate_rate

BACKLOG = 2048


def serve(
    library: Library, host: str, port: int, on_listening: Callable[[str], None], *, has_access_log: bool = False
) -> None:
    """Serve until a stop signal; call `on_listening` with the URL once it accepts requests. Port 0 is any free port."""
    with closing(bind(host, port, may_be_exposed=library.may_be_exposed())) as listener:
        make_server(library, host, listener, on_listening, has_access_log=has_access_log).run([listener])


def get_stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a service. SIGHUP is not one of them under `nohup`, which ignores it."""
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hangup)


def bind(host: str, port: int, *, may_be_exposed: bool = False) -> socket.socket:
    """Return a listening socket, on a loopback address unless it may be exposed.

    Raise the error that names the cause if there is none.
    """
    if not 0 <= port <= 65535:
        raise InvalidError(f"{port} is no port; choose one between 0 and 65535 with --port")
    family, address = _resolve(host, port, may_be_exposed=may_be_exposed)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise _bind_error(exc, host, port) from exc
    return listener


def make_server(
    library: Library,
    host: str,
    listener: socket.socket,
    on_listening: Callable[[str], None],
    *,
    has_access_log: bool = False,
    worker_count: int = 1,
    metrics_folder: Path | None = None,
) -> uvicorn.Server:
    """Return a server for this socket, one of `worker_count`. `run([listener])` runs it, `should_exit` stops it.

    `metrics_folder` is where the workers share their metrics.
    """
    port = listener.getsockname()[1]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    bound_host = f"[{host}]" if ":" in host else host
    is_exposed = not _is_loopback(listener.getsockname()[0])
    application = Application(
        library,
        bound_host,
        is_exposed=is_exposed,
        has_access_log=has_access_log,
        worker_count=worker_count,
        metrics_folder=metrics_folder,
    )
    config = uvicorn.Config(
        application,
        http=_Protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
    )
    return _Server(config, lambda: on_listening(url), application.begin_shutdown)


def _resolve(host: str, port: int, *, may_be_exposed: bool) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the address to listen on, IPv4 before IPv6; ForbiddenError if it must be the loopback and is not."""
    try:
        resolved = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise InvalidError(f"--host {host!r} is not an address of this machine") from exc
    addresses = sorted({(family, str(address[0])) for family, _, _, _, address in resolved})
    if not (may_be_exposed or all(_is_loopback(address) for _, address in addresses)):
        raise ForbiddenError(
            f"--host {host!r} would accept other machines, but there is no access key, so everybody on the network"
            " could read and change the documents. Create a key first (semsearch keys create NAME), or listen on the"
            " loopback (--host 127.0.0.1)"
        )
    family, address = addresses[0]
    return family, (address, port)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _bind_error(exc: OSError, host: str, port: int) -> ConflictError | ForbiddenError | UnavailableError:
    if exc.errno == errno.EADDRINUSE:
        return ConflictError(
            f"port {port} of {host} is in use, perhaps by another semsearch; choose another with --port"
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return ForbiddenError(f"you may not use port {port} of {host}; choose one above 1023 with --port")
    return UnavailableError(f"cannot listen on port {port} of {host}: {exc.strerror}")


class _Server(StoppingServer):
    """A uvicorn server that reports when it listens, and survives the signal that stops it."""

    def __init__(
        self, config: uvicorn.Config, on_listening: Callable[[], None], on_stopping: Callable[[], None]
    ) -> None:
        super().__init__(config, on_stopping)
        self._on_listening = on_listening
        self._waiting: WaitingConnections | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        (listener,) = sockets
        make_protocol = partial(
            _Protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        assert isinstance(self.config.app, Application)
        waiting = self._waiting = WaitingConnections(listener, make_protocol, self.config.app.connections.has_room)

        def make_first_protocol(**_: object) -> _Protocol:
            waiting.accept_later()
            return make_protocol()

        self.config.http_protocol_class = make_first_protocol  # type: ignore[assignment]  # uvicorn only calls it
        await super().startup(sockets)
        if self.started:
            self._on_listening()

    async def on_tick(self, counter: int) -> bool:
        assert isinstance(self.config.app, Application)
        if self._waiting is not None:
            self.config.app.connections.trim(self._waiting.accepted_count)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle stop signals. Unlike uvicorn, do not raise them again afterwards: the library is not closed yet."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous_handlers = {number: signal.signal(number, self.handle_exit) for number in get_stop_signals()}
        try:
            yield
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)


_CONTINUE = b"HTTP/1.1 100 "
"""Start of the interim response that asks for the body (RFC 9110, section 10.1.1); the head of the response follows."""


class _BufferedHeadTransport(asyncio.Transport):
    """Buffer the head of a response until the first part of its body, so that the client reads both at once.

    It does not refer to its request: the two would be garbage that only a collection frees.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is None and bytes(data[: len(_CONTINUE)]) != _CONTINUE:
            self._head = bytes(data)
        elif self._head:
            self._transport.write(self._head + data)
            self._head = b""
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class _Protocol(EarlyRefusalProtocol, PipeliningProtocol):
    """uvicorn's HTTP protocol with a limit and a timeout for the head, and problems for invalid requests."""

    _idle_bytes = 0
    """Bytes received since the last complete head, part of a body, or request."""

    _head_timer: asyncio.TimerHandle | None = None
    """Runs from the first wait on; it is not started anew for each request, which would cost as much as a refusal."""
    _waiting_since: float | None = None
    """Time since which a head is awaited; None from a complete head to the first byte after its response."""
    _late_refusal: bytes | None = None
    """Response to the invalid request behind those that are being answered."""

    _stall_timer: asyncio.TimerHandle | None = None
    """Runs while the client does not read what was sent to it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        assert isinstance(self.app, Application)
        self.early_refusal = self.app.early_refusal
        if self._get_connections().add(self, normalize_address(self.client, self.app.trusted_proxies)):
            self._await_head()
        else:
            self._count_shed()
            self._refuse("unavailable", "all connections are in use; send the request again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self._get_connections().remove(self)
        if self._head_timer is not None:
            self._head_timer.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._stall_timer = self.loop.call_later(limits.STALL_TIMEOUT_SECONDS, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().resume_writing()

    def get_eviction_rank(self) -> EvictionRank | None:
        """Return when to close this connection if there is no room for others; None while a response is being made."""
        if self._is_refused and self._late_refusal is None:
            return CLOSING
        now, cycle = self.loop.time(), self.cycle
        if cycle is None or cycle.response_complete:
            if self._waiting_since is None or (cycle is not None and not self._idle_bytes):
                return IDLE
            return rank_by_rate(estimate_rate(self._idle_bytes, now - self._waiting_since))
        upload: Upload | None = cycle.scope["state"].get("upload")
        if upload is None or self.pipeline or not cycle.more_body:
            return None
        return rank_by_rate(upload.get_rate(now))

    def evict(self) -> None:
        """Close this connection at once; tell the client why if it waits for a response."""
        if self._is_refused:
            self.transport.abort()
        elif self.get_eviction_rank() is IDLE:
            self.transport.close()
        else:
            detail = "too many connections are open, and this one was the slowest; send the request again"
            self._count_shed()
            self._refuse("unavailable", detail, linger_seconds=0.0)

    def on_early_refusal(self) -> None:
        self._idle_bytes = 0
        self._waiting_since = None

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._idle_bytes += len(data)
        if self._idle_bytes > limits.MAX_HEAD_BYTES:
            self.send_400_response("")
        else:
            super().data_received(data)
            if self._waiting_since is None and (self.cycle is None or self.cycle.response_complete):
                self._await_head()

    def on_headers_complete(self) -> None:
        self._idle_bytes = 0
        self._waiting_since = None
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":  # whose response has no body
            self.cycle.transport = _BufferedHeadTransport(self.cycle.transport)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        mark_arrived(self.scope["state"])
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        is_last = self.cycle is not None and self.cycle.response_complete
        if self._late_refusal is not None and is_last and not self.transport.is_closing():
            self.transport.write(self._late_refusal)
            self._late_refusal = None
            self.loop.call_later(limits.LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """Close the connection, after the running response if there is one. A request that is arriving is refused."""
        cycle = self.cycle
        if cycle is self._running_cycle and cycle is not None and cycle.more_body and not self._is_refused:
            self._refuse("unavailable", problems.SHUTDOWN_DETAIL)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that cannot be parsed. uvicorn's message is not for clients."""
        refusal = "malformed", "this is no valid HTTP/1.1 request, or its head is too long"
        cycle, running = self.cycle, self._running_cycle
        if cycle is None or running is None or running.response_complete or (cycle is running and cycle.more_body):
            self._refuse(*refusal)
            return
        if cycle.more_body:  # its body is invalid: it is the request that is refused
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else running
        self._is_refused, self._late_refusal = True, problems.make_raw_response(*refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing, unlike uvicorn: `upgrades` refuses WebSockets, and other upgrades are ignored."""

    def _await_head(self) -> None:
        """Bound the time to the end of the next head."""
        self._waiting_since = self.loop.time()
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(limits.HEAD_TIMEOUT_SECONDS, self._check_head_time)

    def _check_head_time(self) -> None:
        """End the wait for a head if it lasted too long, else check again when it will have."""
        self._head_timer = None
        if self._waiting_since is None:
            return
        deadline = self._waiting_since + limits.HEAD_TIMEOUT_SECONDS
        if self.loop.time() < deadline:
            self._head_timer = self.loop.call_at(deadline, self._check_head_time)
        elif self._idle_bytes:
            self._refuse(
                "timeout", f"the head was not complete after {limits.HEAD_TIMEOUT_SECONDS:g} seconds; send it again"
            )
        else:
            self.transport.close()

    def _count_shed(self) -> None:
        self._get_application().metrics.count("http_shed", ("connection",))

    def _get_connections(self) -> ConnectionTable:
        return self._get_application().connections

    def _get_application(self) -> Application:
        assert isinstance(self.config.app, Application)
        return self.config.app

    def _refuse(self, name: str, detail: str, *, linger_seconds: float = limits.LINGER_SECONDS) -> None:
        """Answer with a problem. Close a little later: closing with unread bytes would discard the answer too."""
        self._is_refused = True
        self._waiting_since = None
        cycle, has_pending = self.cycle, bool(self.pipeline)  # requests in the pipeline wait for an earlier response
        self._drop_waiting_requests()
        if not has_pending and (cycle is None or cycle.response_complete or not cycle.response_started):
            self.transport.write(problems.make_raw_response(name, detail))
            if cycle is None or cycle.response_complete:  # else the application counts the request
                count_unparsed_request(self._get_application().metrics, problems.PROBLEMS[name][0])
        if linger_seconds:
            self.loop.call_later(linger_seconds, self.transport.close)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
