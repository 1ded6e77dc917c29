"""Responses that are kept for repeated requests: reservations, ownership, expiry and bounds."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from support.billing import Clock

from semsearch.core.errors import ConflictError, InvalidError
from semsearch.core.types.answers import Answer
from semsearch.core.types.kept_responses import KeptResponse
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local import kept_responses
from semsearch.storage.ledger.local.ledger import LocalLedger

RESPONSE = KeptResponse(201, ((b"content-type", b"application/json"), (b"x-y", b"\xe9")), b'{"a": 1}\x00')
SECONDS = 300.0


def reserve(ledger: LocalLedger, key: str = "k", owner: str = "ann", request: str = "r") -> int | KeptResponse:
    """Reserve the response of a request."""
    return ledger.reserve_response(owner, key.encode(), request.encode(), seconds=SECONDS)


def keep(ledger: LocalLedger, key: str, response: KeptResponse = RESPONSE, owner: str = "ann") -> None:
    """Run a request to its end."""
    reserved = reserve(ledger, key, owner)
    assert isinstance(reserved, int)
    ledger.keep_response(reserved, response)


def test_response_is_kept_byte_for_byte(ledger: LocalLedger, new_ledger: Callable[[], LocalLedger]) -> None:
    """Another process reads it too."""
    keep(ledger, "k")
    assert reserve(new_ledger()) == RESPONSE


def test_running_request_conflicts_until_its_reservation_expires(ledger: LocalLedger, clock: Clock) -> None:
    """Its process may have died. If it has not, its late response does not replace that of the second request."""
    first = reserve(ledger)
    assert isinstance(first, int)
    clock.now += SECONDS - 1
    with pytest.raises(ConflictError):
        reserve(ledger)
    clock.now += 1
    second = reserve(ledger)
    assert isinstance(second, int)
    ledger.keep_response(first, KeptResponse(200, (), b"late"))
    ledger.cancel_reservation(first)
    with pytest.raises(ConflictError):
        reserve(ledger)
    ledger.keep_response(second, RESPONSE)
    assert reserve(ledger) == RESPONSE


def test_another_request_with_the_key_is_refused(ledger: LocalLedger) -> None:
    """While the first one runs, and after its end."""
    reserved = reserve(ledger)
    assert isinstance(reserved, int)
    with pytest.raises(InvalidError, match="Idempotency-Key"):
        reserve(ledger, request="other")
    ledger.keep_response(reserved, RESPONSE)
    with pytest.raises(InvalidError, match="Idempotency-Key"):
        reserve(ledger, request="other")


def test_keys_of_owners_are_independent(ledger: LocalLedger) -> None:
    """Another owner neither gets the response nor notices the key."""
    keep(ledger, "k")
    assert isinstance(reserve(ledger, owner="bob", request="other"), int)
    assert reserve(ledger) == RESPONSE


def test_cancelled_reservation_frees_the_key(ledger: LocalLedger) -> None:
    """A kept response is not cancelled."""
    reserved = reserve(ledger)
    assert isinstance(reserved, int)
    ledger.cancel_reservation(reserved)
    second = reserve(ledger, request="other")
    assert isinstance(second, int)
    ledger.keep_response(second, RESPONSE)
    ledger.cancel_reservation(second)
    assert reserve(ledger, request="other") == RESPONSE


def test_response_is_kept_for_a_day(ledger: LocalLedger, clock: Clock) -> None:
    """Then the key may be used again."""
    keep(ledger, "k")
    clock.now += kept_responses.KEPT_SECONDS - 1
    assert reserve(ledger) == RESPONSE
    clock.now += 1
    assert isinstance(reserve(ledger, request="other"), int)


def test_expired_response_is_deleted_without_further_requests(ledger: LocalLedger, clock: Clock) -> None:
    """It may hold text of documents: the next recorded answer deletes it."""
    keep(ledger, "k")
    clock.now += kept_responses.KEPT_SECONDS
    answer = Answer("ans_1", "Yes.", True, None, (), (), (), Usage(), "m")
    ledger.record_answer(AnswerRecord(answer, "ann", "hb", "why?", "why?", "1", clock.now), None)
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT count(*) FROM kept_response").fetchone() == (0,)


@pytest.mark.parametrize(("name", "value"), [("MAX_RESPONSES_PER_OWNER", 3), ("MAX_BYTES_PER_OWNER", 30)])
def test_oldest_responses_of_an_owner_are_deleted(
    ledger: LocalLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    """Those of others stay, and so does a request that runs."""
    monkeypatch.setattr(kept_responses, name, value)
    response = KeptResponse(200, (), b"0123456789")
    keep(ledger, "k", response, owner="bob")
    for number in range(5):
        clock.now += 1
        keep(ledger, str(number), response)
    assert [isinstance(reserve(ledger, str(number)), KeptResponse) for number in (4, 3, 2)] == [True] * 3
    assert isinstance(reserve(ledger, "1"), int)
    assert reserve(ledger, "k", owner="bob") == response
