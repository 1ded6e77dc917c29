"""The route of the bill: what the caller's requests have cost."""

from datetime import date
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ....core.types.usage import Bill, Grouping
from ....usage.metering import bill
from ..dependencies import CallerDep, ServiceDep, answered
from ..json_route import JsonRoute
from ..problems import documented

router = APIRouter(prefix="/v1", tags=["usage"], route_class=JsonRoute)

_ROW = {
    "name": "2026-11-23",
    "requests": 12,
    "retries": 1,
    "input_tokens": 18450,
    "output_tokens": 1210,
    "cached_tokens": 0,
    "cost_usd": 0.00245,
    "estimated_requests": 0,
}
_HEADROOM = {
    "limit_requests": 500,
    "remaining_requests": 499,
    "reset_requests": "120ms",
    "limit_tokens": 200000,
    "remaining_tokens": 198200,
    "reset_tokens": "0.5s",
}
_BILL = {
    "by": "day",
    "rows": [_ROW],
    "budget": [{"name": "budget.day_usd", "period": "2026-11-23", "spent": 0.00245, "limit": 5.0}],
    "headroom": [{"endpoint": "https://api.openai.com/v1", "model": "gpt-6-luna", "headroom": _HEADROOM}],
}


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise ValueError("it is not a date such as 2026-11-01") from exc


class Wanted(BaseModel):
    """Which part of the bill, and how it is added up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Grouping = Field("day", description="What to add up under.")
    since: Annotated[str, Field(max_length=10, json_schema_extra={"format": "date"}), AfterValidator(_date)] | None = (
        Field(None, description="From this day on, in UTC.", examples=["2026-11-01"])
    )


@router.get(
    "/usage",
    summary="Look at the bill",
    response_model=Bill,
    responses={
        200: {"content": {"application/json": {"example": _BILL}}},
        **documented("conflict", "locked", "storage", "unavailable"),
    },
)
async def look_at_the_bill(service: ServiceDep, caller: CallerDep, wanted: Annotated[Wanted, Query()]) -> Response:
    """Say what your requests have cost; a cost is null where some price is not known."""
    library = service.library
    add_up = partial(
        bill,
        library.ledger,
        library.settings.budget,
        wanted.by,
        wanted.since,
        owner=caller.owner,
        overall=caller.key is None,
    )
    return answered(await service.read(add_up))
