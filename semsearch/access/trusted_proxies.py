"""Addresses of clients: trusted proxies, the address that they forward, and addresses that count as one client."""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAX_FORWARDED_CHARACTERS = 4_096
"""Of a longer list of addresses only the end is read: each entry takes time, and a client may write its beginning."""


class TrustedProxies:
    """The addresses and networks of the proxies in front of the service; none by default."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        networks = [ipaddress.ip_network(address, strict=False) for address in addresses]
        self._networks: tuple[_Network, ...] = tuple(networks)
        self._contains = lru_cache(1_024)(self._find)

    def contains(self, address: str | None) -> bool:
        """Return whether an address is that of a trusted proxy; a malformed one is not."""
        return address is not None and bool(self._networks) and self._contains(address)

    def find_client_address(self, peer: str | None, forwarded: Sequence[str]) -> str | None:
        """Return the address of the client; `forwarded` are the values of `X-Forwarded-For` in order.

        It is the right-most entry that is not a trusted proxy: entries left of it were written by the client. The
        address of the peer is returned if the peer is not trusted or the header is malformed. IPv4 addresses that are
        mapped to IPv6 are returned as IPv4.
        """
        peer_address = None if peer is None else _normalize(peer)
        text = _cut_start(",".join(forwarded))
        if not text or not self.contains(peer):
            return peer_address or peer
        address = peer_address
        for entry in reversed(text.split(",")):
            address = _normalize(_strip_port(entry.strip()))
            if address is None:
                return peer_address
            if not self.contains(address):
                return address
        return address

    def _find(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(1_024)
def is_loopback(address: str) -> bool:
    """Return whether an address is one of the loopback; a malformed one is not."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


@lru_cache(1_024)
def find_address_block(address: str) -> str:
    """Return the addresses that count as one client: an IPv6 network of 64 bits, as one machine has all of these.

    >>> find_address_block("2001:db8::1"), find_address_block("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1')
    """
    parsed = _parse(address)
    return (
        str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed is not None and parsed.version == 6 else address
    )


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped or parsed
    return parsed


@lru_cache(1_024)
def _normalize(address: str) -> str | None:
    parsed = _parse(address)
    return None if parsed is None else str(parsed)


def _cut_start(text: str) -> str:
    """Return the last whole entries of a list that is too long."""
    return text if len(text) <= _MAX_FORWARDED_CHARACTERS else text[-_MAX_FORWARDED_CHARACTERS:].partition(",")[2]


def _strip_port(entry: str) -> str:
    """Return `192.0.2.1` for `192.0.2.1:4711`, `2001:db8::1` for `[2001:db8::1]:4711` and for `2001:db8::1`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
