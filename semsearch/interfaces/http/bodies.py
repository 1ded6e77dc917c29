"""Receive request bodies: small ones in memory, large files in temporary files, with limits of size, time and room."""

import asyncio
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from starlette.types import Receive, Scope

from ...core.errors import TooLargeError, UnavailableError
from . import limits
from .connections import ConnectionTable
from .spool import SpooledFile
from .uploads import BodyPool, Upload

_HAS_ARRIVED = "has_body_arrived"
"""Key of whether the whole body has arrived before the application reads it, in the state of a scope."""


class ClientDisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


class RequestBody:
    """A body in memory, empty at first; `upload` has its room until `close`."""

    def __init__(self, upload: Upload | None = None) -> None:
        self._upload = upload
        self._data: bytes | bytearray = b""
        self.size = 0
        """Bytes that have arrived."""

    async def append(self, part: bytes) -> None:
        """Append a part."""
        self.size += len(part)
        if not self._data:
            self._data = part
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)  # not a list of parts: each of them could be tiny
        self._data += part

    async def finish(self) -> None:
        """Note that the body is complete."""
        self._data = bytes(self._data)

    def open(self) -> BinaryIO:
        """Return a file that reads the body, on any thread."""
        return BytesIO(self._data)

    async def read(self) -> bytes:
        """Return the whole body."""
        return bytes(self._data)

    def close(self) -> None:
        """Free its room. Keep the bytes: a write that is queued still reads them."""
        if self._upload is not None:
            self._upload.release()


class SpooledBody(RequestBody):
    """A body that is written to a temporary file as soon as it has `SPOOLED_PART_BYTES`."""

    def __init__(self, upload: Upload, folder: Path, connections: ConnectionTable) -> None:
        super().__init__(upload)
        self._folder = folder
        self._connections = connections
        self._file: SpooledFile | None = None

    async def append(self, part: bytes) -> None:
        """Append a part."""
        await super().append(part)
        if len(self._data) >= limits.SPOOLED_PART_BYTES:
            await self._write_data()

    async def finish(self) -> None:
        """Note that the body is complete."""
        await (super().finish() if self._file is None else self._write_data())

    def open(self) -> BinaryIO:
        """Return a file that reads the body; UnavailableError if the request has ended."""
        return super().open() if self._file is None else self._file.open()

    async def read(self) -> bytes:
        """Return the whole body."""
        return await super().read() if self._file is None else await asyncio.to_thread(_read_all, self._file)

    def close(self) -> None:
        """Delete the file."""
        super().close()
        if self._file is not None:
            self._connections.remove_file()
            # on a thread: freeing the space of a large file takes milliseconds
            asyncio.get_running_loop().run_in_executor(None, self._file.close)

    async def _write_data(self) -> None:
        data, self._data = self._data, b""
        if self._file is None:
            if not self._connections.add_file():
                raise UnavailableError("too many requests are being processed; try again later")
            self._file = SpooledFile(self._folder)
        await asyncio.to_thread(self._file.write, data)


def _read_all(file: SpooledFile) -> bytes:
    with file.open() as reader:
        return reader.read()


@dataclass(frozen=True, slots=True)
class BodyReceiver:
    """Receives the bodies of all requests of one process."""

    folder: Path
    """For temporary files."""
    connections: ConnectionTable
    memory_pool: BodyPool
    disk_pool: BodyPool

    async def receive(self, scope: Scope, receive: Receive) -> RequestBody:
        """Return the body. SemsearchError, BodyTimeoutError or ClientDisconnectedError if it does not arrive."""
        declared_size = _get_declared_size(scope)
        if declared_size == 0:
            return RequestBody()
        max_size = limits.get_max_body_bytes(scope["method"], scope["path"])
        if declared_size is not None and declared_size > max_size:
            raise TooLargeError(f"the body has {declared_size:,} bytes; the limit of this route is {max_size:,}")
        is_spooled = limits.is_spooled(scope["method"], scope["path"], declared_size)
        now = asyncio.get_running_loop().time()
        upload = Upload(self.disk_pool if is_spooled else self.memory_pool, now, max_size)
        upload.reserve(declared_size or 0)
        scope["state"]["upload"] = upload
        body = SpooledBody(upload, self.folder, self.connections) if is_spooled else RequestBody(upload)
        try:
            if scope["state"].get(_HAS_ARRIVED) and not is_spooled:  # the usual case: a deadline would only cost time
                await _receive_part(receive, upload, body, now)
                await body.finish()
            else:
                await _receive_parts(receive, upload, body)
        except BaseException:
            body.close()
            raise
        return body


def make_body_receiver(folder: Path, connections: ConnectionTable, worker_count: int) -> BodyReceiver:
    """Return the receiver of one of `worker_count` processes, each of which has its part of the room."""
    memory_bytes = max(limits.MAX_BODY_MEMORY_BYTES // worker_count, limits.MIN_BODY_MEMORY_BYTES)
    disk_bytes = max(limits.MAX_SPOOLED_BYTES // worker_count, limits.MIN_SPOOLED_BYTES)
    return BodyReceiver(
        folder, connections, BodyPool(memory_bytes, limits.SMALL_BODY_RESERVE_BYTES), BodyPool(disk_bytes)
    )


def mark_arrived(state: dict[str, Any]) -> None:
    """Note in the state of a scope that the whole body of its request has arrived."""
    state[_HAS_ARRIVED] = True


async def _receive_parts(receive: Receive, upload: Upload, body: RequestBody) -> None:
    """Append to `body` what arrives, until it is complete."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(upload.get_deadline()) as timeout:
            upload.start(timeout)
            while await _receive_part(receive, upload, body, loop.time()):
                timeout.reschedule(upload.get_deadline())
            await body.finish()
            upload.finish()
    except TimeoutError as exc:
        raise upload.make_error() from exc


async def _receive_part(receive: Receive, upload: Upload, body: RequestBody, now: float) -> bool:
    """Append to `body` what arrives next, and return whether more follows."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnectedError
    part = message.get("body", b"")
    upload.add_part(len(part), now)
    await body.append(part)
    return bool(message.get("more_body", False))


def _get_declared_size(scope: Scope) -> int | None:
    """Return the declared size of the body, 0 if there is none, None for a chunked one."""
    is_chunked = False
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        is_chunked = is_chunked or name == b"transfer-encoding"
    return None if is_chunked else 0
