"""Check an installation: disk, permissions, databases, collections, model servers and access. Changes nothing."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...core.setting_sources import SettingSource
from ...core.settings import Settings
from ...core.types.diagnostics import Finding
from ...storage.ledger.local.inspection import LedgerState
from .access import check_access, check_keys
from .collections import CollectionCheck, check_collections, find_foreign_files
from .databases import check_clock, check_ledger, check_sqlite
from .disk import check_disk
from .escalations import check_escalations
from .permissions import check_data_dir, check_key_files, check_stored_files, may_read_folder
from .servers import check_models, check_servers, list_uses

__all__ = ["diagnose"]


def diagnose(
    settings: Settings,
    sources: Sequence[SettingSource],
    folder: Path,
    *,
    is_offline: bool = False,
    clock: Callable[[], float] = time.time,
) -> list[Finding]:
    """Return what was found in the data directory `folder` and with the settings; `sources` says where they are from.

    No file is created or changed, and no lock is taken. With `is_offline` no server is asked.
    """
    now = clock()
    findings = [*check_disk(folder), *check_data_dir(folder), *check_key_files(settings, sources), check_sqlite()]
    ledger: LedgerState | None = None if os.path.exists(folder) else LedgerState()
    collections = CollectionCheck()
    if may_read_folder(folder):
        ledger, ledger_findings = check_ledger(folder)
        collections = check_collections(folder, settings)
        findings += [*check_stored_files(folder), *ledger_findings, *collections.findings, *find_foreign_files(folder)]
    uses = list_uses(settings, collections.specs)
    answers = check_servers(uses, is_offline=is_offline)
    findings += [*answers.findings, *check_models(uses, answers.models, now)]
    findings += check_clock(now, ledger.newest if ledger else 0.0, answers.seconds_behind)
    if ledger is not None:
        findings += check_escalations(ledger.outbox, now)
        findings += check_keys(ledger.keys, collections.names, now)
        findings += check_access(settings, has_keys=bool(ledger.keys))
    return findings
