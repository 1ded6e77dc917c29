"""Security headers of every response; a route may set its own value of each."""

from collections.abc import Iterable

RawHeader = tuple[bytes, bytes]

SECURITY_HEADERS: tuple[RawHeader, ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
"""For responses that are data: as a document in a browser they load nothing, and no page shows them in a frame."""


def add_security_headers(headers: Iterable[RawHeader]) -> list[RawHeader]:
    """Return the headers of a response, names in lower case, with the security headers that it does not set itself."""
    own = list(headers)
    names = {name for name, _ in own}
    return [*own, *(header for header in SECURITY_HEADERS if header[0] not in names)]
