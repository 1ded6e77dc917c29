"""The errors that semsearch raises on purpose, one class for each row of its error table.

Does not know status or exit codes: each interface maps the names of the errors to its own codes. A message contains no
command and no route: an error names its remedy, and each interface adds what its users type.

    SemsearchError
    ├── MalformedError          the request cannot be parsed
    ├── InvalidError            the request parses, but a value is not allowed
    ├── UnauthorizedError       the request has no valid access key
    ├── ForbiddenError          the request is refused: by a guard, or for lack of permission
    ├── NotFoundError           the thing does not exist, or the caller may not see it
    ├── ConflictError           the request contradicts stored data
    ├── LockedError             another process holds the lock
    ├── TooLargeError           the input is over a limit
    ├── UnsupportedMediaError   no reader for this type, or nothing readable in the file
    │   └── NothingToIndexError the file is intact, but consists of metadata or markup
    ├── RateLimitedError        the caller sent too many requests
    ├── BudgetError             the request could exceed a budget
    ├── UpstreamError           a model server sent an error or an invalid response
    ├── UnavailableError        a model server, or this service, cannot be reached
    ├── DeadlineError           the time limit has passed
    └── StorageError            the disk is full, read-only or damaged
"""

from dataclasses import dataclass
from typing import Literal

RemedyAction = Literal["list_keys", "create_collection", "list_documents", "create_session", "reindex", "accept_loss"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a user can do about an error, and in which collection. The message names it in words."""

    action: RemedyAction
    collection: str = ""


class SemsearchError(Exception):
    """Base class. The message says what failed, why, and what to do; it may be shown to users.

    >>> try:
    ...     library.open("handbok")
    ... except semsearch.SemsearchError as error:
    ...     print(error.name)
    not_found
    """

    name = "internal"
    remedy: Remedy | None = None

    def __init__(self, message: str = "", *, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class MalformedError(SemsearchError):
    """The request cannot be parsed.

    >>> semsearch.MalformedError("the body is not JSON").name
    'malformed'
    """

    name = "malformed"


class InvalidError(SemsearchError):
    """A value is not allowed.

    >>> handbook.search("lamp", k=0)
    Traceback (most recent call last):
    semsearch.core.errors.InvalidError: ...
    """

    name = "invalid"


class UnauthorizedError(SemsearchError):
    """The request has no valid access key.

    >>> library.authenticate("sk_1_2")
    Traceback (most recent call last):
    semsearch.core.errors.UnauthorizedError: ...
    """

    name = "unauthorized"


class ForbiddenError(SemsearchError):
    """The request is refused: by a guard, or for lack of permission.

    >>> library.open("handbook", caller=semsearch.Caller("ann", filter={"team": "hr"})).remove(["a.md"])
    Traceback (most recent call last):
    semsearch.core.errors.ForbiddenError: ...
    """

    name = "forbidden"


class NotFoundError(SemsearchError):
    """The requested thing does not exist, or the caller may not see it.

    >>> handbook.document("no/such.md")
    Traceback (most recent call last):
    semsearch.core.errors.NotFoundError: ...
    """

    name = "not_found"


class ConflictError(SemsearchError):
    """The request contradicts stored data.

    >>> library.create("handbook", embedder="openai:text-embedding-3-small")
    Traceback (most recent call last):
    semsearch.core.errors.ConflictError: ...
    """

    name = "conflict"


class LockedError(SemsearchError):
    """Another process or thread holds a lock that the operation needs.

    >>> with handbook.backends.store.job_lock("ingest"):
    ...     handbook.reindex()
    Traceback (most recent call last):
    semsearch.core.errors.LockedError: ...
    """

    name = "locked"


class TooLargeError(SemsearchError):
    """An input is over a limit.

    >>> semsearch.TooLargeError("the file has 3 GB").name
    'too_large'
    """

    name = "too_large"


class UnsupportedMediaError(SemsearchError):
    """No reader supports this type, or the file has no readable content.

    >>> handbook.ingest(semsearch.bytes_source("a.png", b"...", "image/png")).failures[0].type
    'unsupported_media'
    """

    name = "unsupported_media"


class NothingToIndexError(UnsupportedMediaError):
    """The file is intact, but has no text: only front matter or markup. An ingestion skips it.

    >>> handbook.ingest(semsearch.bytes_source("a.md", b"<!-- empty -->", "text/markdown")).skipped
    1
    """


class RateLimitedError(SemsearchError):
    """The caller sent more requests than they may.

    >>> semsearch.RateLimitedError("60 requests per minute are allowed", retry_after_seconds=1.5).retry_after_seconds
    1.5
    """

    name = "rate_limited"

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """Seconds until the next request is allowed."""


class BudgetError(SemsearchError):
    """The request could exceed a budget.

    >>> semsearch.BudgetError("over the budget of the day", retry_after_seconds=60).retry_after_seconds
    60
    """

    name = "budget"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """Seconds until the budget may allow the request; None if it never will."""


class UpstreamError(SemsearchError):
    """A model server sent an error or an invalid response.

    >>> semsearch.UpstreamError("the server sent an error", status=500).status
    500
    """

    name = "upstream"

    def __init__(self, message: str, *, status: int | None = None, code: str = "", malformed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, where the server sent an error."""
        self.code = code
        """The server's own code for the error."""
        self.malformed = malformed
        """Whether the status was a success, but the response is invalid."""


class UnavailableError(SemsearchError):
    """A model server, or this service, is not available at the moment.

    >>> library.close()
    >>> handbook.search("lamp")
    Traceback (most recent call last):
    semsearch.core.errors.UnavailableError: ...
    """

    name = "unavailable"

    def __init__(self, message: str, *, status: int | None = None, broken_off: bool = False) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, where a model server sent a response."""
        self.broken_off = broken_off
        """Whether a model server accepted the request and closed the connection before the end of its response."""


class DeadlineError(SemsearchError):
    """The time limit has passed.

    >>> semsearch.DeadlineError("the answer took longer than 60 s").name
    'deadline'
    """

    name = "deadline"


class StorageError(SemsearchError):
    """The disk is full or read-only, or stored data is damaged.

    >>> semsearch.Library("docs/leave.md")
    Traceback (most recent call last):
    semsearch.core.errors.StorageError: ...
    """

    name = "storage"
