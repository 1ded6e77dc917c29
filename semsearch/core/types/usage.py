"""Who asks, what for, and what it costs: the nouns of the bill. Counts and stores nothing by itself.

A *caller* sends an *errand*; each request that it makes to a model server is an *order*, reserved before it is sent and
settled with a *receipt*. All that one errand has cost adds up in its *tally*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Purpose = Literal["ingest", "query", "answer", "condense", "repair"]
RequestKind = Literal["embedding", "chat"]
UsageGroupBy = Literal["day", "key", "model", "collection", "purpose"]

ALL_OWNERS = ""
"""Stands for all owners together in budgets and totals."""

NANOUSD_PER_USD = 1_000_000_000
"""Costs are whole billionths of a US dollar, so that their sums are exact."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may see: None means all collections; the filter is ANDed to every look at documents."""

    owner: str
    collections: frozenset[str] | None = None
    filter: Mapping[str, Any] | None = None
    key: str | None = None
    """Id of the access key; the owner stays the same when a key is rotated."""


LOCAL_CALLER = Caller("local")
"""The person at this machine."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that model servers were asked to process. Cost is None where a price is not known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = 0.0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; the cost is known only if both costs are."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.embedding_tokens + other.embedding_tokens,
            self.cached_tokens + other.cached_tokens,
            round((self.cost_usd or 0) + (other.cost_usd or 0), 12) if known else None,
            self.estimated or other.estimated,
        )


@dataclass(slots=True)
class UsageCounter:
    """What an errand has cost so far, counted as its requests are settled."""

    usage: Usage = field(default_factory=Usage)
    requests: int = 0

    def add(self, usage: Usage) -> None:
        """Count one more request."""
        self.usage += usage
        self.requests += 1


@dataclass(frozen=True, slots=True)
class RequestContext:
    """On whose behalf model servers are called, what for, and until when."""

    purpose: Purpose
    owner: str = LOCAL_CALLER.owner
    key: str | None = None
    collection: str | None = None
    session: str | None = None
    deadline: float | None = None
    """In the seconds of `time.monotonic()`; None leaves it to the client."""
    usage_counter: UsageCounter = field(default_factory=UsageCounter)

    def with_purpose(self, purpose: Purpose) -> "RequestContext":
        """The same errand with another step of it in hand; both count in one tally."""
        return replace(self, purpose=purpose)


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Tokens that a model will count: the likeliest number, and one that it cannot exceed."""

    expected: int
    upper_bound: int

    def __add__(self, other: "TokenEstimate") -> "TokenEstimate":
        """Both together."""
        return TokenEstimate(self.expected + other.expected, self.upper_bound + other.upper_bound)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model server, before it is sent."""

    kind: RequestKind
    endpoint: str
    """Base URL of the server."""
    model: str
    texts: Sequence[str] = field(repr=False)
    """What the model will count: the inputs, or the contents of the messages."""
    max_output_tokens: int = 0
    attempt: int = 0
    """0 for the first try."""
    is_batch: bool = False
    """Whether it goes through the Batch API, at half the price."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a server last said of its limits; None where it said nothing."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: str | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: str | None = None


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """How one request ended, and what the server counted: None where it did not say, and so it must be estimated."""

    status: str
    """"ok", or in a word why not: "429", "deadline", "broken off", "cancelled", ..."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    output_characters: int = 0
    """Characters of the answer that had come, for an estimate."""
    seconds: float = 0.0
    rate_limits: RateLimits | None = None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What an order may come to, in tokens and in billionths of a dollar; None where no price is known."""

    tokens: TokenEstimate
    expected_nanousd: int | None
    max_nanousd: int | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """One row of the ledger while the request is under way."""

    context: RequestContext
    request: ModelRequest
    estimate: CostEstimate
    created_at: float
    """Seconds since 1970."""
    expires_at: float
    """From then on nobody waits for the reply any more, and the likely cost is booked as an estimate."""


@dataclass(frozen=True, slots=True)
class SettledUsage:
    """What is booked when the request has ended."""

    status: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_nanousd: int | None
    estimated: bool
    seconds: float = 0.0
    rate_limits: RateLimits | None = None
    tokenizer_sample: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What it taught of the model's tokenizer: characters and tokens, by script."""


@dataclass(frozen=True, slots=True)
class IngestEstimate:
    """What an ingestion would ask of its embedder. Texts and requests are exact, tokens have a range."""

    texts: int
    """That are not known yet, each counted once."""
    requests: int
    tokens: TokenEstimate
    usd: float | None
    """Likely cost; None where the price is not known."""
    max_usd: float | None
    seconds: float | None
    """By the speed of earlier requests; None where there were none."""


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """A batch that a server works on, at half the price and in its own time."""

    id: str
    """Its own name for it until the server has given one: then the server's."""
    space: str
    owner: str
    collection: str
    reservation: int
    """What is held for it in the ledger."""
    keys: Sequence[str]
    """Of its texts, each a request of its own."""
    created: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What was spent under one day, key, model, collection or purpose."""

    name: str
    requests: int
    retries: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None
    """None where some price is not known."""
    estimated_requests: int


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Most that may be spent in a day or a month (UTC); None is no limit."""

    day_tokens: int | None = None
    day_usd: float | None = None
    month_tokens: int | None = None
    month_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for everyone together, and for each owner of keys by themselves; embeddings count in."""

    total: BudgetLimits = field(default_factory=BudgetLimits)
    per_owner: BudgetLimits = field(default_factory=BudgetLimits)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One limit that is set, and how much of it is spent."""

    name: str
    """Of the setting: budget.day_usd."""
    period: str
    """The day or month that it counts for."""
    spent: float
    """Tokens, or US dollars, whichever the limit is in."""
    limit: float


@dataclass(frozen=True, slots=True)
class ModelRateLimits:
    """What a server last said of its limits for one model."""

    endpoint: str
    model: str
    rate_limits: RateLimits


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What was spent, what may still be, and what servers would let through."""

    by: UsageGroupBy
    rows: list[UsageRow]
    budget: list[BudgetStatus]
    rate_limits: list[ModelRateLimits]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, from a day on."""

    model: str
    since: str
    """An ISO date."""
    input: float
    output: float = 0.0
    cached: float | None = None
    """None: as other input."""
