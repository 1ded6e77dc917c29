"""How fast a request body arrives, and what room it takes: its deadline, its rate, and its share of a pool of bytes."""

import asyncio
from dataclasses import dataclass, field

from ...core.errors import TooLargeError, UnavailableError
from . import limits

_NO_ROOM = "too many large requests are arriving or being processed"


class BodyTimeoutError(Exception):
    """A body arrives too slowly. The message may be shown to the client."""


@dataclass(slots=True)
class BodyPool:
    """Bytes that request bodies may take together, from their announcement to the end of their responses."""

    max_bytes: int
    reserve_bytes: int = 0
    """Kept for small bodies."""
    used_bytes: int = 0
    arriving: "set[Upload]" = field(default_factory=set)

    def take(self, count: int, upload: "Upload", *, is_small: bool) -> None:
        """Take bytes for `upload`; cut slow others off if there is no room. UnavailableError if none is slow."""
        max_bytes = self.max_bytes if is_small else self.max_bytes - self.reserve_bytes
        while self.used_bytes + count > max_bytes:
            if not self._cut_slowest(upload):
                raise UnavailableError(f"{_NO_ROOM}; try again later")
        self.used_bytes += count

    def _cut_slowest(self, excluded: "Upload") -> bool:
        """Cut the slowest upload off, and release its bytes; False if none is slow."""
        now = asyncio.get_running_loop().time()
        slowest = min(self.arriving - {excluded}, key=lambda upload: upload.get_rate(now), default=None)
        if slowest is None or slowest.get_rate(now) >= limits.SLOW_BYTES_PER_SECOND:
            return False
        slowest.cut_off()
        return True


class Upload:
    """A body that arrives, of at most `max_size` bytes. Times are those of the event loop, in seconds."""

    __slots__ = (
        "_is_cut_off", "_max_size", "_period_bytes", "_period_started", "_pool", "_received_bytes", "_reserved_bytes",
        "_started", "_timeout",
    )  # fmt: skip

    def __init__(self, pool: BodyPool, now: float, max_size: int) -> None:
        self._pool = pool
        self._max_size = max_size
        self._reserved_bytes = 0
        self._received_bytes = 0
        self._started = self._period_started = now
        self._period_bytes = 0
        self._timeout: asyncio.Timeout | None = None
        self._is_cut_off = False

    def reserve(self, size: int) -> None:
        """Reserve room for `size` bytes in total. UnavailableError if there is not as much."""
        if size > self._reserved_bytes:
            self._pool.take(size - self._reserved_bytes, self, is_small=size <= limits.DEFAULT_MAX_BODY_BYTES)
            self._reserved_bytes = size

    def start(self, timeout: asyncio.Timeout) -> None:
        """Note that the body is being received, until `timeout` ends that."""
        self._timeout = timeout
        self._pool.arriving.add(self)

    def add_part(self, size: int, now: float) -> None:
        """Count bytes that have arrived. TooLargeError if there are too many, UnavailableError if there is no room."""
        self._received_bytes += size
        if self._received_bytes > self._max_size:
            raise TooLargeError(f"the body has more than {self._max_size:,} bytes, the limit of this route")
        self.reserve(self._received_bytes)  # a body of unknown length
        self._period_bytes += size
        if self._period_bytes >= limits.MIN_BODY_BYTES_PER_SECOND * limits.BODY_TIMEOUT_SECONDS:
            self._period_started, self._period_bytes = now, 0

    def get_deadline(self) -> float:
        """Return the time at which too little will have arrived, or all must have."""
        period_end, end = self._period_started + limits.BODY_TIMEOUT_SECONDS, self._started + limits.MAX_BODY_SECONDS
        return period_end if period_end < end else end

    def get_rate(self, now: float) -> float:
        """Return the recent rate, in bytes per second."""
        return estimate_rate(self._period_bytes, now - self._period_started)

    def finish(self) -> None:
        """Note that the body is complete; its room stays reserved."""
        self._pool.arriving.discard(self)

    def release(self) -> None:
        """Give the room back."""
        self._pool.arriving.discard(self)
        self._pool.used_bytes -= self._reserved_bytes
        self._reserved_bytes = 0

    def cut_off(self) -> None:
        """End the upload in favour of another, and give its room back now."""
        self.release()
        self._is_cut_off = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0.0)

    def make_error(self) -> Exception:
        """Return why its timeout ended it."""
        if self._is_cut_off:
            return UnavailableError(f"{_NO_ROOM}, and this one arrived slowly; try again later")
        return BodyTimeoutError(
            f"the body did not arrive in {limits.MAX_BODY_SECONDS:g} seconds, or slower than"
            f" {limits.MIN_BODY_BYTES_PER_SECOND:,} bytes per second; send the request again"
        )


def estimate_rate(byte_count: int, seconds: float) -> float:
    """Return the rate of a client in bytes per second, too high at first: its first two seconds do not count."""
    return (byte_count + 2 * limits.SLOW_BYTES_PER_SECOND) / max(seconds, 0.001)
