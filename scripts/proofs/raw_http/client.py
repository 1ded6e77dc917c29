"""Send cases over keep-alive connections, and check everything that comes back."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .cases import FORBIDDEN_TOKEN, Case, make_case, make_token
from .messages import encode, make_probe
from .responses import IncompleteResponseError, Response, ResponseError, read_response

ANSWER_SECONDS = 60.0
"""Longest time until a valid request is answered; the machine may be busy."""
SILENCE_SECONDS = 0.4
"""Time without a response after which the service waits for more of an invalid request."""
MAX_ERRORS = 20
UPSTREAM_STATUSES = (429, 502, 503, 504)
PAUSE_SECONDS = 0.001


@dataclass(slots=True)
class Counts:
    """Results of a part of a run."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often a kind of case ended in a way: `valid: 200`, `half: left`."""
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Counts") -> None:
        """Add the results of another part."""
        self.requests += other.requests
        self.outcomes += other.outcomes
        self.errors += other.errors[: MAX_ERRORS - len(self.errors)]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run: which cases, and how many requests."""

    port: int
    seed: int
    first_case: int
    requests: int
    connections: int = 8


def run_part(part: Part) -> Counts:
    """Send cases from `first_case` on until the requests are sent."""
    return asyncio.run(_run_part(part))


async def _run_part(part: Part) -> Counts:
    counts = Counts()
    cases = _make_cases(part, counts)
    await asyncio.gather(*(_run_connections(part, cases, counts) for _ in range(part.connections)))
    return counts


def _make_cases(part: Part, counts: Counts) -> Iterator[tuple[int, Case]]:
    number = part.first_case
    while counts.requests < part.requests and len(counts.errors) < MAX_ERRORS:
        case = make_case(part.seed, number)
        counts.requests += case.request_count
        yield number, case
        number += 1


async def _run_connections(part: Part, cases: Iterator[tuple[int, Case]], counts: Counts) -> None:
    """Send cases one after the other, over one connection as long as the service and the case keep it."""
    connection: _Connection | None = None
    for number, case in cases:
        if case.reading == "stall" and connection is not None:  # its receive buffer must be small
            connection.abort()
            connection = None
        try:
            connection = connection or await _connect(part.port, is_small=case.reading == "stall")
            is_open = await connection.run(number, case, counts.outcomes)
        except (ResponseError, TimeoutError, OSError, ValueError, asyncio.LimitOverrunError) as exc:
            counts.errors.append(f"seed {part.seed}, case {number} ({case.kind}): {type(exc).__name__}: {exc}")
            is_open = False
        if not is_open and connection is not None:
            connection.abort()
            connection = None
    if connection is not None:
        connection.abort()


async def _connect(port: int, *, is_small: bool) -> "_Connection":
    with socket.socket() as unconnected:
        if is_small:
            unconnected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unconnected.setblocking(False)
        loop = asyncio.get_running_loop()
        connected = unconnected.dup()
    connected.setblocking(False)
    await loop.sock_connect(connected, ("127.0.0.1", port))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader, writer = await asyncio.open_connection(sock=connected, limit=1024 if is_small else 1 << 16)
    return _Connection(reader, writer)


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def abort(self) -> None:
        self.writer.transport.abort()

    async def run(self, number: int, case: Case, outcomes: Counter[str]) -> bool:
        """Send a case and check the responses; return whether the connection can be used again."""
        pieces = list(case.pieces)
        if case.reading == "probe":
            pieces[-1] += encode(make_probe(make_token(number)))
        sending = asyncio.create_task(self._send(pieces))
        try:
            if case.reading == "answers":
                return await self._read_answers(case, outcomes)
            if case.reading == "probe":
                return await self._read_until_probe(number, case, outcomes)
            return await self._leave(number, case, outcomes)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending

    async def _send(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self.writer.write(piece)
            with suppress(ConnectionError):  # the service may refuse a request before it is complete
                await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read_answers(self, case: Case, outcomes: Counter[str]) -> bool:
        """Read one response for each request; a refused one may be the last."""
        for message in case.messages:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await read_response(self.reader, is_head=message.method == "HEAD")
            if response is None and case.may_end_early:
                return False
            if response is None:
                raise ResponseError("the connection ended without a response")
            _check(case, response)
            outcomes[f"{case.kind}: {response.status}"] += 1
            if message.target.startswith("/v1/probe/") and response.problem.get("instance") != message.target:
                raise ResponseError(f"a response to another request: {response.status} {response.body[:200]!r}")
            if response.closes:
                if response.status < 400 and not case.may_end_early:
                    raise ResponseError("the service closes the connection after a valid request")
                return False
        return True

    async def _read_until_probe(self, number: int, case: Case, outcomes: Counter[str]) -> bool:
        """Read responses until the one of the probe, the end of the connection, or silence."""
        responses = 0
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS if responses else SILENCE_SECONDS * 4):
                    response = await read_response(self.reader)
            except TimeoutError:
                outcomes[f"{case.kind}: waits for more"] += 1
                return False
            except IncompleteResponseError:
                if not case.may_end_early:
                    raise
                return False
            except ConnectionError:
                if not responses and not case.may_end_early:
                    raise
                response = None
            if response is None:
                if not responses and not case.may_end_early:
                    raise ResponseError("the connection ended without a response")
                return False
            responses += 1
            _check(case, response)
            if str(response.problem.get("instance", "")).endswith(f"/{make_token(number)}"):
                return not response.closes
            outcomes[f"{case.kind}: {response.status}"] += 1
            if response.closes:
                return False

    async def _leave(self, number: int, case: Case, outcomes: Counter[str]) -> bool:
        """Close the connection, orderly or not, before all is read."""
        rng = random.Random(number)
        await asyncio.sleep(rng.uniform(0.5, 3.0) if case.reading == "stall" else rng.uniform(0.0, 0.03))
        outcomes[f"{case.kind}: left"] += 1
        if rng.random() < 0.5:
            self.writer.close()
            with suppress(OSError):
                await asyncio.wait_for(self.writer.wait_closed(), 0.05)
        return False


def _check(case: Case, response: Response) -> None:
    if response.status >= 500 and not (case.may_fail_upstream and response.status in UPSTREAM_STATUSES):
        raise ResponseError(f"{response.status} {response.body[:300]!r}")
    if case.kind == "two lengths" and str(response.problem.get("instance", "")).endswith(FORBIDDEN_TOKEN):
        raise ResponseError("a request inside the body of another one was answered")
