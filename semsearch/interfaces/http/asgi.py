"""The ASGI application of the service: guard middleware, fast search, and behind them the framework with the routes.

The framework takes longer to load than all the rest together. It is loaded at the first request that needs it; a
service that only answers searches never loads it.
"""

import asyncio
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from ...access.trusted_proxies import TrustedProxies
from ...library import Library
from ..webhooks.delivery import make_delivery
from .access_log import ENTRY_FORMATS, AccessLogMiddleware
from .admission import AdmissionMiddleware
from .auth import Authenticator
from .bodies import ClientDisconnectedError, make_body_receiver
from .connections import make_connection_table
from .early_refusal import EarlyRefusal
from .fast_search import FastSearchMiddleware
from .host_check import HostCheck
from .idempotency import IdempotencyMiddleware
from .log_lines import write_lines
from .middleware import GuardMiddleware
from .problems import DATA_FOLDER
from .request_limits import RequestLimits
from .request_metrics import MetricsEndpoint, RequestMetricsMiddleware
from .service import Service, make_service
from .service_metrics import MetricsSampler, ServiceMetrics


class Application:
    """ASGI application of a library, which it closes at shutdown; `bound_host` is the host that it listens on.

    `is_exposed` means that other machines reach it.
    """

    def __init__(
        self,
        library: Library,
        bound_host: str,
        *,
        is_exposed: bool = False,
        has_access_log: bool = False,
        worker_count: int = 1,
        metrics_folder: Path | None = None,
    ) -> None:
        self.connections = make_connection_table()
        self.trusted_proxies = TrustedProxies(library.settings.access_proxies)
        """Their connections are not limited by address."""
        self.metrics = ServiceMetrics(metrics_folder)
        library.metrics.target = self.metrics
        self._service = make_service(library)
        admission = self._service.admission
        self._delivery = make_delivery(library.ledger, library.settings.profiles)
        self._sampler = MetricsSampler(self.metrics, library, admission, self.connections)
        format_entry = ENTRY_FORMATS[library.settings.log_format]
        self.early_refusal = EarlyRefusal(admission, write_lines if has_access_log else None, format_entry)
        """For the protocol, which sees requests before they are parsed."""
        authenticator = Authenticator(library, is_exposed=is_exposed)
        routes = MetricsEndpoint(_LazyRoutes(self._service), self._sampler.render)
        repeatable = IdempotencyMiddleware(routes, self._service)  # never a search: behind what answers most of them
        fast_search = FastSearchMiddleware(repeatable, self._service)
        guard: ASGIApp = GuardMiddleware(
            AdmissionMiddleware(fast_search, admission),
            _make_host_check(library, bound_host, is_exposed=is_exposed),
            make_body_receiver(library.folder, self.connections, worker_count),
            authenticator.authenticate,
            RequestLimits(library),
            admission.validate_before_body,
        )
        logged = AccessLogMiddleware(guard, format_entry=format_entry) if has_access_log else guard
        self._middleware = RequestMetricsMiddleware(logged, self.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or run the lifespan from startup to shutdown."""
        await (
            self._run_lifespan(scope, receive, send)
            if scope["type"] == "lifespan"
            else self._middleware(scope, receive, send)
        )

    def begin_shutdown(self) -> None:
        """Make the readiness check fail; requests are still answered."""
        self._service.shutdown_started.set()

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        # opens the ledger, which the first request would wait for
        await asyncio.to_thread(self._service.library.has_keys)
        scope["state"][DATA_FOLDER] = str(self._service.library.folder)
        self._service.library.loop.use_loop(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        tasks = [asyncio.create_task(self._sampler.run())]
        if self._delivery is not None:
            tasks.append(asyncio.create_task(self._delivery.run()))
        try:
            await receive()
        except asyncio.CancelledError:  # a second Ctrl-C: shut down at once; the owner of the library closes it
            return
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._service.library.loop.cancel_all()  # no client waits for an answer any more
        # in a thread, because running calls may wait for this loop; now, because they cannot end after it
        await asyncio.to_thread(self._service.close)
        await asyncio.to_thread(self._service.library.close)
        await send({"type": "lifespan.shutdown.complete"})


def _make_host_check(library: Library, bound_host: str, *, is_exposed: bool) -> HostCheck:
    # with a proxy that names users, a name that an attacker lets resolve to a proxy's address could name them too
    accepts_any_name = is_exposed and library.proxy_identities is None
    settings = library.settings
    return HostCheck(
        bound_host, settings.allowed_hosts, is_exposed=accepts_any_name, cors_origins=settings.cors_origins
    )


class _LazyRoutes:
    """The FastAPI application, loaded on a thread at the first call."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._app: ASGIApp | None = None
        self._load_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app or await self._get_app()
        from starlette.requests import ClientDisconnect  # late: the framework has loaded it by now

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
