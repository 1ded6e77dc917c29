"""Short reprs of public types: one line of at most 100 characters, made without reading any file."""

from dataclasses import MISSING, Field, fields
from typing import Any

MAX_REPR_CHARACTERS = 100
_MAX_VALUE_CHARACTERS = 48


def format_repr(value: object, *parts: str) -> str:
    """Return `Class(part, part)`; parts that do not fit are cut off."""
    text = f"{type(value).__name__}({', '.join(parts)}"
    return f"{text})" if len(text) < MAX_REPR_CHARACTERS else f"{text[: MAX_REPR_CHARACTERS - 2]}…)"


def format_fields(value: Any) -> str:
    """Return the repr of a dataclass with the fields that do not have their default value."""
    changed = [field for field in fields(value) if not _has_default(value, field)]
    return format_repr(value, *(f"{field.name}={shorten(getattr(value, field.name))}" for field in changed))


def format_span(uri: str, start: int, end: int) -> str:
    """Return the uri and the span of a quote."""
    return f"{shorten_middle(uri)} {start}–{end}"


def count(number: int, noun: str) -> str:
    """Return a count with its noun, such as `1 chunk` or `2,000 chunks`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def shorten(value: object, limit: int = _MAX_VALUE_CHARACTERS) -> str:
    """Return the repr of a value; the end of a long text is left out.

    >>> shorten("Parental leave is 26 weeks.", 16)
    "'Parental leave …'"
    """
    if isinstance(value, str):
        return repr(value if len(value) <= limit else f"{value[: limit - 1]}…")
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shorten_middle(uri: str, limit: int = _MAX_VALUE_CHARACTERS) -> str:
    """Return the repr of a uri; the middle of a long one is left out.

    >>> shorten_middle("handbook/people/leave.md", 16)
    "'handboo…leave.md'"
    """
    return repr(uri if len(uri) <= limit else f"{uri[: (limit - 1) // 2]}…{uri[-(limit // 2) :]}")


def _has_default(value: Any, field: "Field[Any]") -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and getattr(value, field.name) == default
