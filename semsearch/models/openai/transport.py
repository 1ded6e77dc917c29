"""Opens the connections to one server as its settings say: address, names in headers, proxy, certificates.

What is wrong with them is found before anything is sent, and told with the name of the variable; a value may hold a
secret, and is not repeated whole.
"""

import logging
import ssl
from pathlib import Path

import httpx

from ...core.errors import InvalidError
from .responses import redact

_MAX_PORT = 65_535
_BASE_URL_HINT = "correct SEMSEARCH_CHAT__BASE_URL, SEMSEARCH_EMBEDDINGS__BASE_URL or OPENAI_BASE_URL"


def validate_base_url(base_url: str) -> str:
    """The address of a server without the slash at its end."""
    shown = redact(base_url.rpartition("@")[2], None)
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise InvalidError(f"{shown!r} is not the address of a server: {_BASE_URL_HINT}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidError(
            f"{shown!r} is not the address of a server: it must begin with http:// or https://; {_BASE_URL_HINT}"
        )
    if not _has_valid_port(url):
        raise InvalidError(
            f"{shown!r} is not the address of a server: a port is from 1 to {_MAX_PORT}; {_BASE_URL_HINT}"
        )
    if url.userinfo or url.query or url.fragment:
        raise InvalidError(
            f"the address of {url.host} must hold no user, query or fragment; the key has its own setting"
        )
    return base_url.rstrip("/")


def build_organization_headers(organization: str | None, project: str | None) -> dict[str, str]:
    """The headers that say on whose account a request goes."""
    headers = {}
    for header, variable, value in (
        ("OpenAI-Organization", "OPENAI_ORG_ID", organization),
        ("OpenAI-Project", "OPENAI_PROJECT_ID", project),
    ):
        if value and not (value.isascii() and value.isprintable() and value == value.strip()):
            raise InvalidError(
                f"{variable} holds what no header can: a line break, a space around it, a strange letter"
            )
        if value:
            headers[header] = value
    return headers


def make_client(base_url: str, proxy: str | None, ca_file: Path | None, connect_seconds: float) -> httpx.AsyncClient:
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
            proxy=_find_proxy(proxy, variable) if proxy else None,
            verify=_load_certificates(ca_file) if ca_file else True,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
        )
    except ImportError as exc:
        raise InvalidError(
            f"{variable} names a SOCKS proxy, which needs a package: pip install 'httpx[socks]'"
        ) from exc


def _find_proxy(proxy: str, variable: str) -> httpx.Proxy:
    try:
        found = httpx.Proxy(proxy)
    except (httpx.InvalidURL, ValueError):
        found = None
    if found is None or not found.url.host or not _has_valid_port(found.url):
        raise InvalidError(f"{variable} is not the address of a proxy, such as http://proxy.example:3128")
    return found


def _load_certificates(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        raise InvalidError(
            f"SSL_CERT_FILE names no file with certificates that can be read: {type(exc).__name__}"
        ) from exc


def _has_valid_port(url: httpx.URL) -> bool:
    return url.port is None or 1 <= url.port <= _MAX_PORT
