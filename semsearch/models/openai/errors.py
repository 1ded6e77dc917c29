"""Map failures of requests to our errors, and decide whether to retry.

No message repeats a key: the server's message about a rejected key and its headers are left out.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from ...core.errors import DeadlineError, SemsearchError, UnavailableError, UpstreamError
from ...core.types.usage import FileUpload, RequestContext
from .connection_causes import describe_cause
from .responses import ErrorDetail, TokenCounts
from .retries import (
    MAX_INGEST_TRIES,
    MAX_INTERACTIVE_WAIT_SECONDS,
    MAX_TRIES,
    MAX_WAIT_SECONDS,
    CircuitBreaker,
    compute_backoff,
    compute_rate_limit_delay,
)

_QUOTA_ERROR_CODES = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_RETRYABLE_STATUSES = (408, 409, 429)
_FAULTS_BEFORE_PROBE = 2
"""Consecutive server errors after which a probe shows whether only this input causes them."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a request is retried if its input may cause the server's errors."""

    role: Literal["whole", "part", "probe"] = "whole"
    """A `whole` is retried after a server error, and the error counts against the server.

    A `part` is a piece of an input that caused an error while the server worked. After a server error, or a response
    that broke off, a `part` is not retried, and the error does not count against the server.

    A `probe` is never retried.
    """
    attempt: int = 0
    """Number of the first try, from 0."""
    probe: Callable[[int], Awaitable[bool]] | None = field(default=None, repr=False)
    """Returns whether the server works for a harmless input. Its argument is the number of the try it replaces."""


DEFAULT_POLICY = RetryPolicy()


@dataclass(slots=True)
class RateLimitWaits:
    """Waits of one call for a rate limit, over all its tries."""

    started_at: float | None = None
    """Time of the event loop when the first wait began."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to one endpoint, with the names for its error messages."""

    method: Literal["GET", "POST"]
    url: str
    section: Literal["EMBEDDINGS", "CHAT", "CHECK"]
    model: str
    context: RequestContext
    deadline: float
    """In the time of the event loop."""
    body: dict[str, Any] | None = field(default=None, repr=False)
    upload: FileUpload | None = None
    policy: RetryPolicy = DEFAULT_POLICY
    rate_limit_waits: RateLimitWaits = field(default_factory=RateLimitWaits, repr=False)
    """Shared by all copies of this call, because each try has its own copy."""

    @property
    def is_ingest(self) -> bool:
        """Whether the call belongs to an ingest, so that no user waits for it."""
        return self.context.purpose == "ingest"

    @property
    def max_wait_seconds(self) -> float:
        """Maximum length of one wait, if the deadline allows it."""
        return MAX_INTERACTIVE_WAIT_SECONDS if self._is_interactive_without_deadline else MAX_WAIT_SECONDS

    @property
    def _is_interactive_without_deadline(self) -> bool:
        return not self.is_ingest and self.context.deadline is None

    def compute_rate_limit_seconds_left(self) -> float:
        """Return how long the call may still wait for a rate limit; its first call starts the first wait.

        If a user waits and has set no deadline, all waits of the call together are limited, not each of them.
        """
        now = asyncio.get_running_loop().time()
        if self.rate_limit_waits.started_at is None:
            self.rate_limit_waits.started_at = now
        waited_seconds = now - self.rate_limit_waits.started_at if self._is_interactive_without_deadline else 0.0
        return max(0.0, min(self.max_wait_seconds - waited_seconds, self.deadline - now))

    def get_setting_name(self, name: str) -> str:
        """Return the full name of a setting of this endpoint."""
        return f"SEMSEARCH_{self.section}__{name}"


