"""The base of the addresses in a response: the configured one, or that which the request was sent to."""

from functools import lru_cache
from urllib.parse import quote

from starlette.types import Scope

from ..links import PageLinks
from .service import Service


def make_links(service: Service, scope: Scope, collection: str) -> PageLinks:
    """Return the maker of the addresses of a collection in the response to a request."""
    return PageLinks(service.library.settings.public_url or _get_own_url(scope), collection)


def _get_own_url(scope: Scope) -> str:
    """Return the scheme and the Host of a request, which the middleware has checked."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return _format_base(scope["scheme"], host)


@lru_cache(64)
def _format_base(scheme: str, host: bytes) -> str:
    return f"{scheme}://{quote(host, safe=':[]')}"  # where every host is allowed, it may have any character
