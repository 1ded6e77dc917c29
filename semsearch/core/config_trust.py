"""Trust in configuration files: which settings need it, and the record of trusted files.

A `semsearch.toml` may come with a folder from somebody else. An untrusted file must not decide where keys, questions
and documents are sent, which files are read, who may use the service, or which stored data is deleted.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .config_files import ConfigFile, flatten_table
from .errors import ForbiddenError, StorageError
from .file_locks import hold_lock
from .private_files import write_private_file

TRUST_COMMAND = "semsearch config trust"

_TABLES = ("access", "sources")
_RETENTION_SETTINGS = ("keep_days", "embeddings.cache_gib", "originals.gib")
"""A small value deletes answers, sessions or paid vectors from the data directory, which may be in another folder, or
lets it lack the originals of new documents; a large one fills its disk."""

_NAMES = re.compile(r"(?:\w+_)?(?:url|file)|api_key(?:_env)?|embedder|(?:allowed_)?hosts|(?:allowed_|cors_)?origins")
"""Last part of the names that need trust, in any table. A key decides which account processes the texts, and gives
access to the files of its batches: the owner of a foreign key can read the texts that are sent with it. An embedder
can send all documents to a server, or load a model from a folder."""

_SECRET = re.compile(r"(?:\w+_)?(?:key|secret|token|password)")
_MAX_LISTED = 8
_LOCK_WAIT_SECONDS = 10.0


def find_settings_needing_trust(file: ConfigFile, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return the settings of a file that need trust, by dotted name; `limits` are the budgets set outside this file."""
    tables = {name: value for name, value in file.table.items() if name in _TABLES}
    others = {name: value for name, value in file.table.items() if name not in _TABLES}
    return tables | {name: value for name, value in flatten_table(others) if _needs_trust(file, name, value, limits)}


def check_trust(file: ConfigFile, record: Path | None, limits: Mapping[str, float]) -> None:
    """Raise ForbiddenError if an untrusted file sets what needs trust; `record` is the path of trusted.json."""
    names = [escape_untrusted(name) for name in find_settings_needing_trust(file, limits)]
    if not names:
        return
    trusted = {} if record is None else _read(record)
    trusted_sha256 = trusted.get(str(file.path))
    if trusted_sha256 == file.sha256:
        return
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    state = "is not trusted" if trusted_sha256 is None else "has changed since it was trusted"
    raise ForbiddenError(
        f"{escape_untrusted(str(file.path))} {state}, and sets {', '.join(names[:_MAX_LISTED])}{more}: such"
        f" settings decide where keys and documents are sent, how much is spent, and what is deleted. Read the file;"
        f" if it is right, run: {TRUST_COMMAND}"
    )


def add_trust(file: ConfigFile, record: Path | None) -> Path:
    """Store path and SHA-256 of a file in trusted.json, and return the path of trusted.json; other entries stay."""
    if record is None:
        raise StorageError(
            "there is no folder for the record of trusted files; set XDG_STATE_HOME or HOME to an absolute path"
        )
    try:
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(
            record.with_suffix(".lock"), wait_seconds=_LOCK_WAIT_SECONDS, operation="trust a configuration file"
        ):
            _write(record, {**_read(record), str(file.path): file.sha256})
    except OSError as exc:
        raise StorageError(f"{record} cannot be written: {exc.strerror}; nothing was trusted") from exc
    return record


def escape_untrusted(text: str) -> str:
    """Return a text of an untrusted file at most 200 characters long, with control characters escaped."""
    text = f"{text[:200]}…" if len(text) > 200 else text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def format_value(name: str, value: object) -> str:
    """Return a value for display, without secrets: keys, passwords in URLs, and the tables `access` and `sources`."""
    if name in _TABLES or _SECRET.fullmatch(name.rpartition(".")[2]):
        return "(not shown)"
    text = value if isinstance(value, str) else repr(value)
    return escape_untrusted(re.sub(r"(?<=//)[^/\\?#]*@", "…@", text))


def _needs_trust(file: ConfigFile, name: str, value: object, limits: Mapping[str, float]) -> bool:
    if name in _RETENTION_SETTINGS:
        return True
    if name == "data_dir":
        return not _is_inside(file, value)
    if name in limits:
        return _exceeds(value, limits[name])
    if name.startswith("prices."):  # a price of 0 would disable a budget in dollars
        return any(limit.endswith("_usd") for limit in limits)
    return _NAMES.fullmatch(name.rpartition(".")[2]) is not None


def _is_inside(file: ConfigFile, value: object) -> bool:
    """Return whether a data directory lies in the folder of the configuration file, with all links resolved."""
    try:
        return file.locate(str(value)).resolve().is_relative_to(file.opened_in)
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a null character
        return False


def _exceeds(value: Any, limit: float) -> bool:
    try:
        return not float(value) <= limit
    except (TypeError, ValueError, OverflowError):
        return True


def _read(record: Path) -> dict[str, str]:
    """Return the SHA-256 of each trusted file by path; StorageError if the record is damaged, never an empty result."""
    try:
        trusted = json.loads(record.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise StorageError(f"{record} cannot be read: {exc.strerror}; correct its permissions") from exc
    except (ValueError, RecursionError):
        trusted = None
    if not isinstance(trusted, dict) or not all(isinstance(value, str) for value in trusted.values()):
        raise StorageError(f"{record} is damaged: remove it, and trust each file again with {TRUST_COMMAND}")
    return trusted


def _write(record: Path, trusted: Mapping[str, str]) -> None:
    write_private_file(record, json.dumps(trusted, indent=1, sort_keys=True).encode() + b"\n")
