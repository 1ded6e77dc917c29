"""Types of identities from a trusted proxy: the headers that name a user, and what the users of each group may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .access import DEFAULT_SCOPES, Scope

EVERYBODY_ELSE = "*"
"""Name of the group of those whom the proxy names and who are in no other group of the settings."""


@dataclass(frozen=True, slots=True)
class GroupGrants:
    """What the users of one group may do, and which documents they may see."""

    name: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    collections: frozenset[str] | None = None
    filter: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """The headers by which a trusted proxy names a user and their groups, and the known groups in order."""

    user_header: str
    groups_header: str | None
    groups: tuple[GroupGrants, ...]
