"""The ledger against a bill added up in plain Python, over random histories: to the token and the billionth."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from support.billing import (
    DAY,
    Clock,
    LedgerEntry,
    ReferenceLedger,
    make_reservation,
    make_settled_usage,
    read_totals,
    sum_rows,
    to_utc_date,
)

from semsearch.core.errors import BudgetError
from semsearch.core.types.usage import BudgetLimits
from semsearch.storage.ledger.local.ledger import LocalLedger

OWNERS = ("ann", "bob")
TOKENS = st.integers(0, 40)
NANO = st.integers(0, 10**6)
LIMITS = st.builds(
    BudgetLimits,
    day_tokens=st.none() | st.integers(20, 120),
    day_usd=st.none() | st.integers(0, 3000).map(lambda micros: micros / 1e6),
    month_tokens=st.none() | st.integers(50, 300),
    month_usd=st.none() | st.integers(0, 9000).map(lambda micros: micros / 1e6),
)


class Histories(RuleBasedStateMachine):
    """Requests are reserved, settled in time, late, twice or never, while days and months pass."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.now += 6 * DAY  # the month ends in two days
        self.ledger = LocalLedger(Path(self.folder.name), clock=self.clock)
        self.plain = ReferenceLedger()

    def teardown(self) -> None:
        """Let every hold run out: what is held returns to nothing."""
        self.clock.now += DAY
        last = self.ledger.reserve(make_reservation(self.clock, upper_bound=0, expected=0, nanousd=(0, 0)), {})
        assert last is not None
        self.ledger.settle(last, make_settled_usage(0))
        if self.ledger.path.exists():
            totals = read_totals(self.ledger.path)
            assert all(sums[2:] == (0, 0) for sums in totals.values())
            assert totals == sum_rows(self.ledger.path)
        self.ledger.close()
        self.folder.cleanup()

    @rule(
        target=reservations,
        owner=st.sampled_from(OWNERS),
        likely=TOKENS,
        more=TOKENS,
        output=TOKENS,
        nano=st.tuples(NANO, NANO).map(sorted),
        seconds=st.sampled_from([1.0, 60.0, 7200.0]),
        overall=LIMITS,
        own=LIMITS,
    )
    def reserve(
        self,
        owner: str,
        likely: int,
        more: int,
        output: int,
        nano: list[int],
        seconds: float,
        overall: BudgetLimits,
        own: BudgetLimits,
    ) -> object:
        """Granted, made to wait or refused just as the plain bill would."""
        wanted = make_reservation(
            self.clock,
            owner,
            expected=likely,
            upper_bound=likely + more,
            max_output_tokens=output,
            nanousd=(nano[0], nano[1]),
            lifetime_seconds=seconds,
        )
        limits: Mapping[str, BudgetLimits] = {"": overall, owner: own}
        self.plain.expire(self.clock.now)
        verdict = self.plain.verdict(wanted, limits)
        try:
            reservation = self.ledger.reserve(wanted, limits)
        except BudgetError:
            assert verdict == "over"
            return multiple()
        if reservation is None:
            assert verdict == "wait"
            return multiple()
        assert verdict == "fits"
        self.plain.entries[reservation] = LedgerEntry(
            owner,
            to_utc_date(wanted.created_at),
            wanted.expires_at,
            (likely + more + output, nano[1]),
            (likely, nano[0]),
        )
        return reservation

    @rule(reservation=reservations, inputs=TOKENS, outputs=TOKENS, nano=NANO)
    def settle(self, reservation: int, inputs: int, outputs: int, nano: int) -> None:
        """In time, after its expiry, or for a second time."""
        self.plain.expire(self.clock.now)
        self.ledger.settle(reservation, make_settled_usage(inputs, outputs, nano))
        self.plain.settle(reservation, inputs + outputs, nano)

    @rule(seconds=st.sampled_from([1.0, 59.0, 3600.0, 8 * 3600.0, DAY]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @rule()
    def reopen(self) -> None:
        """Another process goes on."""
        self.ledger.close()
        self.ledger = LocalLedger(Path(self.folder.name), clock=self.clock)

    @invariant()
    def the_sums_agree(self) -> None:
        """Of everyone and of each owner, today and this month, and by day."""
        self.plain.expire(self.clock.now)
        for owner in ("", *OWNERS):
            for period, (tokens, usd) in self.ledger.spend(owner).items():
                assert tokens == self.plain.spend(owner, period, 0)
                assert round(usd * 1e9) == self.plain.spend(owner, period, 1)
            for row in self.ledger.usage("day", owner or None):
                assert row.input_tokens + row.output_tokens == self.plain.spend(owner, row.name, 0)
                assert row.cost_usd is not None
                assert round(row.cost_usd * 1e9) == self.plain.spend(owner, row.name, 1)

    @invariant()
    def what_stands_beside_the_rows_is_their_sum(self) -> None:
        """The rollups are never out by a token or a billionth."""
        if self.ledger.path.exists():
            assert read_totals(self.ledger.path) == sum_rows(self.ledger.path)


TestHistories = Histories.TestCase
TestHistories.__doc__ = "Every history that is tried keeps the bill exact."
TestHistories.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
