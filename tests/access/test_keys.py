"""Access keys: what is stored of them, and which of them identify a caller."""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.access.keys import UNAUTHORIZED, AccessKeys
from semsearch.access.secrets import KEY_PATTERN, make_cookie_value, parse_cookie_value, parse_key
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError, UnauthorizedError
from semsearch.core.types.access import AccessKey, CallerLimits, KeyGrants
from semsearch.storage.ledger.local.ledger import LocalLedger

GRANTS = KeyGrants("search box", "intranet")


@dataclass
class FakeStore:
    """Keys in memory."""

    keys: dict[str, AccessKey] = field(default_factory=dict)
    version: int = 0

    def key_version(self) -> tuple[int, int]:
        """Return the number of changes."""
        return 0, self.version

    def load_keys(self) -> list[AccessKey]:
        """Return all keys."""
        return list(self.keys.values())

    def add_key(self, key: AccessKey) -> None:
        """Store a key."""
        self.keys[key.id] = key
        self.version += 1

    def change_key(self, key_id: str, change: Callable[[AccessKey], AccessKey]) -> AccessKey | None:
        """Replace a key."""
        if key_id not in self.keys:
            return None
        self.keys[key_id] = change(self.keys[key_id])
        self.version += 1
        return self.keys[key_id]


@dataclass
class FakeClock:
    """A clock that is set by hand."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock."""
    return FakeClock()


@pytest.fixture
def keys(clock: FakeClock) -> AccessKeys:
    """Return keys in memory."""
    return AccessKeys(FakeStore(), clock=clock)


def is_valid(keys: AccessKeys, key: str) -> bool:
    """Return whether the key identifies a caller; a refused one always gets the same message."""
    try:
        keys.authenticate(key)
    except UnauthorizedError as exc:
        assert str(exc) == UNAUTHORIZED
        return False
    return True


def test_key_identifies_its_caller(keys: AccessKeys) -> None:
    """With owner, scopes, collections, filter and limits."""
    grants = KeyGrants(
        "hr", "hr team", frozenset(["search"]), frozenset(["handbook"]), {"team": "hr"}, CallerLimits(60, 1_000, 2)
    )
    stored, key = keys.create(grants)
    caller = keys.authenticate(key)
    assert (caller.owner, caller.key, caller.scopes) == ("hr team", stored.id, frozenset(["search"]))
    assert (caller.collections, caller.filter, caller.limits) == (grants.collections, grants.filter, grants.limits)


@given(st.text(alphabet="sk_c0aZ-", max_size=80) | st.from_regex(KEY_PATTERN, fullmatch=True))
def test_other_texts_are_no_key(text: str) -> None:
    """Whatever they look like."""
    keys = AccessKeys(FakeStore())
    keys.create(GRANTS)
    assert not is_valid(keys, text)


def test_wrong_character_anywhere_is_refused(keys: AccessKeys) -> None:
    """At each position of the key."""
    _, key = keys.create(GRANTS)
    for position in range(len(key)):
        for other in "ab_":
            changed = key[:position] + other + key[position + 1 :]
            assert is_valid(keys, changed) == (changed == key)


def test_expired_key_is_refused(keys: AccessKeys, clock: FakeClock) -> None:
    """From its last second on."""
    _, key = keys.create(replace(GRANTS, expires=clock.now + 60))
    clock.now += 59
    assert is_valid(keys, key)
    clock.now += 1
    assert not is_valid(keys, key)


def test_rotation_overlaps_and_keeps_the_owner(keys: AccessKeys, clock: FakeClock) -> None:
    """Both secrets are valid during the overlap; a second rotation ends the first secret at once."""
    stored, first = keys.create(GRANTS)
    _, second = keys.rotate(stored.id, overlap_seconds=60)
    assert keys.authenticate(first) == keys.authenticate(second)
    clock.now += 60
    assert (is_valid(keys, first), is_valid(keys, second)) == (False, True)
    _, third = keys.rotate(stored.id, overlap_seconds=60)
    _, fourth = keys.rotate(stored.id, overlap_seconds=60)
    assert [is_valid(keys, key) for key in (second, third, fourth)] == [False, True, True]


