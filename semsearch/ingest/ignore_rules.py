"""Rules of `.gitignore` and `.semsearchignore`, as git applies them: the last rule that matches decides.

A rule of an inner folder goes before those of outer ones, and `.semsearchignore` goes before `.gitignore`. What is
below an ignored folder stays ignored, because the walk does not enter it.
"""

import errno
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..core.errors import InvalidError
from .regular_files import read_head

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

GIT_FILE, OWN_FILE = ".gitignore", ".semsearchignore"
MAX_IGNORE_FILE_BYTES = 1 << 20
_FOLDER_MARK = "ps_d"
"""Group of pathspec's expressions that matches the slash behind a folder that matches."""


class Decision(NamedTuple):
    """Whether an entry is ignored, and the rule that decided."""

    is_ignored: bool
    rule: str


class PatternList:
    """Patterns in the syntax of gitignore, relative to one folder."""

    def __init__(self, lines: Iterable[str], *, is_strict: bool = False) -> None:
        self._patterns = [
            (text, pattern.regex, bool(pattern.include))
            for text in lines
            if (pattern := _parse_pattern(text, is_strict)) and pattern.regex is not None
        ]
        self._patterns.reverse()

    def decide(self, path: str) -> Decision | None:
        """Return the decision of the last matching pattern; the path of a folder ends with a slash."""
        for text, regex, include in self._patterns:
            if (match := regex.search(path)) and _matches_whole_path(match, path):
                return Decision(include, text)
        return None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The ignore files of one folder, and the rules of the folders above it."""

    folder: Path
    patterns: Mapping[str, PatternList]
    """By the name of the ignore file."""
    parent: "IgnoreRules | None" = None

    def decide(self, path: Path, *, is_folder: bool) -> Decision | None:
        """Return whether an entry is ignored, or re-included by `.semsearchignore`; None if no rule applies."""
        return self._decide_by(OWN_FILE, path, is_folder) or self._decide_by(GIT_FILE, path, is_folder)

    def _decide_by(self, file_name: str, path: Path, is_folder: bool) -> Decision | None:
        rules: IgnoreRules | None = self
        while rules is not None:
            if file_name in rules.patterns:
                relative_path = path.relative_to(rules.folder).as_posix() + ("/" if is_folder else "")
                if decision := rules.patterns[file_name].decide(relative_path):
                    # what .gitignore re-includes is left to the default skips
                    is_final = decision.is_ignored or file_name == OWN_FILE
                    return decision._replace(rule=f"{decision.rule} in {file_name}") if is_final else None
            rules = rules.parent
        return None


def load_rules(
    folder: Path, real_folder: Path, names: Collection[str], parent: IgnoreRules | None
) -> IgnoreRules | None:
    """Return the rules below a folder with entries of these names; OSError if an ignore file cannot be read.

    Unlike git, semsearch fails then: it must not ingest what the user wanted to be left out.
    """
    patterns = {
        name: PatternList(_read_lines(real_folder / name))
        for name in (GIT_FILE, OWN_FILE)
        if name in names and os.path.isfile(real_folder / name)
    }
    return IgnoreRules(folder, patterns, parent) if patterns else parent


def find_outer_rules(folder: Path) -> IgnoreRules | None:
    """Return the rules of the folders above `folder`, up to the top of its git repository.

    They do not apply to a folder that they ignore: whoever names it wants it.
    """
    folders = [folder, *folder.parents]
    top = next((index for index, outer in enumerate(folders) if os.path.exists(outer / ".git")), 0)
    rules: IgnoreRules | None = None
    for index in range(top, 0, -1):
        rules = load_rules(folders[index], folders[index], (GIT_FILE, OWN_FILE), rules)
        decision = rules.decide(folders[index - 1], is_folder=True) if rules else None
        if decision and decision.is_ignored:
            return None
    return rules


def _read_lines(path: Path) -> list[str]:
    data = read_head(path, MAX_IGNORE_FILE_BYTES + 1)
    if len(data) > MAX_IGNORE_FILE_BYTES:
        raise OSError(errno.EFBIG, f"its {path.name} is larger than {MAX_IGNORE_FILE_BYTES >> 20} MiB")
    return os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).split("\n")


def _parse_pattern(line: str, is_strict: bool) -> "GitIgnoreSpecPattern | None":
    """Return a pattern; None for a comment, and for an invalid line, which git ignores too."""
    from pathspec.patterns.gitignore.spec import (
        GitIgnoreSpecPattern,
    )  # late: it loads slowly, and a search does not need it

    # pathspec reads these as the folder itself, or as everything; git reads them as its subfolders, and as nothing
    text = re.sub(r"/\*\*/\s*$", "/**/*/", line) if line.strip("!/") else ""
    try:
        pattern = GitIgnoreSpecPattern(text)
    except (ValueError, re.error):
        pattern = None
    if is_strict and (pattern is None or pattern.regex is None):
        raise InvalidError(f"{line[:80]!r} is not a pattern for files; use for example '*.md' or 'drafts/'")
    return pattern


def _matches_whole_path(match: re.Match[str], path: str) -> bool:
    """Return whether a pattern matches the entry itself, not only a folder above it.

    pathspec also matches all paths below a folder that matches; there the rules for these paths decide.
    """
    if match.group(0) == "/" and _FOLDER_MARK in match.re.groupindex:
        return path.endswith("/")  # */ matches every folder
    if _FOLDER_MARK in match.re.groupindex and match.start(_FOLDER_MARK) >= 0:
        return match.start(_FOLDER_MARK) == len(path) - 1
    return not (match.group().endswith("/") and match.end() == len(path))  # a/** does not match a/ itself