class RequestFailedError(Exception):
    """A request failed; carries the error for the caller and what the retry loop needs."""

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
        """Whether the server may have done the work, and bills it."""
        self.is_server_fault = is_server_fault
        """Whether the cause is the server rather than the request."""
        self.detail = detail or ErrorDetail()
        self.token_counts: TokenCounts | None = None
        """Tokens that the server counted although the request failed."""
        self.retry_after_seconds: float | None = None
        """The server's Retry-After."""
        self.awaits_probe = False
        """Whether a probe must show first if the failure counts against the server."""

    @property
    def is_rate_limit(self) -> bool:
        """Whether the failure is a 429 that says when to retry."""
        return self.outcome == "429" and self.is_retryable and self.retry_after_seconds is not None

    @property
    def may_be_caused_by_input(self) -> bool:
        """Whether a certain input is a likely cause of this server error, so that two of them need a probe."""
        return self.is_server_fault and self.outcome.isdecimal() and not self.may_be_temporary

    @property
    def may_be_temporary(self) -> bool:
        """Whether a wait is likely to help: a 503 with Retry-After, or a connection that the server closed too early.

        A certain input can cause this too, such as one that crashes the server's worker: an ingest sends a probe after
        its last try.
        """
        asks_to_wait = self.outcome == "503" and self.retry_after_seconds is not None
        return self.is_server_fault and (asks_to_wait or self.outcome == "broken off")


@contextmanager
def map_transport_errors(call: ApiCall) -> Iterator[None]:
    """Convert exceptions of httpx and timeouts to RequestFailedError."""
    remedy = f"is the server running? check {call.get_setting_name('BASE_URL')}"
    try:
        yield
    except TimeoutError as exc:
        raise RequestFailedError(
            DeadlineError(f"{call.url} did not finish in the time allowed; set a longer timeout, or try again"),
            "deadline",
            may_be_billed=True,
        ) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as exc:
        error = UnavailableError(f"no connection to {call.url}{describe_cause(exc)}: {remedy}")
        raise RequestFailedError(error, "no connection", is_retryable=True, is_server_fault=True) from exc
    except httpx.LocalProtocolError as exc:
        raise RequestFailedError(
            UpstreamError(f"{call.url} was not called: the request is not valid HTTP"), "not sent"
        ) from exc
    except httpx.TransportError as exc:
        error = UnavailableError(
            f"{call.url} closed the connection before the end of its response ({type(exc).__name__}): {remedy}",
            broken_off=True,
        )
        raise RequestFailedError(
            error, "broken off", is_retryable=True, may_be_billed=True, is_server_fault=True
        ) from exc


@contextmanager
def prefix_url(call: ApiCall) -> Iterator[None]:
    """Convert an UpstreamError about a reply to RequestFailedError, with the URL before its message."""
    try:
        yield
    except UpstreamError as exc:
        raise RequestFailedError(
            UpstreamError(f"{call.url}: {exc}", malformed=True), "bad reply", may_be_billed=True
        ) from exc


async def wait_until_allowed(circuit_breaker: CircuitBreaker, call: ApiCall) -> None:
    """Wait until the circuit breaker allows a call; UnavailableError if that takes too long."""
    while (wait := circuit_breaker.get_wait_seconds()) > 0:
        is_open = circuit_breaker.get_status().state == "open"
        seconds_left = call.compute_rate_limit_seconds_left()
        if (is_open and not call.is_ingest) or wait > seconds_left:
            reason = "keeps failing" if is_open else "is too busy (429)"
            time_left = "" if is_open else f", and {seconds_left:.1f} seconds are left"
            raise UnavailableError(f"{call.url} {reason}; the next call is allowed in {wait:.1f} seconds{time_left}")
        await asyncio.sleep(wait)


def record_failure(
    circuit_breaker: CircuitBreaker, call: ApiCall, failure: RequestFailedError, *, is_server_timeout: bool
) -> None:
    """Report a failed request to the circuit breaker: as a success if the server responded and is not at fault."""
    if not failure.is_server_fault and not is_server_timeout:
        if failure.outcome != "deadline":  # a deadline says nothing about the server
            circuit_breaker.record_success()
        return
    may_be_input = failure.may_be_caused_by_input or failure.may_be_temporary
    if may_be_input and circuit_breaker.get_status().state != "open":
        failure.awaits_probe = call.policy.probe is not None
        if failure.awaits_probe or call.policy.role == "part":
            return
    circuit_breaker.record_failure()


