"""Draw the ids by which a request is found in the log. They need to differ, not to be secret."""

import os
import random

_random = random.Random()  # noqa: S311  # not the shared one, which a program that embeds the service may seed
os.register_at_fork(after_in_child=_random.seed)


def make_request_id() -> str:
    """Return 64 random bits as 16 hexadecimal digits; unlike `secrets`, without a system call."""
    return f"{_random.getrandbits(64):016x}"
