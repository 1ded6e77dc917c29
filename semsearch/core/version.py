"""The version of semsearch: that of the installed package, which `pyproject.toml` names. No other module reads it."""

from functools import cache


@cache
def get_version() -> str:
    """Return the version, such as 0.1.0."""
    from importlib.metadata import version  # late: it takes longer to import than a small command

    return version("semsearch")
