"""The FastAPI application with all routes. `asgi` puts the middleware in front of it, `server` runs it."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.errors import ServerErrorMiddleware

from . import exception_handlers
from .routes import collections, documents, health, query, sessions, usage
from .service import Service

_DESCRIPTION = """Semantic search over your own documents, and answers with verified citations.

Errors are `application/problem+json` with a stable `type`. Every response has an `X-Request-Id` header."""


def create_app(service: Service) -> FastAPI:
    """Return the application with all routes."""
    app = FastAPIOffline(
        redoc_url=None, title="semsearch", version="1", description=_DESCRIPTION, redirect_slashes=False
    )
    app.state.service = service
    for module in (collections, documents, query, sessions, usage, health):
        app.router.routes += module.router.routes  # flat, so that a 405 can ask each route for its methods
    exception_handlers.install(app)
    stack = app.build_middleware_stack()
    assert isinstance(stack, ServerErrorMiddleware)
    app.middleware_stack = stack.app  # GuardMiddleware answers unexpected errors
    return app
