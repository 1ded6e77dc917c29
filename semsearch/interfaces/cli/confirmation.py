"""Ask before documents are deleted, money is spent, or settings are changed."""

import sys
from typing import TYPE_CHECKING

import click

from ...core.errors import ForbiddenError, InvalidError
from . import output

if TYPE_CHECKING:
    from ...library import Library


def confirm_deletion(library: "Library", name: str) -> None:
    """Ask on the terminal whether to delete a collection.

    Raise ForbiddenError if the answer is not yes, and InvalidError without a terminal, where nobody can answer.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidError(f"collections delete asks before it deletes {name}, but there is no terminal; add --yes")
    # one that cannot be read is deleted too, without its count
    counts = [info.documents for info in library.collections(on_failure=lambda failure: None) if info.name == name]
    documents = f" with {output.format_count(counts[0], 'document')}" if counts else ""
    if not click.confirm(f"Delete the collection {name}{documents}?", err=True):
        raise ForbiddenError(f"{name} was not deleted")


def confirm(question: str, verb: str, *, yes: bool) -> None:
    """Ask on the terminal, unless `yes` is set.

    Raise ForbiddenError if the answer is not yes, and InvalidError without a terminal, where nobody can answer.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidError(f"{verb} asks before it goes on, but there is no terminal; add --yes")
    if not click.confirm(question, err=True):
        raise ForbiddenError("nothing was changed")
