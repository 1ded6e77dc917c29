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

from ...core.errors import DeadlineError, SemsearchError, UnavailableError, UpstreamError
from ...core.types.usage import RequestContext
from .responses import ErrorDetail, TokenCounts
from .retries import (
    MAX_INTERACTIVE_WAIT_SECONDS,
    MAX_PATIENT_TRIES,
    MAX_TRIES,
    MAX_WAIT_SECONDS,
    CircuitBreaker,
    compute_backoff,
    pace,
)

_QUOTA_ERROR_CODES = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_RETRYABLE_STATUSES = (408, 409, 429)
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
class ApiCall:
    """One request to one endpoint, and the words that its errors need."""

    method: Literal["GET", "POST"]
    url: str
    section: Literal["EMBEDDINGS", "CHAT"]
    model: str
    context: RequestContext
    deadline: float
    """In the loop's time."""
    body: dict[str, Any] | None = field(default=None, repr=False)
    upload: bytes | None = field(default=None, repr=False)
    trial: Trial = WHOLE

    @property
    def is_patient(self) -> bool:
        """Whether it belongs to a long job, which nobody watches."""
        return self.context.purpose == "ingest"

    @property
    def longest_wait(self) -> float:
        """Seconds that it waits for a rate limit at most, if its deadline allows it."""
        return (
            MAX_WAIT_SECONDS if self.is_patient or self.context.deadline is not None else MAX_INTERACTIVE_WAIT_SECONDS
        )

    def get_setting_name(self, name: str) -> str:
        """The name of the setting that a person would change."""
        return f"SEMSEARCH_{self.section}__{name}"