class RetryLoop:
    """Decides after each failure of a call whether to retry it, and waits."""

    def __init__(self, circuit_breaker: CircuitBreaker, call: ApiCall) -> None:
        self.attempt = call.policy.attempt
        self._circuit_breaker = circuit_breaker
        self._call = call
        self._is_ingest = call.is_ingest
        self._may_use_new_key = True
        self._retries = 0
        self._waits = 0
        self._consecutive_faults = 0
        self._is_last_try = False
        """Whether a probe has shown that the server works, so that the next failure is final."""
        self._attempt_after_probe: int | None = None
        """Number of the try that follows the last probe."""
        if call.policy.role != "probe":
            self._circuit_breaker.on_call()

    async def wait_or_raise(self, failure: RequestFailedError) -> None:
        """Return when the next try may start; raise the error if a retry cannot help or takes too long."""
        self.attempt += 1
        if failure.outcome == "key changed" and self._may_use_new_key:
            self._may_use_new_key = False
            return
        if failure.is_rate_limit:
            await self._wait_for_rate_limit(failure)
            return
        self._retries += 1
        if self._is_final(failure):
            raise failure.error from failure
        if not failure.awaits_probe:
            self._consecutive_faults = 0
        elif await self._is_caused_by_input(failure):
            return
        tries = MAX_INGEST_TRIES if self._is_ingest else MAX_TRIES
        wait = (
            compute_backoff(self._retries - 1, random.random)
            if failure.retry_after_seconds is None
            else failure.retry_after_seconds
        )
        may_retry = failure.is_retryable and self._retries < tries
        is_too_long = may_retry and wait > self._call.max_wait_seconds
        is_in_time = asyncio.get_running_loop().time() + wait <= self._call.deadline
        if may_retry and not is_too_long and is_in_time and self._take_retry_token():
            await asyncio.sleep(wait)
            return
        if failure.may_be_temporary or (is_too_long and failure.may_be_caused_by_input):
            await self._probe_after_last_try(wait if is_in_time and wait <= self._call.max_wait_seconds else 0.0)
        if is_too_long:
            status = int(failure.outcome) if failure.outcome.isdecimal() else None
            raise UnavailableError(f"{failure.error}; Retry-After is {wait:.0f} seconds", status=status) from failure
        raise failure.error from failure

    def _take_retry_token(self) -> bool:
        return self._is_ingest or self._circuit_breaker.take_retry_token()

    async def _probe_after_last_try(self, wait: float) -> None:
        """Let the probe show whether the input of an ingest causes its failures, unless it has just done so.

        The wait before the probe gives a worker that crashed the time to start again. The caller of the request reads
        the result from its probe.
        """
        if self._is_ingest and self._call.policy.probe is not None and self.attempt != self._attempt_after_probe:
            await asyncio.sleep(wait)
            await self._probe_server()

    async def _wait_for_rate_limit(self, failure: RequestFailedError) -> None:
        """Wait for a rate limit, which does not count as a retry; UnavailableError at once if the time is too short."""
        retry_after = failure.retry_after_seconds or 0.0
        wait = retry_after + compute_rate_limit_delay(self._waits, random.random)
        self._waits += 1
        seconds_left = self._call.compute_rate_limit_seconds_left()
        if wait > seconds_left:
            raise UnavailableError(
                f"{failure.error}; Retry-After is {retry_after:g} seconds, and {seconds_left:.1f} seconds are left"
            ) from failure
        await asyncio.sleep(wait)

    def _is_final(self, failure: RequestFailedError) -> bool:
        """Return whether neither a probe nor a retry follows."""
        role = self._call.policy.role
        may_be_input = failure.may_be_caused_by_input or failure.may_be_temporary
        # waiting does not help where no connection has ever succeeded: the address is likely wrong
        is_unknown_server = failure.outcome == "no connection" and not self._circuit_breaker.was_reached
        return self._is_last_try or is_unknown_server or role == "probe" or (role == "part" and may_be_input)

    async def _is_caused_by_input(self, failure: RequestFailedError) -> bool:
        """Return whether a probe shows that the server works; then one more try follows, or the error during an ingest.

        The probe replaces a retry. It is sent after two consecutive server errors, and before a failure that would
        open the circuit: no input may open it. A failure that may be temporary is retried first.
        """
        self._consecutive_faults += failure.may_be_caused_by_input
        needs_probe = failure.may_be_caused_by_input and (
            self._consecutive_faults >= _FAULTS_BEFORE_PROBE or not failure.is_retryable
        )
        works = (needs_probe or self._circuit_breaker.would_open()) and await self._probe_server()
        if not works and self._circuit_breaker.get_status().state != "open":
            self._circuit_breaker.record_failure()
        self._is_last_try = works and needs_probe
        if self._is_last_try and (self._is_ingest or not failure.is_retryable):
            raise failure.error from failure
        return self._is_last_try

    async def _probe_server(self) -> bool:
        probe = self._call.policy.probe
        assert probe is not None
        works = await probe(self.attempt)
        self.attempt += 1
        self._attempt_after_probe = self.attempt
        self._retries += 1
        if not works:  # an outage: its errors say nothing about the input
            self._consecutive_faults = 0
        return works


