"""The route of the usage report: what the caller's requests to model servers cost."""

from datetime import date
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, ConfigDict, Field

from ....core.types.access import LOCAL_CALLER
from ....core.types.usage import UsageGroupBy, UsageReport
from ..dependencies import CallerDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import RequestModel

router = APIRouter(prefix="/v1", tags=["usage"], route_class=JsonRoute)

_ROW_EXAMPLE = {
    "name": "2026-11-23",
    "requests": 12,
    "retries": 1,
    "input_tokens": 18450,
    "output_tokens": 1210,
    "cached_tokens": 0,
    "cost_usd": 0.00245,
    "estimated_requests": 0,
    "model": None,
}
_RATE_LIMITS_EXAMPLE = {
    "limit_requests": 500,
    "remaining_requests": 499,
    "reset_requests": "120ms",
    "limit_tokens": 200000,
    "remaining_tokens": 198200,
    "reset_tokens": "0.5s",
}
_REPORT_EXAMPLE = {
    "by": "day",
    "rows": [_ROW_EXAMPLE],
    "budget": [{"name": "budget.day_usd", "period": "2026-11-23", "spent": 0.00245, "limit": 5.0}],
    "rate_limits": [
        {"endpoint": "https://api.openai.com/v1", "model": "gpt-6-luna", "rate_limits": _RATE_LIMITS_EXAMPLE}
    ],
}


def _validate_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise ValueError("this is no date such as 2026-11-01") from exc


class UsageParams(RequestModel):
    """The period and the grouping of a usage report."""

    model_config = ConfigDict(strict=False)

    by: UsageGroupBy = Field(
        "day", description="Group the rows by this. With `day,model` a row has the usage of one `model` on one day."
    )
    since: (
        Annotated[str, Field(max_length=10, json_schema_extra={"format": "date"}), AfterValidator(_validate_date)]
        | None
    ) = Field(None, description="From this day on, in UTC.", examples=["2026-11-01"])


@router.get(
    "/usage",
    summary="Report usage",
    response_model=UsageReport,
    responses={
        200: {"content": {"application/json": {"example": _REPORT_EXAMPLE}}},
        **error_responses("conflict", "locked", "storage", "unavailable"),
    },
)
async def get_usage(service: ServiceDep, caller: CallerDep, params: Annotated[UsageParams, Query()]) -> Response:
    """Return what your requests cost, with the scope `admin` those of all owners.

    A cost is null if one of its prices is unknown.
    """
    is_administrator = caller is not LOCAL_CALLER and caller.collections is None and "admin" in caller.scopes
    viewer = None if is_administrator else caller
    report = await service.run_read(partial(service.library.usage, params.by, params.since, caller=viewer))
    return json_response(report)
