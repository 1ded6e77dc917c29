"""Secrets of access keys: make, split and hash them. Nothing here is stored or printed.

A key is `sk_<id>_<secret>`, the secret 256 random bits. What is stored is the hash of the hash of the secret. The page
is signed in by a cookie with the hash of the secret, `sc_<id>_<hash>`: it cannot be turned back into the key, and who
reads the stored hash can make neither.
"""

import base64
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

SECRET_BYTES = 32
ID_CHARACTERS = 12
KEY_PATTERN = r"sk_[0-9a-z]{12}_[0-9A-Za-z_-]{43}"
"""Regular expression of a key."""

_ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"(sk|sc)_([0-9a-z]{12})_([0-9A-Za-z_-]{43})")


class Credential(NamedTuple):
    """The id of a key, and the hash that proves that the sender has the key or its cookie."""

    key_id: str
    secret_hash: bytes


def make_key_id() -> str:
    """Return a new id of 62 random bits."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_CHARACTERS))


def make_secret() -> str:
    """Return a new secret of 256 random bits, in 43 characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def format_key(key_id: str, secret: str) -> str:
    """Return the key that its owner sends."""
    return f"sk_{key_id}_{secret}"


def hash_secret(secret: str) -> bytes:
    """Return what is stored of a secret. It needs no salt and no slow hash: the secret is random."""
    return hashlib.sha256(_hash_once(secret).encode()).digest()


def make_cookie_value(key: str) -> str:
    """Return the value of the cookie that stands for a valid key."""
    _, key_id, secret = key.split("_", 2)
    return f"sc_{key_id}_{_hash_once(secret)}"


def parse_key(token: str) -> Credential | None:
    """Return the credential of a key; None if it is none."""
    match = _TOKEN.fullmatch(token)
    return Credential(match[2], hash_secret(match[3])) if match is not None and match[1] == "sk" else None


def parse_cookie_value(value: str) -> Credential | None:
    """Return the credential of a cookie; None if it is none."""
    match = _TOKEN.fullmatch(value)
    if match is None or match[1] != "sc":
        return None
    return Credential(match[2], hashlib.sha256(match[3].encode()).digest())


def is_equal(left: bytes, right: bytes) -> bool:
    """Return whether two hashes are equal, in a time that does not depend on their bytes."""
    return hmac.compare_digest(left, right)


def _hash_once(secret: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()
