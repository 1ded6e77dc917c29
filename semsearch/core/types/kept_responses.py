"""The type of a response that is kept, so that a repeated request gets it again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A complete HTTP response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
