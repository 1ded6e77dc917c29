"""Findings about an installation: what was checked, what is wrong, and how to mend it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "warning", "problem"]
"""`problem`: something does not work, or is not safe. `warning`: it may soon not work, or needs a decision."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. No part of it contains a secret."""

    severity: Severity
    check: str
    """What was checked: a few words, such as `disk` or `collection handbook`."""
    what: str
    why: str = ""
    """What follows from it; empty where nothing is wrong."""
    remedy: str = ""
    """What to do, in the terms of a user of the shell."""
