"""Skipped inputs of an ingestion as text: a summary by kind, and their names. Only formats."""

from collections.abc import Mapping

from ...core.escapes import escape_name
from ...core.types.documents import IngestReport, SkipKind

_Label = tuple[str, str]
"""How one and several are called."""

_FILE_KINDS: dict[SkipKind, _Label] = {
    "image": ("image", "images"),
    "font": ("font", "fonts"),
    "archive": ("archive", "archives"),
    "audio": ("audio file", "audio files"),
    "video": ("video", "videos"),
    "compiled": ("compiled file", "compiled files"),
    "search_index": ("search index", "search indexes"),
    "lock_file": ("lock file", "lock files"),
    "minified": ("minified file", "minified files"),
    "system_file": ("temporary file", "temporary files"),
    "unknown_type": ("of unknown type", "of unknown type"),
    "empty": ("without text", "without text"),
    "ignored": ("ignored", "ignored"),
    "excluded": ("excluded", "excluded"),
    "not_included": ("not included", "not included"),
}
_FOLDER_KINDS: dict[SkipKind, _Label] = {
    "dependencies": ("with dependencies", "with dependencies"),
    "cache": ("cache", "caches"),
    "virtual_environment": ("virtual environment", "virtual environments"),
    "version_control": ("of version control", "of version control"),
    "data_directory": ("data directory", "data directories"),
    "ignored_folder": ("ignored", "ignored"),
    "excluded_folder": ("excluded", "excluded"),
}


def format_skip_summary(report: IngestReport) -> list[str]:
    """Return one line, such as `skipped 167 files: 160 images, 7 archives`; none if nothing was skipped."""
    parts = [
        *_format_kinds(("file", "files"), _FILE_KINDS, report.skipped_by_kind),
        *_format_kinds(("folder", "folders"), _FOLDER_KINDS, report.skipped_by_kind),
    ]
    return [f"skipped {'; '.join(parts)}"] if parts else []


def format_skips(report: IngestReport) -> list[str]:
    """Return one line for each listed input with its reason, and a last one with the number of those not listed."""
    lines = [f"skipped: {escape_name(skip.uri)}: {skip.reason}" for skip in report.skips]
    return [*lines, *([f"skipped: {report.skips_omitted:,} more"] if report.skips_omitted else [])]


def _format_kinds(noun: _Label, labels: Mapping[SkipKind, _Label], counts: Mapping[SkipKind, int]) -> list[str]:
    """Return the total of these kinds with the number of each, most frequent first; [] if there are none."""
    present = sorted((kind for kind in labels if counts.get(kind)), key=lambda kind: -counts[kind])
    if not present:
        return []
    by_kind = ", ".join(_format_count(counts[kind], labels[kind]) for kind in present)
    return [f"{_format_count(sum(counts[kind] for kind in present), noun)}: {by_kind}"]


def _format_count(number: int, label: _Label) -> str:
    return f"{number:,} {label[number != 1]}"
