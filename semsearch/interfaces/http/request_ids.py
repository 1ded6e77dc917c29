"""Draw the ids by which a request is found in the log. They need to differ, not to be secret."""

import random


def make_request_id() -> str:
    """Return 64 random bits as 16 hexadecimal digits; no system call, unlike `secrets`, and reseeded after a fork."""
    return f"{random.getrandbits(64):016x}"
