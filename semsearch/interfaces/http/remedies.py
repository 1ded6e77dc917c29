"""Remedies of errors as routes, added to the message of an error."""

from collections.abc import Callable

from ...core.errors import RemedyAction, SemsearchError

_ROUTES: dict[RemedyAction, Callable[[str], str]] = {
    "list_keys": lambda name: "GET /v1/keys",
    "create_collection": lambda name: f"PUT /v1/collections/{name}",
    "list_documents": lambda name: f"GET /v1/collections/{name}/documents",
    "create_session": lambda name: "POST /v1/sessions",
}
"""The other remedies are for the operator, and no route does them."""


def add_remedy(error: SemsearchError) -> str:
    """Return the message of an error with the route that helps, if there is one."""
    if error.remedy is None or error.remedy.action not in _ROUTES:
        return str(error)
    return f"{error}: {_ROUTES[error.remedy.action](error.remedy.collection)}"
