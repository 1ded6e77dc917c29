"""The state of one request, and the outcome that is settled for it. Sends nothing."""

from dataclasses import dataclass

import httpx

from ...core.types.usage import RequestOutcome, Usage
from .responses import parse_rate_limits


@dataclass(slots=True)
class RunningRequest:
    """One running request and the token counts for its settlement."""

    response: httpx.Response
    key: str | None
    outcome: str = "cancelled"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    output_characters: int = 0
    usage: Usage | None = None
    """The settled usage, set at the end."""

    def to_outcome(self, seconds: float) -> RequestOutcome:
        """Return the outcome of a request that took so many seconds."""
        return RequestOutcome(
            self.outcome,
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.output_characters,
            round(seconds, 3),
            parse_rate_limits(self.response.headers),
        )
