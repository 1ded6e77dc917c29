"""The route of content gaps: what people asked a collection and did not get."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, ConfigDict, Field

from ....core.names import NAME_PATTERN
from ....learning.gaps import DEFAULT_GAPS, MAX_GAPS, find_gaps
from ...gap_view import GapsView, parse_day, view_gaps
from ..dependencies import CallerDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import RequestModel

router = APIRouter(prefix="/v1", tags=["gaps"], route_class=JsonRoute)

_GAP_EXAMPLE = {
    "question": "Can I work from abroad?",
    "count": 7,
    "owners": 3,
    "first": "2026-11-02T08:15:00Z",
    "last": "2026-11-27T16:40:12Z",
    "reason": "low_score",
    "reasons": {"low_score": 3, "not_helpful": 1},
    "nearest": [],
}


def _validate_date(text: str) -> str:
    try:
        parse_day(text)
    except ValueError as exc:
        raise ValueError("this is no date such as 2026-11-01") from exc
    return text


class GapsParams(RequestModel):
    """The collection, the period and the number of gaps."""

    model_config = ConfigDict(strict=False)

    collection: str = Field(description="Name of the collection.", pattern=f"^{NAME_PATTERN}$", examples=["handbook"])
    since: (
        Annotated[str, Field(max_length=10, json_schema_extra={"format": "date"}), AfterValidator(_validate_date)]
        | None
    ) = Field(None, description="Questions from this day on, in UTC.", examples=["2026-11-01"])
    limit: int = Field(DEFAULT_GAPS, ge=1, le=MAX_GAPS, description="Maximum number of gaps.")


@router.get(
    "/gaps",
    summary="List content gaps",
    response_model=GapsView,
    responses={
        200: {"content": {"application/json": {"example": {"gaps": [_GAP_EXAMPLE]}}}},
        **error_responses("not_found", "conflict", "locked", "budget", "storage", "unavailable", "upstream"),
    },
)
async def list_gaps(
    request: Request, service: ServiceDep, caller: CallerDep, params: Annotated[GapsParams, Query()]
) -> Response:
    """Return what people asked and did not get, by topic, with the passages that are nearest to it now.

    A topic is shown if at least two owners asked about it, or if there is only one owner in all. The passages need a
    key that has the scope `search` too.
    """
    since = 0.0 if params.since is None else parse_day(params.since)
    find = partial(find_gaps, service.library, params.collection, since=since, limit=params.limit, caller=caller)
    gaps = await service.run_read(find)
    links = make_links(service, request.scope, params.collection)
    for gap in gaps:
        links.set_urls(gap.nearest)
    return json_response(view_gaps(gaps))
