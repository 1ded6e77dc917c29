"""Delivery of messages to a real receiver: retries, duplicates, crashes, and several processes."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.billing import Clock
from support.webhook_receiver import SECRET, WebhookReceiver, run_receiver, write_secret

from semsearch.core.endpoints import Secret
from semsearch.core.types.answers import Answer
from semsearch.core.types.escalations import OutboxMessage, OutboxState, Webhook
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.interfaces.webhooks.attempts import Attempt
from semsearch.interfaces.webhooks.delivery import LEASE_SECONDS, MAX_AGE_SECONDS, WebhookDelivery
from semsearch.storage.ledger.local import outbox
from semsearch.storage.ledger.local.inspection import load_state, open_ledger
from semsearch.storage.ledger.local.ledger import LocalLedger


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A receiver on the loopback."""
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def open_ledger_again(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], LocalLedger]]:
    """A function that opens the ledger of this test, as another process would."""
    ledgers: list[LocalLedger] = []

    def open_again() -> LocalLedger:
        ledgers.append(LocalLedger(tmp_path / "indexes", clock=clock))
        return ledgers[-1]

    yield open_again
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(open_ledger_again: Callable[[], LocalLedger]) -> LocalLedger:
    """The ledger of this test."""
    return open_ledger_again()


def enqueue(ledger: LocalLedger, clock: Clock, number: int = 1) -> bool:
    """Record an answer with a message; return whether the message was queued."""
    answer = Answer(f"ans_{number}", "", False, "low_score", (), (), (), Usage(), "extractive", escalated=True)
    record = AnswerRecord(answer, "ann", "handbook", "How?", "How?", "1", clock())
    message = OutboxMessage(f"msg_{number}", "ann", "support", b'{"number":%d}' % number, clock())
    return ledger.record_answer(record, None, message)


def make_delivery(ledger: LocalLedger, clock: Clock, url: str, folder: Path) -> WebhookDelivery:
    """Return a delivery to this address."""
    webhook = Webhook(url, Secret(file=write_secret(folder)))
    return WebhookDelivery(ledger, {"support": webhook}, clock=clock)


def read_state(folder: Path) -> OutboxState:
    """Return the state of the queue as `doctor` sees it."""
    with open_ledger(folder / "indexes") as db:
        assert db is not None
        return load_state(db).outbox


