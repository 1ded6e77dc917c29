"""The caller of a request as JSON shows it."""

from dataclasses import dataclass

from starlette.types import Scope as AsgiScope

from ...core.types.access import Caller, Scope
from .auth import is_cookie_caller

CALLER_EXAMPLE = {
    "owner": "intranet",
    "key": "k3v9x0q2m7ab",
    "scopes": ["ask", "search"],
    "collections": ["handbook"],
    "signed_in": False,
}
"""For the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class CallerResponse:
    """Who you are: `key` is the id of your access key, null without one; `signed_in` whether a cookie stands for it."""

    owner: str
    key: str | None
    scopes: list[Scope]
    collections: list[str] | None
    signed_in: bool


def view_caller(scope: AsgiScope, caller: Caller) -> CallerResponse:
    """Return the caller of a request; collections are by name, None is all of them."""
    collections = None if caller.collections is None else sorted(caller.collections)
    return CallerResponse(caller.owner, caller.key, sorted(caller.scopes), collections, is_cookie_caller(scope))
