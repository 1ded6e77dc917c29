"""Authentication of requests, before their body is read: who sends it, and whether they may.

Plain ASGI scopes. A request is authenticated by an access key in `Authorization`, else by the headers of a trusted
proxy, else by the cookie that the page gets for a key.
"""

from contextlib import suppress

from starlette.types import Scope

from ...access.keys import UNAUTHORIZED
from ...access.secrets import Credential, parse_cookie_value, parse_key
from ...core.errors import ForbiddenError, NotFoundError, SemsearchError, UnauthorizedError
from ...core.types.access import LOCAL_CALLER, Caller
from ...library import Library
from .cors import get_cross_origin
from .route_scopes import READY_PATH, find_scope, is_listed, is_public

COOKIE = "semsearch_key"
CALLER = "caller"
"""Key of the caller in the state of a scope."""
IS_COOKIE_CALLER = "is_cookie_caller"
"""Key of whether the caller was identified by the cookie."""

_READ_METHODS = ("GET", "HEAD", "OPTIONS")
_COOKIE_PREFIX = f"{COOKIE}=".encode()
_FORWARDING_HEADERS = frozenset((b"x-forwarded-for", b"forwarded", b"x-real-ip"))


class Authenticator:
    """Finds the caller of each request.

    Without any key and without a proxy that names users, requests over the loopback are those of the local caller,
    except those that a proxy forwards: they come from others.
    """

    def __init__(self, library: Library, *, is_exposed: bool) -> None:
        self._library = library
        self._is_exposed = is_exposed
        """Whether other machines reach the service, so that every request needs a key even if there is none."""

    def authenticate(self, scope: Scope) -> None:
        """Put the caller of a request into its state; UnauthorizedError if there is none, ForbiddenError by scope."""
        method, path, state = scope["method"], scope["path"], scope["state"]
        if get_cross_origin(scope) and read_cookie(scope) is not None:
            raise ForbiddenError("pages of other origins send an access key, and no cookie")
        if is_public(method, path):
            if path == READY_PATH:  # tells more to the local user
                with suppress(SemsearchError):
                    self._admit_local_caller(scope)
            return
        if self._admit_local_caller(scope):
            return
        caller = state[CALLER] = self._find_caller(scope)
        needed = find_scope(method, path)
        if needed is not None and needed not in caller.scopes:
            if not is_listed(method, path):
                raise NotFoundError(f"there is nothing at {path[:200]}")
            caller.check_scope(needed)

    def _admit_local_caller(self, scope: Scope) -> bool:
        """Return whether a request is that of the local caller; ForbiddenError if a proxy forwards it."""
        if self._is_exposed or self._library.may_be_exposed():
            return False
        _check_not_forwarded(scope)
        scope["state"][CALLER] = LOCAL_CALLER
        return True

    def _find_caller(self, scope: Scope) -> Caller:
        if not get_cross_origin(scope) and (user := self._find_proxy_user(scope)) is not None:
            return user
        credential = _read_authorization(scope)
        if credential is None and (cookie := read_cookie(scope)) is not None:
            _check_origin(scope)
            scope["state"][IS_COOKIE_CALLER] = True
            credential = parse_cookie_value(cookie)
        return self._library.access_keys.verify(credential)

    def _find_proxy_user(self, scope: Scope) -> Caller | None:
        """Return the user whom a trusted proxy names; None without one, or if the request has an access key."""
        identities = self._library.proxy_identities
        if identities is None or (read_key(scope) or "").startswith("sk_"):  # a proxy may send other authorization
            return None
        user = identities.find_caller(scope["client"][0] if scope["client"] else None, scope["headers"])
        if user is not None:
            _check_origin(scope)  # a browser signs in to the proxy with a cookie
        return user


def get_caller(scope: Scope) -> Caller:
    """Return the caller of a request that was authenticated; UnauthorizedError for a public route without one."""
    caller: Caller | None = scope["state"].get(CALLER)
    if caller is None:
        raise UnauthorizedError(UNAUTHORIZED)
    return caller


def is_cookie_caller(scope: Scope) -> bool:
    """Return whether the caller was identified by the page's cookie."""
    return bool(scope["state"].get(IS_COOKIE_CALLER))


def read_key(scope: Scope) -> str | None:
    """Return the key in the Authorization header as it was sent; None unless there is exactly one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        return None
    kind, _, token = values[0].decode("latin-1").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def read_cookie(scope: Scope) -> str | None:
    """Return the value of the page's cookie; `""`, which no key has, if several cookies of its name differ.

    Other cookies of the host are not parsed, as other services need not follow the standard. Two values mean that
    another site of the domain has set one, perhaps to sign its victim in with a key of its own.
    """
    pairs = (pair for name, value in scope["headers"] if name == b"cookie" for pair in value.split(b";"))
    values = {pair.strip().removeprefix(_COOKIE_PREFIX) for pair in pairs if pair.strip().startswith(_COOKIE_PREFIX)}
    if not values:
        return None
    return values.pop().decode("latin-1") if len(values) == 1 else ""


def _read_authorization(scope: Scope) -> Credential | None:
    if not any(name == b"authorization" for name, _ in scope["headers"]):
        return None
    return parse_key(read_key(scope) or "") or Credential("", b"")


def _check_origin(scope: Scope) -> None:
    """Refuse a change without Origin: a browser sends it, and the guard has compared it with the host."""
    if scope["method"] not in _READ_METHODS and not any(name == b"origin" for name, _ in scope["headers"]):
        raise ForbiddenError("a change by the page needs the Origin header; other clients send an access key instead")


def _check_not_forwarded(scope: Scope) -> None:
    """Refuse a request that a proxy forwards to a service without keys: its sender is not the local user."""
    if any(name in _FORWARDING_HEADERS for name, _ in scope["headers"]):
        raise ForbiddenError(
            "a proxy forwards this request, but there is no access key, so everybody whom the proxy serves could read"
            " and change the documents. The operator of the service can create a key: semsearch keys create NAME"
        )