def test_message_is_delivered_once(
    ledger: LocalLedger, clock: Clock, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """The receiver has verified its signature; after that nothing is due."""
    assert enqueue(ledger, clock)
    delivery = make_delivery(ledger, clock, receiver.url, tmp_path)
    assert asyncio.run(delivery.deliver_due()) == [Attempt()]
    clock.now += MAX_AGE_SECONDS
    assert asyncio.run(delivery.deliver_due()) == []
    assert [(message.id, message.body) for message in receiver.received] == [("msg_1", {"number": 1})]
    assert receiver.errors == []


def test_message_survives_a_crash_before_its_delivery(
    ledger: LocalLedger,
    open_ledger_again: Callable[[], LocalLedger],
    clock: Clock,
    receiver: WebhookReceiver,
    tmp_path: Path,
) -> None:
    """A process that dies while it sends keeps the message until its lease ends; the next one has the same id."""
    enqueue(ledger, clock)
    (claimed,) = ledger.claim_messages(8, LEASE_SECONDS)
    ledger.close()
    delivery = make_delivery(open_ledger_again(), clock, receiver.url, tmp_path)
    assert asyncio.run(delivery.deliver_due()) == []
    clock.now += LEASE_SECONDS
    assert asyncio.run(delivery.deliver_due()) == [Attempt()]
    assert [message.id for message in receiver.received] == [claimed.id]


def test_crash_after_the_delivery_repeats_the_id(
    ledger: LocalLedger, clock: Clock, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """At least once: a receiver recognises the duplicate by its id."""
    from semsearch.interfaces.webhooks.client import send_message

    enqueue(ledger, clock)
    (claimed,) = ledger.claim_messages(8, LEASE_SECONDS)
    webhook = Webhook(receiver.url, Secret(file=write_secret(tmp_path)))
    assert asyncio.run(send_message(claimed, webhook)) == Attempt()  # and the process dies before it notes this
    clock.now += LEASE_SECONDS
    asyncio.run(make_delivery(ledger, clock, receiver.url, tmp_path).deliver_due())
    assert [message.id for message in receiver.received] == ["msg_1", "msg_1"]


def test_failing_receiver_is_tried_again_until_it_accepts(
    ledger: LocalLedger, clock: Clock, receiver: WebhookReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After 5 and 30 seconds, and as late as the receiver asks; the log has each failure, without the address."""
    enqueue(ledger, clock)
    delivery = make_delivery(ledger, clock, receiver.url, tmp_path)
    receiver.replies = [(500, {}), (302, {"location": receiver.url}), (503, {"retry-after": "900"})]
    with caplog.at_level(logging.WARNING, "semsearch.webhooks"):
        for delay in (5.0, 30.0, 900.0):
            assert len(asyncio.run(delivery.deliver_due())) == 1
            clock.now += delay - 1
            assert asyncio.run(delivery.deliver_due()) == []
            clock.now += 1
        assert asyncio.run(delivery.deliver_due()) == [Attempt()]
    assert [message.id for message in receiver.received] == ["msg_1"] * 4
    assert "status 500; tried again in 5 seconds" in caplog.text
    assert "redirects are not followed" in caplog.text
    assert "127.0.0.1" not in caplog.text


@pytest.mark.slow
def test_receiver_that_is_down_fails_the_message_after_a_day(ledger: LocalLedger, clock: Clock, tmp_path: Path) -> None:
    """The queue keeps it as failed, which `doctor` reports; it is deleted with the answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    enqueue(ledger, clock)
    delivery = make_delivery(ledger, clock, url, tmp_path)
    started, attempts = clock.now, 0
    while (state := read_state(tmp_path)).pending:
        attempts += len(asyncio.run(delivery.deliver_due()))
        clock.now += 60
    assert (state.failed, attempts) == (1, 16)
    assert clock.now - started < MAX_AGE_SECONDS
    clock.now += 91 * 86_400
    enqueue(ledger, clock, 2)
    assert read_state(tmp_path) == OutboxState(1, 0, clock.now)


@pytest.mark.parametrize("secret", ["", "whsec_short", None])
def test_unusable_secret_is_a_failed_attempt(ledger: LocalLedger, clock: Clock, tmp_path: Path, secret: str) -> None:
    """Nothing is sent unsigned; the message waits until the file is corrected, without another start."""
    enqueue(ledger, clock)
    with run_receiver() as receiver:
        delivery = make_delivery(ledger, clock, receiver.url, tmp_path)
        path = tmp_path / "webhook.secret"
        path.unlink() if secret is None else path.write_text(secret)
        (attempt,) = asyncio.run(delivery.deliver_due())
        assert "secret" in attempt.error or "key file" in attempt.error
        assert str(tmp_path) not in attempt.error
        path.write_text(SECRET)
        clock.now += 5
        assert asyncio.run(delivery.deliver_due()) == [Attempt()]
        assert len(receiver.received) == 1


def test_gone_receiver_gets_no_further_attempt(
    ledger: LocalLedger, clock: Clock, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """410 ends the deliveries of a message, as the specification says."""
    enqueue(ledger, clock)
    receiver.replies = [(410, {})]
    asyncio.run(make_delivery(ledger, clock, receiver.url, tmp_path).deliver_due())
    assert read_state(tmp_path) == OutboxState(0, 1, None)


@pytest.mark.slow
def test_one_of_several_processes_gets_a_message(
    open_ledger_again: Callable[[], LocalLedger], clock: Clock, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Four deliveries share a queue of 40 messages; each message arrives once."""
    first = open_ledger_again()
    for number in range(40):
        enqueue(first, clock, number)
    write_secret(tmp_path)
    deliveries = [make_delivery(open_ledger_again(), clock, receiver.url, tmp_path) for _ in range(4)]

    def drain(delivery: WebhookDelivery) -> None:
        while asyncio.run(delivery.deliver_due()):
            pass

    threads = [threading.Thread(target=drain, args=(delivery,)) for delivery in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message.body["number"] for message in receiver.received) == list(range(40))


def test_late_failure_does_not_disturb_a_newer_attempt(ledger: LocalLedger, clock: Clock) -> None:
    """A process whose lease has ended no longer decides when the message is sent."""
    enqueue(ledger, clock)
    (old,) = ledger.claim_messages(8, LEASE_SECONDS)
    clock.now += LEASE_SECONDS
    (new,) = ledger.claim_messages(8, LEASE_SECONDS)
    assert new == replace(old, attempts=2)
    ledger.give_up_message(old, "late")
    ledger.postpone_message(old, 0.0, "late")
    assert ledger.claim_messages(8, LEASE_SECONDS) == []
    clock.now += LEASE_SECONDS
    assert [message.attempts for message in ledger.claim_messages(8, LEASE_SECONDS)] == [3]


def test_queue_is_bounded(ledger: LocalLedger, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a message that does not fit is recorded all the same."""
    monkeypatch.setattr(outbox, "MAX_PENDING", 2)
    assert [enqueue(ledger, clock, number) for number in range(3)] == [True, True, False]
    assert ledger.get_answer("ann", "ans_2") is not None
    assert read_state(tmp_path).pending == 2
