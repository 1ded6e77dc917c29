"""Check of the data directory before the service starts."""

import os
from pathlib import Path


def find_write_problem(folder: Path) -> str | None:
    """Return why the data directory cannot be written and what that means, or None. It may not exist yet."""
    folder = folder.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return None
    return (
        f"the data directory {folder} cannot be written by this user: searches work, but documents, answers and usage"
        " cannot be stored; change its owner or permissions, or choose another directory"
    )
