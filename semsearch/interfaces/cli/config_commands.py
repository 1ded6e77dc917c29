"""The `config` commands: their arguments. `config` and `plugins` have the work, and load only when they run."""

from pathlib import Path

import click

from .context import CliContext, accept_global_options

_file_path = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@accept_global_options
def config(context: CliContext) -> None:
    """Print each setting, its value and its source; trust a configuration file; list plugins. Secrets are not shown."""
    if click.get_current_context().invoked_subcommand is None:
        from .config import print_settings

        print_settings(context)


@config.command()
@click.argument("file", type=_file_path, default="semsearch.toml")
@accept_global_options
def trust(context: CliContext, file: Path) -> None:
    """Allow FILE (default: ./semsearch.toml) to set servers, keys and folders, until it changes."""
    from .config import trust_file

    trust_file(context, file)


@config.command()
@accept_global_options
def plugins(context: CliContext) -> None:
    """List installed plugins, the distribution of each, and why one is not used."""
    from .plugins import list_plugins

    list_plugins(context)


@config.command()
@click.option("--profile", metavar="NAME", help="Print the prompt of this profile.")
@accept_global_options
def prompt(context: CliContext, profile: str | None) -> None:
    """Print the prompt file in use, or the built-in one, to begin one of your own."""
    from .config import print_prompt

    print_prompt(context, profile)
