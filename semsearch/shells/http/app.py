"""Joins routes, gate and problems into one application around a library. Does not listen anywhere: see `serving`."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from ...library import Library
from . import asking, collections, documents, health, problems, records, spending
from .gate import Gate
from .service import service_of
from .shortcut import Shortcut

_ABOUT = """Search and questions over your own documents; every citation was checked to the character.

Errors are `application/problem+json` with a stable `type`; each response carries `X-Request-Id`."""


def create_app(library: Library, *, hosts: Iterable[str] = ()) -> FastAPI:
    """The service around `library`, which it closes at its end; called on the loopback or by a name in `hosts`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        library.loop.adopt(asyncio.get_running_loop())
        app.state.service = service = service_of(library)
        yield
        # in a thread, because what is under way may itself wait for this loop; and now, because no other can end it
        await asyncio.to_thread(service.close)
        await asyncio.to_thread(library.close)

    app = FastAPIOffline(
        redoc_url=None, title="semsearch", version="1", description=_ABOUT, lifespan=lifespan, redirect_slashes=False
    )
    for room in (collections, documents, asking, records, spending, health):
        app.router.routes += room.router.routes  # taken in one by one, so that a 405 can ask each for its methods
    problems.install(app)
    app.add_middleware(Shortcut)
    app.add_middleware(Gate, hosts=hosts)
    return app