def test_revoked_key_and_its_secrets_are_refused(keys: AccessKeys) -> None:
    """Also the secret before the last rotation. It cannot be rotated."""
    stored, first = keys.create(GRANTS)
    _, second = keys.rotate(stored.id)
    keys.revoke(stored.id)
    assert not is_valid(keys, first)
    assert not is_valid(keys, second)
    with pytest.raises(ConflictError, match="revoked"):
        keys.rotate(stored.id)
    with pytest.raises(NotFoundError):
        keys.revoke("000000000000")


def test_cookie_stands_for_the_key_and_ends_with_its_secret(keys: AccessKeys, clock: FakeClock) -> None:
    """It is neither the key nor what is stored, and it is no key."""
    stored, key = keys.create(GRANTS)
    cookie = make_cookie_value(key)
    secret = key.split("_", 2)[2]
    assert secret not in cookie
    assert keys.verify(parse_cookie_value(cookie)) == keys.authenticate(key)
    assert parse_key(cookie) is None
    assert parse_cookie_value(key) is None
    assert not is_valid(keys, cookie.replace("sc_", "sk_", 1))
    keys.rotate(stored.id, overlap_seconds=0)
    with pytest.raises(UnauthorizedError):
        keys.verify(parse_cookie_value(cookie))


def test_hashes_are_compared_in_constant_time(keys: AccessKeys) -> None:
    """A known id and an unknown one take the same comparisons."""
    stored, key = keys.create(GRANTS)
    counts = []
    for candidate in (key, f"sk_{stored.id}_{'x' * 43}", f"sk_{'0' * 12}_{'x' * 43}"):
        with patch.object(hmac, "compare_digest", wraps=hmac.compare_digest) as compare:
            is_valid(keys, candidate)
        counts.append(compare.call_count)
    assert counts == [2, 2, 2]


@pytest.mark.parametrize(
    "grants",
    [
        replace(GRANTS, scopes=frozenset()),
        replace(GRANTS, filter={"team": "hr"}, scopes=frozenset(["search", "write"])),
        replace(GRANTS, filter={"team": "hr"}, scopes=frozenset(["admin"])),
        replace(GRANTS, name=" "),
        replace(GRANTS, owner="a\x1fb"),
        replace(GRANTS, expires=1.0),
        replace(GRANTS, limits=CallerLimits(0)),
    ],
)
def test_senseless_grants_are_refused(keys: AccessKeys, grants: KeyGrants) -> None:
    """Nothing is stored."""
    with pytest.raises(InvalidError):
        keys.create(grants)
    assert not keys.exist()


def test_another_process_sees_each_change_with_its_next_check(tmp_path: Path) -> None:
    """Created, rotated and revoked keys; and a key that existed keeps the service closed if the file is deleted."""
    here, there = AccessKeys(LocalLedger(tmp_path)), AccessKeys(LocalLedger(tmp_path))
    assert not there.exist()
    stored, first = here.create(replace(GRANTS, filter={"team": {"$in": ["hr"]}}, collections=frozenset(["a"])))
    assert there.authenticate(first) == here.authenticate(first)
    _, second = here.rotate(stored.id, overlap_seconds=0)
    assert (is_valid(there, first), is_valid(there, second)) == (False, True)
    here.revoke(stored.id)
    assert not is_valid(there, second)
    (tmp_path / "ledger.db").unlink()
    assert there.exist()
    assert not is_valid(there, second)


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """Neither a key nor a cookie is in any file of the data directory."""
    keys = AccessKeys(LocalLedger(tmp_path))
    _, key = keys.create(GRANTS)
    assert re.fullmatch(KEY_PATTERN, key)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"search box" in stored
    for secret in (key.split("_", 2)[2], make_cookie_value(key).split("_", 2)[2]):
        assert secret.encode() not in stored
