"""Every error that semsearch raises on purpose, one class for each row of its error table.

Does not know status or exit codes: each shell has its own table from these names.

    SemsearchError
    ├── Malformed          the request cannot be parsed at all
    ├── Invalid            it parses, but a value is not allowed
    ├── Forbidden          understood and refused: a guard, a missing permission
    ├── NotFound           absent, or not yours to see
    ├── Conflict           it contradicts what is stored
    ├── Locked             another process holds the lock
    ├── TooLarge           over a stated bound
    ├── UnsupportedMedia   no reader, or nothing in the file that can be read
    ├── OverBudget         it could cost more than may still be spent
    ├── Upstream           a model server answered wrongly, or refused us
    ├── Unavailable        a model server cannot be reached
    ├── Deadline           time ran out
    └── Storage            the disk is full, read-only or damaged
"""


class SemsearchError(Exception):
    """What happened, to which thing, and the way out, in one message fit to be shown."""

    name = "internal"


class MalformedError(SemsearchError):
    """The request cannot be parsed."""

    name = "malformed"


class InvalidError(SemsearchError):
    """A value is outside what is allowed."""

    name = "invalid"


class ForbiddenError(SemsearchError):
    """The request is understood and refused."""

    name = "forbidden"


class NotFoundError(SemsearchError):
    """The thing asked for is absent, or not the caller's to see."""

    name = "not_found"


class ConflictError(SemsearchError):
    """The request contradicts what is stored."""

    name = "conflict"


class LockedError(SemsearchError):
    """Another process or thread holds the lock that this needs."""

    name = "locked"


class TooLargeError(SemsearchError):
    """An input is over a stated bound."""

    name = "too_large"


class UnsupportedMediaError(SemsearchError):
    """No reader knows this type, or the file holds nothing that can be read."""

    name = "unsupported_media"


class BudgetError(SemsearchError):
    """The work could cost more than may still be spent."""

    name = "budget"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """Until there is room for it; None if there will be none."""


class UpstreamError(SemsearchError):
    """A model server answered with an error, or with something that cannot be trusted."""

    name = "upstream"

    def __init__(self, message: str, *, status: int | None = None, code: str = "", malformed: bool = False) -> None:
        super().__init__(message)
        self.status = status
        """What it answered with, if it was an error of its own."""
        self.code = code
        """What it calls the error."""
        self.malformed = malformed
        """Whether it answered with success, but the reply cannot be used."""


class UnavailableError(SemsearchError):
    """A model server, or this service, cannot be reached at the moment."""

    name = "unavailable"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """What a model server answered with, if it answered."""


class DeadlineError(SemsearchError):
    """The time allowed for the work has passed."""

    name = "deadline"


class StorageError(SemsearchError):
    """The disk is full, not writable, or holds damaged data."""

    name = "storage"
