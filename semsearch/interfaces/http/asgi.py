"""The whole service as a server calls it: the gate, the straight way of searches, and behind it the framework.

The framework with all of its routes takes longer to load than all else together, so that it is loaded when something
first needs it. A service that is only searched never does.
"""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from ...library import Library
from .fast_search import FastSearchMiddleware
from .middleware import ClientDisconnectedError, GuardMiddleware
from .service import Service, make_service


class Application:
    """ASGI around a library, which it closes at its end; called on the loopback or by a name in `hosts`."""

    def __init__(self, library: Library, allowed_hosts: Iterable[str] = ()) -> None:
        self._service = make_service(library)
        self._middleware = GuardMiddleware(
            FastSearchMiddleware(_LazyRoutes(self._service), self._service), allowed_hosts
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or live from start to end."""
        await (
            self._run_lifespan(receive, send) if scope["type"] == "lifespan" else self._middleware(scope, receive, send)
        )

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._service.library.loop.use_loop(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        except asyncio.CancelledError:  # a second Ctrl-C waits for nothing; who has made the library closes it
            return
        self._service.library.loop.cancel_all()  # by now nobody waits for an answer any more
        # in a thread, because what is under way may itself wait for this loop; and now, because no other can end it
        await asyncio.to_thread(self._service.close)
        await asyncio.to_thread(self._service.library.close)
        await send({"type": "lifespan.shutdown.complete"})


class _LazyRoutes:
    """The application, loaded on a thread when it is first called."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._app: ASGIApp | None = None
        self._load_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or await self._get_app()
        from starlette.requests import ClientDisconnect  # late, as above; by now it is there

        try:
            await app(scope, receive, send)
        except ClientDisconnect as exc:
            raise ClientDisconnectedError from exc

    async def _get_app(self) -> ASGIApp:
        async with self._load_lock:
            if self._app is None:
                self._app = await asyncio.to_thread(_load_app, self._service)
        return self._app


def _load_app(service: Service) -> ASGIApp:
    from .app import create_app

    return create_app(service)
