"""Dependencies of the routes: service, caller, collection and path values; and their JSON response."""

from typing import Annotated
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Depends, Path, Request, Response

from ...collection import Collection
from ...core.errors import MalformedError
from ...core.names import NAME_PATTERN
from ...core.types.access import Caller
from ...ingest.document_uris import MAX_URI_CHARACTERS, validate_uri
from .auth import get_caller
from .service import Service

_URI_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"


def json_response(value: object, status: int = 200) -> Response:
    """Return a value as a JSON response. Does not validate it: its types were checked when it was made."""
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), status, media_type="application/json")


def decode_path_segment(raw: str) -> str:
    """Return one value of a path, percent-decoded once; MalformedError if it is not UTF-8."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as exc:
        raise MalformedError("the path is not percent-encoded UTF-8") from exc


async def _get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _get_name(
    name: Annotated[
        str, Path(description="Name of the collection.", pattern=f"^{NAME_PATTERN}$", examples=["handbook"])
    ],
) -> str:
    return name


async def _get_uri(
    uri: Annotated[
        str,
        Path(
            description="The document's uri, sent percent-encoded as one value: `docs/leave.md` is `docs%2Fleave.md`.",
            json_schema_extra={"minLength": 1, "maxLength": MAX_URI_CHARACTERS, "pattern": _URI_PATTERN},
            examples=["docs/leave.md"],
        ),
    ],
) -> str:
    return validate_uri(decode_path_segment(uri))


IdParam = Annotated[str, Path(description="Id from an earlier response.", pattern="^[a-z]{3}_[0-9A-Za-z]{1,64}$")]
ServiceDep = Annotated[Service, Depends(_get_service)]


async def _get_caller(request: Request) -> Caller:
    return get_caller(request.scope)


CallerDep = Annotated[Caller, Depends(_get_caller)]
NameDep = Annotated[str, Depends(_get_name)]
UriDep = Annotated[str, Depends(_get_uri)]


async def _get_collection(service: ServiceDep, name: NameDep, caller: CallerDep) -> Collection:
    return await service.open_collection(name, caller)


CollectionDep = Annotated[Collection, Depends(_get_collection)]
