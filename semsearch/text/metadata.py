"""Validate the keys and values of metadata."""

from collections.abc import Mapping

from ..core.errors import InvalidError
from ..core.types.documents import Metadata, Scalar
from .cleaning import clean

MAX_KEY_CHARACTERS = 128

MAX_METADATA_ENTRIES = 64

MAX_VALUE_CHARACTERS = 2_000


def validate_key(key: object) -> str:
    """Return `key`, cleaned, if it is a valid name of a metadata field; InvalidError otherwise."""
    key = clean(key) if isinstance(key, str) else key
    if not isinstance(key, str) or not key or len(key) > MAX_KEY_CHARACTERS:
        raise InvalidError(f"the name of a field must have 1 to {MAX_KEY_CHARACTERS} characters, not {str(key)[:40]!r}")
    if key.startswith("$") or '"' in key or "\\" in key or not key.isprintable():
        raise InvalidError(
            f"the field name {key[:40]!r} has a character that is not allowed: a leading $, a quote, a backslash, or a"
            " control character"
        )
    return key


def validate_scalar(value: object, location: str) -> Scalar:
    """Return `value`, cleaned if it is text; InvalidError unless it is text, a 64-bit number, true, false or null."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
        return value
    raise InvalidError(
        f"{location}: {str(value)[:40]!r} is not text, a finite number of at most 63 bits, true, false or null"
    )


def validate_metadata(metadata: Mapping[str, object]) -> Metadata:
    """Return the metadata of a document, cleaned; InvalidError names a key that is not allowed."""
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise InvalidError(f"metadata has {len(metadata)} keys; the maximum is {MAX_METADATA_ENTRIES}")
    return {validate_key(key): _validate_value(key, value) for key, value in metadata.items()}


def _validate_value(key: str, value: object) -> Scalar | list[Scalar]:
    location = f"metadata {key!r}"
    if isinstance(value, list):
        if len(value) > MAX_METADATA_ENTRIES:
            raise InvalidError(f"{location} has {len(value)} values; the maximum is {MAX_METADATA_ENTRIES}")
        return [_validate_member(location, member) for member in value]
    return _validate_member(location, value)


def _validate_member(location: str, member: object) -> Scalar:
    scalar = validate_scalar(member, location)
    if isinstance(scalar, str) and len(scalar) > MAX_VALUE_CHARACTERS:
        raise InvalidError(f"{location} has {len(scalar)} characters; the maximum is {MAX_VALUE_CHARACTERS}")
    return scalar
