"""The setting of the weights of sources that name many things and explain none."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_args

from .errors import InvalidError
from .types.documents import SourceRole

DEFAULT_SOURCE_WEIGHTS: Mapping[str, float] = {
    "changelog": 0.7,
    "contents": 0.5,
    "index": 0.5,
    "api_list": 0.8,
    "licence": 0.7,
}
"""Factor of the score of a chunk, by its role."""

_ROLES = get_args(SourceRole)
_EXAMPLE = """off, nor an object such as {"changelog": 0.5}"""


class _Reader(Protocol):
    @property
    def values(self) -> dict[str, Any]: ...

    def find(self, name: str) -> tuple[str, Any]: ...

    def read_number(self, name: str, convert: Callable[[Any], float], low: float, high: float) -> float | None: ...


def read_source_weights(settings: _Reader, name: str) -> Mapping[str, float]:
    """Return the weight of each role: of the setting, or of its table, else the default; none if it is off."""
    location, value = settings.find(name)
    settings.values[name] = DEFAULT_SOURCE_WEIGHTS if value is None else value
    by_role = {role: settings.read_number(f"{name}.{role}", float, 0.0, 1.0) for role in _ROLES}
    if isinstance(value, str):
        return _parse_weights(location, value)
    if value is not None and not isinstance(value, Mapping):
        raise InvalidError(f"{location}: {value!r} is neither {_EXAMPLE}")
    return {**DEFAULT_SOURCE_WEIGHTS, **{role: weight for role, weight in by_role.items() if weight is not None}}


def _parse_weights(location: str, text: str) -> Mapping[str, float]:
    if text.strip().lower() == "off":
        return {}
    try:
        weights = json.loads(text)
    except (ValueError, RecursionError):
        weights = None
    if not isinstance(weights, dict):
        raise InvalidError(f"{location}: {text[:80]!r} is neither {_EXAMPLE}")
    for role, weight in weights.items():
        if role not in _ROLES:
            raise InvalidError(f"{location}: {role[:80]!r} is none of {', '.join(_ROLES)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise InvalidError(f"{location}: the weight of {role} is not a number between 0 and 1: {str(weight)[:80]}")
    return {**DEFAULT_SOURCE_WEIGHTS, **weights}
