"""The interface of the queue of messages that wait for delivery to a webhook."""

from __future__ import annotations

from typing import Protocol

from ..types.escalations import OutboxMessage


class Outbox(Protocol):
    """Messages that are delivered at least once. `Ledger.record_answer` adds them."""

    def claim_messages(self, limit: int, lease_seconds: float, message_id: str | None = None) -> list[OutboxMessage]:
        """Return up to `limit` messages that are due, oldest first, and count an attempt of each.

        Nobody else gets them for `lease_seconds`. With `message_id` only this one.
        """

    def delete_message(self, message_id: str) -> None:
        """Delete a message that was delivered."""

    def postpone_message(self, message: OutboxMessage, delay_seconds: float, error: str) -> None:
        """Make a message due again after a delay; without effect if somebody else has claimed it since."""

    def give_up_message(self, message: OutboxMessage, error: str) -> None:
        """Mark a message as failed: it is not sent again; without effect if somebody else has claimed it since."""
