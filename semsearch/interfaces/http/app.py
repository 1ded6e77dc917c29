"""Joins the routes into one application. Does not guard it, and does not listen anywhere: see `front` and `serving`."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.errors import ServerErrorMiddleware

from . import exception_handlers as failures
from .routes import collections, documents, health
from .routes import query as asking
from .routes import sessions as records
from .routes import usage as spending
from .service import Service

_DESCRIPTION = """Search and questions over your own documents; every citation was checked to the character.

Errors are `application/problem+json` with a stable `type`; each response carries `X-Request-Id`."""


def create_app(service: Service) -> FastAPI:
    """All routes of the service."""
    app = FastAPIOffline(
        redoc_url=None, title="semsearch", version="1", description=_DESCRIPTION, redirect_slashes=False
    )
    app.state.service = service
    for module in (collections, documents, asking, records, spending, health):
        app.router.routes += module.router.routes  # taken in one by one, so that a 405 can ask each for its methods
    failures.install(app)
    stack = app.build_middleware_stack()
    assert isinstance(stack, ServerErrorMiddleware)
    app.middleware_stack = stack.app  # what nobody foresaw is the gate's to answer
    return app
