"""Routes for monitoring: liveness and readiness."""

import asyncio
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from fastapi import APIRouter, Request, Response

from ....core.errors import UnavailableError
from ....core.types.access import LOCAL_CALLER
from ..auth import CALLER
from ..dependencies import ServiceDep, json_response
from ..fast_search import HEALTH_PATH
from ..problems import SHUTDOWN_DETAIL, error_responses
from ..responses import HealthResponse, ModelServerStatus

router = APIRouter(tags=["health"])

_OK_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": {"status": "ok"}}}}}


@router.head(HEALTH_PATH, include_in_schema=False)
@router.get(
    HEALTH_PATH,
    summary="Check liveness",
    response_model=HealthResponse,
    responses={**_OK_RESPONSE, **error_responses()},
)
async def healthz() -> Response:
    """Return 200 if the process answers."""
    return json_response(HealthResponse())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Check readiness",
    response_model=HealthResponse,
    responses={**_OK_RESPONSE, **error_responses("unavailable")},
)
async def readyz(request: Request, service: ServiceDep) -> Response:
    """Return 200 if the data directory can be written and no shutdown has begun, with the state of each model server.

    A model server that fails makes the service degraded, not unready: requests that need no server still succeed. A
    service with access keys names no model server here, because the check needs no key.
    """
    if service.shutdown_started.is_set():
        raise UnavailableError(SHUTDOWN_DETAIL)
    await asyncio.to_thread(_check_writable, service.library.folder)  # no thread of reads, which may all wait
    servers = [ModelServerStatus(state.url, state.state, state.seconds) for state in service.library.upstream_states()]
    is_degraded = any(server.state != "ok" for server in servers)
    is_local = request.scope["state"].get(CALLER) is LOCAL_CALLER
    return json_response(HealthResponse("degraded" if is_degraded else "ok", servers if is_local else []))


def _check_writable(folder: Path) -> None:
    """Write a file: permissions do not show that a disk is full or read-only."""
    existing_folder = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with TemporaryFile(dir=existing_folder) as file:
            file.write(b"ready?")
    except OSError as exc:
        raise UnavailableError(f"the data directory cannot be written: {exc.strerror}") from exc
