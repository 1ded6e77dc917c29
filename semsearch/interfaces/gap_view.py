"""Content gaps as JSON shows them: the same fields on the command line and over HTTP."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.types.answers import encode_fields
from ..core.types.gaps import Gap, GapReason
from ..core.types.search import Hit


@dataclass(frozen=True, slots=True)
class GapView:
    """Similar questions that got no good answer, with the number of owners for each reason.

    `question` is the one that is most similar to the others, `nearest` what a search for it returns now. `count` has at
    most five questions of each owner, where there are several owners.
    """

    question: str
    count: int
    owners: int
    first: datetime
    last: datetime
    reason: GapReason
    reasons: Mapping[GapReason, int]
    nearest: list[Hit]


@dataclass(frozen=True, slots=True)
class GapsView:
    """The content gaps of a collection, those of most owners first."""

    gaps: list[GapView]


def view_gaps(gaps: Iterable[Gap]) -> GapsView:
    """Return the view of the gaps."""
    return GapsView([_view_gap(gap) for gap in gaps])


def encode_gap(gap: Gap) -> dict[str, Any]:
    """Return the fields of a gap with times in ISO 8601, and `closed` if it was asked again."""
    times = {"first": _encode_time(gap.first), "last": _encode_time(gap.last)}
    closed = {} if gap.closed is None else {"closed": gap.closed}
    return {**encode_fields(_view_gap(gap)), **times, **closed}


def parse_day(text: str) -> float:
    """Return the time in seconds since 1970 at which a day begins in UTC; ValueError if the text is no ISO date."""
    return datetime.combine(datetime.fromisoformat(text).date(), datetime.min.time(), UTC).timestamp()


def _view_gap(gap: Gap) -> GapView:
    first, last = _to_utc(gap.first), _to_utc(gap.last)
    return GapView(gap.question, gap.count, gap.owners, first, last, gap.reason, gap.reasons, list(gap.nearest))


def _to_utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)


def _encode_time(seconds: float) -> str:
    return _to_utc(seconds).isoformat().replace("+00:00", "Z")
