"""Send the escalation of the answer that `ask` has printed, once; a service tries again."""

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from ...core.types.answers import Answer, AnswerEvent
from . import output

if TYPE_CHECKING:
    from ...collection import Collection
    from ...core.settings import Settings


class EscalationWatch:
    """Passes on the events of an answer, and notes whether it was escalated."""

    def __init__(self) -> None:
        self._escalated_id: str | None = None

    def watch(self, events: Iterable[AnswerEvent]) -> Generator[AnswerEvent, None, None]:
        """Yield the events unchanged."""
        for event in events:
            if isinstance(event, Answer) and event.escalated:
                self._escalated_id = event.id
            yield event

    def deliver(self, collection: "Collection", settings: "Settings") -> None:
        """Try to deliver the escalation, if there is one and its profile has a webhook; print why it fails."""
        if self._escalated_id is None:
            return
        from ...answers.escalation import make_message_id
        from ..webhooks.delivery import make_delivery

        delivery = make_delivery(collection.backends.ledger, settings.profiles, has_log=False)
        if delivery is None:
            return
        attempts = collection.backends.loop.wait(delivery.deliver_due(make_message_id(self._escalated_id)))
        for error in filter(None, (attempt.error for attempt in attempts)):
            output.print_err(f"semsearch: the escalation was not delivered: {error}; semsearch serve tries it again")
