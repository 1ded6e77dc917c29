"""Access keys: create, rotate, revoke and verify them. Keys are stored by a `KeyStore`.

A key that was created, rotated or revoked by another process counts from the next request on: every check first asks
the store whether a key has changed, which reads shared memory.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from ..core.errors import ConflictError, InvalidError, NotFoundError, Remedy, UnauthorizedError
from ..core.ports import KeyStore
from ..core.types.access import AccessKey, Caller, KeyGrants
from .secrets import Credential, format_key, hash_secret, is_equal, make_key_id, make_secret, parse_key

DEFAULT_OVERLAP_SECONDS = 86_400.0
"""Time for which the secret before a rotation stays valid."""

MAX_OVERLAP_SECONDS = 30 * 86_400.0
MAX_NAME_CHARACTERS = 200

UNAUTHORIZED = "the request has no valid access key; send one as `Authorization: Bearer sk_...`"
"""The same message for a key that is missing, unknown, wrong, expired or revoked."""

_NO_HASH = bytes(32)
_NO_KEY = AccessKey("", KeyGrants("", ""), _NO_HASH, created=0.0, revoked=0.0)
"""Stands for an unknown id."""


class AccessKeys:
    """The access keys of one data directory."""

    def __init__(self, store: KeyStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, AccessKey] = {}
        self._version: tuple[int, int] | None = None
        self._have_existed = False
        self._load_lock = threading.Lock()

    def exist(self) -> bool:
        """Return whether there is any key, revoked and expired ones included."""
        return self._have_existed or bool(self._get_keys())

    def create(self, grants: KeyGrants) -> tuple[AccessKey, str]:
        """Store a new key; return it with the key that its owner sends, which nobody can read again."""
        _validate_grants(grants, self._clock())
        secret = make_secret()
        key = AccessKey(make_key_id(), grants, hash_secret(secret), self._clock())
        self._store.add_key(key)
        return key, format_key(key.id, secret)

    def list(self) -> list[AccessKey]:
        """Return all keys, the oldest first, revoked and expired ones included."""
        return sorted(self._get_keys().values(), key=lambda key: (key.created, key.id))

    def get(self, key_id: str) -> AccessKey:
        """Return the key of this id; NotFoundError if there is none."""
        key = self._get_keys().get(key_id)
        if key is None:
            raise _key_not_found(key_id)
        return key

    def rotate(self, key_id: str, overlap_seconds: float = DEFAULT_OVERLAP_SECONDS) -> tuple[AccessKey, str]:
        """Give a key a new secret; the old one stays valid for `overlap_seconds`. Return the key as `create` does."""
        if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
            raise InvalidError("the overlap of a rotation is between 0 and 30 days")
        secret, now = make_secret(), self._clock()

        def give_secret(key: AccessKey) -> AccessKey:
            if not key.is_active(now):
                raise ConflictError(
                    f"the key {key.id} is revoked or expired, so it cannot be rotated; create another one"
                )
            return replace(
                key,
                secret_hash=hash_secret(secret),
                previous_hash=key.secret_hash,
                previous_expires=now + overlap_seconds,
            )

        key = self._store.change_key(key_id, give_secret)
        if key is None:
            raise _key_not_found(key_id)
        return key, format_key(key.id, secret)

    def revoke(self, key_id: str) -> AccessKey:
        """Refuse a key from now on; NotFoundError if there is none. Revoking it again changes nothing."""
        now = self._clock()
        key = self._store.change_key(key_id, lambda key: key if key.revoked else replace(key, revoked=now))
        if key is None:
            raise _key_not_found(key_id)
        return key

    def authenticate(self, token: str) -> Caller:
        """Return the caller of a key; UnauthorizedError if the key is unknown, wrong, expired or revoked."""
        return self.verify(parse_key(token))

    def verify(self, credential: Credential | None) -> Caller:
        """Return the caller of a credential; UnauthorizedError, always the same, if it is not valid."""
        if credential is None:
            raise UnauthorizedError(UNAUTHORIZED)
        key = self._get_keys().get(credential.key_id, _NO_KEY)  # an unknown id takes the same steps as a known one
        now = self._clock()
        if not _has_secret(key, credential.secret_hash, now) or not key.is_active(now):
            raise UnauthorizedError(UNAUTHORIZED)
        return key.make_caller()

    def _get_keys(self) -> dict[str, AccessKey]:
        if self._store.key_version() != self._version:
            with self._load_lock:
                version = self._store.key_version()  # before the keys: a change in between is loaded again
                self._keys = {key.id: key for key in self._store.load_keys()}
                self._version = version
                if self._keys:
                    self._have_existed = True  # if their file is deleted, no request may pass without a key
        return self._keys


def _has_secret(key: AccessKey, secret_hash: bytes, now: float) -> bool:
    is_current = is_equal(secret_hash, key.secret_hash)
    previous_hash = key.previous_hash if now < (key.previous_expires or 0.0) else None
    is_previous = is_equal(secret_hash, previous_hash or _NO_HASH)
    return is_current or is_previous


def _validate_grants(grants: KeyGrants, now: float) -> None:
    for noun, text in (("name", grants.name), ("owner", grants.owner)):
        if not 0 < len(text.strip()) <= len(text) <= MAX_NAME_CHARACTERS or not text.isprintable():
            raise InvalidError(f"the {noun} of a key has 1 to {MAX_NAME_CHARACTERS} printable characters")
    if not grants.scopes:
        raise InvalidError("a key needs at least one of the scopes search, ask, write and admin")
    if grants.filter is not None and grants.scopes & {"write", "admin"}:
        raise InvalidError(
            "a key with a filter cannot have the scopes write and admin: what it adds or deletes could be outside the"
            " filter; create a second key for that"
        )
    if grants.expires is not None and grants.expires <= now:
        raise InvalidError("the key would have expired already; choose a later time")
    limits = grants.limits
    amounts = (limits.requests_per_minute, limits.tokens_per_minute, limits.streams, grants.budget.day_usd)
    if any(amount is not None and not 0 < amount <= 1e12 for amount in amounts):
        raise InvalidError("a limit of a key is above 0")


def _key_not_found(key_id: str) -> NotFoundError:
    return NotFoundError(f"there is no key {key_id[:80]!r}; list them", remedy=Remedy("list_keys"))
