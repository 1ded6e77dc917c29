"""Types of access: callers with their rights and limits, and access keys. `access` makes and verifies keys."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ForbiddenError
from ..short_repr import format_fields
from .usage import LOCAL_OWNER, BudgetLimits

Scope = Literal["search", "ask", "write", "admin"]
"""What a caller may do; no scope includes another."""

ALL_SCOPES: frozenset[Scope] = frozenset(("search", "ask", "write", "admin"))
DEFAULT_SCOPES: frozenset[Scope] = frozenset(("search", "ask"))


RECORD_SEPARATOR = "\x1f"
"""Between an owner and the digest of a filter; no name of an owner contains it."""


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """Limits on the requests of one access key; None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Tokens of its requests to model servers."""
    streams: int | None = None
    """Streamed answers at the same time."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, what they may do, and which documents they may see.

    `collections` None means all collections; `filter` is ANDed with the filter of every read.

    >>> caller = semsearch.Caller("ann", filter={"team": "hr"})
    >>> library.open("handbook", caller=caller).info().documents
    0
    """

    owner: str
    collections: frozenset[str] | None = None
    filter: Mapping[str, Any] | None = None
    key: str | None = None
    """Id of the access key; a rotated key has the same owner."""
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: CallerLimits = field(default_factory=CallerLimits)
    budget: BudgetLimits = field(default_factory=BudgetLimits)
    """Of the access key alone, beside those of the owner and of all owners."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)

    @property
    def record_owner(self) -> str:
        """Under which answers and sessions are stored: they hold texts, so that each filter has its own."""
        if self.filter is None:
            return self.owner
        digest = hashlib.sha256(json.dumps(self.filter, sort_keys=True).encode()).hexdigest()
        return f"{self.owner}{RECORD_SEPARATOR}{digest[:32]}"

    def check_scope(self, scope: Scope) -> None:
        """Raise ForbiddenError unless the caller has this scope."""
        if scope not in self.scopes:
            raise ForbiddenError(f"this needs an access key with the scope {scope}, which yours has not")


LOCAL_CALLER = Caller(LOCAL_OWNER)
"""The user of the command line and of the Python API."""


@dataclass(frozen=True, slots=True)
class KeyGrants:
    """What an access key allows, and to whom.

    >>> key, secret = library.create_key(semsearch.KeyGrants("intranet search", "intranet", filter={"team": "all"}))
    >>> library.open("handbook", caller=library.authenticate(secret)).info().documents
    0
    """

    name: str
    owner: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    collections: frozenset[str] | None = None
    filter: Mapping[str, Any] | None = None
    limits: CallerLimits = field(default_factory=CallerLimits)
    budget: BudgetLimits = field(default_factory=BudgetLimits)
    expires: float | None = None
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key as it is stored: hashes of its secrets, never a secret. Times are seconds since 1970.

    >>> key, _ = library.create_key(semsearch.KeyGrants("intranet search", "intranet"))
    >>> key.grants.name, key.revoked
    ('intranet search', None)
    """

    id: str
    grants: KeyGrants
    secret_hash: bytes = field(repr=False)
    created: float
    previous_hash: bytes | None = field(default=None, repr=False)
    """Hash of the secret before the last rotation."""
    previous_expires: float | None = None
    """When the secret before the last rotation expires."""
    revoked: float | None = None

    def is_active(self, now: float) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.grants.expires is None or now < self.grants.expires)

    def make_caller(self) -> Caller:
        """Return the caller that requests with this key have."""
        grants = self.grants
        return Caller(
            grants.owner, grants.collections, grants.filter, self.id, grants.scopes, grants.limits, grants.budget
        )
