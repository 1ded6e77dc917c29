"""Options that several commands share."""

import click

from .completion import complete_collections

collection_option = click.option(
    "-c",
    "--collection",
    default="default",
    show_default=True,
    help="Name of the collection.",
    shell_complete=complete_collections,
)
