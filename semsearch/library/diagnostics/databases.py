"""Check SQLite, the ledger, and the clock against the times that were stored."""

import time
from pathlib import Path

from ...core.errors import ConflictError, StorageError
from ...core.types.diagnostics import Finding
from ...storage.inspection import UncheckedError, find_damage, get_sqlite_version
from ...storage.ledger.local.inspection import LedgerState, load_state, open_ledger

_FIXED_WAL_RESET = (3, 51, 3)
_MIN_YEAR, _MAX_YEAR = 2026, 2100
_MAX_SECONDS_AHEAD = 60.0
"""How much newer than now a stored time may be: another machine may have written it."""
MAX_CLOCK_DIFFERENCE_SECONDS = 120.0
_CLOCK_REMEDY = "set the clock, and keep it set: timedatectl set-ntp true"
_WHY_CLOCK = "expiries of keys, budgets of a day and the age of answers are computed from it"


def check_sqlite() -> Finding:
    """Name the version of SQLite, and its known bug if semsearch is concerned."""
    version = get_sqlite_version()
    text = ".".join(map(str, version))
    if version >= _FIXED_WAL_RESET:
        return Finding("ok", "SQLite", f"version {text}")
    return Finding(
        "ok",
        "SQLite",
        f"version {text}; its WAL-reset bug (fixed in 3.51.3) cannot occur, as semsearch writes under its own lock",
        "another program that writes to these databases does not take that lock",
        "do not let other programs write to them",
    )


def check_ledger(folder: Path) -> tuple[LedgerState | None, list[Finding]]:
    """Read the ledger and check its pages; None if it cannot be read."""
    check, path = "ledger", folder / "ledger.db"
    try:
        with open_ledger(folder) as db:
            if db is None:
                return LedgerState(), [Finding("ok", check, "there is none yet")]
            damage = find_damage(db)
            if damage is None:
                return load_state(db), [Finding("ok", check, f"{path} is intact")]
            what = f"{path} is damaged: {damage}"
    except UncheckedError as exc:
        why = "usage, answers and access keys were not checked"
        return None, [Finding("warning", check, str(exc), why, "run semsearch usage, then check again")]
    except (StorageError, ConflictError) as exc:
        what = str(exc) if exc.__cause__ is None else f"{path} cannot be read: {exc.__cause__}"
    why = "usage, budgets, answers, sessions and access keys are in it; requests that need them fail"
    return None, [Finding("problem", check, what, why, "restore ledger.db from a copy, or move it away to begin anew")]


def check_clock(now: float, newest: float, seconds_behind: float | None) -> list[Finding]:
    """Compare the clock with the newest stored time and with that of a server, all in seconds."""
    year = time.gmtime(now).tm_year
    if not _MIN_YEAR <= year <= _MAX_YEAR:
        return [Finding("problem", "clock", f"the clock says that it is {year}", _WHY_CLOCK, _CLOCK_REMEDY)]
    if newest > now + _MAX_SECONDS_AHEAD:
        what = f"the clock is {format_seconds(newest - now)} behind the newest entry of the ledger"
        return [Finding("problem", "clock", what, _WHY_CLOCK, _CLOCK_REMEDY)]
    if seconds_behind is not None and abs(seconds_behind) > MAX_CLOCK_DIFFERENCE_SECONDS:
        side = "behind" if seconds_behind > 0 else "ahead of"
        what = f"the clock is {format_seconds(abs(seconds_behind))} {side} that of a model server"
        return [Finding("warning", "clock", what, _WHY_CLOCK, _CLOCK_REMEDY)]
    return [Finding("ok", "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))]


def format_seconds(seconds: float) -> str:
    """Return a length of time in its largest unit.

    >>> format_seconds(90_000)
    '25 hours'
    """
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
