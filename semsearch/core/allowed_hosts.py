"""The setting of the names by which the HTTP service is reached, besides those of the loopback."""

import re
from collections.abc import Iterable
from typing import Any, Protocol

from .errors import InvalidError

ANY_HOST = "*"
"""Accepts every name; that gives up the protection against DNS rebinding."""

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")


class _Reader(Protocol):
    def find(self, name: str) -> tuple[str, Any]: ...


def read_allowed_hosts(settings: _Reader, name: str) -> tuple[str, ...]:
    """Return the hosts of a setting: a list, or a text of names with commas between them."""
    location, value = settings.find(name)
    names = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
        raise InvalidError(f"{location}: {value!r:.80} is not a list of host names")
    return validate_hosts(names, location)


def validate_hosts(names: Iterable[str], location: str) -> tuple[str, ...]:
    """Return host names in lower case, each with its port if it has one; InvalidError for anything else.

    >>> validate_hosts(["Search.Example.org", "intranet:8443", "[::1]"], "--allowed-host")
    ('search.example.org', 'intranet:8443', '[::1]')
    """
    hosts = tuple(name.strip().lower() for name in names)
    for host in hosts:
        if host != ANY_HOST and not _HOST.fullmatch(host):
            raise InvalidError(
                f"{location}: {host[:80]!r} is not the name of a host; give the exact name, with its port if only that"
                " port is meant, and without a scheme, a path or a wildcard: search.example.org"
            )
    return hosts
