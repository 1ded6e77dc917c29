"""Configuration files: where they are, and what they hold. Does not decide what a file may set."""

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
    found_in: Path
    """The folder where it was found, resolved; another one than that of `path` where the file itself is a link."""
    label: str
    """Names it in messages."""
    sha256: str
    """Of the bytes that `table` was read from, in hexadecimal."""
    table: Mapping[str, Any]

    def locate(self, name: str) -> Path:
        """Return the path that `name` means in this file."""
        return self.path.parent / name


def read_config(path: Path, label: str) -> ConfigFile | None:
    """Read a file once, or return None if there is none; Invalid if it is not TOML, Storage if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        resolved, found_in = path.resolve(), path.parent.resolve()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}; correct its permissions, or remove it") from exc
    if len(data) > MAX_CONFIG_BYTES:
        raise InvalidError(f"{path} is no configuration file: it is larger than {MAX_CONFIG_BYTES:,} bytes")
    import hashlib  # late, as tomllib: in most folders there is no such file

    return ConfigFile(resolved, found_in, label, hashlib.sha256(data).hexdigest(), _parse(data, path))


def user_folder(environ: Mapping[str, str], variable: str, default: str) -> Path | None:
    """Return the folder that an XDG variable names, else `default` below HOME; None if neither is an absolute path.

    A relative path would lead into whatever folder the command is started in; the XDG specification ignores it too.
    """
    given, home = Path(environ.get(variable, "")), Path(environ.get("HOME", ""))
    if given.is_absolute():
        return given / "semsearch"
    return home / default / "semsearch" if home.is_absolute() else None


def leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each value of a table with its dotted name; a list counts as one value."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{leaf}", inner) for leaf, inner in leaves(value))
        else:
            yield name, value


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except ValueError as exc:
        raise InvalidError(f"{path} is not valid TOML: {exc}") from exc
    except RecursionError as exc:
        raise InvalidError(f"{path} is not valid TOML: it is nested too deeply") from exc
