"""Types of escalations: where they are sent, the messages that wait for delivery, and topics that are not answered."""

from dataclasses import dataclass, field
from pathlib import Path

from ..endpoints import Secret


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of Standard Webhooks, and the secret that signs what is sent to it."""

    url: str = field(repr=False)
    """May contain a token, so it is in no log and no database."""
    secret: Secret
    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ForbiddenTopic:
    """A topic that a profile does not answer."""

    description: str
    """Short, such as `legal advice`."""
    examples: tuple[str, ...] = ()
    """Phrases and questions that belong to it."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message that waits for its delivery to the webhook of a profile."""

    id: str
    """The `webhook-id`; equal in all attempts."""
    owner: str
    profile: str
    body: bytes
    """JSON in UTF-8."""
    created: float
    """Seconds since 1970."""
    attempts: int = 0
    """Attempts so far, with the one in progress."""


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What waits for delivery, and what was given up."""

    pending: int = 0
    failed: int = 0
    oldest_pending: float | None = None
    """Creation time of the oldest message that waits, in seconds since 1970."""
