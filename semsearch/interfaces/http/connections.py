"""The table of open connections: bounds their number, and chooses which one is closed when there is no room.

Does not know HTTP: each connection says how long it has been waiting for its client, and closes itself.
"""

import errno
import ipaddress
import math
import os
import time
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


def count_open_descriptors() -> int | None:
    """Return the number of open descriptors of this process; None if the system does not tell."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # without that of the listing itself
    except OSError as exc:
        return _read_descriptor_limit() if exc.errno == errno.EMFILE else None  # none is left to list them


@dataclass(slots=True)
class ConnectionTable:
    """The open connections of one process, each with the address of its client; `""` is not counted by address."""

    max_descriptors: int
    """Connections and temporary files together."""
    max_per_address: int = limits.MAX_CONNECTIONS_PER_ADDRESS
    descriptor_limit: int | None = None
    """Of the process; None if it is so high that other files cannot matter."""
    count_open: Callable[[], int | None] = count_open_descriptors
    get_time: Callable[[], float] = time.monotonic
    _other_count: int = 0
    """Descriptors of other files, such as those of open collections, when they were last counted."""
    _counted_at: float = -math.inf
    _addresses: dict[Evictable, str] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _file_count: int = 0

    def add(self, connection: Evictable, address: str) -> bool:
        """Add a connection, closing others if there is no room. Return whether it may stay; `remove` follows anyway."""
        has_room = self._make_room(1)
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

    def has_room(self, accepted_count: int) -> bool:
        """Return whether one more connection has room without closing others, beside those that were just accepted."""
        self._count_others(accepted_count)
        return self._fits(accepted_count + 1)

    def trim(self, accepted_count: int) -> None:
        """Close connections where other files have taken their descriptors. To be called from time to time.

        Without descriptors no connection is accepted any more, so `add` could not close one.
        """
        self._count_others(accepted_count)
        self._make_room(accepted_count)

    def add_file(self) -> bool:
        """Count the descriptor of a temporary file, closing connections if needed. Return False if none could be."""
        if not self._make_room(1):
            return False
        self._file_count += 1
        return True

    def remove_file(self) -> None:
        """Stop counting the descriptor of a temporary file."""
        self._file_count -= 1

    def _count_others(self, accepted_count: int) -> None:
        """Count the descriptors of other files, unless that was done lately.

        `accepted_count` is the number of connections that are open, but not in the table yet.
        """
        if self.descriptor_limit is None:
            return
        own_count = len(self._addresses) + self._file_count + accepted_count
        is_scarce = 2 * (own_count + self._other_count) > self.descriptor_limit
        interval = limits.SCARCE_DESCRIPTOR_COUNT_SECONDS if is_scarce else limits.DESCRIPTOR_COUNT_SECONDS
        now = self.get_time()
        if now - self._counted_at >= interval:
            self._counted_at = now
            open_count = self.count_open()
            self._other_count = self._other_count if open_count is None else max(0, open_count - own_count)

    def _fits(self, count: int) -> bool:
        maximum = self.max_descriptors
        if self.descriptor_limit is not None:
            free = self.descriptor_limit - self._other_count - limits.SPARE_DESCRIPTORS
            maximum = min(maximum, max(free, limits.MIN_CONNECTIONS))
        return len(self._addresses) + self._file_count + count <= maximum

    def _make_room(self, count: int) -> bool:
        while not self._fits(count):
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
    descriptor_limit = _read_descriptor_limit()
    if descriptor_limit is None:
        return ConnectionTable(limits.MAX_CONNECTIONS)
    reserved = max(limits.RESERVED_DESCRIPTORS, int(descriptor_limit * limits.RESERVED_DESCRIPTOR_SHARE))
    max_descriptors = max(1, min(limits.MAX_CONNECTIONS, descriptor_limit - reserved))
    is_scarce = descriptor_limit < 4 * limits.MAX_CONNECTIONS
    return ConnectionTable(max_descriptors, descriptor_limit=descriptor_limit if is_scarce else None)


def _read_descriptor_limit() -> int | None:
    """Return how many descriptors this process may have open; None if there is no limit."""
    import resource

    descriptor_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if descriptor_limit == resource.RLIM_INFINITY else descriptor_limit


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
