"""The interfaces of what stores access keys, and of what shares limits between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..types.access import AccessKey
from ..types.rate_limits import BucketState

_T = TypeVar("_T")


class KeyStore(Protocol):
    """Access keys by id. No secret is stored."""

    def key_version(self) -> tuple[int, int]:
        """Return a value that is another one after each change of a key, by any process.

        It is read at every request, so it must cost microseconds.
        """

    def load_keys(self) -> list[AccessKey]:
        """Return all keys."""

    def add_key(self, key: AccessKey) -> None:
        """Store a new key durably."""

    def change_key(self, key_id: str, change: Callable[[AccessKey], AccessKey]) -> AccessKey | None:
        """Replace a key by what `change` returns for it, in one durable transaction; return it, None if it is absent.

        Nothing is changed if `change` raises.
        """


class LimitStore(Protocol):
    """Token buckets and slots of all processes, by name. They may be lost at any time.

    Every method raises LimitStoreError, without waiting for long, if the store cannot be used at present.
    """

    def change_bucket(self, name: str, change: Callable[[BucketState | None], tuple[BucketState, _T]]) -> _T:
        """Replace a bucket, None if there is none, by what `change` returns for it; return the other value."""

    def take_slot(self, name: str, slot: str, limit: int) -> bool:
        """Take one of `limit` slots until it is released or expires; return False if all are taken."""

    def renew_slot(self, slot: str) -> None:
        """Let a slot expire later; nothing if it has expired."""

    def release_slot(self, slot: str) -> None:
        """Release a slot; nothing if it has expired."""

    def close(self) -> None:
        """Close the store; a later call opens it again."""


class LimitStoreError(Exception):
    """The store of limits cannot be used at present. No caller sees it: each process then limits its own requests."""
