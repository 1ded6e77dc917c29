"""Opens the connections to one server as its settings say: address, names in headers, proxy, certificates.

What is wrong with them is found before anything is sent, and told with the name of the variable; a value may hold a
secret, and is not repeated whole.
"""

import logging
import ssl
from pathlib import Path

import httpx

from ...core.errors import Invalid
from .responses import safe

_MOST_PORT = 65_535
_WHERE = "correct SEMSEARCH_CHAT__BASE_URL, SEMSEARCH_EMBEDDINGS__BASE_URL or OPENAI_BASE_URL"


def address(base_url: str) -> str:
    """The address of a server without the slash at its end."""
    shown = safe(base_url.rpartition("@")[2], None)
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise Invalid(f"{shown!r} is not the address of a server: {_WHERE}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise Invalid(f"{shown!r} is not the address of a server: it must begin with http:// or https://; {_WHERE}")
    if not _is_port(url):
        raise Invalid(f"{shown!r} is not the address of a server: a port is from 1 to {_MOST_PORT}; {_WHERE}")
    if url.userinfo or url.query or url.fragment:
        raise Invalid(f"the address of {url.host} must hold no user, query or fragment; the key has its own setting")
    return base_url.rstrip("/")


def names(organization: str | None, project: str | None) -> dict[str, str]:
    """The headers that say on whose account a request goes."""
    headers = {}
    for header, variable, value in (
        ("OpenAI-Organization", "OPENAI_ORG_ID", organization),
        ("OpenAI-Project", "OPENAI_PROJECT_ID", project),
    ):
        if value and not (value.isascii() and value.isprintable() and value == value.strip()):
            raise Invalid(f"{variable} holds what no header can: a line break, a space around it, a strange letter")
        if value:
            headers[header] = value
    return headers


def pool(base_url: str, proxy: str | None, ca_file: Path | None, connect_seconds: float) -> httpx.AsyncClient:
    """The connections to a server, none of them open yet."""
    # below this level it would write down what a server sends, and a server may echo the key
    logging.getLogger("httpcore").setLevel(logging.INFO)
    variable = f"{httpx.URL(base_url).scheme.upper()}_PROXY, or ALL_PROXY,"
    try:
        # proxies and certificates come from settings or not at all; a cut-off redirect never carries the key away
        return httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=connect_seconds),  # of the rest each call's own deadline takes care
            trust_env=False,
            follow_redirects=False,
            proxy=_proxy(proxy, variable) if proxy else None,
            verify=_authorities(ca_file) if ca_file else True,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )
    except ImportError as exc:
        raise Invalid(f"{variable} names a SOCKS proxy, which needs a package: pip install 'httpx[socks]'") from exc


def _proxy(proxy: str, variable: str) -> httpx.Proxy:
    try:
        found = httpx.Proxy(proxy)
    except (httpx.InvalidURL, ValueError):
        found = None
    if found is None or not found.url.host or not _is_port(found.url):
        raise Invalid(f"{variable} is not the address of a proxy, such as http://proxy.example:3128")
    return found


def _authorities(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        raise Invalid(f"SSL_CERT_FILE names no file with certificates that can be read: {type(exc).__name__}") from exc


def _is_port(url: httpx.URL) -> bool:
    return url.port is None or 1 <= url.port <= _MOST_PORT
