"""Choose the proxy for a URL from environment variables. Does not read the environment itself."""

from collections.abc import Mapping
from urllib.parse import urlsplit

PROXY_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
"""The variables that choose a proxy, also in lower case."""


def find_proxy(environ: Mapping[str, str], url: str) -> str | None:
    """Return the proxy for `url` by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; None if there is none.

    A proxy without a scheme is an HTTP proxy, as for curl.
    """
    proxies = _list_proxies(environ)
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or not parts.hostname:
        return None
    # imported late, because it imports http and email; typeshed does not declare it
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    if proxy_bypass_environment(parts.netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _list_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in environ.items() if value}
    return {name.removesuffix("_proxy"): value for name, value in lower.items() if name.endswith("_proxy")}
