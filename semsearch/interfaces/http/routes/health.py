"""Routes for whoever watches the service: is it alive, can it do its work."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from fastapi import APIRouter, Response

from ....core.errors import Unavailable
from ..dependencies import ServiceDep, answered
from ..fast_search import ALIVE
from ..problems import documented
from ..responses import Health, ModelServer

router = APIRouter(tags=["health"])

_OK: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": {"status": "ok"}}}}}


@router.head(ALIVE, include_in_schema=False)
@router.get(ALIVE, summary="Alive", response_model=Health, responses={**_OK, **documented()})
async def healthz() -> Response:
    """Say that the process answers."""
    return answered(Health())


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Ready", response_model=Health, responses={**_OK, **documented("unavailable")})
async def readyz(service: ServiceDep) -> Response:
    """Say that the data directory can be written, and which model servers do not answer.

    Those make the service degraded, not unready: searches and answers that need none go on.
    """
    await service.read(lambda: _try(service.library.folder))
    servers = [ModelServer(each.url, each.state, each.seconds) for each in service.library.upstreams()]
    return answered(Health("degraded" if any(each.state != "ok" for each in servers) else "ok", servers))


def _try(folder: Path) -> None:
    """Write for real: permissions do not tell of a full disk or a read-only one."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with TemporaryFile(dir=there) as file:
            file.write(b"ready?")
    except OSError as exc:
        raise Unavailable(f"the data directory cannot be written: {exc.strerror}") from exc
