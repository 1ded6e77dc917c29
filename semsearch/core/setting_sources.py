"""Where the value of each setting comes from, for display: no secret is shown."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from .proxies import PROXY_VARIABLES
from .setting_names import to_variable
from .settings_reader import SettingsReader

SourceKind = Literal["flag", "environment", "file", "default"]

_SECRET = re.compile(r"(?:\w+_)?(?:key|secret|token|password)", re.IGNORECASE)
_URL_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_URL_QUERY = re.compile(r"\?.*", re.DOTALL)
_SET = "set"


@dataclass(frozen=True, slots=True)
class SettingSource:
    """One setting as it is used."""

    name: str
    """Name in files, such as `chat.model`; of a variable that has none, the variable."""
    variable: str
    value: Any
    """None if it is not set and has no default; `set` for a secret."""
    source: SourceKind
    origin: str | None = None
    """The flag, the variable or the path of the file; of a default that is the value of another setting, its name."""
    is_used: bool = True
    """False if another setting takes its place, as `api_key_file` does that of `api_key`."""

    @property
    def is_secret(self) -> bool:
        """Whether the value is a secret, which is not shown."""
        return is_secret_name(self.name)


def describe_sources(reader: SettingsReader, flags: Mapping[str, tuple[str, str]]) -> list[SettingSource]:
    """Return the settings that a reader has looked up, by name, then the other variables.

    `flags` has the option and the value by name.
    """
    settings = [_describe(reader, name) for name in sorted(reader.known_names) if not _is_part(reader, name)]
    variables = [_describe_variable(reader, name) for name in sorted(reader.known_variables)]
    sources = [*settings, *_describe_named_tables(reader), *variables]
    return [
        replace(each, value=flags[each.name][1], source="flag", origin=flags[each.name][0])
        if each.name in flags
        else each
        for each in sources
    ]


def is_secret_name(name: str) -> bool:
    """Return whether the value of a setting or variable of this name is a secret."""
    return _SECRET.fullmatch(name.rpartition(".")[2]) is not None


def mask_value(name: str, value: Any, variables: Mapping[str, str]) -> Any:
    """Return a value without its secret: of a URL the user and the query.

    A value that should name a variable or a file, and does not, may be a key in the wrong place: it is not shown.
    """
    last = name.rpartition(".")[2].lower()
    if value is None:
        return None
    if is_secret_name(name):
        return _SET
    if last.endswith("_env"):
        return value if value in variables else "(no variable of this environment)"
    if last.endswith("_file"):
        return str(value) if os.path.exists(value) else "(no file that can be found)"
    if isinstance(value, str) and (last.endswith(("url", "proxy")) or "://" in value):
        return mask_url(value)
    return str(value) if isinstance(value, Path | date) else value


def mask_url(url: str) -> str:
    """Return a URL without user, password and query.

    >>> mask_url("http://ann:secret@proxy:3128/?key=secret")
    'http://…@proxy:3128/?…'
    """
    return _URL_QUERY.sub("?…", _URL_USER.sub(r"\1…@", url))


def _is_part(reader: SettingsReader, name: str) -> bool:
    """Return whether a setting is shown with that of its table, or the reverse."""
    parent = name.rpartition(".")[0]
    if parent in reader.known_names:  # search.source_weights.changelog
        return reader.find(name)[1] is None
    return isinstance(reader.find(name)[1], Mapping)


def _describe(reader: SettingsReader, name: str) -> SettingSource:
    location, raw = reader.find(name)
    variable, fallback = to_variable(name), reader.fallbacks.get(name)
    file = reader.find_file(name)
    # a path in a file starts at the folder of the file
    located = file.locate(str(raw)) if file is not None and name.endswith("_file") else raw
    value = mask_value(name, reader.values.get(name, located), reader.variables)
    if file is not None:
        return SettingSource(name, variable, value, "file", str(file.path), reader.find_used(name) == name)
    if location == variable:
        return SettingSource(name, variable, value, "environment", variable, reader.find_used(name) == name)
    if fallback is not None:
        value = _SET if is_secret_name(name) else value
        is_variable = fallback in reader.variables
        return SettingSource(name, variable, value, "environment" if is_variable else "default", fallback)
    return SettingSource(name, variable, value, "default")


def _describe_named_tables(reader: SettingsReader) -> Iterator[SettingSource]:
    for name, value, file in reader.iter_named_tables():
        yield SettingSource(name, "", mask_value(name, value, reader.variables), "file", str(file.path))


def _describe_variable(reader: SettingsReader, variable: str) -> SettingSource:
    spellings = (variable, variable.lower()) if variable in PROXY_VARIABLES else (variable,)
    spelling = next((name for name in spellings if reader.variables.get(name)), None)
    if spelling is None:
        return SettingSource(variable, variable, None, "default")
    value = mask_value(variable, reader.variables[spelling], reader.variables)
    return SettingSource(variable, variable, value, "environment", spelling)
