"""Says in our words what went wrong on the way to a model server and back, and whether it is worth another try.

Nothing that holds a key is repeated: neither the server's own words about a refused key, nor its headers.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from ...core.errors import Deadline, SemsearchError, Unavailable, Upstream
from ...core.types.usage import Errand
from .responses import Counted, Problem
from .retries import LONGEST_WAIT, PATIENT_TRIES, SHORT_WAIT, TRIES, Traffic, backoff, pace

_NO_QUOTA = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_RETRIED = (408, 409, 429)
_REPEATED = 2
"""Server errors in a row after which a probe tells whether the server fails for its input only."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a request is tried whose input may be what the server fails for."""

    role: Literal["whole", "part", "probe"] = "whole"
    """A `part` of an input that a working server failed for is not retried after a server error, which does not count
    against the server; a `probe` is not retried at all."""
    attempt: int = 0
    """Number of the first try."""
    probe: Callable[[int], Awaitable[bool]] | None = field(default=None, repr=False)
    """Tells whether the server works for a harmless input now; is given the number of the try whose place it takes."""


WHOLE = Trial()


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one endpoint, and the words that its errors need."""

    method: Literal["GET", "POST"]
    url: str
    section: Literal["EMBEDDINGS", "CHAT"]
    model: str
    errand: Errand
    deadline: float
    """In the loop's time."""
    body: dict[str, Any] | None = field(default=None, repr=False)
    upload: bytes | None = field(default=None, repr=False)
    trial: Trial = WHOLE

    @property
    def is_patient(self) -> bool:
        """Whether it belongs to a long job, which nobody watches."""
        return self.errand.purpose == "ingest"

    @property
    def longest_wait(self) -> float:
        """Seconds that it waits for a rate limit at most, if its deadline allows it."""
        return LONGEST_WAIT if self.is_patient or self.errand.deadline is not None else SHORT_WAIT

    def setting(self, name: str) -> str:
        """The name of the setting that a person would change."""
        return f"SEMSEARCH_{self.section}__{name}"


