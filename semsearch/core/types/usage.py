"""Types of model requests, costs and budgets.

An operation of a caller has one *request context*. Each *model request* in it is covered by a *reservation* before it
is sent and becomes *settled usage* afterwards. The context's *usage counter* adds up the cost of the whole operation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..short_repr import format_fields
from ..tracing import Trace, get_current_trace

Purpose = Literal["ingest", "query", "answer", "condense", "repair", "check", "train"]
RequestKind = Literal["embedding", "chat", "training"]
UploadPurpose = Literal["batch", "fine-tune"]
UsageGroupBy = Literal["day", "key", "model", "collection", "purpose", "day,model"]

ALL_OWNERS = ""
"""Stands for all owners together in budgets and totals."""

KEY_OWNER_PREFIX = "\x1f"
"""Begins the name that stands for one access key in budgets and totals; no name of an owner contains it."""

NANOUSD_PER_USD = 1_000_000_000
"""Costs are whole billionths of a US dollar, so that their sums are exact."""


LOCAL_OWNER = "local"
"""The owner of what the command line and the Python API do."""


def key_owner(key_id: str) -> str:
    """Return the name that stands for an access key in budgets and totals."""
    return KEY_OWNER_PREFIX + key_id


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that model servers processed. The cost is None if a price is unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = 0.0
    estimated: bool = False

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum; its cost is known only if both costs are known."""
        is_cost_known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.embedding_tokens + other.embedding_tokens,
            self.cached_tokens + other.cached_tokens,
            round((self.cost_usd or 0) + (other.cost_usd or 0), 12) if is_cost_known else None,
            self.estimated or other.estimated,
        )


@dataclass(slots=True)
class UsageCounter:
    """Usage of one operation so far; grows as its model requests are settled."""

    usage: Usage = field(default_factory=Usage)
    requests: int = 0

    def add(self, usage: Usage) -> None:
        """Add the usage of one request."""
        self.usage += usage
        self.requests += 1


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Limits on spending per day or month (UTC); None is no limit."""

    day_tokens: int | None = None
    day_usd: float | None = None
    month_tokens: int | None = None
    month_usd: float | None = None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Owner, purpose and deadline of an operation that calls model servers."""

    purpose: Purpose
    owner: str = LOCAL_OWNER
    key: str | None = None
    collection: str | None = None
    session: str | None = None
    deadline: float | None = None
    """In seconds of `time.monotonic()`; None means the timeout of the client."""
    key_budget: BudgetLimits | None = None
    """Of the access key, beside the budgets of the owner and of all owners."""
    usage_counter: UsageCounter = field(default_factory=UsageCounter)
    trace: Trace | None = field(default_factory=get_current_trace)
    """Of the HTTP request that the operation belongs to."""

    def with_purpose(self, purpose: Purpose) -> "RequestContext":
        """Return the same context with another purpose; both share one usage counter."""
        return replace(self, purpose=purpose)


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Estimate of a token count: the likely number, and an upper bound."""

    expected: int
    upper_bound: int

    def __add__(self, other: "TokenEstimate") -> "TokenEstimate":
        """Return the sum."""
        return TokenEstimate(self.expected + other.expected, self.upper_bound + other.upper_bound)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to a model server, before it is sent."""

    kind: RequestKind
    endpoint: str
    """Base URL of the server."""
    model: str
    texts: Sequence[str] = field(repr=False)
    """Texts whose tokens are billed: the inputs, or the contents of the messages."""
    max_output_tokens: int = 0
    attempt: int = 0
    """0 for the first attempt, higher for retries."""
    is_batch: bool = False
    """Whether it uses the Batch API, at half the price."""


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file for a model server."""

    data: bytes = field(repr=False)
    purpose: UploadPurpose


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Rate limits in the last response of a server; None if it reported none."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: str | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: str | None = None


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """Status and token counts of a finished request; a count that the server did not report is None."""

    status: str
    """`ok`, or a short reason such as `429`, `deadline`, `broken off`, `cancelled`."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    output_characters: int = 0
    """Characters of the answer that were received, for an estimate."""
    seconds: float = 0.0
    rate_limits: RateLimits | None = None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Estimated cost of a request, in tokens and in billionths of a US dollar; None if the price is unknown."""

    tokens: TokenEstimate
    expected_nanousd: int | None
    max_nanousd: int | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """The row of a request in the ledger until it is settled."""

    context: RequestContext
    request: ModelRequest
    estimate: CostEstimate
    created_at: float
    """Seconds since 1970."""
    expires_at: float
    """Seconds since 1970; after that the likely cost is recorded as an estimate, because no client waits any more."""


@dataclass(frozen=True, slots=True)
class SettledUsage:
    """Actual usage of a request, recorded when it has ended."""

    status: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_nanousd: int | None
    estimated: bool
    seconds: float = 0.0
    rate_limits: RateLimits | None = None
    tokenizer_sample: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Characters and tokens by script, for later estimates of this model's token counts."""


@dataclass(frozen=True, slots=True)
class IngestEstimate:
    """Requests that an ingestion would send to its embedder. Texts and requests are exact, tokens are a range."""

    texts: int
    """Distinct texts without a cached embedding."""
    requests: int
    tokens: TokenEstimate
    usd: float | None
    """Likely cost; None if the price is unknown."""
    max_usd: float | None
    seconds: float | None
    """Derived from the speed of earlier requests; None if there were none."""


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """A batch that a server of the Batch API is processing."""

    id: str
    """The server's id, or a local one until the server has sent its id."""
    space: str
    owner: str
    collection: str
    reservation: int
    """Id of its reservation in the ledger."""
    keys: Sequence[str]
    """Keys of its texts, one for each request."""
    created: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one day, key, model, collection or purpose; or of one model on one day."""

    name: str
    requests: int
    retries: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float | None
    """None if a price is unknown."""
    estimated_requests: int
    model: str | None = None
    """The model where the rows are by `day,model`, whose `name` is the day."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for all owners together, and for each owner. Embeddings count too."""

    total: BudgetLimits = field(default_factory=BudgetLimits)
    per_owner: BudgetLimits = field(default_factory=BudgetLimits)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A limit and the amount spent so far."""

    name: str
    """Name of the setting, such as `budget.day_usd`."""
    period: str
    """Date of the day or month."""
    spent: float
    """Tokens or US dollars, like the limit."""
    limit: float


@dataclass(frozen=True, slots=True)
class ModelRateLimits:
    """Rate limits that a server last reported for one model."""

    endpoint: str
    model: str
    rate_limits: RateLimits


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage, the state of the budgets, and the rate limits of the servers."""

    by: UsageGroupBy
    rows: list[UsageRow]
    budget: list[BudgetStatus]
    rate_limits: list[ModelRateLimits]

    def __repr__(self) -> str:
        """Return the groups."""
        return format_fields(self)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, valid from a date on."""

    model: str
    since: str
    """An ISO date."""
    input: float
    output: float = 0.0
    cached: float | None = None
    """Price of cached input; None means the price of other input."""
    training: float | None = None
    """Price of training on a million tokens; None if it is unknown."""
