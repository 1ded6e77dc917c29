"""Check the escalations that wait for their delivery to a webhook, and those that were given up."""

from ...core.short_repr import count
from ...core.types.diagnostics import Finding
from ...core.types.escalations import OutboxState
from .databases import format_seconds

MAX_WAIT_SECONDS = 3_600.0
"""A message that waits longer than this has failed several times."""

_REMEDY = "look for 'to send escalation' in the log of the service, and check webhook_url and its secret"


def check_escalations(outbox: OutboxState, now: float) -> list[Finding]:
    """Warn of escalations that did not reach the support desk; nothing is found where none was queued."""
    findings = []
    if outbox.failed:
        what = f"{count(outbox.failed, 'escalation')} given up: no attempt of a whole day was accepted"
        findings.append(Finding("warning", "escalations", what, "nobody took these questions over", _REMEDY))
    if outbox.oldest_pending is not None and now - outbox.oldest_pending > MAX_WAIT_SECONDS:
        wait = format_seconds(now - outbox.oldest_pending)
        what = f"{count(outbox.pending, 'escalation')} in the queue, the oldest for {wait}"
        why = "the receiver fails, or no semsearch serve runs on this data directory"
        findings.append(Finding("warning", "escalations", what, why, _REMEDY))
    return findings
