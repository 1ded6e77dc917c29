"""Runs the application on a port of this machine, until it is told to stop. Does not decide what is served."""

import asyncio
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ...core.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from ...library import Library
from . import limits as bounds
from . import problems
from .asgi import Application

BACKLOG = 2048
GRACE_SECONDS = 10
"""How long answers that are under way may take to end after a signal to stop."""


def serve(library: Library, host: str, port: int, on_listening: Callable[[str], None]) -> None:
    """Serve until a signal to stop; `listening` is told the URL once requests are taken. Port 0 takes a free one."""
    with closing(bind(host, port)) as listener:
        make_server(library, host, listener, on_listening).run([listener])


def get_stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a service; not that of a terminal that closes, where `nohup` has it ignored."""
    hung_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hung_up)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address, or say why there is none."""
    if not 0 <= port <= 65535:
        raise InvalidError(f"there is no port {port}; take one between 0 and 65535 with --port")
    family, address = _resolve_loopback(host, port)
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
    library: Library, host: str, listener: socket.socket, on_listening: Callable[[str], None]
) -> uvicorn.Server:
    """Return a server for this socket; `run([listener])` runs it, and setting `should_exit` ends it."""
    port = listener.getsockname()[1]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    config = uvicorn.Config(
        Application(library, allowed_hosts=(f"[{host}]" if ":" in host else host,)),
        http=_Protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config, lambda: on_listening(url))


def _resolve_loopback(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Where to listen, IPv4 if the name has both; a name that leads anywhere else is refused."""
    try:
        resolved = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise InvalidError(f"--host {host!r} is not an address of this machine") from exc
    addresses = sorted({(family, str(address[0])) for family, _, _, _, address in resolved})
    if not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for _, address in addresses):
        raise ForbiddenError(
            f"--host {host!r} would let other machines in, and there are no access keys yet: bind to 127.0.0.1,"
            " and let a proxy that checks who asks stand in front of it"
        )
    family, address = addresses[0]
    return family, (address, port)


def _bind_error(exc: OSError, host: str, port: int) -> ConflictError | ForbiddenError | UnavailableError:
    if exc.errno == errno.EADDRINUSE:
        return ConflictError(
            f"port {port} of {host} is taken, perhaps by another semsearch; choose another with --port"
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return ForbiddenError(f"port {port} of {host} may not be used by you; choose one above 1023 with --port")
    return UnavailableError(f"port {port} of {host} cannot be listened on: {exc.strerror}")


class _Server(uvicorn.Server):
    """Tells when it listens, and ends on a signal without dying of it."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike its model, does not raise the signal again afterwards: the library is still to be closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in get_stop_signals()}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)


class _BufferedHeadTransport(asyncio.Transport):
    """Holds the head of a response until the first piece of its body: each write is one more call of the client's."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        super().__init__()
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head is None and self._cycle.response_started:
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


class _Protocol(HttpToolsProtocol):
    """HTTP as it comes off the wire, with a bound on what is not body, and a problem for what is not HTTP."""

    _idle_bytes = 0
    """Received since something was finished: head, piece of the body, request."""

    _is_refused = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its model has it
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._idle_bytes += len(data)
        if self._idle_bytes > bounds.MAX_HEAD_BYTES:
            self.send_400_response("")
        else:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                self._start_head_timer()

    def on_headers_complete(self) -> None:
        self._idle_bytes = 0
        self._cancel_head_timer()
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":  # to which nothing follows
            self.cycle.transport = _BufferedHeadTransport(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by the model for what cannot be parsed; its words are not for clients."""
        self._refuse("malformed", "this is not a request in HTTP/1.1, or its head is too long")

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(bounds.HEAD_TIMEOUT_SECONDS, self._on_head_timeout)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        if self._idle_bytes:
            self._refuse("timeout", f"no whole head came within {bounds.HEAD_TIMEOUT_SECONDS:g} seconds; send it again")
        else:
            self.transport.close()

    def _refuse(self, name: str, detail: str) -> None:
        """Close a little later: bytes that nobody has read would make the system drop the reply with the connection."""
        self._is_refused = True
        self._cancel_head_timer()  # or no more of it is waited for
        cycle, answering = self.cycle, bool(self.pipeline)  # what waits there waits for an answer that comes first
        self.pipeline.clear()
        if not answering and (cycle is None or cycle.response_complete or not cycle.response_started):
            self.transport.write(problems.make_raw_response(name, detail))
        self.loop.call_later(bounds.LINGER_SECONDS, self.transport.close)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
