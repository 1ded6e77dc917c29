"""The setting of the address under which users reach the page of the service."""

import re
from typing import Any, Protocol
from urllib.parse import urlsplit

from .errors import InvalidError

_URL_CHARACTERS = re.compile(r"[!-~]{1,2000}")


class _Reader(Protocol):
    def find(self, name: str) -> tuple[str, Any]: ...


def read_public_url(settings: _Reader, name: str) -> str | None:
    """Return the address of a setting, without a slash at its end; None if it is not set."""
    location, value = settings.find(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _is_absolute_url(value):
        raise InvalidError(
            f"{location}: {value!r:.100} is not the address of a site; give its scheme and host, with a port or a"
            " path where it has one, and nothing behind them: https://search.example.org"
        )
    return value.rstrip("/")


def _is_absolute_url(text: str) -> bool:
    """Return whether a text is an http(s) URL with a host, and without user, query and fragment."""
    if not _URL_CHARACTERS.fullmatch(text) or any(char in text for char in "\"'<>\\^`{|}?#@"):
        return False
    try:
        url = urlsplit(text)
        _ = url.port  # raises ValueError if it is not a number
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)
