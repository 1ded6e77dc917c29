"""The setting of the origins whose pages may call the HTTP API."""

import re
from typing import Any, Protocol

from .errors import InvalidError

_ORIGIN = re.compile(r"(https?)://((?:[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]))(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class _Reader(Protocol):
    def find(self, name: str) -> tuple[str, Any]: ...


def read_cors_origins(settings: _Reader, name: str) -> tuple[str, ...]:
    """Return the origins of a setting as browsers send them: a list, or a text of origins with commas between them."""
    location, value = settings.find(name)
    origins = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(origins, list) or not all(isinstance(entry, str) for entry in origins):
        raise InvalidError(f"{location}: {value!r:.80} is not a list of origins")
    return tuple(_normalize_origin(entry.strip().lower(), location) for entry in origins)


def _normalize_origin(origin: str, location: str) -> str:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise InvalidError(
            f"{location}: {origin[:80]!r} is not an origin; give each exactly, without a path or a wildcard:"
            " https://app.example.org or http://localhost:3000"
        )
    scheme, host, port = match.groups()
    return f"{scheme}://{host}{'' if port in (None, _DEFAULT_PORTS[scheme]) else port}"
