"""Validation of metadata keys and values."""

from collections.abc import Mapping

from ..core.errors import Invalid
from ..core.types.documents import Metadata, Scalar
from .cleaning import clean

MAX_KEY = 128

MAX_METADATA = 64

MAX_VALUE = 2_000


def check_key(key: object) -> str:
    """Return `key`, cleaned, if it can name a metadata field; Invalid otherwise."""
    key = clean(key) if isinstance(key, str) else key
    if not isinstance(key, str) or not key or len(key) > MAX_KEY:
        raise Invalid(f"a field is named by 1 to {MAX_KEY} characters, not {str(key)[:40]!r}")
    if key.startswith("$") or '"' in key or "\\" in key or not key.isprintable():
        raise Invalid(
            f"the field name {key[:40]!r} has a character that is not allowed ($ in front, quotes, backslash, control)"
        )
    return key


def check_scalar(value: object, where: str) -> Scalar:
    """Return `value` if it can be stored and compared: text, cleaned, a number in 63 bits, true, false or null."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and value - value == 0:  # neither infinite nor NaN
        return value
    raise Invalid(f"{where}: {str(value)[:40]!r} is not a text, a finite number in 63 bits, true, false or null")


def checked_metadata(metadata: Mapping[str, object]) -> Metadata:
    """Return the metadata, cleaned, if a document may carry it; Invalid, naming the key, otherwise."""
    if len(metadata) > MAX_METADATA:
        raise Invalid(f"metadata has {len(metadata)} keys; at most {MAX_METADATA} are kept")
    return {check_key(key): _checked_value(key, value) for key, value in metadata.items()}


def _checked_value(key: str, value: object) -> Scalar | list[Scalar]:
    where = f"metadata {key!r}"
    if isinstance(value, list):
        if len(value) > MAX_METADATA:
            raise Invalid(f"{where} has {len(value)} values; at most {MAX_METADATA} are kept")
        return [_checked_member(where, member) for member in value]
    return _checked_member(where, value)


def _checked_member(where: str, member: object) -> Scalar:
    scalar = check_scalar(member, where)
    if isinstance(scalar, str) and len(scalar) > MAX_VALUE:
        raise Invalid(f"{where} has {len(scalar)} characters; at most {MAX_VALUE} are kept")
    return scalar
