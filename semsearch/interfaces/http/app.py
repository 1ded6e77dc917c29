"""The FastAPI application with all routes. `asgi` puts the middleware in front of it, `server` runs it."""

from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware.errors import ServerErrorMiddleware

from ...core.version import get_version
from . import exception_handlers
from .problems import PROBLEM_SCHEMA
from .routes import (
    answers,
    approvals,
    blocks,
    collections,
    docs,
    documents,
    gaps,
    health,
    keys,
    originals,
    page,
    pages,
    query,
    recommendations,
    sessions,
    sign_in,
    similar,
    usage,
)
from .service import Service

_DESCRIPTION = """Semantic search over your own documents, and answers with verified citations.

Errors are `application/problem+json` with a stable `type`. Every response has an `X-Request-Id` header.

Once there is an access key, every request under `/v1` needs one: `Authorization: Bearer KEY`. A change or a question
with an `Idempotency-Key` header can be sent again: it gets the first response, and happens once."""

_SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access key, as `semsearch keys create` prints it. Not needed while there are no keys.",
}


def create_app(service: Service) -> FastAPI:
    """Return the application with all routes."""
    app = FastAPIOffline(
        docs_url=None,  # of `docs`, with its headers
        redoc_url=None,
        static_url=docs.ASSETS_PATH,
        title="semsearch",
        version=get_version(),
        description=_DESCRIPTION,
        redirect_slashes=False,
    )
    docs.serve_whole_assets(app)
    app.openapi = partial(_describe, app)  # type: ignore[method-assign]  # the framework's way to extend it
    app.state.service = service
    # routes below a document before `documents`, whose routes match a uri with any suffix
    below_documents = (originals, pages, blocks, similar)
    others = (
        *(documents, query, recommendations, answers, approvals, sessions, usage, gaps, keys, sign_in, health, page),
        docs,
    )
    for module in (collections, *below_documents, *others):
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                route.operation_id = route.name  # names the function of a generated client
            app.router.routes.append(route)  # flat, so that a 405 can ask each route for its methods
    exception_handlers.install(app)
    stack = app.build_middleware_stack()
    assert isinstance(stack, ServerErrorMiddleware)
    app.middleware_stack = stack.app  # GuardMiddleware answers unexpected errors
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the schema of errors, which no route's model refers to, and access keys."""
    document = FastAPI.openapi(app)
    document["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
    document["components"]["securitySchemes"] = {"accessKey": _SECURITY_SCHEME}
    document["security"] = [{"accessKey": []}, {}]
    return document