class RequestFailedError(Exception):
    """A request did not get what it wanted."""

    def __init__(
        self,
        error: SemsearchError,
        outcome: str,
        *,
        is_retryable: bool = False,
        may_be_billed: bool = False,
        is_server_fault: bool = False,
        detail: ErrorDetail | None = None,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.outcome = outcome
        self.is_retryable = is_retryable
        """Whether the same request may succeed later."""
        self.may_be_billed = may_be_billed
        """Whether the server may have done the work all the same."""
        self.is_server_fault = is_server_fault
        """Whether it speaks of the server rather than of the request."""
        self.detail = detail or ErrorDetail()
        self.token_counts: TokenCounts | None = None
        """What the server says that it has worked all the same."""
        self.retry_after_seconds: float | None = None
        """Seconds that the server asks to wait."""
        self.uncounted = False
        """Whether a probe decides first if it counts against the server."""

    @property
    def is_paced(self) -> bool:
        """Whether the server only says when it takes the request."""
        return self.outcome == "429" and self.is_retryable and self.retry_after_seconds is not None

    @property
    def may_be_input(self) -> bool:
        """Whether it is a server error that a certain input may cause; a 503 that asks to wait is not."""
        asks_to_wait = self.outcome == "503" and self.retry_after_seconds is not None
        return self.is_server_fault and self.outcome.isdecimal() and not asks_to_wait


@contextmanager
def map_transport_errors(call: ApiCall) -> Iterator[None]:
    """Turn what httpx and the clock raise into Failed."""
    way_out = f"is the server running? {call.get_setting_name('BASE_URL')} says where it is"
    try:
        yield
    except TimeoutError as exc:
        raise RequestFailedError(
            DeadlineError(f"{call.url} did not finish in the time allowed"), "deadline", may_be_billed=True
        ) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as exc:
        error = UnavailableError(f"no connection to {call.url}: {way_out}")
        raise RequestFailedError(error, "no connection", is_retryable=True, is_server_fault=True) from exc
    except httpx.LocalProtocolError as exc:
        raise RequestFailedError(
            UpstreamError(f"{call.url} was not asked: no such request can be sent"), "not sent"
        ) from exc
    except httpx.TransportError as exc:
        error = UnavailableError(f"{call.url} broke off before the end of its answer ({type(exc).__name__}): {way_out}")
        raise RequestFailedError(
            error, "broken off", is_retryable=True, may_be_billed=True, is_server_fault=True
        ) from exc


@contextmanager
def prefix_url(call: ApiCall) -> Iterator[None]:
    """Put the server's name before an error that speaks of its reply."""
    try:
        yield
    except UpstreamError as exc:
        raise RequestFailedError(
            UpstreamError(f"{call.url}: {exc}", malformed=True), "bad reply", may_be_billed=True
        ) from exc


async def wait_until_allowed(traffic: CircuitBreaker, call: ApiCall) -> None:
    """Wait until calls go out to this server; Unavailable where that takes longer than somebody would wait."""
    while (wait := traffic.get_wait_seconds()) > 0:
        loop = asyncio.get_running_loop()
        broken = traffic.get_status().state == "open"
        hasty = broken and not call.is_patient
        if hasty or wait > call.longest_wait or loop.time() + wait > call.deadline:
            why = "keeps failing" if broken else "is too busy (429)"
            raise UnavailableError(f"{call.url} {why}; it is called again in {wait:.1f} seconds")
        await asyncio.sleep(wait)


def count(traffic: CircuitBreaker, call: ApiCall, failed: RequestFailedError, *, hung: bool) -> None:
    """Count a failure against the server, or for it where it has answered; `hung` says that it took very long."""
    if not failed.is_server_fault and not hung:
        if failed.outcome != "deadline":  # of a call that had no time nothing is learned
            traffic.record_success()
        return
    if failed.may_be_input and traffic.get_status().state != "open":
        failed.uncounted = call.trial.probe is not None
        if failed.uncounted or call.trial.role == "part":
            return
    traffic.record_failure()


class RetryLoop:
    """Decides after each failure of one call whether it is tried again, and waits until then."""

    def __init__(self, circuit_breaker: CircuitBreaker, call: ApiCall) -> None:
        self.attempt = call.trial.attempt
        self._circuit_breaker = circuit_breaker
        self._call = call
        self._is_patient = call.is_patient
        self._may_use_new_key = True
        self._retries = 0
        self._waits = 0
        self._server_errors = 0
        """In a row."""
        self._cleared = False
        """Whether a probe has shown that the server works, so that the next failure is the last."""
        if call.trial.role != "probe":
            self._circuit_breaker.on_call()

    async def wait_or_raise(self, failure: RequestFailedError) -> None:
        """Return when it is time to try again; raise the error where that cannot help, or takes too long."""
        self.attempt += 1
        if failure.outcome == "key changed" and self._may_use_new_key:
            self._may_use_new_key = False
            return
        if failure.is_paced:
            await self._wait_as_told(failure)
            return
        self._retries += 1
        if self._is_final(failure):
            raise failure.error from failure
        if not failure.uncounted:
            self._server_errors = 0
        elif await self._fails_for_input(failure):
            return
        tries = MAX_PATIENT_TRIES if self._is_patient else MAX_TRIES
        wait = (
            compute_backoff(self._retries - 1, random.random)
            if failure.retry_after_seconds is None
            else failure.retry_after_seconds
        )
        loop = asyncio.get_running_loop()
        if not failure.is_retryable or self._retries >= tries:
            raise failure.error from failure
        if wait > self._call.longest_wait:
            raise UnavailableError(f"{failure.error}; it asks to wait {wait:.0f} seconds") from failure
        if loop.time() + wait > self._call.deadline or not (
            self._is_patient or self._circuit_breaker.take_retry_token()
        ):
            raise failure.error from failure
        await asyncio.sleep(wait)

    async def _wait_as_told(self, failed: RequestFailedError) -> None:
        """Wait for a rate limit, which is no retry; Unavailable at once where the time allowed is shorter."""
        told = failed.retry_after_seconds or 0.0
        wait = told + pace(self._waits, random.random)
        self._waits += 1
        left = max(0.0, min(self._call.longest_wait, self._call.deadline - asyncio.get_running_loop().time()))
        if wait > left:
            raise UnavailableError(
                f"{failed.error}; it asks to wait {told:g} seconds, and there is time for {left:.1f}"
            ) from failed
        await asyncio.sleep(wait)

    def _is_final(self, failed: RequestFailedError) -> bool:
        """Whether no probe and no retry follows."""
        role = self._call.trial.role
        return self._cleared or role == "probe" or (role == "part" and failed.may_be_input)

    async def _fails_for_input(self, failed: RequestFailedError) -> bool:
        """Whether the server works for a harmless input; then a long job gets the error, and others one more try.

        The probe takes the place of a retry. It comes after two server errors in a row, and before a failure that would
        open the circuit: no input may do that.
        """
        self._server_errors += 1
        repeated = self._server_errors >= _REPEATED or not failed.is_retryable
        works = (repeated or self._circuit_breaker.would_open()) and await self._probe_works()
        if not works and self._circuit_breaker.get_status().state != "open":
            self._circuit_breaker.record_failure()
        self._cleared = works and repeated
        if self._cleared and (self._is_patient or not failed.is_retryable):
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


def build_response_error(
    call: ApiCall, response: httpx.Response, detail: ErrorDetail, *, has_key: bool
) -> RequestFailedError:
    """What a status other than 200 means."""
    status = response.status_code
    return RequestFailedError(
        _build_error(call, status, detail, has_key=has_key),
        str(status),
        is_retryable=_is_retryable(response, detail),
        is_server_fault=status >= 500,
        detail=detail,
    )


def is_out_of_quota(detail: ErrorDetail) -> bool:
    """Whether a 429 is about money, which no waiting brings back."""
    return detail.code in _QUOTA_ERROR_CODES or detail.type in _QUOTA_ERROR_CODES


def _is_retryable(response: httpx.Response, detail: ErrorDetail) -> bool:
    status = response.status_code
    if status == 429 and is_out_of_quota(detail):
        return False
    said = response.headers.get("x-should-retry")
    if said in ("true", "false"):
        return bool(said == "true" and status >= 400)
    return status in _RETRYABLE_STATUSES or status >= 500


def _build_error(call: ApiCall, status: int, detail: ErrorDetail, *, has_key: bool) -> SemsearchError:
    if 300 <= status < 400:
        address = call.get_setting_name("BASE_URL")
        text = f"{call.url} answered {status}, a redirect, which is not followed: correct {address}"
        return UpstreamError(text, status=status)
    if status in (401, 403):
        # its own message is left out: it may hold parts of the key
        verb = "refused the key" if has_key else "asks for a key"
        return UpstreamError(f"{call.url} {verb} ({status}): set {call.get_setting_name('API_KEY')}", status=status)
    said = f": {detail.message}" if detail.message else ""
    if status == 404:
        address = call.get_setting_name("BASE_URL")
        missing = f"no model {call.model!r}" if call.model else "there is nothing"
        return UpstreamError(f"{missing} at {call.url} (404), or {address} is wrong{said}", status=status)
    if status == 429 and is_out_of_quota(detail):
        return UpstreamError(f"the account at {call.url} has no quota left ({status}){said}", status=status)
    if status in (429, 503):
        return UnavailableError(f"{call.url} is too busy ({status}), try again later{said}", status=status)
    return UpstreamError(f"{call.url} answered {status}{said}", status=status, code=detail.code or detail.type)
