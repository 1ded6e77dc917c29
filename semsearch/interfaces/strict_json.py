"""A strict JSON parser for requests. Does not validate fields.

It refuses NaN, repeated keys, integers beyond 63 bits, numbers too large for a float, endless nesting, and encodings
other than UTF-8. A lone surrogate, as careless clients make from half an emoji, becomes U+FFFD.
"""

import json
import math
import re
from typing import Any

from ..core.errors import InvalidError, MalformedError

_SURROGATE_ESCAPE = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def parse_json(data: bytes | str) -> object:
    """Return the value of a JSON text; MalformedError if it is not JSON, InvalidError if a number is out of range."""
    try:
        text = data if isinstance(data, str) else data.decode()
        return _DECODER.decode(_SURROGATE_ESCAPE.sub(_replace_lone_surrogate, text) if "\\u" in text else text)
    except UnicodeDecodeError as exc:
        raise MalformedError(f"the JSON is not UTF-8 at byte {exc.start}") from exc
    except json.JSONDecodeError as exc:
        raise MalformedError(f"this is not JSON at character {exc.pos}: {exc.msg}") from exc
    except RecursionError as exc:
        raise MalformedError("the JSON is nested too deeply") from exc


def _replace_lone_surrogate(match: re.Match[str]) -> str:
    return r"\ufffd" if match[1] else match[0]


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise MalformedError(f"the JSON has the key {key[:60]!r} twice in one object")
        members[key] = value
    return members


def _parse_int(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**63:
        raise InvalidError(f"the number {digits[:24]} does not fit into 63 bits")
    return value


def _parse_float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise InvalidError(f"the number {digits[:24]} is too large")
    return value


def _reject_constant(name: str) -> None:
    raise MalformedError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_reject_duplicate_keys,
    parse_int=_parse_int,
    parse_float=_parse_float,
    parse_constant=_reject_constant,
)
