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
EMBEDDER_HELP = "local (default), openai:MODEL[@DIMENSIONS], onnx:FOLDER[@int8], static:FOLDER"
"""The embedders that a SPEC can name."""
