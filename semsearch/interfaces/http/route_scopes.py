"""The scope that each request needs, by method and path. A path that is not listed needs `admin`.

The check comes before the body is read, so it sees the path as it was sent.
"""

import re
from functools import lru_cache

from ...core.types.access import Scope
from .query_paths import CACHED_PATHS

READY_PATH = "/readyz"

_COLLECTION = r"/v1/collections/[^/]+"
_DOCUMENT = rf"{_COLLECTION}/documents/.+"

PUBLIC_ROUTES: tuple[tuple[str, str], ...] = (
    ("GET|HEAD", rf"/healthz|{READY_PATH}"),
    # the page itself holds no documents
    ("GET|HEAD", r"/|/ask|/documents|/usage|/gaps|/keys|/view/[^/]+/[^/]+|/static/.*"),
    ("DELETE", r"/v1/sign-in"),
)
"""Methods and paths that need no key."""

SCOPED_ROUTES: tuple[tuple[str, str, Scope | None], ...] = (
    ("POST|GET", rf"{_COLLECTION}/search", "search"),
    ("POST", rf"{_COLLECTION}/recommend", "search"),
    ("POST", rf"{_COLLECTION}/ask", "ask"),
    ("GET", rf"/v1/collections|{_COLLECTION}|{_COLLECTION}/documents|{_DOCUMENT}", "search"),
    ("PUT|DELETE", _COLLECTION, "admin"),
    ("POST", rf"{_COLLECTION}/documents|{_COLLECTION}/documents/delete", "write"),
    ("PUT|DELETE", _DOCUMENT, "write"),
    ("POST|DELETE", r"/v1/answers/[^/]+/approve", "admin"),
    ("GET", rf"{_COLLECTION}/approved", "admin"),
    ("GET|POST|DELETE", r"/v1/(answers|sessions)(/.*)?", "ask"),
    ("GET", r"/v1/(usage|me)", None),
    ("POST", r"/v1/sign-in", None),
    ("GET|HEAD", r"/docs|/openapi\.json|/static-offline-docs/.*", None),
    ("GET|POST|DELETE", r"/v1/keys(/.*)?", "admin"),
    ("GET", r"/metrics", "admin"),
    ("GET", r"/v1/gaps", "admin"),
)
"""Methods, paths, and the scope that they need; None where any key will do."""

_PUBLIC = [(frozenset(methods.split("|")), re.compile(paths)) for methods, paths in PUBLIC_ROUTES]
_SCOPED = [(frozenset(methods.split("|")), re.compile(paths), scope) for methods, paths, scope in SCOPED_ROUTES]


@lru_cache(CACHED_PATHS)
def is_public(method: str, path: str) -> bool:
    """Return whether a request needs no key."""
    return any(method in methods and paths.fullmatch(path) for methods, paths in _PUBLIC)


@lru_cache(CACHED_PATHS)
def find_scope(method: str, path: str) -> Scope | None:
    """Return the scope that a request needs; None if any key will do."""
    for methods, paths, scope in _SCOPED:
        if method in methods and paths.fullmatch(path):
            return scope
    return "admin"


def is_listed(method: str, path: str) -> bool:
    """Return whether a request is listed, as public or with its scope."""
    return is_public(method, path) or any(method in methods and paths.fullmatch(path) for methods, paths, _ in _SCOPED)