def build_response_error(
    call: ApiCall, response: httpx.Response, detail: ErrorDetail, *, has_key: bool
) -> RequestFailedError:
    """Return the failure for a response with a status other than 200."""
    status = response.status_code
    return RequestFailedError(
        _build_error(call, status, detail, has_key=has_key),
        str(status),
        is_retryable=_is_retryable(response, detail),
        is_server_fault=status >= 500,
        detail=detail,
    )


def is_out_of_quota(detail: ErrorDetail) -> bool:
    """Return whether a 429 means an exhausted quota, where a retry cannot help."""
    return detail.code in _QUOTA_ERROR_CODES or detail.type in _QUOTA_ERROR_CODES


def _is_retryable(response: httpx.Response, detail: ErrorDetail) -> bool:
    status = response.status_code
    if status == 429 and is_out_of_quota(detail):
        return False
    should_retry = response.headers.get("x-should-retry")
    if should_retry in ("true", "false"):
        return bool(should_retry == "true" and status >= 400)
    return status in _RETRYABLE_STATUSES or status >= 500


def _build_error(call: ApiCall, status: int, detail: ErrorDetail, *, has_key: bool) -> SemsearchError:
    if 300 <= status < 400:
        setting = call.get_setting_name("BASE_URL")
        text = f"{call.url} answered {status}, a redirect, which is not followed: correct {setting}"
        return UpstreamError(text, status=status)
    if status in (401, 403):
        # the server's message is left out, because it may contain parts of the key
        problem = "rejected the key" if has_key else "requires a key"
        return UpstreamError(f"{call.url} {problem} ({status}): set {call.get_setting_name('API_KEY')}", status=status)
    suffix = f": {detail.message}" if detail.message else ""
    if status == 404:
        setting = call.get_setting_name("BASE_URL")
        missing = f"no model {call.model!r}" if call.model else "there is nothing"
        return UpstreamError(f"{missing} at {call.url} (404), or {setting} is wrong{suffix}", status=status)
    if status == 429 and is_out_of_quota(detail):
        return UpstreamError(f"the account at {call.url} has no quota left ({status}){suffix}", status=status)
    if status in (429, 503):
        return UnavailableError(f"{call.url} is too busy ({status}), try again later{suffix}", status=status)
    return UpstreamError(f"{call.url} answered {status}{suffix}", status=status, code=detail.code or detail.type)


def build_mid_stream_error(failure: RequestFailedError) -> Exception:
    """Return the error of an answer that failed after its first text: the server works, the answer is incomplete."""
    error = failure.error
    return error if isinstance(error, DeadlineError | UpstreamError) else UpstreamError(str(error))
