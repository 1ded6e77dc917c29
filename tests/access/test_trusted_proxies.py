"""Trusted proxies and the client address that they forward."""

import pytest

from semsearch.access.trusted_proxies import TrustedProxies, is_loopback

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [
        ("127.0.0.1", True),
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("2001:db8:1::7", True),
        ("127.0.0.2", False),
        ("2001:db8:2::7", False),
        ("10.0.0.1:80", False),
        ("", False),
        (None, False),
    ],
)
def test_addresses_and_networks_are_trusted(address: str | None, is_trusted: bool) -> None:
    """Addresses are trusted by themselves or by their network, also as IPv4 addresses mapped to IPv6."""
    assert PROXIES.contains(address) == is_trusted
    assert not TrustedProxies().contains(address)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", ["192.0.2.1, 198.51.100.7"], "198.51.100.7"),  # the client wrote the left-most entry
        ("127.0.0.1", ["192.0.2.1", "198.51.100.7, 10.1.1.1"], "198.51.100.7"),  # behind two proxies
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:DB8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["10.2.2.2, 10.1.1.1"], "10.2.2.2"),  # a request of a proxy itself
        ("127.0.0.1", ["192.0.2.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1,"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1," * 1_000 + "198.51.100.7"], "198.51.100.7"),  # the client wrote a long beginning
        ("127.0.0.1", ["x" * 5_000, "198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1" * 5_000], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("203.0.113.9", ["192.0.2.1"], "203.0.113.9"),  # anybody can send the header
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        (None, ["192.0.2.1"], None),
    ],
)
def test_client_address_is_right_most_untrusted_entry(peer: str | None, forwarded: list[str], client: str) -> None:
    """Entries left of the first one that no trusted proxy wrote are ignored, malformed headers entirely."""
    assert PROXIES.find_client_address(peer, forwarded) == client


def test_loopback_addresses_are_recognised() -> None:
    """All of 127.0.0.0/8 is the loopback; a name is no address."""
    assert all(map(is_loopback, ("127.8.0.1", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "localhost", "")))
