"""The bodies of requests about access keys."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, ConfigDict, Field

from ...access.keys import DEFAULT_OVERLAP_SECONDS, MAX_NAME_CHARACTERS, MAX_OVERLAP_SECONDS
from ...core.names import NAME_PATTERN
from ...core.types.access import DEFAULT_SCOPES, CallerLimits, KeyGrants, Scope
from ...core.types.usage import BudgetLimits
from .requests import RequestModel

_Text = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
_Limit = Annotated[int, Field(ge=1, le=10**12)] | None
_Scopes = Annotated[list[Scope], Field(min_length=1, max_length=4)]
_Names = Annotated[list[Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]], Field(min_length=1, max_length=1_000)]


class CreateKeyBody(RequestModel):
    """What the key allows, and to whom."""

    model_config = ConfigDict(strict=False)

    name: _Text = Field(description="What the key is for.", examples=["intranet search"])
    owner: _Text | None = Field(
        None, description="Whose answers, sessions and usage it reaches; by default the name.", examples=["intranet"]
    )
    scopes: _Scopes = Field(
        sorted(DEFAULT_SCOPES), description="What it may do; no scope includes another.", examples=[["search", "ask"]]
    )
    collections: _Names | None = Field(None, description="By default every collection.", examples=[["handbook"]])
    filter: dict[str, Any] | None = Field(
        None,
        description="Bounds the documents of every request. Not with `write` or `admin`.",
        examples=[{"team": {"$in": ["hr", "all"]}}],
    )
    requests_per_minute: _Limit = None
    tokens_per_minute: _Limit = Field(None, description="Of its requests to model servers.")
    streams: _Limit = Field(None, description="Streamed answers at the same time.")
    day_usd: Annotated[float, Field(gt=0, le=1e9)] | None = Field(None, description="Budget of a day in US dollars.")
    expires: AwareDatetime | None = Field(None, examples=["2026-12-31T00:00:00Z"])

    def make_grants(self) -> KeyGrants:
        """Return the grants of the key."""
        expires: datetime | None = self.expires
        return KeyGrants(
            self.name,
            self.owner or self.name,
            frozenset(self.scopes),
            None if self.collections is None else frozenset(self.collections),
            self.filter,
            CallerLimits(self.requests_per_minute, self.tokens_per_minute, self.streams),
            BudgetLimits(day_usd=self.day_usd),
            None if expires is None else expires.timestamp(),
        )


class RotateKeyBody(RequestModel):
    """How long the old secret stays valid."""

    overlap_seconds: Annotated[float, Field(ge=0, le=MAX_OVERLAP_SECONDS)] = DEFAULT_OVERLAP_SECONDS
