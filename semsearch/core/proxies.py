"""Which proxy an address is reached through. Reads the variables that it is given."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def find_proxy(environ: Mapping[str, str], url: str) -> str | None:
    """Return the proxy that the environment names for this address, as other programs on this machine use it.

    Without a scheme it is one of HTTP, as for curl.
    """
    proxies = _list_proxies(environ)
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or not parts.hostname:
        return None
    # late: it brings all of http and email with it. typeshed leaves it out
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    if proxy_bypass_environment(parts.netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _list_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in environ.items() if value}
    return {name.removesuffix("_proxy"): value for name, value in lower.items() if name.endswith("_proxy")}
