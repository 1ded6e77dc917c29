"""Property test of the ledger: random histories give the same totals as a reference ledger in plain Python."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
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

pytestmark = pytest.mark.slow

OWNERS = ("ann", "bob")
TOKENS = st.integers(0, 40)
COSTS = st.integers(0, 10**6)
LIMITS = st.builds(
    BudgetLimits,
    day_tokens=st.none() | st.integers(20, 120),
    day_usd=st.none() | st.integers(0, 3000).map(lambda micros: micros / 1e6),
    month_tokens=st.none() | st.integers(50, 300),
    month_usd=st.none() | st.integers(0, 9000).map(lambda micros: micros / 1e6),
)


class LedgerMachine(RuleBasedStateMachine):
    """Requests are reserved and settled in time, late, twice or never, while days and months pass."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.now += 6 * DAY  # the month ends in two days
        self.ledger = LocalLedger(Path(self.folder.name), clock=self.clock)
        self.reference = ReferenceLedger()

    def teardown(self) -> None:
        """Let every reservation expire: then nothing is reserved."""
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
        expected=TOKENS,
        margin=TOKENS,
        output=TOKENS,
        costs=st.tuples(COSTS, COSTS).map(sorted),
        seconds=st.sampled_from([1.0, 60.0, 7200.0]),
        total_limits=LIMITS,
        owner_limits=LIMITS,
    )
    def reserve(
        self,
        owner: str,
        expected: int,
        margin: int,
        output: int,
        costs: list[int],
        seconds: float,
        total_limits: BudgetLimits,
        owner_limits: BudgetLimits,
    ) -> object:
        """The reservation is made, waits or fails just as in the reference ledger."""
        requested = make_reservation(
            self.clock,
            owner,
            expected=expected,
            upper_bound=expected + margin,
            max_output_tokens=output,
            nanousd=(costs[0], costs[1]),
            lifetime_seconds=seconds,
        )
        limits: Mapping[str, BudgetLimits] = {"": total_limits, owner: owner_limits}
        self.reference.expire(self.clock.now)
        verdict = self.reference.verdict(requested, limits)
        try:
            reservation = self.ledger.reserve(requested, limits)
        except BudgetError:
            assert verdict == "over"
            return multiple()
        if reservation is None:
            assert verdict == "wait"
            return multiple()
        assert verdict == "fits"
        self.reference.entries[reservation] = LedgerEntry(
            owner,
            to_utc_date(requested.created_at),
            requested.expires_at,
            (expected + margin + output, costs[1]),
            (expected, costs[0]),
        )
        return reservation

    @rule(reservation=reservations, inputs=TOKENS, outputs=TOKENS, cost=COSTS)
    def settle(self, reservation: int, inputs: int, outputs: int, cost: int) -> None:
        """Settle in time, after the expiry, or for a second time."""
        self.reference.expire(self.clock.now)
        self.ledger.settle(reservation, make_settled_usage(inputs, outputs, cost))
        self.reference.settle(reservation, inputs + outputs, cost)

    @rule(seconds=st.sampled_from([1.0, 59.0, 3600.0, 8 * 3600.0, DAY]))
    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.now += seconds

    @rule()
    def reopen(self) -> None:
        """Close the ledger and open it again."""
        self.ledger.close()
        self.ledger = LocalLedger(Path(self.folder.name), clock=self.clock)

    @invariant()
    def totals_agree(self) -> None:
        """Spend and usage of all owners and of each, today, this month and by day, are those of the reference."""
        self.reference.expire(self.clock.now)
        for owner in ("", *OWNERS):
            for period, (tokens, usd) in self.ledger.spent_amounts(owner).items():
                assert tokens == self.reference.spend(owner, period, 0)
                assert round(usd * 1e9) == self.reference.spend(owner, period, 1)
            for row in self.ledger.usage("day", owner or None):
                assert row.input_tokens + row.output_tokens == self.reference.spend(owner, row.name, 0)
                assert row.cost_usd is not None
                assert round(row.cost_usd * 1e9) == self.reference.spend(owner, row.name, 1)

    @invariant()
    def stored_totals_are_the_sums_of_the_rows(self) -> None:
        """They are exact to the token and the billionth of a dollar."""
        if self.ledger.path.exists():
            assert read_totals(self.ledger.path) == sum_rows(self.ledger.path)


TestLedger = LedgerMachine.TestCase
TestLedger.__doc__ = "The ledger stays exact after every history."
TestLedger.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
