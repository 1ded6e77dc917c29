"""Trust in configuration files: which settings need it, and the record of the files that have it.

A `semsearch.toml` may come with a folder that somebody else made. Without trust it may not decide where keys, questions
and documents go, which files are read, and who may use the service.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .config_files import ConfigFile, leaves
from .errors import ForbiddenError, StorageError
from .file_locks import hold_lock

TRUST_COMMAND = "semsearch config trust"

_TABLES = ("access", "sources")
_NAMES = re.compile(r"(?:\w+_)?(?:url|file)|api_key|(?:allowed_)?hosts|(?:allowed_|cors_)?origins")
"""The last part of a name that needs trust, in whatever table. A key decides whose account processes the texts, and
with it the files of a batch can be downloaded: the owner of a foreign key can read what is sent under it."""

_SECRET = re.compile(r"(?:\w+_)?(?:key|secret|token|password)")
_MAX_LISTED = 8
_LOCK_WAIT_SECONDS = 10.0


def settings_that_need_trust(file: ConfigFile, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return the settings of a file that need trust, by dotted name; `limits` are the budgets that hold without it."""
    others = {name: value for name, value in file.table.items() if name not in _TABLES}
    found = {name: value for name, value in leaves(others) if _needs_trust(file, name, value, limits)}
    return {name: value for name, value in file.table.items() if name in _TABLES} | found


def check_trust(file: ConfigFile, record: Path | None, limits: Mapping[str, float]) -> None:
    """Raise Forbidden if a file sets what needs trust and does not have it; `record` is the path of trusted.json."""
    names = [shown(name) for name in settings_that_need_trust(file, limits)]
    if not names:
        return
    trusted = {} if record is None else _read(record)
    known = trusted.get(str(file.path))
    if known == file.sha256:
        return
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    state = "is not trusted" if known is None else "has changed since it was trusted"
    raise ForbiddenError(
        f"{shown(str(file.path))} {state}, and sets {', '.join(names[:_MAX_LISTED])}{more}: such"
        f" settings decide where keys and documents go, and what is spent. Read the file; if it is right, run:"
        f" {TRUST_COMMAND}"
    )


def add_trust(file: ConfigFile, record: Path | None) -> Path:
    """Store path and SHA-256 of a file in trusted.json, and return its path; whatever else is trusted stays so."""
    if record is None:
        raise StorageError("there is no folder to keep the trust in; set XDG_STATE_HOME or HOME to an absolute path")
    try:
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(
            record.with_suffix(".lock"), wait_seconds=_LOCK_WAIT_SECONDS, operation="trust a configuration file"
        ):
            _write(record, {**_read(record), str(file.path): file.sha256})
    except OSError as exc:
        raise StorageError(f"{record} cannot be written: {exc.strerror}; nothing was trusted") from exc
    return record


def shown(text: str) -> str:
    """Return a text of an untrusted file, cut, with everything escaped that a terminal could take for a command."""
    text = f"{text[:200]}…" if len(text) > 200 else text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown_value(name: str, value: object) -> str:
    """Return a value for people to check, without secrets: keys, passwords in URLs, tables of access and sources."""
    if name in _TABLES or _SECRET.fullmatch(name.rpartition(".")[2]):
        return "(not shown)"
    text = value if isinstance(value, str) else repr(value)
    return shown(re.sub(r"(?<=//)[^/\\?#]*@", "…@", text))


def _needs_trust(file: ConfigFile, name: str, value: object, limits: Mapping[str, float]) -> bool:
    if name == "data_dir":
        return not _is_inside(file, value)
    if name in limits:
        return _raises(value, limits[name])
    if name.startswith("prices."):  # a price of nothing would switch a budget in dollars off
        return any(limit.endswith("_usd") for limit in limits)
    return _NAMES.fullmatch(name.rpartition(".")[2]) is not None


def _is_inside(file: ConfigFile, value: object) -> bool:
    """Return whether a data directory lies in the folder where the file was found, with all links resolved."""
    try:
        return file.locate(str(value)).resolve().is_relative_to(file.found_in)
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a null character
        return False


def _raises(value: Any, limit: float) -> bool:
    try:
        return not float(value) <= limit
    except (TypeError, ValueError, OverflowError):
        return True


def _read(record: Path) -> dict[str, str]:
    """Return the SHA-256 of each trusted file by path; Storage if the record is damaged: it is never just left out."""
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
    """Replace the record by one rename, readable by its owner only."""
    from .file_sync import sync_folder

    aside = record.with_name(f".trusted-{secrets.token_hex(8)}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(json.dumps(trusted, indent=1, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(record)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    sync_folder(record.parent)
