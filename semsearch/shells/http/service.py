"""What every route is handed: the library, threads for what blocks, the caller, and values out of the path.

One thread writes and two look things up, so that no route waits on the event loop for a disk.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Depends, Path, Request, Response

from ...accounts import LOCAL, Caller
from ...collection import Collection
from ...errors import Malformed
from ...library import Library
from ...sources import MAX_URI_CHARACTERS, checked_uri

_T = TypeVar("_T")

_URI = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"


@dataclass(frozen=True, slots=True)
class Service:
    """A library, and the threads on which its blocking calls are made."""

    library: Library
    reading: ThreadPoolExecutor
    writing: ThreadPoolExecutor

    async def read(self, work: Callable[[], _T]) -> _T:
        """Look something up without holding the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.reading, work)

    async def write(self, work: Callable[[], _T]) -> _T:
        """Change something without holding the loop, one change after the other."""
        return await asyncio.get_running_loop().run_in_executor(self.writing, work)

    def close(self) -> None:
        """Wait for what is under way."""
        self.reading.shutdown()
        self.writing.shutdown()


def service_of(library: Library) -> Service:
    """A service with its own threads, which start when they are first needed."""
    return Service(library, ThreadPoolExecutor(2, "semsearch-look"), ThreadPoolExecutor(1, "semsearch-write"))


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


async def _caller() -> Caller:
    return LOCAL


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
CallerDep = Annotated[Caller, Depends(_caller)]
NameDep = Annotated[str, Depends(_name)]
UriDep = Annotated[str, Depends(_uri)]


async def _collection(service: ServiceDep, name: NameDep, caller: CallerDep) -> Collection:
    if (opened := service.library.opened(name, caller=caller)) is not None:
        return opened
    return await service.read(partial(service.library.open, name, caller=caller))


CollectionDep = Annotated[Collection, Depends(_collection)]
