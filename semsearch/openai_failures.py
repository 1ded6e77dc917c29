"""Says in our words what went wrong on the way to a model server and back, and whether it is worth another try.

Nothing that holds a key is repeated: neither the server's own words about a refused key, nor its headers.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from .accounts import Errand
from .errors import Deadline, SemsearchError, Unavailable, Upstream
from .openai_replies import Counted, Problem
from .retries import LONGEST_WAIT, PATIENT_TRIES, SHORT_WAIT, TRIES, Traffic, backoff

_NO_QUOTA = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_RETRIED = (408, 409, 429)


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
        raise Failed(Upstream(f"{call.url}: {exc}"), "bad reply", billed=True) from exc


class Again:
    """Decides after each failure of one call whether it is tried again, and waits until then."""

    def __init__(self, traffic: Traffic, call: Call) -> None:
        self.attempt = 0
        self._traffic = traffic
        self._call = call
        self._patient = call.errand.purpose == "ingest"
        self._new_key = True
        self._retries = 0
        self._traffic.begins()

    async def after(self, failed: Failed) -> None:
        """Return when it is time to try again; raise the error where that cannot help, or takes too long."""
        self.attempt += 1
        if failed.outcome == "key changed" and self._new_key:
            self._new_key = False
            return
        self._retries += 1
        tries = PATIENT_TRIES if self._patient else TRIES
        wait = backoff(self._retries - 1, random.random) if failed.after is None else failed.after
        loop = asyncio.get_running_loop()
        if not failed.again or self._retries >= tries:
            raise failed.error from failed
        if wait > LONGEST_WAIT or (not self._patient and wait > SHORT_WAIT):
            raise Unavailable(f"{failed.error}; it asks to wait {wait:.0f} seconds") from failed
        if loop.time() + wait > self._call.deadline or not (self._patient or self._traffic.may_retry()):
            raise failed.error from failed
        await asyncio.sleep(wait)


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
        return Unavailable(f"{call.url} is too busy ({status}), try again later{said}")
    return Upstream(f"{call.url} answered {status}{said}", status=status, code=problem.code or problem.type)
