"""Access keys as JSON shows them: the same fields on the command line and over HTTP. Never a hash."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.types.access import AccessKey, Scope


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of a key; null is no limit."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    streams: int | None
    day_usd: float | None


@dataclass(frozen=True, slots=True)
class KeyView:
    """An access key, without its secret. `rotated_until` is when the secret before the last rotation expires."""

    id: str
    name: str
    owner: str
    scopes: list[Scope]
    collections: list[str] | None
    filter: Mapping[str, Any] | None
    limits: KeyLimits
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    rotated_until: datetime | None


@dataclass(frozen=True, slots=True)
class NewKeyView(KeyView):
    """An access key with its secret, `key`, which is shown only now."""

    key: str


def view_key(key: AccessKey) -> KeyView:
    """Return the view of a key."""
    grants = key.grants
    return KeyView(
        key.id,
        grants.name,
        grants.owner,
        sorted(grants.scopes),
        None if grants.collections is None else sorted(grants.collections),
        grants.filter,
        KeyLimits(
            grants.limits.requests_per_minute,
            grants.limits.tokens_per_minute,
            grants.limits.streams,
            grants.budget.day_usd,
        ),
        _to_utc(key.created),
        _to_utc_or_none(grants.expires),
        _to_utc_or_none(key.revoked),
        _to_utc_or_none(key.previous_expires),
    )


def view_new_key(key: AccessKey, secret: str) -> NewKeyView:
    """Return the view of a key that was created or rotated, with its secret."""
    return NewKeyView(**{name: getattr(view_key(key), name) for name in KeyView.__slots__}, key=secret)


def encode_view(view: KeyView) -> dict[str, Any]:
    """Return the fields of a view with times in ISO 8601, for JSON."""
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in asdict(view).items()
    }


def _to_utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)


def _to_utc_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _to_utc(seconds)
