"""The interface of what keeps responses for repeated requests."""

from __future__ import annotations

from typing import Protocol

from ..types.kept_responses import KeptResponse


class KeptResponses(Protocol):
    """Responses by owner and idempotency key, each for a day."""

    def reserve_response(
        self, owner: str, key_hash: bytes, fingerprint: bytes, *, seconds: float
    ) -> int | KeptResponse:
        """Note durably that a request runs, and return the id of its reservation; or return its response if it has one.

        `fingerprint` is equal for equal requests. ConflictError if the request still runs, unless its reservation is
        older than `seconds`; InvalidError if another request has used the key.
        """

    def keep_response(self, reservation_id: int, response: KeptResponse) -> None:
        """Store the response of a request; without effect if its reservation has expired and was replaced."""

    def cancel_reservation(self, reservation_id: int) -> None:
        """Delete a reservation, so that the request may be sent again."""
