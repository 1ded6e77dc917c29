"""Shell completion: its scripts, and the names of collections and files. Completion of verbs and options is click's."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from ...core.errors import SemsearchError
from ...core.names import is_valid_name

_PROGRAM = "semsearch"
_VARIABLE = "_SEMSEARCH_COMPLETE"


def show_completion(context: click.Context, parameter: click.Parameter, shell: str | None) -> None:
    """Print the script of a shell and exit; do nothing without a shell."""
    if shell is None or context.resilient_parsing:
        return
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    assert completion_class is not None  # the option has a fixed choice
    click.echo(completion_class(context.command, {}, _PROGRAM, _VARIABLE).source())
    context.exit()


def complete_collections(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of collections that begin with `incomplete`; none if the settings cannot be read."""
    from pathlib import Path

    from .context import CliContext

    options: dict[str, Any] = {}
    for params in (context.find_root().params, context.params):
        options.update((name, value) for name, value in params.items() if value is not None)
    try:
        data_dir = options.get("data_dir") or CliContext(config=options.get("config")).settings().data_dir
        names = sorted(path.name for path in Path(data_dir).iterdir() if path.is_dir() and is_valid_name(path.name))
    except (SemsearchError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_paths(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete names of files and folders."""
    return [CompletionItem(incomplete, type="file")]
