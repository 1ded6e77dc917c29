"""Names of collections and profiles: which ones are valid. Ids of what has no name: random."""

import re
import secrets
from collections.abc import Iterable

from .errors import InvalidError

NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,62}"
"""Regular expression of a whole name. A name is also the name of a folder and a part of a URL path."""

ID_BYTES = 16
"""Random bytes of an id: nobody can guess one."""

_NAME = re.compile(NAME_PATTERN)


def make_id(prefix: str) -> str:
    """Return a new id of 128 random bits, such as `ans_7c9e6679f2b44f1ea1d0c5b84d3f6a20`."""
    return f"{prefix}_{secrets.token_hex(ID_BYTES)}"


def is_valid_name(name: str) -> bool:
    """Return whether `name` can name a collection or a profile.

    >>> [is_valid_name(name) for name in ("handbook", "hr-2026", "-hr", "HR", "")]
    [True, True, False, False, False]
    """
    return _NAME.fullmatch(name) is not None


def find_nearest_name(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` may be a misspelling of, or None.

    >>> find_nearest_name("pyhton", ["handbook", "python"]), find_nearest_name("default", ["python"])
    ('python', None)
    """
    from difflib import get_close_matches  # late: needed for errors only

    return next(iter(get_close_matches(name[:80], list(candidates), n=1)), None)


def validate_name(name: str, noun: str, *, location: str = "") -> str:
    """Return `name` if it is valid; InvalidError otherwise.

    The message says what the name is for, `noun`, and the file that has it, `location`.
    """
    if not is_valid_name(name):
        prefix = f"{location}: " if location else ""
        raise InvalidError(
            f"{prefix}{name[:80]!r} cannot name a {noun}: use 1 to 63 of the characters a-z, 0-9, - and _, and begin"
            " with a letter or a digit"
        )
    return name
