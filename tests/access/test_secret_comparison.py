"""The comparison of hashes alone decides whether a key is valid, and each wrong key takes the same steps."""

import hmac
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semsearch import KeyGrants
from semsearch.access.keys import AccessKeys
from semsearch.access.secrets import ID_CHARACTERS, format_key
from semsearch.core.errors import UnauthorizedError
from semsearch.storage.ledger.local.ledger import LocalLedger

SECRETS = st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43)
IDS = st.text(string.ascii_lowercase + string.digits, min_size=ID_CHARACTERS, max_size=ID_CHARACTERS)


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[AccessKeys]:
    """The keys of an empty ledger."""
    ledger = LocalLedger(tmp_path)
    yield AccessKeys(ledger)
    ledger.close()


def is_accepted(keys: AccessKeys, key: str) -> bool:
    """Return whether a key is valid."""
    try:
        keys.authenticate(key)
    except UnauthorizedError:
        return False
    return True


def replace_comparison(
    monkeypatch: pytest.MonkeyPatch, compare: Callable[[bytes, bytes], bool]
) -> list[tuple[int, int]]:
    """Replace the constant comparison of hashes; return the lengths of what it compares."""
    lengths: list[tuple[int, int]] = []

    def compare_and_note(left: bytes, right: bytes) -> bool:
        lengths.append((len(left), len(right)))
        return compare(left, right)

    monkeypatch.setattr("semsearch.access.secrets.hmac.compare_digest", compare_and_note)
    return lengths


def test_constant_comparison_alone_decides(keys: AccessKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it says that hashes are equal, a wrong secret is valid; if it says that they differ, the right one is not."""
    record, key = keys.create(KeyGrants("search", "ann"))
    wrong = format_key(record.id, "x" * 43)
    assert (is_accepted(keys, key), is_accepted(keys, wrong)) == (True, False)
    replace_comparison(monkeypatch, lambda left, right: True)
    assert is_accepted(keys, wrong)
    replace_comparison(monkeypatch, lambda left, right: False)
    assert not is_accepted(keys, key)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shared=st.integers(0, 42), secret=SECRETS, other_id=IDS)
def test_every_wrong_key_is_compared_in_the_same_way(keys: AccessKeys, shared: int, secret: str, other_id: str) -> None:
    """However much of its secret is right, and whether its id is known: two comparisons of whole hashes."""
    record, key = keys.create(KeyGrants("search", "ann"))
    right = key.split("_", 2)[2]
    with pytest.MonkeyPatch.context() as patch:
        lengths = replace_comparison(patch, hmac.compare_digest)
        for wrong in (format_key(record.id, right[:shared] + secret[shared:]), format_key(other_id, secret)):
            lengths.clear()
            assert is_accepted(keys, wrong) == (wrong == key)
            assert lengths == [(32, 32), (32, 32)]
