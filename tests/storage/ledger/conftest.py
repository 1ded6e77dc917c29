"""A ledger in a folder of its own, under a clock that stands still until it is told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.billing import Clock

from semsearch.storage.ledger.local.ledger import LocalLedger

NewLedger = Callable[[], LocalLedger]


@pytest.fixture
def clock() -> Clock:
    """A clock at the beginning of a day."""
    return Clock()


@pytest.fixture
def new_ledger(tmp_path: Path, clock: Clock) -> Iterator[NewLedger]:
    """Opens the one ledger of this test, as often as it is called."""
    opened: list[LocalLedger] = []

    def open_it() -> LocalLedger:
        opened.append(LocalLedger(tmp_path / "indexes", clock=clock))
        return opened[-1]

    yield open_it
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(new_ledger: NewLedger) -> LocalLedger:
    """A ledger that does not exist yet."""
    return new_ledger()
