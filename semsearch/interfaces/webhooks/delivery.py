"""Deliver the messages that wait in the outbox, with retries. Many processes may do so: each message has a lease."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from ...core.errors import SemsearchError
from ...core.ports import Outbox
from ...core.types.answer_requests import Profile
from ...core.types.escalations import OutboxMessage, Webhook
from .attempts import TIMEOUT_SECONDS, Attempt

RETRY_DELAYS_SECONDS = (5.0, 30.0, 300.0, 1_800.0, 7_200.0)
"""Between one attempt and the next; the last one repeats."""

MAX_AGE_SECONDS = 86_400.0
"""After this a message is given up."""

LEASE_SECONDS = 3 * TIMEOUT_SECONDS
POLL_SECONDS = 1.0
BATCH_SIZE = 8
"""Messages that one process sends at the same time."""

_log = logging.getLogger("semsearch.webhooks")


class WebhookDelivery:
    """Sends messages to the webhooks of the profiles, by the name of the profile."""

    def __init__(
        self,
        outbox: Outbox,
        webhooks: Mapping[str, Webhook],
        *,
        clock: Callable[[], float] = time.time,
        has_log: bool = True,
    ) -> None:
        self._outbox = outbox
        self._webhooks = webhooks
        self._clock = clock
        self._has_log = has_log
        """False where the caller tells the user what came of it."""

    async def run(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Deliver what is due, until this task is cancelled."""
        while True:
            try:
                while len(await self.deliver_due()) == BATCH_SIZE:
                    pass
            except SemsearchError as exc:  # the ledger is locked, or its disk full
                _log.warning("escalations could not be sent, and are tried again: %s", exc)
            await asyncio.sleep(poll_seconds)

    async def deliver_due(self, message_id: str | None = None) -> list[Attempt]:
        """Try each message that is due once, or only the one of this id; return what came of it."""
        messages = await asyncio.to_thread(self._outbox.claim_messages, BATCH_SIZE, LEASE_SECONDS, message_id)
        return list(await asyncio.gather(*map(self._deliver, messages)))

    async def _deliver(self, message: OutboxMessage) -> Attempt:
        webhook = self._webhooks.get(message.profile)
        if webhook is None:
            attempt = Attempt("the profile has no webhook_url any more")
        else:
            from .client import send_message  # late: httpx takes long to load, and most services escalate nothing

            attempt = await send_message(message, webhook)
        await asyncio.to_thread(self._settle, message, attempt)
        return attempt

    def _settle(self, message: OutboxMessage, attempt: Attempt) -> None:
        if not attempt.error:
            self._outbox.delete_message(message.id)
            return
        delay = max(compute_delay(message.attempts), min(attempt.retry_after_seconds, RETRY_DELAYS_SECONDS[-1]))
        is_over = attempt.is_final or self._clock() + delay > message.created + MAX_AGE_SECONDS
        if is_over:
            self._outbox.give_up_message(message, attempt.error)
        else:
            self._outbox.postpone_message(message, delay, attempt.error)
        if self._has_log:
            self._log_failure(message, attempt, None if is_over else delay)

    def _log_failure(self, message: OutboxMessage, attempt: Attempt, delay: float | None) -> None:
        _log.warning(
            "attempt %d to send escalation %s of the profile %s failed: %s; %s",
            message.attempts,
            message.id,
            message.profile,
            attempt.error,
            "it is given up" if delay is None else f"tried again in {delay:g} seconds",
        )


def compute_delay(attempts: int) -> float:
    """Return the seconds to wait after this many attempts.

    >>> [compute_delay(attempts) for attempts in (1, 2, 9)]
    [5.0, 30.0, 7200.0]
    """
    return RETRY_DELAYS_SECONDS[min(attempts, len(RETRY_DELAYS_SECONDS)) - 1]


def make_delivery(outbox: Outbox, profiles: Mapping[str, Profile], *, has_log: bool = True) -> WebhookDelivery | None:
    """Return the delivery to the webhooks of these profiles; None if none has one."""
    webhooks = {name: profile.webhook for name, profile in profiles.items() if profile.webhook is not None}
    return WebhookDelivery(outbox, webhooks, has_log=has_log) if webhooks else None