class Failed(Exception):
    """A request did not get what it wanted."""

    def __init__(
        self,
        error: SemsearchError,
        outcome: str,
        *,
        again: bool = False,
        billed: bool = False,
        down: bool = False,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.outcome = outcome
        self.again = again
        """Whether the same request may succeed later."""
        self.billed = billed
        """Whether the server may have done the work all the same."""
        self.down = down
        """Whether it speaks of the server rather than of the request."""
        self.problem = problem or Problem()
        self.counted: Counted | None = None
        """What the server says that it has worked all the same."""
        self.after: float | None = None
        """Seconds that the server asks to wait."""
        self.uncounted = False
        """Whether a probe decides first if it counts against the server."""

    @property
    def is_paced(self) -> bool:
        """Whether the server only says when it takes the request."""
        return self.outcome == "429" and self.again and self.after is not None

    @property
    def may_be_input(self) -> bool:
        """Whether it is a server error that a certain input may cause; a 503 that asks to wait is not."""
        asks_to_wait = self.outcome == "503" and self.after is not None
        return self.down and self.outcome.isdecimal() and not asks_to_wait


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Turn what httpx and the clock raise into Failed."""
    way_out = f"is the server running? {call.setting('BASE_URL')} says where it is"
    try:
        yield
    except TimeoutError as exc:
        raise Failed(Deadline(f"{call.url} did not finish in the time allowed"), "deadline", billed=True) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as exc:
        error = Unavailable(f"no connection to {call.url}: {way_out}")
        raise Failed(error, "no connection", again=True, down=True) from exc
    except httpx.LocalProtocolError as exc:
        raise Failed(Upstream(f"{call.url} was not asked: no such request can be sent"), "not sent") from exc
    except httpx.TransportError as exc:
        error = Unavailable(f"{call.url} broke off before the end of its answer ({type(exc).__name__}): {way_out}")
        raise Failed(error, "broken off", again=True, billed=True, down=True) from exc


@contextmanager
def naming(call: Call) -> Iterator[None]:
    """Put the server's name before an error that speaks of its reply."""
    try:
        yield
    except Upstream as exc:
        raise Failed(Upstream(f"{call.url}: {exc}", malformed=True), "bad reply", billed=True) from exc


async def admit(traffic: Traffic, call: Call) -> None:
    """Wait until calls go out to this server; Unavailable where that takes longer than somebody would wait."""
    while (wait := traffic.wait()) > 0:
        loop = asyncio.get_running_loop()
        broken = traffic.standing().state == "open"
        hasty = broken and not call.is_patient
        if hasty or wait > call.longest_wait or loop.time() + wait > call.deadline:
            why = "keeps failing" if broken else "is too busy (429)"
            raise Unavailable(f"{call.url} {why}; it is called again in {wait:.1f} seconds")
        await asyncio.sleep(wait)


def count(traffic: Traffic, call: Call, failed: Failed, *, hung: bool) -> None:
    """Count a failure against the server, or for it where it has answered; `hung` says that it took very long."""
    if not failed.down and not hung:
        if failed.outcome != "deadline":  # of a call that had no time nothing is learned
            traffic.succeeded()
        return
    if failed.may_be_input and traffic.standing().state != "open":
        failed.uncounted = call.trial.probe is not None
        if failed.uncounted or call.trial.role == "part":
            return
    traffic.failed()


class Again:
    """Decides after each failure of one call whether it is tried again, and waits until then."""

    def __init__(self, traffic: Traffic, call: Call) -> None:
        self.attempt = call.trial.attempt
        self._traffic = traffic
        self._call = call
        self._patient = call.is_patient
        self._new_key = True
        self._retries = 0
        self._waits = 0
        self._server_errors = 0
        """In a row."""
        self._cleared = False
        """Whether a probe has shown that the server works, so that the next failure is the last."""
        if call.trial.role != "probe":
            self._traffic.begins()

    async def after(self, failed: Failed) -> None:
        """Return when it is time to try again; raise the error where that cannot help, or takes too long."""
        self.attempt += 1
        if failed.outcome == "key changed" and self._new_key:
            self._new_key = False
            return
        if failed.is_paced:
            await self._wait_as_told(failed)
            return
        self._retries += 1
        if self._is_final(failed):
            raise failed.error from failed
        if not failed.uncounted:
            self._server_errors = 0
        elif await self._fails_for_input(failed):
            return
        tries = PATIENT_TRIES if self._patient else TRIES
        wait = backoff(self._retries - 1, random.random) if failed.after is None else failed.after
        loop = asyncio.get_running_loop()
        if not failed.again or self._retries >= tries:
            raise failed.error from failed
        if wait > self._call.longest_wait:
            raise Unavailable(f"{failed.error}; it asks to wait {wait:.0f} seconds") from failed
        if loop.time() + wait > self._call.deadline or not (self._patient or self._traffic.may_retry()):
            raise failed.error from failed
        await asyncio.sleep(wait)

    async def _wait_as_told(self, failed: Failed) -> None:
        """Wait for a rate limit, which is no retry; Unavailable at once where the time allowed is shorter."""
        told = failed.after or 0.0
        wait = told + pace(self._waits, random.random)
        self._waits += 1
        left = max(0.0, min(self._call.longest_wait, self._call.deadline - asyncio.get_running_loop().time()))
        if wait > left:
            raise Unavailable(
                f"{failed.error}; it asks to wait {told:g} seconds, and there is time for {left:.1f}"
            ) from failed
        await asyncio.sleep(wait)

    def _is_final(self, failed: Failed) -> bool:
        """Whether no probe and no retry follows."""
        role = self._call.trial.role
        return self._cleared or role == "probe" or (role == "part" and failed.may_be_input)

    async def _fails_for_input(self, failed: Failed) -> bool:
        """Whether the server works for a harmless input; then a long job gets the error, and others one more try.

        The probe takes the place of a retry. It comes after two server errors in a row, and before a failure that would
        open the circuit: no input may do that.
        """
        self._server_errors += 1
        repeated = self._server_errors >= _REPEATED or not failed.again
        works = (repeated or self._traffic.would_open()) and await self._probe_works()
        if not works and self._traffic.standing().state != "open":
            self._traffic.failed()
        self._cleared = works and repeated
        if self._cleared and (self._patient or not failed.again):
            raise failed.error from failed
        return self._cleared

    async def _probe_works(self) -> bool:
        probe = self._call.trial.probe
        assert probe is not None
        works = await probe(self.attempt)
        self.attempt += 1
        self._retries += 1
        if not works:  # an outage: what failed in it says nothing of the input
            self._server_errors = 0
        return works


def refusal(call: Call, response: httpx.Response, problem: Problem, *, keyed: bool) -> Failed:
    """What a status other than 200 means."""
    status = response.status_code
    return Failed(
        _error(call, status, problem, keyed=keyed),
        str(status),
        again=_worth_retrying(response, problem),
        down=status >= 500,
        problem=problem,
    )


def out_of_quota(problem: Problem) -> bool:
    """Whether a 429 is about money, which no waiting brings back."""
    return problem.code in _NO_QUOTA or problem.type in _NO_QUOTA


def _worth_retrying(response: httpx.Response, problem: Problem) -> bool:
    status = response.status_code
    if status == 429 and out_of_quota(problem):
        return False
    said = response.headers.get("x-should-retry")
    if said in ("true", "false"):
        return bool(said == "true" and status >= 400)
    return status in _RETRIED or status >= 500


def _error(call: Call, status: int, problem: Problem, *, keyed: bool) -> SemsearchError:
    if 300 <= status < 400:
        address = call.setting("BASE_URL")
        text = f"{call.url} answered {status}, a redirect, which is not followed: correct {address}"
        return Upstream(text, status=status)
    if status in (401, 403):
        # its own message is left out: it may hold parts of the key
        verb = "refused the key" if keyed else "asks for a key"
        return Upstream(f"{call.url} {verb} ({status}): set {call.setting('API_KEY')}", status=status)
    said = f": {problem.message}" if problem.message else ""
    if status == 404:
        address = call.setting("BASE_URL")
        missing = f"no model {call.model!r}" if call.model else "there is nothing"
        return Upstream(f"{missing} at {call.url} (404), or {address} is wrong{said}", status=status)
    if status == 429 and out_of_quota(problem):
        return Upstream(f"the account at {call.url} has no quota left ({status}){said}", status=status)
    if status in (429, 503):
        return Unavailable(f"{call.url} is too busy ({status}), try again later{said}", status=status)
    return Upstream(f"{call.url} answered {status}{said}", status=status, code=problem.code or problem.type)
