"""Joins routes, gate and problems into one application around a library. Does not listen anywhere: see `serving`."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from ...library import Library
from . import asking, collections, documents, health, problems
from .gate import Gate
from .service import service_of

_ABOUT = """Search and questions over your own documents; every citation was checked to the character.

Errors are `application/problem+json` with a stable `type`; each response carries `X-Request-Id`."""


def create_app(library: Library, *, hosts: Iterable[str] = ()) -> FastAPI:
    """The service around `library`, to be called on the loopback or by one of the names in `hosts`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        library.loop.adopt(asyncio.get_running_loop())
        app.state.service = service = service_of(library)
        yield
        await asyncio.to_thread(service.close)  # a write that is under way may itself wait for this loop

    app = FastAPIOffline(
        redoc_url=None, title="semsearch", version="1", description=_ABOUT, lifespan=lifespan, redirect_slashes=False
    )
    for room in (collections, documents, asking, health):
        app.router.routes += room.router.routes  # taken in one by one, so that a 405 can ask each for its methods
    problems.install(app)
    app.add_middleware(Gate, hosts=hosts)
    return app
