"""The setting of the addresses of trusted proxies."""

import ipaddress
from typing import Any, Protocol

from .errors import InvalidError


class _Reader(Protocol):
    def find(self, name: str) -> tuple[str, Any]: ...


def read_proxy_addresses(settings: _Reader, name: str) -> tuple[str, ...]:
    """Return the addresses and networks of a setting: a list, or a text with commas between them."""
    location, value = settings.find(name)
    entries = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise InvalidError(f"{location}: {value!r:.80} is not a list of addresses")
    return tuple(_normalize_network(entry.strip(), location) for entry in entries)


def _normalize_network(entry: str, location: str) -> str:
    try:
        return str(ipaddress.ip_network(entry))
    except ValueError as exc:
        raise InvalidError(
            f"{location}: {entry[:80]!r} is not an address or a network of addresses; give each as 127.0.0.1 or"
            " 10.0.0.0/8, without a port, and with no bits set behind the prefix"
        ) from exc
