"""Routes for whoever watches the service: is it alive, can it do its work."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from fastapi import APIRouter, Response

from ....core.errors import UnavailableError
from ..dependencies import ServiceDep, json_response
from ..fast_search import HEALTH_PATH
from ..problems import error_responses
from ..responses import HealthResponse, ModelServerStatus

router = APIRouter(tags=["health"])

_OK_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": {"status": "ok"}}}}}


@router.head(HEALTH_PATH, include_in_schema=False)
@router.get(
    HEALTH_PATH, summary="Alive", response_model=HealthResponse, responses={**_OK_RESPONSE, **error_responses()}
)
async def healthz() -> Response:
    """Say that the process answers."""
    return json_response(HealthResponse())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Ready",
    response_model=HealthResponse,
    responses={**_OK_RESPONSE, **error_responses("unavailable")},
)
async def readyz(service: ServiceDep) -> Response:
    """Say that the data directory can be written, and which model servers do not answer.

    Those make the service degraded, not unready: searches and answers that need none go on.
    """
    await service.run_read(lambda: _check_writable(service.library.folder))
    servers = [ModelServerStatus(each.url, each.state, each.seconds) for each in service.library.upstream_states()]
    return json_response(HealthResponse("degraded" if any(each.state != "ok" for each in servers) else "ok", servers))


def _check_writable(folder: Path) -> None:
    """Write for real: permissions do not tell of a full disk or a read-only one."""
    existing_folder = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with TemporaryFile(dir=existing_folder) as file:
            file.write(b"ready?")
    except OSError as exc:
        raise UnavailableError(f"the data directory cannot be written: {exc.strerror}") from exc
