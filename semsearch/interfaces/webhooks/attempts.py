"""What comes of one attempt to send a message."""

from dataclasses import dataclass

TIMEOUT_SECONDS = 10.0
"""For one attempt, from the connection to the status of the response."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt."""

    error: str = ""
    """Why it failed, without the address and the secret; empty if the message was delivered."""
    is_final: bool = False
    """Whether the receiver wants no further attempt."""
    retry_after_seconds: float = 0.0
    """How long the receiver asks to wait."""
