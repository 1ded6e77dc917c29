"""Names of settings: as environment variables, and the known name that is nearest to a wrong one."""

import re
from collections.abc import Iterable

_PREFIX = "SEMSEARCH_"
_KUBERNETES_VARIABLES = re.compile(
    r"SEMSEARCH_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)"
)
"""Variables that Kubernetes sets in every container where a service is named `semsearch`, or `semsearch-web`."""


def to_variable(name: str) -> str:
    """Return the environment variable of a setting.

    >>> to_variable("chat.model")
    'SEMSEARCH_CHAT__MODEL'
    """
    return _PREFIX + name.upper().replace(".", "__")


def is_setting_variable(variable: str) -> bool:
    """Return whether an environment variable is meant as a setting, known or not."""
    return variable.startswith(_PREFIX) and not _KUBERNETES_VARIABLES.fullmatch(variable)


def find_closest_name(name: str, candidates: Iterable[str]) -> str:
    """Return the candidate that is most similar to `name`."""
    from difflib import SequenceMatcher  # imported late: needed for errors only

    return max(sorted(candidates), key=lambda other: SequenceMatcher(None, name[:80], other).ratio())
