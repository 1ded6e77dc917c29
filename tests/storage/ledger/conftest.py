"""Fixtures: a ledger in a temporary folder, with a clock that the test sets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.billing import Clock

from semsearch.storage.ledger.local.ledger import LocalLedger

NewLedger = Callable[[], LocalLedger]


@pytest.fixture
def clock() -> Clock:
    """A clock at the start of a day."""
    return Clock()


@pytest.fixture
def new_ledger(tmp_path: Path, clock: Clock) -> Iterator[NewLedger]:
    """A function that opens the ledger of this test again, as another process would."""
    opened: list[LocalLedger] = []

    def open_ledger() -> LocalLedger:
        opened.append(LocalLedger(tmp_path / "indexes", clock=clock))
        return opened[-1]

    yield open_ledger
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(new_ledger: NewLedger) -> LocalLedger:
    """A ledger that does not exist yet."""
    return new_ledger()
