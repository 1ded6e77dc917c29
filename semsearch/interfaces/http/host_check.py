"""The check of the Host and Origin headers: refuses what a web page in a browser on this machine sends.

A page of another site can send requests to the loopback, and with DNS rebinding also under a name of its own.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from ...core.allowed_hosts import ANY_HOST
from ...core.errors import ForbiddenError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_OTHER_SITES = ("cross-site", "same-site")
"""Values of Sec-Fetch-Site for requests of pages with another origin."""


class HostCheck:
    """Accepts the names of the loopback, `bound_host`, and `allowed_hosts`: names, with a port or for every port.

    An exposed service, which answers no request without a key, accepts every name unless there are allowed hosts: a
    page of another site has neither the key nor the cookie.
    """

    def __init__(
        self,
        bound_host: str,
        allowed_hosts: Iterable[str],
        *,
        is_exposed: bool = False,
        cors_origins: Iterable[str] = (),
    ) -> None:
        self._cors_origins = frozenset(cors_origins)
        self._allowed_hosts = frozenset(allowed_hosts)
        self._names = frozenset((*LOOPBACK_NAMES, bound_host.lower())) | self._allowed_hosts
        self._accepts_any = ANY_HOST in self._allowed_hosts or (is_exposed and not self._allowed_hosts)

    def validate(
        self, hosts: Sequence[str], origins: Sequence[str], fetch_sites: Iterable[str] = (), *, is_api: bool = False
    ) -> str | None:
        """Raise ForbiddenError unless there is one accepted Host header, and each Origin is that host or allowed.

        Return the origin if it is another one whose pages may call the API; None otherwise.

        A request without Origin, such as that of an image in a page, must not come from another site, by
        `fetch_sites`, its Sec-Fetch-Site headers.
        """
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not host or not (self._accepts_any or host in self._names or _strip_port(host) in self._names):
            allowed = ", ".join(sorted(self._names))
            raise ForbiddenError(
                f"the host {host[:100]!r} is not allowed; allowed: {allowed}. The operator of the service can allow"
                " further names with --allowed-host"
            )
        for origin in origins:
            netloc = _parse_netloc(origin)
            # a proxy may send its own name in Origin, and the loopback's in Host
            if netloc is None or (netloc != host and netloc not in self._allowed_hosts):
                if is_api and origin in self._cors_origins and len(origins) == 1:
                    return origin
                raise ForbiddenError(f"requests from the origin {origin[:100]!r} are not allowed")
        if not origins and any(site in _OTHER_SITES for site in fetch_sites):
            raise ForbiddenError("requests from the page of another site are not allowed")
        return None


def _strip_port(host: str) -> str:
    """Return `[::1]` for `[::1]:80`, `localhost` for `localhost:80`."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _parse_netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
