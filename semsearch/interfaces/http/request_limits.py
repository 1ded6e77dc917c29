"""Limits of requests by client address and by caller, before their body is read, and the headers that tell them.

The headers have the names of those of OpenAI, which its clients parse:

x-ratelimit-limit-requests: 600
x-ratelimit-remaining-requests: 599
x-ratelimit-reset-requests: 100ms
"""

from math import ceil

from starlette.types import Scope

from ...access.rate_limiter import RateLimiter
from ...access.trusted_proxies import TrustedProxies
from ...core.types.access import Caller
from ...core.types.rate_limits import BucketStatus
from ...library import Library
from .auth import CALLER

CLIENT_ADDRESS = "client_address"
"""Key of the address of the client in the state of a scope, behind trusted proxies too; None if it is unknown."""
RATE_LIMIT_HEADERS = "rate_limit_headers"
"""Key of the headers of the response that tell the limits of the caller."""

_HEALTH_PATHS = ("/healthz", "/readyz")


class RequestLimits:
    """The limits of the requests of one process."""

    def __init__(self, library: Library) -> None:
        self._limiter: RateLimiter = library.rate_limiter
        self._proxies = TrustedProxies(library.settings.access_proxies)

    def note_client_address(self, scope: Scope) -> None:
        """Put the address of the client into the state of a request."""
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = ()
        if self._proxies.contains(peer):
            forwarded = tuple(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
        scope["state"][CLIENT_ADDRESS] = self._proxies.find_client_address(peer, forwarded)

    def admit_address(self, scope: Scope) -> None:
        """Count a request of an address; RateLimitedError if it has sent too many. Health checks are not counted."""
        if scope["path"] not in _HEALTH_PATHS:
            self._limiter.admit_address(scope["state"][CLIENT_ADDRESS])

    def admit_caller(self, scope: Scope) -> None:
        """Count a request of a caller, and note the headers; RateLimitedError if they have sent too many."""
        caller: Caller | None = scope["state"].get(CALLER)
        if caller is None or (caller.limits.requests_per_minute is None and caller.limits.tokens_per_minute is None):
            return
        try:
            self._limiter.admit_request(caller)
        finally:
            scope["state"][RATE_LIMIT_HEADERS] = make_headers(self._limiter.describe(caller))


def make_headers(statuses: dict[str, BucketStatus]) -> list[tuple[bytes, bytes]]:
    """Return the headers of limits, by "requests" and "tokens"."""
    headers = []
    for kind, status in statuses.items():
        name = kind.encode()
        headers += [
            (b"x-ratelimit-limit-" + name, b"%d" % status.limit),
            (b"x-ratelimit-remaining-" + name, b"%d" % status.remaining),
            (b"x-ratelimit-reset-" + name, format_duration(status.reset_seconds).encode()),
        ]
    return headers


def format_duration(seconds: float) -> str:
    """Return a time in whole milliseconds as OpenAI writes it.

    >>> format_duration(0.1195), format_duration(1.5), format_duration(372)
    ('120ms', '1.5s', '6m12s')
    """
    milliseconds = ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
