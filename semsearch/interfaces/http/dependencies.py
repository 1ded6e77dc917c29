"""What routes are handed: the service, the caller, and values out of the path; and how they answer."""

from typing import Annotated
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Depends, Path, Request, Response

from ...collection import Collection
from ...core.errors import Malformed
from ...core.types.usage import Caller
from ...ingest.sources import MAX_URI_CHARACTERS, checked_uri
from .service import Service

_URI = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"


def answered(value: object, status: int = 200) -> Response:
    """A result as ready bytes: its types were checked when it was made."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def part(raw: str) -> str:
    """One value of a path, percent-decoded once."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as exc:
        raise Malformed("the path is not percent-encoded UTF-8") from exc


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _name(
    name: Annotated[
        str, Path(description="Name of the collection.", pattern="^[a-z0-9][a-z0-9_-]{0,62}$", examples=["handbook"])
    ],
) -> str:
    return name


async def _uri(
    uri: Annotated[
        str,
        Path(
            description="The document's uri, sent percent-encoded as one value: `docs/leave.md` is `docs%2Fleave.md`.",
            json_schema_extra={"minLength": 1, "maxLength": MAX_URI_CHARACTERS, "pattern": _URI},
            examples=["docs/leave.md"],
        ),
    ],
) -> str:
    return checked_uri(part(uri))


ServiceDep = Annotated[Service, Depends(_service)]


async def _caller(service: ServiceDep) -> Caller:
    return service.caller()


CallerDep = Annotated[Caller, Depends(_caller)]
NameDep = Annotated[str, Depends(_name)]
UriDep = Annotated[str, Depends(_uri)]


async def _collection(service: ServiceDep, name: NameDep, caller: CallerDep) -> Collection:
    return await service.collection(name, caller)


CollectionDep = Annotated[Collection, Depends(_collection)]
