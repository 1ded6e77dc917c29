"""The settings of identities from a trusted proxy: `[access.proxy]` and the tables `[access.groups.NAME]`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from .config_files import ConfigFile, flatten_table, get_nested
from .errors import InvalidError
from .names import validate_name
from .settings_reader import SettingsReader
from .types.access import DEFAULT_SCOPES, Scope
from .types.identities import GroupGrants, IdentitySettings

_GROUPS = "access.groups"
_GROUP_FIELDS = ("scopes", "collections", "filter")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_OTHER_PURPOSE = ("authorization", "cookie", "host", "origin")
"""Headers that the service reads for another purpose."""


def read_identity_settings(values: SettingsReader, proxies: Sequence[str]) -> IdentitySettings | None:
    """Return the settings; None without a header of the user. `proxies` are the addresses of the trusted proxies."""
    user_header, groups_header = (_read_header(values, f"access.proxy.{name}_header") for name in ("user", "groups"))
    groups = _read_groups(values)
    if user_header is None:
        if groups or groups_header is not None:
            raise InvalidError(
                "access.groups and access.proxy.groups_header have no effect without access.proxy.user_header, the"
                " header in which the proxy names the user; set it, or remove them"
            )
        return None
    if not proxies:
        raise InvalidError(
            "access.proxy.user_header needs access.proxy.addresses: the addresses of the proxies that may name a user"
        )
    if not groups:
        raise InvalidError(
            "access.proxy.user_header needs at least one table [access.groups.NAME]: without it no user may do"
            ' anything; [access.groups."*"] is the group of everybody'
        )
    return IdentitySettings(user_header.lower(), groups_header and groups_header.lower(), groups)


def _read_header(values: SettingsReader, name: str) -> str | None:
    header = values.read_text(name)
    if header is not None and (not _HEADER.fullmatch(header) or header.lower() in _OTHER_PURPOSE):
        raise InvalidError(f"{values.find(name)[0]}: {header[:80]!r} is not the name of a header such as Remote-User")
    return header


def _read_groups(values: SettingsReader) -> tuple[GroupGrants, ...]:
    """Return the groups of the first file that has any, in the file's order."""
    for file in values.files:
        tables = get_nested(file.table, _GROUPS)
        if tables is None:
            continue
        if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
            raise InvalidError(f"{file.label}: {_GROUPS} must hold tables, such as [{_GROUPS}.NAME]")
        values.known_names.update(f"{_GROUPS}.{name}" for name, _ in flatten_table(tables))  # checked here
        return tuple(_read_group(name, table, file) for name, table in tables.items())
    return ()


def _read_group(name: str, table: Mapping[str, Any], file: ConfigFile) -> GroupGrants:
    location = f"{file.label}: {_GROUPS}.{name[:80]}"
    if name != name.strip() or not name or "," in name or not name.isprintable():
        raise InvalidError(f"{location}: the name of a group is printable and has no comma, which separates groups")
    unknown = [field for field in table if field not in _GROUP_FIELDS]
    if unknown:
        raise InvalidError(f"{location} has no {unknown[0][:80]!r}; it may have {', '.join(_GROUP_FIELDS)}")
    scopes = _read_scopes(table.get("scopes"), location)
    names, filter = table.get("collections"), table.get("filter")
    if filter is not None and not isinstance(filter, Mapping):
        raise InvalidError(f'{location}.filter is not a table such as {{ team = "hr" }}')
    if filter is not None and scopes & {"write", "admin"}:
        raise InvalidError(
            f"{location}: a group with a filter cannot have the scopes write and admin: what its users add or delete"
            " could be outside the filter"
        )
    return GroupGrants(name, scopes, None if names is None else _read_collections(names, location), filter)


def _read_scopes(value: object, location: str) -> frozenset[Scope]:
    if value is None:
        return DEFAULT_SCOPES
    known = get_args(Scope)
    if not isinstance(value, list) or not value or not all(entry in known for entry in value):
        raise InvalidError(f"{location}.scopes is not a list of some of {', '.join(known)}")
    return frozenset(cast("list[Scope]", value))


def _read_collections(value: object, location: str) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
        raise InvalidError(f"{location}.collections is not a list of names; leave it out to allow every collection")
    for name in value:
        validate_name(name, "collection", location=location)
    return frozenset(value)
