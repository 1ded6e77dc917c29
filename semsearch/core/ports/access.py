"""The interface of what stores access keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..types.access import AccessKey


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
