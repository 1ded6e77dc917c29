"""Decide which files and folders below a path are ingested: flags, ignore files, default skips. Reads no documents.

Flags decide first, then the ignore files, then the defaults. A `.semsearchignore` can re-include what `.gitignore` or
the defaults leave out. A path that the user names is subject to the flags only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..core.types.documents import Skip, SkipKind
from .default_skips import HEAD_BYTES, classify_file, classify_folder, classify_generated_file
from .ignore_rules import IgnoreRules, PatternList
from .regular_files import read_head

_REASONS: dict[SkipKind, str] = {
    "image": "it is an image",
    "font": "it is a font",
    "archive": "it is an archive; extract it to ingest what it holds",
    "audio": "it is an audio file",
    "video": "it is a video",
    "compiled": "it is a compiled file",
    "search_index": "it is a generated search index",
    "lock_file": "it is a lock file",
    "minified": "it is a minified file or a source map",
    "system_file": "it is a temporary file or one of the operating system",
    "unknown_type": "no reader is known for its type; if it is text, rename it to .txt",
    "not_included": "it matches no --include",
    "dependencies": "it holds installed dependencies",
    "cache": "it is a cache",
    "virtual_environment": "it is a Python environment",
    "version_control": "it belongs to version control",
    "data_directory": "it is a data directory of semsearch",
}


@dataclass(frozen=True, slots=True)
class FileSelection:
    """The globs of the flags, relative to the ingested folder."""

    include: PatternList | None = None
    exclude: PatternList | None = None

    def skip_named_file(self, relative_path: str, uri: str) -> Skip | None:
        """Return the Skip of a file that the user names, if the flags leave it out."""
        if self.exclude and (decision := self.exclude.decide(relative_path)) and decision.is_ignored:
            return Skip(uri, f"it is excluded: {decision.rule}", "excluded")
        if self.include and not ((decision := self.include.decide(relative_path)) and decision.is_ignored):
            return _make_skip(uri, "not_included")
        return None

    def skip_file(
        self, path: Path, real_path: Path, relative_path: str, uri: str, rules: IgnoreRules | None
    ) -> Skip | None:
        """Return the Skip of a file below an ingested folder; None if it is ingested."""
        if skip := self.skip_named_file(relative_path, uri):
            return skip
        decision = rules.decide(path, is_folder=False) if rules else None
        if decision and decision.is_ignored:
            return Skip(uri, f"it is ignored: {decision.rule}", "ignored")
        kind = classify_file(path.name)
        if kind is None and decision is None:
            kind = classify_generated_file(path.name, partial(_read_head, real_path))
        return _make_skip(uri, kind) if kind else None

    def skip_folder(
        self, path: Path, names: Collection[str], relative_path: str, uri: str, rules: IgnoreRules | None
    ) -> Skip | None:
        """Return the Skip of a folder with entries of these names; None if the walk enters it."""
        if self.exclude and (decision := self.exclude.decide(f"{relative_path}/")) and decision.is_ignored:
            return Skip(f"{uri}/", f"it is excluded: {decision.rule}", "excluded_folder")
        decision = rules.decide(path, is_folder=True) if rules else None
        if decision is not None:
            return Skip(f"{uri}/", f"it is ignored: {decision.rule}", "ignored_folder") if decision.is_ignored else None
        kind = classify_folder(path.name, names)
        return _make_skip(f"{uri}/", kind) if kind else None


def make_selection(include: str | Sequence[str] = (), exclude: str | Sequence[str] = ()) -> FileSelection:
    """Return the selection of these globs, one or several; InvalidError for an invalid one."""
    return FileSelection(_parse_globs(include), _parse_globs(exclude))


def _parse_globs(globs: str | Sequence[str]) -> PatternList | None:
    lines = [globs] if isinstance(globs, str) else list(globs)
    return PatternList(lines, is_strict=True) if lines else None


def _read_head(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read, which is an error when it is ingested."""
    try:
        return read_head(path, HEAD_BYTES)
    except OSError:
        return b""


def _make_skip(uri: str, kind: SkipKind) -> Skip:
    return Skip(uri, _REASONS[kind], kind)
