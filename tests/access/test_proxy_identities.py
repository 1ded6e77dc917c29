"""Users whom a trusted proxy names: which headers count, and which group decides."""

import pytest

from semsearch.access.proxy_identities import ProxyIdentities
from semsearch.access.trusted_proxies import TrustedProxies
from semsearch.core.errors import ForbiddenError
from semsearch.core.types.access import Caller
from semsearch.core.types.identities import GroupGrants, IdentitySettings

PROXY = "10.0.0.1"
WRITERS = GroupGrants("writers", frozenset(("search", "write")), frozenset(["handbook"]))
HR = GroupGrants("hr", filter={"team": "hr"})
EVERYBODY = GroupGrants("*", frozenset(("search",)))


def make_identities(*groups: GroupGrants) -> ProxyIdentities:
    """Return the identities of one proxy."""
    return ProxyIdentities(IdentitySettings("remote-user", "remote-groups", groups), TrustedProxies([PROXY]))


def find(identities: ProxyIdentities, *headers: tuple[str, str], peer: str | None = PROXY) -> Caller | None:
    """Return the caller of these headers."""
    return identities.find_caller(peer, [(name.encode(), value.encode()) for name, value in headers])


def test_first_group_of_the_settings_decides() -> None:
    """Neither the order of the header nor that of everybody else's table matters."""
    identities = make_identities(EVERYBODY, WRITERS, HR)
    writer = find(identities, ("remote-user", "ann"), ("remote-groups", "hr, writers"))
    assert writer == Caller("ann", WRITERS.collections, None, scopes=WRITERS.scopes)
    assert find(identities, ("remote-user", "bob"), ("remote-groups", "other,hr")) == Caller(
        "bob", None, HR.filter, scopes=HR.scopes
    )
    assert find(identities, ("remote-user", "eve"), ("remote-groups", "*")) == Caller("eve", scopes=EVERYBODY.scopes)
    assert find(identities, ("remote-user", "eve")) == Caller("eve", scopes=EVERYBODY.scopes)


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ([("remote-user", "ann")], "10.0.0.2"),
        ([("remote-user", "ann")], None),
        ([("remote-user", "ann"), ("remote-user", "ann")], PROXY),
        ([("remote-user", "ann"), ("remote-groups", "hr"), ("remote-groups", "writers")], PROXY),
        ([("remote-user", ""), ("remote-user", "ann")], PROXY),
        ([("remote_user", "ann"), ("remote-user", " ")], PROXY),
        ([("remote-groups", "hr")], PROXY),
    ],
)
def test_nobody_is_named(headers: list[tuple[str, str]], peer: str | None) -> None:
    """By another sender, by several headers of one kind, or without a user."""
    assert find(make_identities(WRITERS, HR, EVERYBODY), *headers, peer=peer) is None


def test_user_without_a_group_is_refused() -> None:
    """The message names the remedy."""
    with pytest.raises(ForbiddenError, match=r"'ann' is in no group .*access\.groups"):
        find(make_identities(WRITERS, HR), ("remote-user", "ann"), ("remote-groups", "Writers, "))


@pytest.mark.parametrize("name", ["a" * 201, "a\tb", "local", "a\x7f"])
def test_name_that_cannot_be_an_owner_is_refused(name: str) -> None:
    """Also that of the user of the command line, whose answers and sessions are nobody else's."""
    with pytest.raises(ForbiddenError, match="proxy names"):
        find(make_identities(EVERYBODY), ("remote-user", name))


def test_name_is_utf8() -> None:
    """Other bytes could name another user after their replacement."""
    identities = make_identities(EVERYBODY)
    caller = find(identities, ("remote-user", "Zoë"))
    assert caller is not None
    assert caller.owner == "Zoë"
    with pytest.raises(ForbiddenError, match="not valid"):
        identities.find_caller(PROXY, [(b"remote-user", b"Zo\xeb")])
