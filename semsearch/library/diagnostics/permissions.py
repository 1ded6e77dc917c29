"""Check who may read and write the data directory, the stored files and the files with keys."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...core.setting_sources import SettingSource
from ...core.settings import Secret, Settings
from ...core.types.diagnostics import Finding
from ...storage.stored_files import list_stored_files
from .disk import find_existing

_OTHERS = 0o077
_MAX_NAMED = 3
_CHOWN = "run semsearch as the user that owns the data directory, or change the owner: chown -R USER"


def check_data_dir(folder: Path) -> list[Finding]:
    """Check owner and mode of the data directory; one that does not exist only needs a folder to make it in."""
    check = "data directory"
    existing = find_existing(folder)
    if not existing.is_dir():
        what, remedy = f"{existing} is a file, not a folder", "name a folder with --data-dir or SEMSEARCH_DATA_DIR"
        return [Finding("problem", check, what, "nothing can be stored in it", remedy)]
    findings = list(_check_access(existing, folder))
    if existing == folder and stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        findings.append(
            Finding(
                "warning",
                check,
                f"other users of this machine may enter {folder}",
                "they can see the names of the collections; the files in them are protected by their own modes",
                f"chmod 700 {shlex.quote(str(folder))}",
            )
        )
    if findings:
        return findings
    if existing != folder:
        return [Finding("ok", check, f"there is no {folder} yet: semsearch ingest makes it")]
    return [Finding("ok", check, f"{folder} can be written, and only its owner may enter it")]


def check_stored_files(folder: Path) -> list[Finding]:
    """Check that only the owner may read databases, indexes and originals."""
    exposed = [path for path in list_stored_files(folder) if _is_exposed(path)]
    if not exposed:
        return []
    more = f" and {len(exposed) - _MAX_NAMED} more" if len(exposed) > _MAX_NAMED else ""
    names = ", ".join(map(str, exposed[:_MAX_NAMED]))
    return [
        Finding(
            "problem",
            "stored files",
            f"other users of this machine may read {names}{more}",
            "they hold documents, questions and answers",
            "chmod go= " + " ".join(shlex.quote(str(path)) for path in exposed),
        )
    ]


def check_key_files(settings: Settings, sources: Sequence[SettingSource]) -> list[Finding]:
    """Check that the files with keys of model servers can be read, and by their owner only."""
    paths = {secret.file: secret.setting_name for secret in _list_secrets(settings) if secret.file is not None}
    findings = [_check_key_file(path, name) for path, name in paths.items()]
    config_files = {Path(each.origin) for each in sources if each.is_secret and each.source == "file" and each.origin}
    findings += [_check_mode(path, "configuration file with a key") for path in sorted(config_files)]
    return findings


def may_read_folder(folder: Path) -> bool:
    """Return whether this user may list a folder and reach what is in it."""
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)


def is_regular_file(path: Path) -> bool:
    """Return whether a path names a regular file: reading a pipe would never end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _check_access(existing: Path, folder: Path) -> Iterator[Finding]:
    """Yield why this user cannot read or write the data directory, or make it in `existing`."""
    owner = existing.stat().st_uid
    if existing == folder and owner != os.geteuid():
        yield Finding(
            "warning",
            "data directory",
            f"{folder} belongs to user {owner}, and this is user {os.geteuid()}",
            "a service and commands that run as several users cannot read each other's files",
            f"{_CHOWN} {shlex.quote(str(folder))}",
        )
    if not os.access(existing, os.R_OK | os.X_OK):
        path = shlex.quote(str(existing))
        remedy = f"chmod u+rwx {path}, if this is the user that owns it; else {_CHOWN} {path}"
        what = f"this user may not read {existing}"
        yield Finding("problem", "data directory", what, "no collection can be opened", remedy)
    elif not os.access(existing, os.W_OK):
        yield Finding(
            "problem",
            "data directory",
            f"this user may not write in {existing}",
            "documents, answers and usage cannot be stored; searches may fail too, as SQLite coordinates readers there",
            f"chmod u+w {shlex.quote(str(existing))}, or change its owner, or mount it writable",
        )


def _list_secrets(settings: Settings) -> list[Secret]:
    webhooks = [profile.webhook for profile in settings.profiles.values() if profile.webhook is not None]
    return [settings.chat.key, settings.embeddings.key, settings.check.key, *(webhook.secret for webhook in webhooks)]


def _check_key_file(path: Path, setting: str) -> Finding:
    if not is_regular_file(path):
        state = "is no regular file" if os.path.exists(path) else "cannot be found"
        return Finding(
            "problem",
            "key file",
            f"the file that {setting} names {state}",
            "requests to its server fail",
            f"write the key into a file, with mode 600, and correct {setting}",
        )
    if not os.access(path, os.R_OK):
        why = "requests to its server fail"
        return Finding("problem", "key file", f"this user may not read {path}", why, "change its owner or mode")
    return _check_mode(path, "key file")


def _check_mode(path: Path, check: str) -> Finding:
    """Return a warning, not a problem, about a file of another user: the secrets of a container have any mode."""
    if not _is_exposed(path):
        return Finding("ok", check, f"only its owner may read {path}")
    is_own = path.stat().st_uid == os.geteuid()
    return Finding(
        "problem" if is_own else "warning",
        check,
        f"other users of this machine may read {path}",
        "everybody who has the key can use the account",
        f"chmod 600 {shlex.quote(str(path))}",
    )


def _is_exposed(path: Path) -> bool:
    """Return whether group or others have any access; False if that cannot be read."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)
    except OSError:
        return False
