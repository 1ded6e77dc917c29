"""The table of open connections: bounds their number, and chooses which one is closed when there is no room.

Does not know HTTP: each connection says how long it has been waiting for its client, and closes itself.
"""

import ipaddress
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ...access.trusted_proxies import TrustedProxies
from . import limits


class EvictionRank(NamedTuple):
    """Order in which connections are closed when there is no room: the lowest first."""

    group: int
    rate: float = 0.0
    """Bytes per second that the client sends."""


CLOSING = EvictionRank(0)
"""Refused already, and closed in a moment."""
IDLE = EvictionRank(2)
"""Between two requests."""
_SLOW_GROUP, _FAST_GROUP = 1, 3


def rank_by_rate(rate: float) -> EvictionRank:
    """Return the rank of a connection whose request is arriving: slow ones give way to idle ones, fast ones do not."""
    return EvictionRank(_SLOW_GROUP if rate < limits.SLOW_BYTES_PER_SECOND else _FAST_GROUP, rate)


class Evictable(Protocol):
    """A connection as the table sees it."""

    def get_eviction_rank(self) -> EvictionRank | None:
        """Return when to close it; None while its request is complete and its response is not."""

    def evict(self) -> None:
        """Close it at once."""


@dataclass(slots=True)
class ConnectionTable:
    """The open connections of one process, each with the address of its client; `""` is not counted by address."""

    max_descriptors: int
    """Connections and temporary files together."""
    max_per_address: int = limits.MAX_CONNECTIONS_PER_ADDRESS
    end_descriptor: int = sys.maxsize
    """A connection with this descriptor or a higher one closes another: files that are not counted took the others."""
    _addresses: dict[Evictable, str] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _file_count: int = 0

    def add(self, connection: Evictable, address: str, descriptor: int = 0) -> bool:
        """Add a connection, closing others if there is no room. Return whether it may stay; `remove` follows anyway."""
        has_room = self._make_room(1)
        if descriptor >= self.end_descriptor:
            has_room = self._evict_one(lambda _: True) and has_room
        if address and self._counts[address] >= self.max_per_address:
            has_room = self._evict_one(lambda other: self._addresses[other] == address) and has_room
        self._addresses[connection] = address
        self._counts[address] += 1
        return has_room

    def remove(self, connection: Evictable) -> None:
        """Remove a connection, if it is in the table."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    @property
    def connection_count(self) -> int:
        """Number of open connections."""
        return len(self._addresses)

    def has_room(self, count: int, descriptor: int = 0) -> bool:
        """Return whether so many more connections, up to one with this descriptor, have room without closing others."""
        is_free = descriptor < self.end_descriptor
        return is_free and len(self._addresses) + self._file_count + count <= self.max_descriptors

    def add_file(self) -> bool:
        """Count the descriptor of a temporary file, closing connections if needed. Return False if none could be."""
        if not self._make_room(1):
            return False
        self._file_count += 1
        return True

    def remove_file(self) -> None:
        """Stop counting the descriptor of a temporary file."""
        self._file_count -= 1

    def _make_room(self, count: int) -> bool:
        while not self.has_room(count):
            if not self._evict_one(lambda _: True):
                return False
        return True

    def _evict_one(self, is_candidate: Callable[[Evictable], bool]) -> bool:
        """Close the candidate with the lowest rank, of equal ones the oldest; return False if all are at work."""
        victim: Evictable | None = None
        lowest_rank = EvictionRank(_FAST_GROUP + 1)
        for connection in self._addresses:
            if is_candidate(connection):
                rank = connection.get_eviction_rank()
                if rank is not None and rank < lowest_rank:
                    victim, lowest_rank = connection, rank
        if victim is None:
            return False
        self.remove(victim)
        victim.evict()
        return True


def make_connection_table() -> ConnectionTable:
    """Return a table for as many connections as this process may open descriptors, less those that it needs itself."""
    import resource

    descriptor_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptor_limit == resource.RLIM_INFINITY:
        return ConnectionTable(limits.MAX_CONNECTIONS)
    reserved = max(limits.RESERVED_DESCRIPTORS, int(descriptor_limit * limits.RESERVED_DESCRIPTOR_SHARE))
    max_descriptors = max(1, min(limits.MAX_CONNECTIONS, descriptor_limit - reserved))
    return ConnectionTable(max_descriptors, end_descriptor=descriptor_limit - limits.SPARE_DESCRIPTORS)


def normalize_address(client: tuple[str, int] | None, proxies: TrustedProxies | None = None) -> str:
    """Return what a client's connections are counted by: its address, of IPv6 the network that one site gets.

    That is `""` for the loopback and for trusted proxies, which have no limit: many clients may stand behind them.
    """
    if client is None or client[0] == "127.0.0.1" or (proxies is not None and proxies.contains(client[0])):
        return ""
    address = ipaddress.ip_address(client[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return "" if address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return "" if address.is_loopback else str(address)
