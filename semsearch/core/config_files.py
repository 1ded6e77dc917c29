"""Find and read configuration files. Does not decide what a file may set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidError, StorageError

CONFIG_FILE = "semsearch.toml"
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One configuration file, or one table of it."""

    path: Path
    """Absolute, with all links resolved; relative paths in the file start at its folder."""
    opened_in: Path
    """The folder in which the file was opened, resolved; differs from the folder of `path` where the file is a link."""
    label: str
    """The name of the file in messages."""
    sha256: str
    """Hash of the bytes that `table` was parsed from, in hexadecimal."""
    table: Mapping[str, Any]

    def locate(self, name: str) -> Path:
        """Return `name` as a path; a relative one starts at the folder of this file."""
        return self.path.parent / name


def read_config(path: Path, label: str) -> ConfigFile | None:
    """Read and parse a file; None if there is none, InvalidError if it is not TOML, StorageError if reading fails."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        resolved, opened_in = path.resolve(), path.parent.resolve()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}; correct its permissions, or remove it") from exc
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidError(f"{path} is not a configuration file: it is larger than {MAX_CONFIG_BYTES:,} bytes")
    import hashlib  # imported late, like tomllib: most folders have no configuration file

    return ConfigFile(resolved, opened_in, label, hashlib.sha256(data).hexdigest(), _parse(data, path))


def find_user_folder(environ: Mapping[str, str], variable: str, default: str) -> Path | None:
    """Return semsearch's folder in the folder that an XDG variable names, else in `default` below HOME.

    None if neither is an absolute path. A relative path would depend on the working folder; the XDG specification
    ignores it too.
    """
    xdg_folder, home = Path(environ.get(variable, "")), Path(environ.get("HOME", ""))
    if xdg_folder.is_absolute():
        return xdg_folder / "semsearch"
    return home / default / "semsearch" if home.is_absolute() else None


def flatten_table(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each value of a table with its dotted name; a list counts as one value."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner_name}", inner_value) for inner_name, inner_value in flatten_table(value))
        else:
            yield name, value


def get_nested(table: Mapping[str, Any], name: str) -> Any:
    """Return the value with a dotted name; None if it is not set."""
    value: Any = table
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def validate_text(location: str, value: object) -> str | None:
    """Return a text, None if it is empty or not set; InvalidError if the value is not text."""
    if value is not None and not isinstance(value, str):
        raise InvalidError(f"{location}: {value!r} is not text")
    return value or None


def resolve_path(text: str, file: ConfigFile | None) -> Path:
    """Return a path; a relative one starts at the folder of the file that sets it, or at the working folder."""
    return Path(text) if file is None else file.locate(text)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except ValueError as exc:
        raise InvalidError(f"{path} is not valid TOML: {exc}") from exc
    except RecursionError as exc:
        raise InvalidError(f"{path} is not valid TOML: it is nested too deeply") from exc
