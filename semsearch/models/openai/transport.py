"""Create the HTTP client of one server from its settings: base URL, headers, proxy, certificates.

Invalid settings are errors before anything is sent. The message names the variable and does not repeat its value, which
may contain a secret.
"""

import logging
import ssl
from pathlib import Path

import httpx

from ...core.errors import InvalidError
from ...core.version import get_version
from .responses import redact

_MAX_PORT = 65_535
_BASE_URL_HINT = "correct SEMSEARCH_CHAT__BASE_URL, SEMSEARCH_EMBEDDINGS__BASE_URL or OPENAI_BASE_URL"


def validate_base_url(base_url: str) -> str:
    """Return the base URL without a slash at its end; InvalidError if it is not valid."""
    shown = redact(base_url.rpartition("@")[2], None)
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise InvalidError(f"{shown!r} is not a valid base URL: {_BASE_URL_HINT}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidError(
            f"{shown!r} is not a valid base URL: it must begin with http:// or https://; {_BASE_URL_HINT}"
        )
    if not _has_valid_port(url):
        raise InvalidError(
            f"{shown!r} is not a valid base URL: its port must be from 1 to {_MAX_PORT}; {_BASE_URL_HINT}"
        )
    if url.userinfo or url.query or url.fragment:
        raise InvalidError(
            f"the base URL of {url.host} must not contain a user, query or fragment; the key has its own setting"
        )
    return base_url.rstrip("/")


def build_organization_headers(organization: str | None, project: str | None) -> dict[str, str]:
    """Return the headers for organization and project; InvalidError if a value is not valid in a header."""
    headers = {}
    for header, variable, value in (
        ("OpenAI-Organization", "OPENAI_ORG_ID", organization),
        ("OpenAI-Project", "OPENAI_PROJECT_ID", project),
    ):
        if value and not (value.isascii() and value.isprintable() and value == value.strip()):
            raise InvalidError(
                f"{variable} contains a line break, a space around it or a character that is not ASCII; correct it"
            )
        if value:
            headers[header] = value
    return headers


def make_client(base_url: str, proxy: str | None, ca_file: Path | None, connect_seconds: float) -> httpx.AsyncClient:
    """Create the HTTP client of a server; it opens no connection yet."""
    # its debug log contains what a server sends, and a server may echo the key
    logging.getLogger("httpcore").setLevel(logging.INFO)
    variable = f"{httpx.URL(base_url).scheme.upper()}_PROXY, or ALL_PROXY,"
    try:
        # proxies and certificates come from settings only; a redirect must not carry the key to another server
        return httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=connect_seconds),  # each call has a deadline of its own
            headers={"User-Agent": f"semsearch/{get_version()}"},
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
        parsed_proxy = httpx.Proxy(proxy)
    except (httpx.InvalidURL, ValueError):
        parsed_proxy = None
    if parsed_proxy is None or not parsed_proxy.url.host or not _has_valid_port(parsed_proxy.url):
        raise InvalidError(f"{variable} is not a valid proxy URL, such as http://proxy.example:3128")
    return parsed_proxy


def _load_certificates(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        raise InvalidError(
            f"SSL_CERT_FILE is not a readable file of certificates ({type(exc).__name__}); correct its path"
        ) from exc


def _has_valid_port(url: httpx.URL) -> bool:
    return url.port is None or 1 <= url.port <= _MAX_PORT
